//! Texts that are erased after use.

use std::fmt;

use schemars::JsonSchema;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A text that is overwritten in memory when it is dropped, and that neither `Debug` nor an error
/// message shows.
#[derive(Clone, JsonSchema)]
#[schemars(inline, with = "String")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text, still erased when dropped.
    pub fn into_inner(self) -> Zeroizing<String> {
        self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                Ok(text.to_owned().into())
            }
            // Takes the text over, so that no copy of it stays behind.
            fn visit_string<E>(self, text: String) -> Result<Secret, E> {
                Ok(text.into())
            }
        }
        deserializer.deserialize_string(Read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_not_shown() {
        let secret: Secret = serde_json::from_value("hunter2".into()).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(serde_json::from_value::<Secret>(1.into()).is_err());
    }
}
