//! What the user can do about an error.

use waku_chat::{CommandError, DatabaseError, Error as ClientError};
use waku_node::NodeError;

use super::CliError;

impl CliError {
    /// What to do next, where there is something to say.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            CliError::Name(_) => {
                "`waku-chat group list`, `contact list`, `requests list` and `installations list` \
                 show what there is"
            }
            CliError::Connect(_) => {
                "check that the peers in config.json can be reached, or start one with \
                 `waku-chat node`; --offline works without the network"
            }
            CliError::NoPeers => {
                "add an address to \"peers\" in the config.json of the home directory \
                 (`waku-chat node` prints one); --offline works without the network"
            }
            CliError::HomeBusy(_) => "stop the other process, or use another directory with --home",
            CliError::NotInitialised(_) => {
                "create an account with `waku-chat init`, or name its directory with --home"
            }
            CliError::AlreadyInitialised(_) => "use it, or name another directory with --home",
            CliError::NoPassphrase(_) => {
                "give it with --passphrase-file, in WAKU_CHAT_PASSPHRASE, or at a terminal"
            }
            CliError::Library(_) => {
                "name the file with --libwaku or in LIBWAKU_PATH, or use --node embedded, which \
                 needs no libwaku"
            }
            CliError::PeerWithoutId(_) => {
                "give the address as the peer prints it when it starts, or use --node embedded, \
                 which needs no ids"
            }
            CliError::Node(NodeError::Listen { .. }) => {
                "choose another port with --listen, for example /ip4/127.0.0.1/tcp/0 for any free port"
            }
            CliError::Client(error) => return of_client(error),
            CliError::Operator(error) => return error.hint(),
            _ => return None,
        })
    }
}

fn of_client(error: &ClientError) -> Option<&'static str> {
    Some(match error {
        ClientError::NoAccount => {
            "create an account with `waku-chat init`, or name its directory with --home"
        }
        ClientError::AccountExists => "use it, or name another directory with --home",
        ClientError::Database(DatabaseError::WrongKey) => {
            "try again; if the passphrase is lost, only the recovery phrase brings the account back"
        }
        ClientError::Timeout { .. } => {
            "what was not sent is kept, and goes out the next time; --timeout allows more time"
        }
        ClientError::Linking => {
            "finish linking first: `waku-chat installations linking-code` with this home directory"
        }
        ClientError::OtherNetwork => {
            "restore the parameters in config.json that the account was created with"
        }
        ClientError::Command(CommandError::UnknownContact { .. }) => {
            "add the contact with `waku-chat contact add LINK`"
        }
        ClientError::Command(CommandError::ContactExpired { .. }) => {
            "ask the contact for a new link (`waku-chat contact link`), and add it"
        }
        _ => return None,
    })
}
