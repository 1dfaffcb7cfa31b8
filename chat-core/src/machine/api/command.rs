//! What the application asks for, and what it is answered.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::identity::linking::LinkingText;
use crate::ids::{AccountId, GroupId, InstallationId, IntentId, LinkingId, MessageId, RequestId};
use crate::machine::api::linking::LinkingView;
use crate::machine::api::view::{ContactView, GroupView};
use crate::time::Timestamp;

/// The words of a recovery phrase. Zeroized when dropped, and not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PhraseWords(pub Zeroizing<String>);

impl fmt::Debug for PhraseWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhraseWords(…)")
    }
}

/// A request of the application. Each is done or refused within the step that takes it. What needs
/// the network is stored, and answered with an id: commits are made and messages encrypted when they
/// go out, once this installation is connected and has caught up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes a contact link of the own account, with a card in it that can be used at once, without a
    /// Store, for [`KEY_PACKAGE_USE`](crate::params::KEY_PACKAGE_USE). Where the card is too large
    /// for a link (an account of many devices), as [`Command::MakeShortContactLink`]. Answer:
    /// [`Answer::ContactLink`].
    MakeContactLink,
    /// Adds or refreshes a contact from its link. Answer: [`Answer::Contact`].
    AddContact {
        /// The link.
        link: String,
        /// A name for the contact, seen by this account only.
        name: Option<String>,
    },
    /// Removes a contact.
    RemoveContact {
        /// Whose.
        account: AccountId,
    },
    /// Creates a group and invites contacts into it. Answer: [`Answer::Group`].
    CreateGroup {
        /// Name, up to [`MAX_NAME`](crate::params::MAX_NAME) bytes.
        name: String,
        /// Description, up to [`MAX_DESCRIPTION`](crate::params::MAX_DESCRIPTION) bytes.
        description: String,
        /// Contacts to invite; may be empty.
        members: Vec<AccountId>,
    },
    /// Adds contacts to a group.
    AddMembers {
        /// The group.
        group: GroupId,
        /// Contacts to invite.
        accounts: Vec<AccountId>,
    },
    /// Removes accounts from a group; for admins.
    RemoveMembers {
        /// The group.
        group: GroupId,
        /// Whom.
        accounts: Vec<AccountId>,
    },
    /// Leaves a group: a signed wish, which any member turns into a Remove.
    LeaveGroup {
        /// The group.
        group: GroupId,
    },
    /// Sets the group's name, its description, or both.
    DescribeGroup {
        /// The group.
        group: GroupId,
        /// The new name, if it is to change.
        name: Option<String>,
        /// The new description, if it is to change.
        description: Option<String>,
    },
    /// Makes an account an admin, or takes that back; for admins.
    SetAdmin {
        /// The group.
        group: GroupId,
        /// Whom.
        account: AccountId,
        /// Admin from now on, or not.
        admin: bool,
    },
    /// Sends a text to a group. Answer: [`Answer::Sent`].
    Send {
        /// The group.
        group: GroupId,
        /// The text, up to [`MAX_TEXT`](crate::params::MAX_TEXT) bytes.
        text: String,
    },
    /// Accepts a request; its invitation is then fetched and joined.
    AcceptRequest {
        /// Which.
        request: RequestId,
    },
    /// Declines a request. The inviter is not told.
    DeclineRequest {
        /// Which.
        request: RequestId,
    },
    /// Declines a request, and ignores further ones of that account.
    BlockRequest {
        /// Which.
        request: RequestId,
    },
    /// Notes that a group was read up to a message; the account's other installations hear of it.
    MarkRead {
        /// The group.
        group: GroupId,
        /// The last message that was read.
        message: MessageId,
    },
    /// Gives one of the account's installations a name, which only they see.
    NameInstallation {
        /// Which.
        installation: InstallationId,
        /// Its name, up to [`MAX_NAME`](crate::params::MAX_NAME) bytes.
        name: String,
    },
    /// Takes installations out of the account: those added after this one, or any with the recovery
    /// phrase. They are removed from every group within a slot.
    RevokeInstallations {
        /// Which.
        installations: Vec<InstallationId>,
        /// The account's phrase: what it revokes stays revoked for ever.
        phrase: Option<PhraseWords>,
    },
    /// Ends a recovery whose card is in no Store. Contacts who know the lost installations refuse the
    /// account's card then, until they are given a new link.
    EndRecovery,
    /// Transfers message history to another installation of the account that was not there when they came.
    TransferHistory {
        /// To which.
        installation: InstallationId,
        /// Those that were sent since then.
        since: Timestamp,
    },
    /// Adds and removes installations at once in all groups, instead of over a time in which nobody
    /// outside can tell that it is one change.
    HurryInstallations,
    /// Answers the code that a new device shows, so that it can become an installation of the own
    /// account. Answer: [`Answer::Linking`].
    AnswerLinking {
        /// The code.
        code: LinkingText,
    },
    /// Types the string that the new device shows: the right one makes it an installation; a wrong
    /// one ends the linking, as the answer says; a slip is refused and costs nothing. Answer:
    /// [`Answer::Linking`].
    ConfirmLinking {
        /// Which.
        id: LinkingId,
        /// The string.
        string: String,
    },
    /// Ends a linking whose string was not typed yet; also for the new device itself.
    CancelLinking {
        /// Which.
        id: LinkingId,
    },
    /// Forgets events up to a cursor: the application has dealt with them.
    AcknowledgeEvents {
        /// The last one that it has dealt with.
        cursor: u64,
    },
    /// Makes a contact link without a card: short enough for a QR code, and good as long as the
    /// account is; whoever takes it finds the card in a Store. Answer: [`Answer::ContactLink`].
    MakeShortContactLink,
}

impl Command {
    /// The group that it changes or speaks in.
    pub(in crate::machine) fn group(&self) -> Option<GroupId> {
        match self {
            Command::AddMembers { group, .. }
            | Command::RemoveMembers { group, .. }
            | Command::LeaveGroup { group }
            | Command::DescribeGroup { group, .. }
            | Command::SetAdmin { group, .. }
            | Command::Send { group, .. } => Some(*group),
            _ => None,
        }
    }
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// A contact link.
    ContactLink(String),
    /// The contact that was added.
    Contact(ContactView),
    /// The group that was created.
    Group(GroupView),
    /// The message that is on its way: it is encrypted and published once this installation is
    /// connected and has caught up.
    Sent {
        /// Its group.
        group: GroupId,
        /// Its id, by which history and events name it.
        message: MessageId,
    },
    /// The change to a group that is on its way: it is committed once this installation is connected
    /// and has caught up, unless it is done or refused by then.
    Change {
        /// The group.
        group: GroupId,
        /// Its id, by which events name it.
        intent: IntentId,
    },
    /// A linking, as it stands now.
    Linking(LinkingView),
}
