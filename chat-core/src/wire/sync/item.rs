//! The items of which a body is made.

use std::fmt;

use zeroize::Zeroizing;

use crate::ids::{AccountId, EpochId, GroupId, InstallationId, MessageId, RequestId};
use crate::time::Timestamp;

/// How an invitation was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAnswer {
    /// The request was accepted.
    Accept,
    /// The request was declined.
    Decline,
}

/// A contact as one installation knows it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SyncContact {
    /// The account that this is about.
    pub account: Option<AccountId>,
    /// When it was changed last.
    pub changed_at: Timestamp,
    /// Its card secret; none if the account is not a contact.
    pub secret: Option<Zeroizing<[u8; 32]>>,
    /// Its newest card, encoded.
    pub card: Option<Vec<u8>>,
    /// The name that the user gave it, at most [`MAX_NAME`](crate::params::MAX_NAME) bytes.
    pub name: Option<String>,
    /// Whether its invitations are ignored.
    pub blocked: bool,
}

impl fmt::Debug for SyncContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncContact").field("account", &self.account).finish_non_exhaustive()
    }
}

/// One thing that an installation tells the others.
#[derive(Clone, PartialEq, Eq)]
pub enum SyncItem {
    /// The account's installation log.
    Log(Vec<u8>),
    /// A contact was added, changed or removed.
    Contact(SyncContact),
    /// An inbox key of the account.
    InboxKey {
        /// The private half of the key.
        secret: Zeroizing<[u8; 32]>,
        /// When it was made.
        made_at: Timestamp,
    },
    /// A key package of the sender.
    KeyPackage {
        /// Until when it may be used to add the sender.
        usable_until: Timestamp,
        /// The MLS key package.
        bytes: Vec<u8>,
    },
    /// What the user calls an installation.
    Name {
        /// The installation that this is about.
        installation: InstallationId,
        /// Its name, at most [`MAX_NAME`](crate::params::MAX_NAME) bytes.
        name: String,
        /// When it was named so.
        changed_at: Timestamp,
    },
    /// How far a group was read.
    Read {
        /// The group that this is about.
        group: GroupId,
        /// The last message that was read.
        message: MessageId,
        /// When that was sent, by its sender's clock: the later one counts.
        sent_at: Timestamp,
    },
    /// An invitation of other installations into a group: Welcome and tree.
    Welcome(Vec<u8>),
    /// An invitation that was sent before, into the branch that counts. There is another branch,
    /// and an installation that joined that one is to come over.
    WelcomeBack(Vec<u8>),
    /// An invitation was answered.
    Answer {
        /// The request that was answered.
        request: RequestId,
        /// The answer.
        answer: RequestAnswer,
    },
    /// The account leaves a group.
    Leave {
        /// The group that this is about.
        group: GroupId,
    },
    /// A message of the history, for an installation that was not there.
    Message(Box<TransferredMessage>),
    /// How far a transfer of the history has come.
    Progress {
        /// The installation that receives it.
        to: InstallationId,
        /// How many were sent.
        sent: u64,
        /// How many there are.
        total: u64,
    },
    /// Something of a later version; it is passed over.
    Unknown(u32),
}

/// A message that one installation transfers to another. No signature of its author comes with it:
/// it is as trustworthy as the installation that sends it.
#[derive(Clone, PartialEq, Eq)]
pub struct TransferredMessage {
    /// The installation that it is for.
    pub to: InstallationId,
    /// The group of the message.
    pub group: GroupId,
    /// Its id.
    pub message: MessageId,
    /// The account that sent it.
    pub sender: AccountId,
    /// The installation that sent it.
    pub installation: InstallationId,
    /// Its number among what that installation sent to the group.
    pub seq: u64,
    /// The epoch that it was sent in.
    pub epoch: EpochId,
    /// When it was sent, by the sender's clock.
    pub sent_at: Timestamp,
    /// The text; none where it was not readable.
    pub text: Option<String>,
    /// Whether it lies above its author's cut.
    pub flagged: bool,
}

impl fmt::Debug for SyncItem {
    // Keys, names and links stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyncItem::Log(_) => "Log",
            SyncItem::Contact(_) => "Contact",
            SyncItem::InboxKey { .. } => "InboxKey",
            SyncItem::KeyPackage { .. } => "KeyPackage",
            SyncItem::Name { .. } => "Name",
            SyncItem::Read { .. } => "Read",
            SyncItem::Welcome(_) => "Welcome",
            SyncItem::WelcomeBack(_) => "WelcomeBack",
            SyncItem::Answer { .. } => "Answer",
            SyncItem::Leave { .. } => "Leave",
            SyncItem::Message(_) => "Message",
            SyncItem::Progress { .. } => "Progress",
            SyncItem::Unknown(kind) => return write!(f, "Unknown({kind})"),
        })
    }
}
