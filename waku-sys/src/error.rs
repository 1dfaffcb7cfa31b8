//! What can go wrong: while loading, with a node, with what it said.

use std::path::PathBuf;

use thiserror::Error;

/// Why there is no library.
#[derive(Debug, Error)]
pub enum LoadError {
    /// No library could be loaded from any of the places where one was looked for.
    #[error("libwaku was not found; looked at {}", .looked.join("; "))]
    NotFound {
        /// Each place, and what the system said to it.
        looked: Vec<String>,
    },
    /// A library is there, and is not a libwaku, or not of a version that fits.
    #[error("{place} has no {}", .missing.join(", "))]
    MissingSymbols {
        /// Where the library came from.
        place: String,
        /// All functions that are missing.
        missing: Vec<&'static str>,
    },
    /// The environment names a library by a path that cannot be one.
    #[error("{variable} is empty")]
    EmptyVariable {
        /// Name of the environment variable.
        variable: &'static str,
    },
    /// A path that is no file; the system would look elsewhere for it.
    #[error("there is no library at {}", .0.display())]
    NoSuchFile(PathBuf),
}

/// Why a configuration is not one that a node may be made of.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid configuration: {0}")]
pub struct ConfigError(pub(crate) &'static str);

/// Why there is no node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NewNodeError {
    /// The configuration was not even handed to the library.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The library did not make a node of it. It has been destroyed again.
    #[error("libwaku made no node: {0}")]
    Refused(String),
    /// The library said nothing for too long. What there was has been destroyed.
    #[error("libwaku did not make a node in time")]
    Timeout,
}

/// Why a call to a node has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// An argument that may not be handed to the library; it was not called.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// The node answered with an error. The words are the library's and partly those of remote
    /// peers: cut to 500 characters, without control characters.
    #[error("libwaku: {0}")]
    Failed(String),
    /// The node did not answer in time. What was asked for may happen or not.
    #[error("libwaku did not answer in time")]
    Timeout,
    /// The node was destroyed, or detached from, before the call or during it.
    #[error("the node was destroyed, or detached from")]
    Destroyed,
    /// The answer is not what this version of the library answers.
    #[error("libwaku answered nonsense: {0}")]
    Malformed(&'static str),
}

/// Makes words that others have written safe to show.
pub(crate) fn clean(text: &[u8]) -> String {
    const MAX_CHARS: usize = 500;
    let text = &text[..text.len().min(MAX_CHARS * 4)];
    let text = String::from_utf8_lossy(text);
    text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
