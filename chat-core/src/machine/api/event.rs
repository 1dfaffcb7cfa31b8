//! What the application is told, at least once and in order, with a cursor that it acknowledges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::linking::EndCode;
use crate::ids::{AccountId, GroupId, InstallationId, IntentId, LinkingId, MessageId, RequestId};
use crate::machine::api::linking::LinkingView;
use crate::machine::api::view::{MessageView, MissingView, RequestView};
use crate::time::Timestamp;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A message was received.
    MessageReceived {
        /// The message.
        message: MessageView,
    },
    /// A message of this installation is on its way: a peer was given it.
    Sent {
        /// The group.
        group: GroupId,
        /// The message, as [`Answer::Sent`](crate::machine::Answer::Sent) names it.
        message: MessageId,
    },
    /// Nothing shows that a message of this installation arrived after it was sent. It is sent again.
    Unconfirmed {
        /// The group.
        group: GroupId,
        /// The message, as [`Answer::Sent`](crate::machine::Answer::Sent) names it.
        message: MessageId,
    },
    /// A message of this installation was published: a Store has it. Where there is no Store, a peer that relays
    /// was given it, and answered afterwards.
    Published {
        /// The group.
        group: GroupId,
        /// The message, as [`Answer::Sent`](crate::machine::Answer::Sent) names it.
        message: MessageId,
    },
    /// The commit of a change to a group was published.
    ChangePublished {
        /// The group.
        group: GroupId,
        /// The change, as [`Answer::Change`](crate::machine::Answer::Change) names it.
        intent: IntentId,
    },
    /// Another account invites this one into a group and waits for an answer.
    RequestReceived {
        /// The request.
        request: RequestView,
    },
    /// The invitation of an accepted request could not be fetched, or is not valid.
    RequestFailed {
        /// The request.
        request: RequestId,
        /// The reason, for people.
        reason: String,
    },
    /// This installation joined a group.
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
        /// The account that did it.
        by: AccountId,
        /// The accounts.
        accounts: Vec<AccountId>,
    },
    /// Accounts were removed from a group, or left it.
    MembersRemoved {
        /// The group.
        group: GroupId,
        /// The account that did it.
        by: AccountId,
        /// The accounts.
        accounts: Vec<AccountId>,
        /// Whether they had asked to leave.
        left: bool,
    },
    /// The name or the description of a group changed.
    GroupDescribed {
        /// The group.
        group: GroupId,
        /// The account that changed it.
        by: AccountId,
        /// The name now.
        name: String,
        /// The description now.
        description: String,
    },
    /// The admins of a group changed.
    AdminsChanged {
        /// The group.
        group: GroupId,
        /// The admins now, senior ones first.
        admins: Vec<AccountId>,
    },
    /// This account is no longer a member of a group.
    GroupLeft {
        /// The group.
        group: GroupId,
        /// Whether another account removed it.
        removed: bool,
    },
    /// A change to a group that this installation was to make is given up: it lost to another one and
    /// cannot be made again, or it waited for a connection and is refused by now.
    ChangeFailed {
        /// The group.
        group: GroupId,
        /// The change, as [`Answer::Change`](crate::machine::Answer::Change) names it.
        intent: IntentId,
        /// The reason, for people.
        reason: String,
    },
    /// A message of this installation can never be sent.
    MessageFailed {
        /// The group.
        group: GroupId,
        /// The message, as [`Answer::Sent`](crate::machine::Answer::Sent) names it.
        message: MessageId,
        /// The reason, for people.
        reason: String,
    },
    /// Commits of the same epoch met, and this installation now follows another branch.
    BranchChanged {
        /// The group.
        group: GroupId,
        /// How many commits no longer count.
        undone: usize,
    },
    /// Something that others sent in a group is not understood here, and no Store could help: a change to
    /// the group is missing on this installation, or messages are. It goes on listening and asking.
    GroupBehind {
        /// The group.
        group: GroupId,
        /// Since when.
        since: Timestamp,
    },
    /// A group that was behind is behind no more.
    GroupCaughtUp {
        /// The group.
        group: GroupId,
    },
    /// A message is missing. Its sender is known.
    MessageMissing {
        /// What is missing.
        missing: MissingView,
    },
    /// A message that was missing has arrived.
    MessageRecovered {
        /// The group.
        group: GroupId,
        /// What was missing.
        missing: MissingView,
    },
    /// An installation signed two different messages or commits with the same number.
    Equivocation {
        /// The group.
        group: GroupId,
        /// The account of the installation.
        account: AccountId,
        /// The number.
        seq: u64,
    },
    /// This installation's key signed something that it did not send: the key was copied.
    CloneAlarm {
        /// The group.
        group: GroupId,
    },
    /// The account has a new installation.
    InstallationAdded {
        /// The installation.
        installation: InstallationId,
    },
    /// An installation of the account was revoked.
    InstallationRevoked {
        /// The installation.
        installation: InstallationId,
        /// Whether it is this one, which can then do nothing more for the account.
        own: bool,
    },
    /// The account was recovered: its installation log is known, and all other installations are
    /// revoked. Contacts learn of it from the account's next card, and add it to their groups again.
    Recovered {
        /// The installations that were revoked.
        revoked: Vec<InstallationId>,
    },
    /// The account's card, from which it is recovered, was not found yet. It is looked for again.
    RecoveryPending {
        /// The reason, for people.
        reason: String,
    },
    /// Another installation of the account changed a contact.
    ContactChanged {
        /// The account.
        account: AccountId,
    },
    /// A group was read on another installation of the account.
    GroupRead {
        /// The group.
        group: GroupId,
        /// The last message that was read.
        message: MessageId,
    },
    /// A history transfer to another installation goes on.
    HistoryTransferProgress {
        /// The other installation.
        to: InstallationId,
        /// How many messages were sent.
        sent: u64,
        /// How many messages there are.
        total: u64,
        /// Whether the transfer is complete.
        done: bool,
    },
    /// Messages of a history transfer arrived here.
    HistoryTransferReceived {
        /// How many messages were sent so far.
        sent: u64,
        /// How many messages there are; equal to `sent` when all have arrived.
        total: u64,
    },
    /// A request was answered on another installation of the account.
    RequestAnswered {
        /// The request.
        request: RequestId,
    },
    /// This device's clock differs from those of others.
    ClockSkew {
        /// How many milliseconds this clock is ahead; negative: behind.
        ahead_ms: i64,
    },
    /// All history up to a moment was fetched.
    CaughtUp {
        /// The moment.
        until: Timestamp,
    },
    /// History could not be fetched. It is tried again.
    CatchUpFailed {
        /// The reason, for people.
        reason: String,
    },
    /// The new installation whose linking code was answered here shows its authentication string,
    /// which is now to be typed.
    LinkingReady {
        /// The linking, with the name that the installation gives itself.
        linking: LinkingView,
    },
    /// A linked installation has joined the self group: the linking is complete.
    LinkingDone {
        /// The linking.
        linking: LinkingId,
        /// The new installation.
        installation: InstallationId,
    },
    /// A linking ended before it was complete.
    LinkingFailed {
        /// The linking.
        linking: LinkingId,
        /// The reason.
        code: EndCode,
        /// Whether the other installation ended it.
        by_other: bool,
        /// The new installation, if it is already in the account's installation log. Revoke it if it
        /// is not wanted.
        added: Option<InstallationId>,
    },
    /// On a new installation: an account answered its linking code.
    LinkingAnswered {
        /// The linking.
        linking: LinkingId,
        /// The account. Show it: anybody who saw the code can answer it with another account.
        account: AccountId,
        /// The installation that answered.
        by: InstallationId,
    },
    /// On a new installation: its authentication string is ready to be shown, and typed on the other
    /// installation.
    LinkingStringShown {
        /// The linking.
        linking: LinkingId,
        /// The account that answered.
        account: AccountId,
    },
    /// On a new installation: it now belongs to the account.
    Linked {
        /// The linking.
        linking: LinkingId,
        /// The account.
        account: AccountId,
        /// This installation.
        installation: InstallationId,
    },
    /// On a new installation that already belongs to an account: another answer to its linking code
    /// came. If the account is not the user's, another person saw the code and was faster.
    LinkingAnsweredTwice {
        /// The linking.
        linking: LinkingId,
        /// The account that this installation belongs to.
        account: AccountId,
    },
    /// The card of a contact was found: the contact can now be added to groups.
    ContactReady {
        /// The account.
        account: AccountId,
    },
    /// No card of a contact was found, so it cannot be added to groups. The card is looked for again,
    /// less and less often.
    ContactFailed {
        /// The account.
        account: AccountId,
        /// The reason, for people.
        reason: String,
    },
    /// A card of this account or of a contact was refused, because it lacks entries of the account's
    /// installation log that are known here. Either an installation is behind, or an attacker tries to
    /// hide a revocation. Reported once a card period.
    CardRollback {
        /// The account of the card.
        account: AccountId,
        /// The installation that signed it.
        installation: InstallationId,
    },
    /// This account's card for the present period cannot be made, so contact links without a card do
    /// not work.
    CardFailed {
        /// The reason, for people.
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
            | Event::Sent { group, .. }
            | Event::Unconfirmed { group, .. }
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
            | Event::GroupBehind { group, .. }
            | Event::GroupCaughtUp { group }
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
            | Event::HistoryTransferProgress { .. }
            | Event::HistoryTransferReceived { .. }
            | Event::ClockSkew { .. }
            | Event::LinkingReady { .. }
            | Event::LinkingDone { .. }
            | Event::LinkingFailed { .. }
            | Event::LinkingAnswered { .. }
            | Event::LinkingStringShown { .. }
            | Event::Linked { .. }
            | Event::LinkingAnsweredTwice { .. }
            | Event::CaughtUp { .. }
            | Event::CatchUpFailed { .. } => None,
        }
    }
}
