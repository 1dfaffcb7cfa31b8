//! The kinds of bad weather that a storm can have.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A kind of bad weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Messages are lost on the way to some devices.
    Loss,
    /// Messages come twice.
    Duplicates,
    /// Publications are reported as failed though they went out.
    FalseFailures,
    /// Messages take seconds.
    Delay,
    /// Clocks are wrong by seconds.
    Clocks,
    /// Devices go offline and come back.
    Offline,
    /// Processes end and start again.
    Restart,
    /// Processes die in the middle of a step.
    Crash,
    /// The network falls in two for 20 seconds.
    Partition,
    /// The network falls in two for 150 seconds.
    LongPartition,
    /// There is no Store.
    NoStore,
    /// Members are added while others commit.
    Additions,
    /// Members who were removed or left are added again.
    Returns,
}

/// There is no such kind of weather.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind of weather: --list-weather shows them")]
pub struct UnknownWeather(String);

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Loss,
        Self::Duplicates,
        Self::FalseFailures,
        Self::Delay,
        Self::Clocks,
        Self::Offline,
        Self::Restart,
        Self::Crash,
        Self::Partition,
        Self::LongPartition,
        Self::NoStore,
        Self::Additions,
        Self::Returns,
    ];

    /// Its name in a list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Duplicates => "duplicates",
            Self::FalseFailures => "false-failures",
            Self::Delay => "delay",
            Self::Clocks => "clocks",
            Self::Offline => "offline",
            Self::Restart => "restart",
            Self::Crash => "crash",
            Self::Partition => "partition",
            Self::LongPartition => "long-partition",
            Self::NoStore => "no-store",
            Self::Additions => "additions",
            Self::Returns => "returns",
        }
    }

    /// What it does, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Loss => {
                "Up to 30 % of the deliveries are lost; the Store has the messages still."
            }
            Self::Duplicates => "Up to 30 % of the deliveries come twice.",
            Self::FalseFailures => {
                "Up to 30 % of the publications are reported as failed though they went out."
            }
            Self::Delay => {
                "A delivery takes up to 6 seconds, so that messages overtake each other."
            }
            Self::Clocks => {
                "Each device's clock is wrong by up to 2 seconds, either way: two differ by less than a slot."
            }
            Self::Offline => "Devices lose their connection and get it back later.",
            Self::Restart => "Processes end between two steps and start again at once.",
            Self::Crash => {
                "Processes die in a transaction, before their outputs or after a publication, and \
                 start again later."
            }
            Self::Partition => "The network falls in two for 20 seconds, and both sides go on.",
            Self::LongPartition => {
                "The network falls in two for 150 seconds: longer than a device looks back when it \
                 fetches history."
            }
            Self::NoStore => "There is no Store: what relay loses is lost.",
            Self::Additions => {
                "Members are added while others commit, so that some are invited on a branch that \
                 loses."
            }
            Self::Returns => "Members who were removed or left are added again.",
        }
    }

    /// Whether the protocol of today is expected to survive it, so that it is in the default list.
    pub fn is_survived(self) -> bool {
        !matches!(
            self,
            Self::Crash | Self::LongPartition | Self::NoStore | Self::Additions | Self::Returns
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownWeather;

    fn from_str(text: &str) -> Result<Self, UnknownWeather> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownWeather(text.to_owned()))
    }
}

/// The kinds of weather of a storm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weather(BTreeSet<Kind>);

/// Everything that the protocol of today is expected to survive.
impl Default for Weather {
    fn default() -> Self {
        Kind::ALL.into_iter().filter(|kind| kind.is_survived()).collect()
    }
}

impl FromIterator<Kind> for Weather {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().collect())
    }
}

impl Weather {
    /// Whether it has a kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }
}

/// The kinds as a list, separated by commas: what [`Kind::from_str`] reads, one by one.
impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|kind| kind.name()).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_by_its_name_and_no_name_comes_twice() {
        let mut names = BTreeSet::new();
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert!(names.insert(kind.name()), "{kind} twice");
        }
        assert_eq!("fog".parse::<Kind>(), Err(UnknownWeather("fog".into())));
    }

    #[test]
    fn the_default_leaves_out_what_is_not_survived() {
        let list = Weather::default().to_string();
        let kinds: Vec<Kind> = list.split(',').map(|name| name.parse().unwrap()).collect();
        assert!(kinds.iter().all(|kind| kind.is_survived()));
        assert_eq!(kinds.len(), 8);
    }
}
