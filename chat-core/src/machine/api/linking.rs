//! What the application sees of linkings.

use std::fmt;

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

/// How far a linking has come on the device that grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LinkState {
    /// The code was answered; the new device has not been heard yet.
    Answered,
    /// The new device shows a string, which is to be typed here.
    AwaitsString,
    /// The string was right, and the new device is in the account's log; it is being told.
    Granted,
    /// The new device was let into the account's own group.
    Admitted,
    /// The new device has said that it is there.
    Done,
    /// It is over.
    Ended {
        /// Why.
        code: EndCode,
        /// Whether the other device ended it.
        by_other: bool,
    },
}

/// A linking on the device that grants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Its id: the same on the new device.
    pub id: LinkingId,
    /// How far it has come.
    pub state: LinkState,
    /// Until when the string is to be typed.
    pub until: Timestamp,
    /// The name that the new device gives itself.
    pub name: Option<String>,
    /// The new installation.
    pub installation: Option<InstallationId>,
    /// Groups that the new device will be in, and read from then on, once its string was typed. It
    /// will act for the account, and see its contacts.
    pub groups: usize,
    /// Whether the installation is in the account's log: then only a revocation undoes it.
    pub added: bool,
}

/// How far a linking has come on the new device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NewcomerState {
    /// The code waits for an answer.
    Waiting,
    /// An account answered.
    Answered,
    /// The string is shown, to be typed into the other device.
    ShowsString,
    /// This device is an installation of the account.
    Linked,
    /// It is in the account's own group too.
    Done,
    /// It is over; a new code can be made.
    Ended {
        /// Why.
        code: EndCode,
        /// Whether the other device ended it.
        by_other: bool,
    },
}

/// A linking on the new device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewcomerView {
    /// Its id: the same on the other device.
    pub id: LinkingId,
    /// How far it has come.
    pub state: NewcomerState,
    /// Until when the code can be answered.
    pub until: Timestamp,
    /// The name that this device was given.
    pub name: String,
    /// The account that answered. To be shown beside the string: whoever saw the code can answer it
    /// with an account of his own.
    pub account: Option<AccountId>,
    /// The installation that answered.
    pub grantor: Option<InstallationId>,
    /// The string to be typed into the other device.
    pub string: Option<String>,
}
