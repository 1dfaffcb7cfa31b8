//! What a node fails with.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a node does not run, or did not end as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    /// The file of the node's key cannot be used. What is in it is not told.
    #[error("cannot use the key file {}: {reason}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file of the Store cannot be used.
    #[error("cannot use the Store {}: {reason}", path.display())]
    Store {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The endpoint for health and metrics cannot be opened.
    #[error("cannot serve metrics on {address}: {source}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A second signal came before the node had ended.
    #[error("ended at once by a second signal; what was not written to the Store yet is lost")]
    Interrupted,
}

impl OperatorError {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Key { .. } | Self::Store { .. } => 8,
            Self::Metrics { .. } | Self::Interrupted => 1,
        }
    }

    /// A stable code for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Key { .. } => "node_key",
            Self::Store { .. } => "node_store",
            Self::Metrics { .. } => "node_metrics",
            Self::Interrupted => "interrupted",
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Key { .. } => Some(
                "it must hold 64 hexadecimal digits, be readable by this user, and its directory must be there",
            ),
            Self::Store { .. } => Some(
                "it must be writable by this user, be used by no other node, and its directory must be there",
            ),
            Self::Metrics { .. } => {
                Some("choose another port with --metrics, 0 for any that is free")
            }
            Self::Interrupted => None,
        }
    }
}
