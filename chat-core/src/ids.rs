//! The identifiers of the protocol: fixed-size, comparable, and printed in one way each.

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32m, Hrp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not valid bech32m: a character is wrong, or one was lost.
    #[error("not a valid {expected} id: the checksum or a character is wrong")]
    Malformed {
        /// The prefix that was expected.
        expected: &'static str,
    },
    /// The text is an identifier of another kind.
    #[error("expected an id that starts with {expected}1, not {found}1")]
    WrongKind {
        /// The prefix that was expected.
        expected: &'static str,
        /// The prefix that was found.
        found: String,
    },
    /// The number of bytes is wrong.
    #[error("an id has {expected} bytes, not {found}")]
    Length {
        /// Bytes that an identifier of this kind has.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $hrp:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Size in bytes.
            pub const LEN: usize = $len;
            /// The human-readable prefix of the bech32m form.
            pub const PREFIX: &'static str = $hrp;

            /// The bytes of the identifier.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads an identifier from exactly its number of bytes.
            ///
            /// # Errors
            /// [`IdError::Length`] for any other number.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError::Length {
                    expected: $len,
                    found: bytes.len(),
                })
            }

            /// The first eight bytes, as sent where a hint is enough.
            pub fn prefix(&self) -> [u8; 8] {
                let mut out = [0; 8];
                out.copy_from_slice(&self.0[..8]);
                out
            }

            /// The last eight characters of the text form: for people, never for comparison.
            pub fn short(&self) -> String {
                let text = self.to_string();
                text[text.len() - 8..].to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hrp = Hrp::parse($hrp).map_err(|_| fmt::Error)?;
                let text = bech32::encode::<Bech32m>(hrp, &self.0).map_err(|_| fmt::Error)?;
                f.write_str(&text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl Serialize for $name {
            /// As text where people read it, as bytes elsewhere.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Read;
                impl Visitor<'_> for Read {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "an id that starts with {}1", $hrp)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        $name::from_slice(bytes).map_err(E::custom)
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(Read)
                } else {
                    deserializer.deserialize_bytes(Read)
                }
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": concat!("^", $hrp, "1")})
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode(text.trim(), $hrp).and_then(|bytes| Self::from_slice(&bytes))
            }
        }
    };
}

fn decode(text: &str, expected: &'static str) -> Result<Vec<u8>, IdError> {
    // No identifier is longer; this keeps a pasted book from being scanned.
    const LONGEST: usize = 90;
    if text.len() > LONGEST {
        return Err(IdError::Malformed { expected });
    }
    let parsed = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
        .map_err(|_| IdError::Malformed { expected })?;
    let found = parsed.hrp().to_lowercase();
    if found != expected {
        return Err(IdError::WrongKind { expected, found });
    }
    Ok(parsed.byte_iter().collect())
}

id!(
    /// An account: its Ed25519 public key, printed as `wkc1…`.
    AccountId, 32, "wkc"
);
id!(
    /// An installation (device): its Ed25519 public signature key, printed as `wki1…`.
    InstallationId, 32, "wki"
);
id!(
    /// A group: 32 random bytes, known to its members only, printed as `wkg1…`.
    GroupId, 32, "wkg"
);
id!(
    /// One epoch of a group: a hash of its epoch authenticator (RFC 9420 §8.7), printed as `wke1…`.
    /// The epoch number is ambiguous where commits met; this is not.
    EpochId, 32, "wke"
);
id!(
    /// A commit: a hash of its framed content and signature, printed as `wkx1…`.
    CommitId, 32, "wkx"
);
id!(
    /// A numbered item (a commit or a message) as the causal chain names it, printed as `wkh1…`.
    ItemHash, 32, "wkh"
);
id!(
    /// A message: the id of its content, printed as `wkm1…`. It names its author and a random salt, so
    /// that no other member can give a message the same one.
    MessageId, 16, "wkm"
);
id!(
    /// An entry of an account's installation log, printed as `wkl1…`.
    EntryHash, 32, "wkl"
);
id!(
    /// A request: an invitation that waits for an answer, printed as `wkr1…`.
    RequestId, 16, "wkr"
);
id!(
    /// An intent: what a commit is for, printed as `wkn1…`.
    IntentId, 16, "wkn"
);
id!(
    /// The linking of a device: a hash of its code, printed as `wkp1…`.
    LinkingId, 16, "wkp"
);

impl From<CommitId> for ItemHash {
    fn from(id: CommitId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_form_is_pinned() {
        let id = AccountId([7; 32]);
        assert!(id.to_string().starts_with("wkc1"));
        assert_eq!(id.to_string().parse::<AccountId>().unwrap(), id);
    }

    #[test]
    fn another_kind_is_named() {
        let text = GroupId([1; 32]).to_string();
        assert_eq!(
            text.parse::<AccountId>(),
            Err(IdError::WrongKind { expected: "wkc", found: "wkg".into() })
        );
    }

    #[test]
    fn text_for_people_and_bytes_for_programs() {
        let id = AccountId([7; 32]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<AccountId>(&json).unwrap(), id);
        let packed = rmp_serde::to_vec_named(&id).unwrap();
        assert_eq!(packed.len(), 34);
        assert_eq!(rmp_serde::from_slice::<AccountId>(&packed).unwrap(), id);
    }

    proptest! {
        #[test]
        fn round_trip(bytes: [u8; 32]) {
            let id = GroupId(bytes);
            prop_assert_eq!(id.to_string().parse::<GroupId>().unwrap(), id);
        }

        #[test]
        fn any_text_is_an_answer(text in ".{0,200}") {
            let _ = text.parse::<AccountId>();
        }

        #[test]
        fn one_changed_character_is_found(bytes: [u8; 32], at in 4usize..60, to in 0usize..32) {
            let text = AccountId(bytes).to_string();
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.min(chars.len() - 1);
            let new = "qpzry9x8gf2tvdw0s3jn54khce6mua7l".chars().nth(to).unwrap();
            prop_assume!(chars[at] != new);
            chars[at] = new;
            let changed: String = chars.into_iter().collect();
            prop_assert!(changed.parse::<AccountId>().is_err());
        }
    }
}
