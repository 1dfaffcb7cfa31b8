//! The errors of `waku-chat node`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a node does not run, or did not end properly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    /// The file of the node's key cannot be used. The reason does not show what is in it.
    #[error("cannot use the key file {}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The Store's file cannot be used.
    #[error("cannot use the Store {}: {reason}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The endpoint for health and metrics cannot be opened.
    #[error("cannot serve metrics on {address}: {source}")]
    Metrics {
        /// The address of the endpoint.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// A second signal came before the node had stopped.
    #[error("stopped at once by a second signal; messages not yet written to the Store are lost")]
    Interrupted,
}

impl OperatorError {
    /// The exit code of the process.
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
                "the file must hold 64 hexadecimal digits and be readable by this user, and its \
                 directory must exist",
            ),
            Self::Store { .. } => Some(
                "the file must be writable by this user and used by no other node, and its \
                 directory must exist",
            ),
            Self::Metrics { .. } => {
                Some("choose another port with --metrics, or 0 for any free port")
            }
            Self::Interrupted => None,
        }
    }
}
