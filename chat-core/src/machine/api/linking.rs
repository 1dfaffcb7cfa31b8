//! What the application sees of linkings.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::linking::EndCode;
use crate::ids::{AccountId, InstallationId, LinkingId};
use crate::time::Timestamp;

impl fmt::Display for EndCode {
    /// For people, on the device that did not end it as on the one that did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EndCode::Cancelled => "the linking was cancelled",
            EndCode::WrongString => {
                "the string that was typed is not the one on the new device: \
                 begin again with a new code, out of sight of others"
            }
            EndCode::AnsweredTwice => {
                "two devices answered the code: somebody may have seen it; \
                 begin again with a new code, out of sight of others"
            }
            EndCode::Expired => "the time for linking is over: begin again with a new code",
            EndCode::Refused => "one of the devices cannot go on: begin again with a new code",
        })
    }
}

/// The state of a linking on the installation that grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LinkingState {
    /// The linking code was answered; nothing has come from the new installation yet.
    Answered,
    /// The new installation shows its authentication string, which is to be typed here.
    AwaitsString,
    /// The string was right, and the new installation is in the account's installation log. It is
    /// being told.
    Granted,
    /// The new installation was added to the self group.
    Admitted,
    /// The new installation has confirmed that it joined.
    Done,
    /// It ended before it was complete.
    Ended {
        /// The reason.
        code: EndCode,
        /// Whether the other installation ended it.
        by_other: bool,
    },
}

/// A linking on the installation that grants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkingView {
    /// The linking's id, the same on the new installation.
    pub id: LinkingId,
    /// The state.
    pub state: LinkingState,
    /// Until when the authentication string can be typed.
    pub until: Timestamp,
    /// The name that the new installation gives itself.
    pub name: Option<String>,
    /// The new installation.
    pub installation: Option<InstallationId>,
    /// How many groups the new installation will join once its string was typed. It will read what is
    /// sent there from then on, act for the account, and see its contacts.
    pub groups: usize,
    /// Whether the new installation is in the account's installation log. Then only revoking it undoes
    /// the linking.
    pub added: bool,
}

/// The state of a linking on the new installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NewcomerState {
    /// The linking code waits for an answer.
    Waiting,
    /// An account answered.
    Answered,
    /// The authentication string is shown, to be typed on the other installation.
    ShowsString,
    /// This installation belongs to the account.
    Linked,
    /// It has joined the self group too.
    Done,
    /// It ended before it was complete. A new code can be made.
    Ended {
        /// The reason.
        code: EndCode,
        /// Whether the other installation ended it.
        by_other: bool,
    },
}

/// A linking on the new installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewcomerView {
    /// The linking's id, the same on the other installation.
    pub id: LinkingId,
    /// The state.
    pub state: NewcomerState,
    /// Until when the linking code can be answered.
    pub until: Timestamp,
    /// The name that this installation was given.
    pub name: String,
    /// The account that answered. Show it beside the string: anybody who saw the code can answer it
    /// with another account.
    pub account: Option<AccountId>,
    /// The installation that answered.
    pub grantor: Option<InstallationId>,
    /// The authentication string, to be typed on the other installation.
    pub string: Option<String>,
}
