//! What the application is told, at least once and in order, with a cursor that it acknowledges.

use serde::{Deserialize, Serialize};

use crate::identity::linking::EndCode;
use crate::ids::{AccountId, GroupId, InstallationId, IntentId, LinkingId, MessageId, RequestId};
use crate::machine::api::linking::LinkView;
use crate::machine::api::view::{MessageView, MissingView, RequestView};
use crate::time::Timestamp;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A message was received.
    MessageReceived {
        /// The message.
        message: MessageView,
    },
    /// A message of this installation reached the network.
    Published {
        /// The group.
        group: GroupId,
        /// The message, as [`Answer::Sent`](crate::machine::Answer::Sent) names it.
        message: MessageId,
    },
    /// The commit of a change to a group reached the network.
    ChangePublished {
        /// The group.
        group: GroupId,
        /// The change, as [`Answer::Change`](crate::machine::Answer::Change) names it.
        intent: IntentId,
    },
    /// Somebody invites this account, and waits for an answer.
    RequestReceived {
        /// The request.
        request: RequestView,
    },
    /// An accepted invitation could not be fetched or is not valid.
    RequestFailed {
        /// The request.
        request: RequestId,
        /// Why.
        reason: String,
    },
    /// This installation is in a group now.
    GroupJoined {
        /// The group.
        group: GroupId,
        /// Its name.
        name: String,
    },
    /// Accounts were added to a group.
    MembersAdded {
        /// The group.
        group: GroupId,
        /// By whom.
        by: AccountId,
        /// Whom.
        accounts: Vec<AccountId>,
    },
    /// Accounts were removed from a group, or left it.
    MembersRemoved {
        /// The group.
        group: GroupId,
        /// By whom.
        by: AccountId,
        /// Whom.
        accounts: Vec<AccountId>,
        /// Whether they had asked for it.
        left: bool,
    },
    /// Name or description changed.
    GroupDescribed {
        /// The group.
        group: GroupId,
        /// By whom.
        by: AccountId,
        /// The name now.
        name: String,
        /// The description now.
        description: String,
    },
    /// The list of admins changed.
    AdminsChanged {
        /// The group.
        group: GroupId,
        /// The admins now, senior first.
        admins: Vec<AccountId>,
    },
    /// This account is no member of a group any more.
    GroupLeft {
        /// The group.
        group: GroupId,
        /// Whether somebody else removed it.
        removed: bool,
    },
    /// A change to a group that this account had made lost to somebody else's, and cannot be made
    /// again.
    ChangeFailed {
        /// The group.
        group: GroupId,
        /// The change, as [`Answer::Change`](crate::machine::Answer::Change) names it.
        intent: IntentId,
        /// Why.
        reason: String,
    },
    /// A message of this installation can never be sent.
    MessageFailed {
        /// The group.
        group: GroupId,
        /// The message, as [`Answer::Sent`](crate::machine::Answer::Sent) names it.
        message: MessageId,
        /// Why.
        reason: String,
    },
    /// Commits met, and this installation follows another branch now.
    BranchChanged {
        /// The group.
        group: GroupId,
        /// Commits that no longer count.
        undone: usize,
    },
    /// A message is missing, and it is known who sent it.
    MessageMissing {
        /// What is missing.
        missing: MissingView,
    },
    /// A message that was missing has come.
    MessageRecovered {
        /// The group.
        group: GroupId,
        /// What was missing.
        missing: MissingView,
    },
    /// One installation signed two different items with one number.
    Equivocation {
        /// The group.
        group: GroupId,
        /// Whose installation.
        account: AccountId,
        /// The number.
        seq: u64,
    },
    /// The own key signed something that this installation did not send: it was copied.
    CloneAlarm {
        /// The group.
        group: GroupId,
    },
    /// The account has another installation now.
    InstallationAdded {
        /// Which.
        installation: InstallationId,
    },
    /// An installation of the account was revoked.
    InstallationRevoked {
        /// Which.
        installation: InstallationId,
        /// Whether it is this one, which can do nothing for the account any more.
        own: bool,
    },
    /// The account was recovered: its log is known, and all other installations are revoked. With its
    /// next card the contacts hear of it, and take it into their groups again.
    Recovered {
        /// Whom it has revoked.
        revoked: Vec<InstallationId>,
    },
    /// The account's card, by which it is recovered, was not found yet. It is looked for again.
    RecoveryPending {
        /// Why.
        reason: String,
    },
    /// A contact was changed on another installation.
    ContactChanged {
        /// Whose.
        account: AccountId,
    },
    /// A group was read on another installation.
    GroupRead {
        /// The group.
        group: GroupId,
        /// The last message that was read.
        message: MessageId,
    },
    /// Messages are being handed over to another installation.
    HandoverProgress {
        /// To which.
        to: InstallationId,
        /// How many were sent.
        sent: u64,
        /// How many there are.
        total: u64,
        /// Whether that was the last.
        done: bool,
    },
    /// Messages were handed over to this installation.
    HandoverReceived {
        /// How many were sent so far.
        sent: u64,
        /// How many there are; the same number when all have come.
        total: u64,
    },
    /// A request was answered on another installation.
    RequestAnswered {
        /// The request.
        request: RequestId,
    },
    /// The own clock differs from those of others.
    ClockSkew {
        /// By how many milliseconds the own clock is ahead; negative: behind.
        ahead_ms: i64,
    },
    /// All history up to a moment was fetched.
    CaughtUp {
        /// Up to when.
        until: Timestamp,
    },
    /// History could not be fetched; it is tried again.
    CatchUpFailed {
        /// Why.
        reason: String,
    },
    /// A new device answered, whose code was taken in here: its string is to be typed.
    LinkReady {
        /// The linking, with the name that the device gives itself.
        link: LinkView,
    },
    /// A new installation is in the account's own group.
    LinkDone {
        /// The linking.
        linking: LinkingId,
        /// The new installation.
        installation: InstallationId,
    },
    /// A linking is over before its end.
    LinkFailed {
        /// The linking.
        linking: LinkingId,
        /// Why.
        code: EndCode,
        /// Whether the other device ended it.
        by_other: bool,
        /// The installation, where it is in the account's log already: it is to be revoked if it is
        /// of no use.
        added: Option<InstallationId>,
    },
    /// On a new device: an account answered its code.
    LinkAnswered {
        /// The linking.
        linking: LinkingId,
        /// The account. To be shown: whoever saw the code can answer it with an account of his own.
        account: AccountId,
        /// The installation that answered.
        by: InstallationId,
    },
    /// On a new device: the string is there, to be typed into the other device.
    LinkStringShown {
        /// The linking.
        linking: LinkingId,
        /// The account that it is for.
        account: AccountId,
    },
    /// On a new device: it is an installation of the account now.
    Linked {
        /// The linking.
        linking: LinkingId,
        /// The account.
        account: AccountId,
        /// This installation.
        installation: InstallationId,
    },
    /// On a new device that belongs to an account already: another answer to its code came. If the
    /// account is not the user's own, somebody saw the code and was faster.
    LinkAnsweredTwice {
        /// The linking.
        linking: LinkingId,
        /// The account that this device belongs to.
        account: AccountId,
    },
    /// A contact can be added to groups now: its card was found.
    ContactReady {
        /// Whose.
        account: AccountId,
    },
    /// No card of a contact was found, so that it cannot be added to groups. It is looked for again,
    /// ever more seldom.
    ContactFailed {
        /// Whose.
        account: AccountId,
        /// Why.
        reason: String,
    },
    /// A card of an account, the own or a contact's, was refused since it lacks entries of the
    /// account's installation log that are known here. Either an installation is behind, or somebody
    /// tries to have a revoked one forgotten. Told once a period.
    CardRollback {
        /// Whose card.
        account: AccountId,
        /// The installation that signed it.
        installation: InstallationId,
    },
    /// The own card of this period cannot be made, so that links without a card do not work.
    CardFailed {
        /// Why.
        reason: String,
    },
}

impl Event {
    /// The group that it is about, if it is about one.
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Event::MessageReceived { message } => Some(message.group),
            Event::MessageMissing { missing } => Some(missing.group),
            Event::Published { group, .. }
            | Event::GroupJoined { group, .. }
            | Event::MembersAdded { group, .. }
            | Event::MembersRemoved { group, .. }
            | Event::GroupDescribed { group, .. }
            | Event::AdminsChanged { group, .. }
            | Event::GroupLeft { group, .. }
            | Event::ChangeFailed { group, .. }
            | Event::ChangePublished { group, .. }
            | Event::MessageFailed { group, .. }
            | Event::BranchChanged { group, .. }
            | Event::MessageRecovered { group, .. }
            | Event::Equivocation { group, .. }
            | Event::CloneAlarm { group }
            | Event::GroupRead { group, .. } => Some(*group),
            Event::RequestReceived { .. }
            | Event::RequestFailed { .. }
            | Event::RequestAnswered { .. }
            | Event::InstallationAdded { .. }
            | Event::InstallationRevoked { .. }
            | Event::ContactChanged { .. }
            | Event::Recovered { .. }
            | Event::RecoveryPending { .. }
            | Event::ContactReady { .. }
            | Event::ContactFailed { .. }
            | Event::CardRollback { .. }
            | Event::CardFailed { .. }
            | Event::HandoverProgress { .. }
            | Event::HandoverReceived { .. }
            | Event::ClockSkew { .. }
            | Event::LinkReady { .. }
            | Event::LinkDone { .. }
            | Event::LinkFailed { .. }
            | Event::LinkAnswered { .. }
            | Event::LinkStringShown { .. }
            | Event::Linked { .. }
            | Event::LinkAnsweredTwice { .. }
            | Event::CaughtUp { .. }
            | Event::CatchUpFailed { .. } => None,
        }
    }
}
