//! The archive that a node keeps and serves over Store.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::ConfigError;

/// An archive of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Absolute path of the SQLite file.
    pub path: PathBuf,
    /// Which messages are kept.
    pub retention: Retention,
}

/// Which messages an archive keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// All of them.
    All,
    /// Messages up to this age, in whole seconds.
    Age(Duration),
    /// This number of the newest messages.
    Count(u64),
}

impl StoreConfig {
    /// The address of the archive, as the library takes it.
    pub(super) fn url(&self) -> Result<String, ConfigError> {
        let path = self.path.to_str().ok_or(ConfigError("the archive's path is not UTF-8"))?;
        if !self.path.is_absolute() {
            return Err(ConfigError("the archive's path is not absolute"));
        }
        // The library does not undo escapes in JSON; the other characters have a meaning in a URL.
        if path.chars().any(|c| c.is_control() || "\"\\?#%".contains(c)) {
            return Err(ConfigError(
                "the archive's path has a character that libwaku would misread",
            ));
        }
        match self.retention {
            Retention::Age(age) if age.as_secs() == 0 => {
                Err(ConfigError("the archive keeps messages for less than a second"))
            }
            Retention::Count(0) => Err(ConfigError("the archive keeps no messages")),
            _ => Ok(format!("sqlite://{path}")),
        }
    }
}

impl Retention {
    /// The rule, as the library takes it.
    pub(super) fn text(self) -> String {
        match self {
            Self::All => "none".to_owned(),
            Self::Age(age) => format!("time:{}", age.as_secs()),
            Self::Count(count) => format!("capacity:{count}"),
        }
    }
}
