//! Values of options, written the same way on the command line and in a file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::{SpanRelativeTo, SpanRound, Unit};
use serde::{Deserialize, Serialize};
use waku_node::KeyFile;

/// A value, or the word `off`, which says that there is to be none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "String",
    into = "String",
    bound = "T: Clone + fmt::Display + FromStr<Err: fmt::Display>"
)]
pub(crate) enum Choice<T> {
    Off,
    On(T),
}

impl<T> Choice<T> {
    pub(crate) fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: FromStr<Err: fmt::Display>> FromStr for Choice<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "" => Err("it is empty; write off for none".to_owned()),
            other => other.parse().map(Self::On).map_err(|e: T::Err| e.to_string()),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(value) => value.fmt(f),
        }
    }
}

/// The name of a file. A file named `off` is written `./off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a node keeps its key: `beside-store`, `off`, or the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct KeyPlace(pub(crate) KeyFile);

/// The word for a key file beside the Store's. A file of this name is written `./beside-store`.
const BESIDE_STORE: &str = "beside-store";

impl FromStr for KeyPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text.parse::<Choice<Name>>()? {
            Choice::Off => KeyFile::Nowhere,
            Choice::On(name) if name.0 == BESIDE_STORE => KeyFile::BesideStore,
            Choice::On(name) => KeyFile::Path(name.0.into()),
        }))
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            KeyFile::Nowhere => f.write_str("off"),
            KeyFile::BesideStore => f.write_str(BESIDE_STORE),
            KeyFile::Path(path) => path.display().fmt(f),
        }
    }
}

/// A time span like `12h` or `1h 30m`, in whole seconds. A day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// The longest time span, in seconds: 100 years of 365 days.
const MAX_SPAN: u64 = 3_153_600_000;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = text
            .parse::<jiff::Span>()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
            .map(Duration::try_from);
        match duration {
            Ok(Ok(duration))
                if duration.subsec_nanos() == 0 && (1..=MAX_SPAN).contains(&duration.as_secs()) =>
            {
                Ok(Self(duration))
            }
            _ => Err("expected a number and a unit, like 90s, 30m, 12h or 2d".to_owned()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_days = SpanRound::new().largest(Unit::Day).days_are_24_hours();
        match jiff::Span::try_from(self.0).and_then(|span| span.round(in_days)) {
            Ok(span) => write!(f, "{span:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

/// A number of bytes, like `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        match text.parse::<ByteSize>() {
            // SQLite counts with signed numbers.
            Ok(ByteSize(bytes)) if has_unit && (1..=i64::MAX as u64).contains(&bytes) => {
                Ok(Self(bytes))
            }
            _ => Err("expected a number and a unit, like 500kB, 512MiB or 2GiB".to_owned()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = format!("{:.0}", ByteSize(self.0).display().iec()).replace(' ', "");
        // A configuration that is printed must be exact when it is read back.
        match rounded.parse() {
            Ok(Self(bytes)) if bytes == self.0 => f.write_str(&rounded),
            _ => write!(f, "{}B", self.0),
        }
    }
}

/// The forms that the log can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object per line
    Json,
}

impl<T: FromStr<Err: fmt::Display>> TryFrom<String> for Choice<T> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl<T: fmt::Display> From<Choice<T>> for String {
    fn from(value: Choice<T>) -> Self {
        value.to_string()
    }
}

macro_rules! as_text {
    ($($type:ident),*) => {$(
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text!(Span, Size, KeyPlace);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        for (text, bytes) in [
            ("512MiB", 512 << 20),
            ("3kB", 3000),
            ("7B", 7),
            ("1 GiB", 1 << 30),
            ("1.5GiB", 3 << 29),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        assert_eq!(Size(1 << 40).to_string(), "1TiB");
        assert_eq!(Size(1025).to_string(), "1025B");
        for bad in ["", "5", "MiB", "0B", "-1B", "1 GiBs", "9999999TiB", "9e9B"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
        for (text, seconds) in [("90s", 90), ("2d", 172_800), ("1h 30m", 5400), ("1w", 604_800)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(Span(Duration::from_secs(172_800)).to_string(), "2d");
        assert_eq!(Span(Duration::from_secs(5400)).to_string(), "1h 30m");
        for bad in [
            "",
            "s",
            "0s",
            "5",
            "-1h",
            "1h ago",
            "1mo",
            "1ms",
            "1é",
            "99999999999999999999d",
            "40000d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        assert_eq!("off".parse::<Choice<Name>>(), Ok(Choice::Off));
        assert_eq!("./off".parse(), Ok(Choice::On(Name("./off".into()))));
        let places = [
            ("off", KeyFile::Nowhere),
            ("beside-store", KeyFile::BesideStore),
            ("./beside-store", KeyFile::Path("./beside-store".into())),
        ];
        for (text, place) in places {
            let place = KeyPlace(place);
            assert_eq!((text.parse(), place.to_string()), (Ok(place.clone()), text.to_owned()));
        }
        assert!("".parse::<KeyPlace>().is_err());
        assert!("".parse::<Choice<Name>>().is_err());
        assert!("here".parse::<Choice<std::net::SocketAddr>>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in 1..i64::MAX as u64, seconds in 1u64..3_153_600_000) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
            let span = Span(Duration::from_secs(seconds));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}") {
            let _ = text.parse::<Size>();
            let _ = text.parse::<Span>();
            let _ = text.parse::<Choice<std::net::SocketAddr>>();
        }
    }
}
