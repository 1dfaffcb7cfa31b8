//! The macro that makes everything of the list of methods.

/// Defines the methods. Each entry reads
/// `/// what it does`, `Kind Name { parameters } -> Result { how it is carried out }`;
/// the method's JSON name is the snake-case form of `Name`.
macro_rules! methods {
    (
        |$client:ident, $patience:ident|
        $(
            $(#[doc = $doc:literal])*
            $kind:ident $name:ident {
                $( $(#[$attribute:meta])* $field:ident: $type:ty ),* $(,)?
            } -> $answer:ty $body:block
        )*
    ) => {
        /// A method. Its text form is its JSON name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Method {
            $( $(#[doc = $doc])* $name, )*
        }

        impl Method {
            /// All methods.
            pub const ALL: &[Method] = &[$(Method::$name),*];

            /// What calling it amounts to.
            pub const fn kind(self) -> Kind {
                match self {
                    $(Method::$name => Kind::$kind,)*
                }
            }

            /// The JSON Schema of its result.
            pub(super) fn answer_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self {
                    $(Method::$name => generator.subschema_for::<$answer>(),)*
                }
            }
        }

        /// A method with its parameters; as JSON `{"method": …, "params": {…}}`.
        #[derive(Deserialize, JsonSchema)]
        #[serde(
            tag = "method",
            content = "params",
            rename_all = "snake_case",
            deny_unknown_fields
        )]
        pub enum Call {
            $( $(#[doc = $doc])* $name { $( $(#[$attribute])* $field: $type ),* }, )*
        }

        impl Call {
            /// The method.
            pub const fn method(&self) -> Method {
                match self {
                    $(Call::$name { .. } => Method::$name,)*
                }
            }

            /// Carries the call out and returns its result as JSON. A method that waits does so for
            /// `patience`, unless its parameters say otherwise.
            ///
            /// Dropping the future ends the waiting. A command that the client has already taken is
            /// carried out all the same.
            ///
            /// # Errors
            /// [`MethodError`], whose codes are stable.
            pub async fn run(
                self,
                $client: &Client,
                $patience: Duration,
            ) -> Result<Value, MethodError> {
                match self {
                    $(Call::$name { $($field),* } => {
                        let answer: $answer = $body;
                        json_of(answer)
                    })*
                }
            }
        }
    };
}

pub(super) use methods;
