//! How bytes are written: as base64, as lists of numbers, or, if they are a hash, as hex digits.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads base64, with or without padding.
pub(crate) fn from_base64(text: &str) -> Option<Bytes> {
    let text = text.as_bytes();
    BASE64.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).ok().map(Into::into)
}

/// Writes `0x` and 64 hex digits.
pub(crate) fn to_hex(hash: &[u8; 32]) -> String {
    format!("0x{}", HEXLOWER.encode(hash))
}

/// Reads a message hash: 64 hex digits, with or without `0x` in front.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

/// Bytes as base64, for `serde(serialize_with)`.
pub(crate) mod base64 {
    use super::*;
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&BASE64.encode_display(bytes))
    }

    pub(crate) mod option {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(
            bytes: &Option<Bytes>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_str(&BASE64.encode_display(bytes.as_deref().unwrap_or_default()))
        }
    }

    /// Bytes that are read from base64 where the text lies, without a copy of it. Null is empty.
    #[derive(Default)]
    pub(crate) struct Base64(pub(crate) Bytes);

    impl<'de> Deserialize<'de> for Base64 {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Text;

            impl Visitor<'_> for Text {
                type Value = Base64;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("bytes in base64")
                }

                fn visit_str<E: Error>(self, text: &str) -> Result<Base64, E> {
                    from_base64(text)
                        .map(Base64)
                        .ok_or_else(|| E::custom("incorrect base64 string"))
                }

                fn visit_unit<E: Error>(self) -> Result<Base64, E> {
                    Ok(Base64::default())
                }
            }

            from.deserialize_any(Text)
        }
    }
}

/// A whole number, as a number or in a string, as libwaku takes them both. Null is 0.
#[derive(Default)]
pub(crate) struct Number<T>(pub(crate) T);

impl<'de, T: FromStr + TryFrom<i64> + Default> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole<T>(PhantomData<T>);

        impl<T: FromStr + TryFrom<i64> + Default> Visitor<'_> for Whole<T> {
            type Value = Number<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, as a number or in a string")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number<T>, E> {
                T::try_from(number).map(Number).map_err(|_| E::custom("a number out of range"))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number<T>, E> {
                let number =
                    i64::try_from(number).map_err(|_| E::custom("a number out of range"))?;
                self.visit_i64(number)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number<T>, E> {
                text.parse().map(Number).map_err(|_| E::custom("not a whole number"))
            }

            fn visit_unit<E: Error>(self) -> Result<Number<T>, E> {
                Ok(Number::default())
            }
        }

        from.deserialize_any(Whole(PhantomData))
    }
}

/// Bytes as a list of numbers, for `serde(with)`.
pub(crate) mod numbers {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(bytes.iter())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        Vec::deserialize(from).map(Into::into)
    }
}

/// A hash as hex digits, for `serde(with)`.
pub(crate) mod hash {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&to_hex(hash))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        from_hex(&text).ok_or_else(|| D::Error::custom("a message hash has 32 bytes"))
    }

    /// A hash that may be absent: null is written, and an empty string is read as null, too.
    pub(crate) mod option {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(
            hash: &Option<[u8; 32]>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match hash {
                Some(hash) => super::serialize(hash, to),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<[u8; 32]>, D::Error> {
            let text = Option::<String>::deserialize(from)?.filter(|text| !text.is_empty());
            let bad = || D::Error::custom("a message hash has 32 bytes");
            text.map(|text| from_hex(&text).ok_or_else(bad)).transpose()
        }
    }

    /// A list of hashes.
    pub(crate) mod list {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(
            hashes: &[[u8; 32]],
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_seq(hashes.iter().map(to_hex))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hashes_round_trip(hash: [u8; 32]) {
            prop_assert_eq!(from_hex(&to_hex(&hash)), Some(hash));
            prop_assert_eq!(from_hex(&to_hex(&hash)[2..]), Some(hash));
        }

        #[test]
        fn base64_is_read_with_and_without_padding(bytes: Vec<u8>) {
            for text in [BASE64.encode(&bytes), BASE64_NOPAD.encode(&bytes)] {
                let read = from_base64(&text);
                prop_assert_eq!(read.as_deref(), Some(&bytes[..]));
            }
        }
    }

    #[test]
    fn what_is_not_a_hash_is_refused() {
        for bad in ["", "0x", "0x1", &"0g".repeat(32), &"00".repeat(31), &"00".repeat(33)] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
