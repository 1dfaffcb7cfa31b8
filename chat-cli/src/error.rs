//! What the program fails with, its exit codes, and what to do next.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use waku_chat::{CommandError, Error as ClientError, StoreError};
use waku_transport::libwaku::{LibwakuError, LoadError};

/// The exit codes, as the help shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  no connection to the network, or something took longer than --timeout
  4  wrong passphrase
  5  the home directory is in use by another process
  6  there is no account in the home directory, or there is one already
  7  there is no libwaku to run on, or not one that fits
  8  a node cannot use its key file or its Store
  9  the linking of a device is over before its end, or was stopped";

/// Why the program ends with something else than 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line or what it names makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A name that was given fits nothing, or more than one thing.
    #[error("{0}")]
    Name(String),
    /// The client says no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no way into the network.
    #[error("cannot connect to the network: {0}")]
    Connect(String),
    /// No peers are known.
    #[error("no peers are configured")]
    NoPeers,
    /// Another process uses the home directory.
    #[error("{} is in use by another waku-chat", .0.display())]
    HomeBusy(PathBuf),
    /// There is no account in the home directory.
    #[error("there is no account in {}", .0.display())]
    NotInitialised(PathBuf),
    /// There is an account in the home directory already.
    #[error("there is an account in {} already", .0.display())]
    AlreadyInitialised(PathBuf),
    /// No passphrase can be had.
    #[error("no passphrase: {0}")]
    NoPassphrase(String),
    /// The recovery phrase that was given is none.
    #[error("no recovery phrase: {0}")]
    NoPhrase(String),
    /// The user stopped something.
    #[error("stopped: {0}")]
    Stopped(&'static str),
    /// A file cannot be used.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A configuration file makes no sense.
    #[error("{}: {reason}", path.display())]
    Config {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] waku_node::NodeError),
    /// The transport does not start.
    #[error(transparent)]
    Transport(#[from] waku_transport::embedded::StartError),
    /// There is no libwaku to run on.
    #[error(transparent)]
    Library(#[from] LoadError),
    /// The node of libwaku does not start.
    #[error(transparent)]
    Libwaku(LibwakuError),
    /// A peer that libwaku cannot be told to dial.
    #[error("libwaku needs the id of a peer: {0} does not end with /p2p/ and one")]
    PeerWithoutId(String),
    /// Standard output was closed, by `head` for example.
    #[error("standard output was closed")]
    OutputClosed,
    /// Something else of the system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A node cannot be run.
    #[error(transparent)]
    Operator(#[from] crate::command::node::OperatorError),
    /// The demo found something off, or could not run.
    #[error("{0}")]
    Demo(String),
}

impl CliError {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            CliError::OutputClosed => 0,
            CliError::Usage(_)
            | CliError::NoPassphrase(_)
            | CliError::NoPhrase(_)
            | CliError::Config { .. }
            | CliError::PeerWithoutId(_) => 2,
            CliError::Connect(_) | CliError::NoPeers => 3,
            CliError::Client(ClientError::Timeout { .. } | ClientError::NoStore) => 3,
            CliError::Client(ClientError::Database(StoreError::WrongKey)) => 4,
            CliError::HomeBusy(_) => 5,
            CliError::Client(ClientError::Database(StoreError::Busy)) => 5,
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
            CliError::NoPhrase(_) => "bad_phrase",
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

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            CliError::Name(_) => {
                "`waku-chat group list`, `contact list` and `requests list` show what there is"
            }
            CliError::Connect(_) => {
                "check that the peers in config.json are reachable, or start one with `waku-chat node`; \
                 --offline does without the network"
            }
            CliError::NoPeers => {
                "add an address to \"peers\" in the config.json of the home directory \
                 (`waku-chat node` prints one); --offline does without the network"
            }
            CliError::HomeBusy(_) => "end the other process, or use another directory with --home",
            CliError::NotInitialised(_) | CliError::Client(ClientError::NoAccount) => {
                "make an account with `waku-chat init`, or name its directory with --home"
            }
            CliError::AlreadyInitialised(_) | CliError::Client(ClientError::AccountExists) => {
                "use it, or name another directory with --home"
            }
            CliError::NoPassphrase(_) => {
                "give it with --passphrase-file, in WAKU_CHAT_PASSPHRASE, or at a terminal"
            }
            CliError::Client(ClientError::Database(StoreError::WrongKey)) => {
                "try again; without the passphrase only the recovery phrase brings the account back"
            }
            CliError::Client(ClientError::Timeout { .. }) => {
                "what was to be sent is kept and goes out the next time; --timeout allows for more"
            }
            CliError::Client(ClientError::Linking) => {
                "finish that first: `waku-chat installations link` with this home"
            }
            CliError::Client(ClientError::OtherNetwork) => {
                "put the parameters that the account was made with back into config.json"
            }
            CliError::Client(ClientError::Command(CommandError::UnknownContact { .. })) => {
                "add the contact with `waku-chat contact add LINK`"
            }
            CliError::Client(ClientError::Command(CommandError::ContactExpired { .. })) => {
                "ask for a new link (`waku-chat contact link`) and add it again"
            }
            CliError::Library(_) => {
                "name the file with --libwaku or in LIBWAKU_PATH, or do without it: --node embedded"
            }
            CliError::PeerWithoutId(_) => {
                "give the address as the peer prints it when it starts, or do without libwaku: \
                 --node embedded"
            }
            CliError::Node(waku_node::NodeError::Listen { .. }) => {
                "choose another port with --listen, for example /ip4/127.0.0.1/tcp/0 for any that is free"
            }
            CliError::Operator(error) => return error.hint(),
            _ => return None,
        })
    }

    /// For `--json`.
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

/// Attaches what was tried, and with which file, to an error of the system.
pub(crate) fn file(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.into();
    move |source| CliError::File { what, path, source }
}
