//! Errors of loading the library, of making a node, and of calling one.

use std::path::PathBuf;

use thiserror::Error;

/// Why no library was loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// No library could be loaded from any of the places that were tried.
    #[error("libwaku was not found; looked at {}", .looked.join("; "))]
    NotFound {
        /// Each place, with the system's error.
        looked: Vec<String>,
    },
    /// A library was loaded that is not libwaku, or not of a version that fits.
    #[error("{place} does not have {}", .missing.join(", "))]
    MissingSymbols {
        /// Where the library was loaded from.
        place: String,
        /// Names of all the functions that it lacks.
        missing: Vec<&'static str>,
    },
    /// The environment variable that names the library is set to an empty path.
    #[error("{variable} is empty")]
    EmptyVariable {
        /// Name of the variable.
        variable: &'static str,
    },
    /// There is no file at the path that was given.
    #[error("there is no library at {}", .0.display())]
    NoSuchFile(PathBuf),
}

/// Why no node may be made from a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid configuration: {0}")]
pub struct ConfigError(pub(crate) &'static str);

/// Why no node was made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NewNodeError {
    /// The configuration was refused here, before the library was called.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The library refused the configuration. Nothing is left of the node.
    #[error("libwaku made no node: {0}")]
    Refused(String),
    /// The library did not answer in time. Nothing is left of the node.
    #[error("libwaku did not make a node in time")]
    Timeout,
}

/// Why a call to a node failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// An argument was refused here, before the library was called.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// The node answered with an error. The text is the library's and in part that of remote peers:
    /// it is cut to 500 characters, and control characters are replaced.
    #[error("libwaku: {0}")]
    Failed(String),
    /// The node did not answer in time. The call may have taken effect or not.
    #[error("libwaku did not answer in time")]
    Timeout,
    /// The node was destroyed or detached, before the call or during it.
    #[error("the node was destroyed or detached")]
    Destroyed,
    /// The answer is not in the form that this version of the library uses.
    #[error("libwaku gave an answer that cannot be read: {0}")]
    Malformed(&'static str),
}

/// Makes a text from outside safe to show.
pub(crate) fn clean(text: &[u8]) -> String {
    const MAX_CHARS: usize = 500;
    let text = &text[..text.len().min(MAX_CHARS * 4)];
    let text = String::from_utf8_lossy(text);
    text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
