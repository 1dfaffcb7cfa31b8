//! What the application sees of groups, members, contacts, requests and messages.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, EpochId, GroupId, InstallationId, MessageId, RequestId};
use crate::time::Timestamp;

/// How this account stands to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// A member.
    Active,
    /// A member that has asked to leave; somebody's Remove is awaited.
    Leaving,
    /// Left.
    Left,
    /// Removed by somebody.
    Removed,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Its id, known to members only.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// How this account stands to it.
    pub membership: Membership,
    /// The state that this installation follows: equal at all members that have heard the same.
    pub epoch_id: EpochId,
    /// The MLS epoch number of that state.
    pub epoch: u64,
    /// Number of accounts in it.
    pub accounts: usize,
    /// Number of installations in it.
    pub installations: usize,
    /// Whether this account is an admin of it.
    pub admin: bool,
}

/// An account in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// The account.
    pub account: AccountId,
    /// The name that it has among the own contacts, if any.
    pub name: Option<String>,
    /// Its admin number, if it is an admin; lower ones are senior.
    pub admin: Option<u32>,
    /// Its installations in the group.
    pub installations: Vec<InstallationId>,
    /// Whether it is the own account.
    pub own: bool,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactView {
    /// The account.
    pub account: AccountId,
    /// The name given to it here.
    pub name: Option<String>,
    /// Until when it can be added to groups with what is known of it. Each newer card of it renews
    /// that, as a new link does.
    pub usable_until: Option<Timestamp>,
    /// Whether its requests are ignored.
    pub blocked: bool,
    /// Whether it cannot be added to groups yet, since its card is being looked for.
    pub pending: bool,
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Waits for accept, decline or block.
    Pending,
    /// Accepted; the invitation is being fetched.
    Accepted,
}

/// An invitation that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// Its id.
    pub id: RequestId,
    /// Who invites.
    pub from: AccountId,
    /// The name that the inviter has among the own contacts, if any.
    pub name: Option<String>,
    /// The group's name, as the inviter says.
    pub group_name: String,
    /// When it came.
    pub received_at: Timestamp,
    /// How far it has come.
    pub state: RequestState,
}

/// A message of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// Its place in the history: goes up in the order of arrival.
    pub id: u64,
    /// Its id.
    pub message: MessageId,
    /// Its group.
    pub group: GroupId,
    /// The account that sent it.
    pub sender: AccountId,
    /// The installation that sent it.
    pub installation: InstallationId,
    /// Its number among what that installation sent to the group. None while it waits to be
    /// encrypted, which is when it goes out.
    pub seq: Option<u64>,
    /// The epoch that it was sent in. None while it waits to be encrypted.
    pub epoch_id: Option<EpochId>,
    /// Whether it was written here and can never be sent.
    pub failed: bool,
    /// The text; none where it is of a kind that this version does not know.
    pub text: Option<String>,
    /// When it was sent, by the sender's clock.
    pub sent_at: Timestamp,
    /// When it came here.
    pub received_at: Timestamp,
    /// Whether the own account sent it.
    pub own: bool,
    /// The installation of this account that transferred it, where it did not come by itself: that
    /// its author wrote it is then that installation's word.
    pub transferred_by: Option<InstallationId>,
    /// Whether it was sent above its author's cut: by somebody who was being removed.
    pub flagged: bool,
}

/// A message that is known to be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingView {
    /// The group.
    pub group: GroupId,
    /// The account that sent it.
    pub sender: AccountId,
    /// The installation that sent it.
    pub installation: InstallationId,
    /// Its number among what that installation sent to the group.
    pub seq: u64,
    /// Since when it is known to be missing.
    pub since: Timestamp,
}

/// The own account and this installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityView {
    /// The account.
    pub account: AccountId,
    /// This installation.
    pub installation: InstallationId,
    /// The network's name.
    pub network: String,
    /// Up to when all history is known to have been fetched.
    pub caught_up_to: Option<Timestamp>,
    /// Publications that wait in the outbox.
    pub outbox: usize,
    /// Whether the account is being recovered, and its card was not found yet.
    pub recovering: bool,
}

/// One of the account's installations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallationView {
    /// Its id.
    pub installation: InstallationId,
    /// Its name, which only the account's installations see.
    pub name: Option<String>,
    /// Whether it is this one.
    pub own: bool,
    /// When it was added, by the clock of who added it; none once it was revoked.
    pub added_at: Option<Timestamp>,
    /// Which installation added it; none: the account key.
    pub added_by: Option<InstallationId>,
    /// When something of it came last, by the time at which it was sent.
    pub last_seen: Option<Timestamp>,
    /// In how many of this installation's groups it is.
    pub groups: usize,
    /// In how many it is not, yet or any more.
    pub groups_without: usize,
    /// Whether this installation may revoke it without the recovery phrase.
    pub may_revoke: bool,
    /// By whom it was revoked, if it was.
    pub revoked: Option<RevocationView>,
}

/// That an installation was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationView {
    /// The installation that did it; none: the account key.
    pub by: Option<InstallationId>,
    /// When, by its clock.
    pub at: Timestamp,
}
