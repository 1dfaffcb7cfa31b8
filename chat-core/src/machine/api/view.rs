//! What the application sees of groups, members, contacts, requests and messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, EpochId, GroupId, InstallationId, MessageId, RequestId};
use crate::time::Timestamp;

/// The relation of this account to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// A member.
    Active,
    /// A member that has asked to leave; the commit of another member will complete it.
    Leaving,
    /// It has left.
    Left,
    /// Another account removed it.
    Removed,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupView {
    /// The group's id, known to its members only.
    pub id: GroupId,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The relation of this account to the group.
    pub membership: Membership,
    /// The epoch that this installation follows: equal for all members that have received the same.
    pub epoch_id: EpochId,
    /// The MLS epoch number of `epoch_id`.
    pub epoch: u64,
    /// How many accounts are members.
    pub accounts: usize,
    /// How many installations the members have in the group.
    pub installations: usize,
    /// Whether this account is an admin.
    pub admin: bool,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberView {
    /// The account.
    pub account: AccountId,
    /// The name that this account gave the contact.
    pub name: Option<String>,
    /// The admin number if it is an admin: lower ones are senior.
    pub admin: Option<u32>,
    /// Its installations in the group.
    pub installations: Vec<InstallationId>,
    /// Whether it is this account.
    pub own: bool,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactView {
    /// The account.
    pub account: AccountId,
    /// The name that this account gave the contact.
    pub name: Option<String>,
    /// Until when the contact can be added to groups with what is known of it. A newer card extends
    /// this, and so does a new contact link.
    pub usable_until: Option<Timestamp>,
    /// Whether the account's requests are ignored.
    pub blocked: bool,
    /// Whether the contact cannot be added to groups yet, because its card is being looked for.
    pub pending: bool,
}

/// The state of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It waits to be accepted, declined or blocked.
    Pending,
    /// It was accepted, and the invitation is being fetched.
    Accepted,
}

/// A request: a pending invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestView {
    /// The request's id.
    pub id: RequestId,
    /// The account that invites.
    pub from: AccountId,
    /// The name that this account gave the inviter.
    pub name: Option<String>,
    /// The group's name, as the inviter gives it.
    pub group_name: String,
    /// When the request arrived.
    pub received_at: Timestamp,
    /// The state.
    pub state: RequestState,
}

/// A message of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageView {
    /// Its place in the history: rises in the order of arrival.
    pub id: u64,
    /// The message's id.
    pub message: MessageId,
    /// The group.
    pub group: GroupId,
    /// The account that sent it.
    pub sender: AccountId,
    /// The installation that sent it.
    pub installation: InstallationId,
    /// Its number among the messages and commits that the installation sent to the group. None while
    /// it waits to be encrypted, which happens when it goes out.
    pub seq: Option<u64>,
    /// The epoch that it was sent in. None while it waits to be encrypted.
    pub epoch_id: Option<EpochId>,
    /// Whether it was written here and can never be sent.
    pub failed: bool,
    /// The text; none if the message is of a kind that this version does not know.
    pub text: Option<String>,
    /// When it was sent, by the sender's clock.
    pub sent_at: Timestamp,
    /// When it arrived here.
    pub received_at: Timestamp,
    /// Whether this account sent it.
    pub own: bool,
    /// The installation of this account that transferred it, if it did not arrive itself. Only that
    /// installation then vouches for its sender.
    pub transferred_by: Option<InstallationId>,
    /// Whether it came above its sender's cut: the sender was being removed when it was sent.
    pub flagged: bool,
}

/// A message that is known to be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingView {
    /// The group.
    pub group: GroupId,
    /// The account that sent it.
    pub sender: AccountId,
    /// The installation that sent it.
    pub installation: InstallationId,
    /// Its number among the messages and commits that the installation sent to the group.
    pub seq: u64,
    /// Since when it is known to be missing.
    pub since: Timestamp,
}

/// The account and this installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityView {
    /// The account.
    pub account: AccountId,
    /// This installation.
    pub installation: InstallationId,
    /// The network's name.
    pub network: String,
    /// Up to when all history was fetched.
    pub caught_up_to: Option<Timestamp>,
    /// How many envelopes wait in the outbox to be published, and how many messages and changes to
    /// groups wait to go there.
    pub outbox: usize,
    /// How many of these were sent, and are not known to have arrived yet.
    pub unconfirmed: usize,
    /// Whether the account is being recovered and its card was not found yet.
    pub recovering: bool,
}

/// An installation of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstallationView {
    /// Its id.
    pub installation: InstallationId,
    /// The name, which only the account's installations see.
    pub name: Option<String>,
    /// Whether it is this one.
    pub own: bool,
    /// When it was added, by the clock of the installation that added it; none if it is revoked.
    pub added_at: Option<Timestamp>,
    /// The installation that added it; none: the account key.
    pub added_by: Option<InstallationId>,
    /// When it sent the last thing that arrived from it.
    pub last_seen: Option<Timestamp>,
    /// In how many of this installation's groups it is a member.
    pub groups: usize,
    /// In how many it is not a member.
    pub groups_without: usize,
    /// Whether this installation may revoke it without the recovery phrase.
    pub may_revoke: bool,
    /// The revocation, if it is revoked.
    pub revoked: Option<RevocationView>,
}

/// The revocation of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationView {
    /// The installation that revoked it; none: the account key.
    pub by: Option<InstallationId>,
    /// When it was revoked, by that installation's clock.
    pub at: Timestamp,
}
