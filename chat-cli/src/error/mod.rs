//! The errors that the program ends with, and their codes. `hint` says what to do next.

mod hint;
mod operator;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use waku_chat::{DatabaseError, Error as ClientError};
use waku_transport::libwaku::{LibwakuError, LoadError};

pub(crate) use operator::OperatorError;

/// The exit codes, as the help shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure
  2  wrong usage
  3  no connection to the network, or something took longer than --timeout
  4  wrong passphrase
  5  another process is using the home directory
  6  the home directory has no account, or has one already
  7  libwaku was not found, or does not fit
  8  a node cannot use its key file or its Store
  9  linking ended before it was complete, or was stopped";

/// Why the program ends with an exit code other than 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line, or something that it names, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A name that was given fits nothing, or more than one thing.
    #[error("{0}")]
    Name(String),
    /// The client refuses or fails.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No peer of the network can be reached.
    #[error("cannot connect to the network: {0}")]
    Connect(String),
    /// There are no peers to connect to.
    #[error("no peers are configured")]
    NoPeers,
    /// Another process uses the home directory.
    #[error("another waku-chat is using {}", .0.display())]
    HomeBusy(PathBuf),
    /// There is no account in the home directory.
    #[error("there is no account in {}", .0.display())]
    NotInitialised(PathBuf),
    /// There is an account in the home directory already.
    #[error("there is already an account in {}", .0.display())]
    AlreadyInitialised(PathBuf),
    /// The passphrase is missing.
    #[error("no passphrase: {0}")]
    NoPassphrase(String),
    /// The recovery phrase is missing, or is not one.
    #[error("no recovery phrase: {0}")]
    BadPhrase(String),
    /// The user stopped a command that can be continued.
    #[error("stopped: {0}")]
    Stopped(&'static str),
    /// A file cannot be used.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// The step that failed, as in "cannot open".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A configuration file makes no sense.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The mistake in it.
        reason: String,
    },
    /// The embedded node does not start.
    #[error(transparent)]
    Node(#[from] waku_node::NodeError),
    /// The transport does not start.
    #[error(transparent)]
    Transport(#[from] waku_transport::embedded::StartError),
    /// libwaku cannot be loaded.
    #[error(transparent)]
    Library(#[from] LoadError),
    /// A libwaku node does not start.
    #[error(transparent)]
    Libwaku(LibwakuError),
    /// A peer address does not contain the peer's id, which libwaku needs to dial it.
    #[error("libwaku needs the id of a peer: {0} does not end with /p2p/ID")]
    PeerWithoutId(String),
    /// Standard output was closed, by `head` for example.
    #[error("standard output was closed")]
    OutputClosed,
    /// Another error of the operating system.
    #[error("{what}: {source}")]
    System {
        /// The step that failed.
        what: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// `waku-chat node` cannot run, or did not end properly.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The demo could not run, or one of its checks failed.
    #[error("{0}")]
    Demo(String),
}

impl CliError {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            CliError::OutputClosed => 0,
            CliError::Usage(_)
            | CliError::NoPassphrase(_)
            | CliError::BadPhrase(_)
            | CliError::Config { .. }
            | CliError::PeerWithoutId(_) => 2,
            CliError::Connect(_) | CliError::NoPeers => 3,
            CliError::Client(ClientError::Timeout { .. } | ClientError::NoStore) => 3,
            CliError::Client(ClientError::Database(DatabaseError::WrongKey)) => 4,
            CliError::HomeBusy(_) => 5,
            CliError::Client(ClientError::Database(DatabaseError::Busy)) => 5,
            CliError::NotInitialised(_) | CliError::AlreadyInitialised(_) => 6,
            CliError::Client(
                ClientError::NoAccount | ClientError::AccountExists | ClientError::Linking,
            ) => 6,
            CliError::Client(ClientError::LinkingEnded { .. }) | CliError::Stopped(_) => 9,
            CliError::Library(_) => 7,
            CliError::Operator(error) => error.exit_code(),
            _ => 1,
        })
    }

    /// A stable code for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            CliError::Usage(_) => "usage",
            CliError::Name(_) => "unknown_name",
            CliError::Client(error) => error.code(),
            CliError::Connect(_) | CliError::NoPeers => "not_connected",
            CliError::HomeBusy(_) => "home_busy",
            CliError::NotInitialised(_) => "no_account",
            CliError::AlreadyInitialised(_) => "account_exists",
            CliError::NoPassphrase(_) => "no_passphrase",
            CliError::BadPhrase(_) => "bad_phrase",
            CliError::Stopped(_) => "stopped",
            CliError::File { .. } => "file",
            CliError::Config { .. } => "config",
            CliError::Node(_) | CliError::Transport(_) | CliError::Libwaku(_) => "node",
            CliError::Library(_) => "no_libwaku",
            CliError::PeerWithoutId(_) => "peer_without_id",
            CliError::OutputClosed => "output_closed",
            CliError::System { .. } => "system",
            CliError::Operator(error) => error.code(),
            CliError::Demo(_) => "demo",
        }
    }

    /// Whether the same command may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            CliError::Client(error) => error.is_retryable(),
            CliError::Connect(_) | CliError::HomeBusy(_) => true,
            _ => false,
        }
    }

    /// The error as `--json` writes it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({"error": {
            "code": self.code(),
            "message": self.to_string(),
            "retryable": self.is_retryable(),
            "hint": self.hint(),
        }})
    }
}

impl From<LibwakuError> for CliError {
    fn from(error: LibwakuError) -> Self {
        match error {
            LibwakuError::Peer(address) => Self::PeerWithoutId(address),
            other => Self::Libwaku(other),
        }
    }
}

/// Adds to an error of the system the step that failed, and the file.
pub(crate) fn file(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.into();
    move |source| CliError::File { what, path, source }
}
