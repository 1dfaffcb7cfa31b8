//! The methods: what each takes, does and returns. Their comments are also the reference in
//! `docs/C-API.md`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_core::identity::phrase::{PhraseError, RecoveryPhrase};
use chat_core::ids::{
    AccountId, GroupId, InstallationId, IntentId, LinkingId, MessageId, RequestId,
};
use chat_core::machine::{
    CommandError, ContactView, Counters, GroupView, IdentityView, InstallationView, LinkingView,
    MemberView, MessageView, MissingView, NewcomerView, RequestView,
};
use chat_core::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::define::methods;
use super::error::MethodError;
use super::kind::Kind;
use crate::client::{Client, ClientStatus};
use crate::error::Error;
use crate::secret::Secret;

/// Largest number of messages that one `history` returns: some 100 MB if all have the longest text.
pub const MAX_HISTORY: u32 = 1000;
/// Number of messages that `history` returns unless asked for another.
pub const DEFAULT_HISTORY: u32 = 100;
/// Days of messages that `transfer_history` sends unless asked for another number.
pub const DEFAULT_TRANSFER_DAYS: u64 = 30;

const DAY_SECS: u64 = 24 * 3600;

/// A message that was sent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sent {
    /// The message's id, by which events and the history name it.
    pub message: MessageId,
}

/// A change of a group that is on its way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Change {
    /// The change's id, by which events name it.
    pub intent: IntentId,
}

methods! {
    |client, patience|

    /// The account and this installation.
    Query Identity {} -> IdentityView { client.identity().await? }

    /// The connection to the network at this moment.
    Query Status {} -> ClientStatus { client.status().await }

    /// All groups, including those that the account has left.
    Query Groups {} -> Vec<GroupView> { client.groups().await? }

    /// One group; `null` if it is not known here.
    Query Group {
        /// The group.
        group: GroupId,
    } -> Option<GroupView> { client.group(group).await? }

    /// The members of a group; `null` if the group is not known here.
    Query Members {
        /// The group.
        group: GroupId,
    } -> Option<Vec<MemberView>> { client.members(group).await? }

    /// All contacts, including blocked accounts.
    Query Contacts {} -> Vec<ContactView> { client.contacts().await? }

    /// The requests that wait for an answer, or were accepted and are being fetched.
    Query Requests {} -> Vec<RequestView> { client.requests().await? }

    /// Messages of a group, oldest first.
    Query History {
        /// The group.
        group: GroupId,
        /// The `id` of a message: only older ones are returned.
        before: Option<u64>,
        /// Largest number of messages: 100 unless given, at most 1000.
        limit: Option<u32>,
    } -> Vec<MessageView> {
        client.history(group, before, checked_limit(limit)?).await?
    }

    /// Messages of a group that are known to be missing.
    Query Missing {
        /// The group.
        group: GroupId,
    } -> Vec<MissingView> { client.missing(group).await? }

    /// What became of the envelopes that came in since the account was opened.
    Query Counters {} -> Counters { client.counters().await? }

    /// The account's installations: senior ones first, then revoked ones.
    Query Installations {} -> Vec<InstallationView> { client.installations().await? }

    /// The linkings that this installation grants, or has granted within a day.
    Query Linkings {} -> Vec<LinkingView> { client.linkings().await? }

    /// How this installation itself was linked; `null` if it was not.
    Query OwnLinking {} -> Option<NewcomerView> { client.own_linking().await? }

    /// Makes a contact link of the account.
    Command ContactLink {} -> String { client.contact_link().await? }

    /// Makes a contact link without a card, short enough for a QR code: who takes it finds the card
    /// in a Store.
    Command ShortContactLink {} -> String { client.short_contact_link().await? }

    /// Adds a contact from its link, or renews it.
    Command AddContact {
        /// The contact link.
        link: String,
        /// A name for the contact, seen by this account only.
        name: Option<String>,
    } -> ContactView { client.add_contact(link, name).await? }

    /// Removes a contact.
    Command RemoveContact {
        /// The account.
        account: AccountId,
    } -> () { client.remove_contact(account).await? }

    /// Creates a group and invites contacts into it.
    Command CreateGroup {
        /// The name.
        name: String,
        /// Empty unless given.
        #[serde(default)]
        description: String,
        /// The accounts to invite; none unless given.
        #[serde(default)]
        members: Vec<AccountId>,
    } -> GroupView { client.create_group(name, description, &members).await? }

    /// Invites contacts into a group.
    Command AddMembers {
        /// The group.
        group: GroupId,
        /// The accounts.
        accounts: Vec<AccountId>,
    } -> Change {
        Change { intent: client.add_members(group, &accounts).await? }
    }

    /// Removes accounts from a group.
    Command RemoveMembers {
        /// The group.
        group: GroupId,
        /// The accounts.
        accounts: Vec<AccountId>,
    } -> Change {
        Change { intent: client.remove_members(group, &accounts).await? }
    }

    /// Asks to leave a group; the commit of another member completes it.
    Command LeaveGroup {
        /// The group.
        group: GroupId,
    } -> () { client.leave_group(group).await? }

    /// Changes the name of a group, its description, or both.
    Command DescribeGroup {
        /// The group.
        group: GroupId,
        /// The new name.
        name: Option<String>,
        /// The new description.
        description: Option<String>,
    } -> Change {
        Change { intent: client.describe_group(group, name, description).await? }
    }

    /// Makes a member an admin, or an admin an ordinary member.
    Command SetAdmin {
        /// The group.
        group: GroupId,
        /// The account.
        account: AccountId,
        /// Whether it is to be an admin.
        admin: bool,
    } -> Change {
        Change { intent: client.set_admin(group, account, admin).await? }
    }

    /// Sends a text to a group. When this returns the text is on disk; it is published as soon as
    /// there is a connection.
    Command Send {
        /// The group.
        group: GroupId,
        /// The text.
        text: String,
    } -> Sent { Sent { message: client.send(group, text).await? } }

    /// Accepts a request: its invitation is fetched and the group joined.
    Command AcceptRequest {
        /// The request.
        request: RequestId,
    } -> () { client.accept_request(request).await? }

    /// Declines a request. The inviter is not told.
    Command DeclineRequest {
        /// The request.
        request: RequestId,
    } -> () { client.decline_request(request).await? }

    /// Declines a request and ignores further ones from the same account.
    Command BlockRequest {
        /// The request.
        request: RequestId,
    } -> () { client.block_request(request).await? }

    /// Forgets all events up to a cursor: the application has dealt with them.
    Command Acknowledge {
        /// The cursor of the last event that was dealt with.
        cursor: u64,
    } -> () { client.acknowledge(cursor).await? }

    /// Notes that a group was read up to a message. The account's other installations are told.
    Command MarkRead {
        /// The group.
        group: GroupId,
        /// The id of the last message that was read.
        message: MessageId,
    } -> () { client.mark_read(group, message).await? }

    /// Names an installation of the account.
    Command NameInstallation {
        /// The installation.
        installation: InstallationId,
        /// The name, seen by the account's installations only.
        name: String,
    } -> () { client.name_installation(installation, name).await? }

    /// Revokes installations of the account. This cannot be undone.
    Command RevokeInstallations {
        /// The installations.
        installations: Vec<InstallationId>,
        /// The recovery phrase, which can revoke senior installations too.
        phrase: Option<Secret>,
    } -> () {
        let phrase = phrase.map(|words| RecoveryPhrase::parse(words.expose())).transpose();
        client.revoke_installations(&installations, phrase.map_err(bad_phrase)?.as_ref()).await?
    }

    /// Adds and removes installations in all groups at once, instead of at random moments. An
    /// observer of the network can then tell that the groups have a member in common.
    Command HurryInstallations {} -> () { client.hurry_installations().await? }

    /// Sends old messages to another installation of the account, in the background.
    Command TransferHistory {
        /// The installation.
        installation: InstallationId,
        /// How many days back: 30 unless `days` or `since` is given.
        days: Option<u64>,
        /// From when on, instead of `days`.
        since: Option<Timestamp>,
    } -> () { client.transfer_history(installation, first_moment(days, since)?).await? }

    /// Takes the linking code that a new installation shows, and contacts it.
    Command AnswerLinking {
        /// The linking code.
        code: String,
    } -> LinkingView { client.answer_linking(&code).await? }

    /// Takes the authentication string that a new installation shows. Look at the `state` of the
    /// result: a wrong string ends the linking.
    Command ConfirmLinking {
        /// The linking.
        linking: LinkingId,
        /// The authentication string.
        string: String,
    } -> LinkingView { client.confirm_linking(linking, string).await? }

    /// Ends a linking before its string was confirmed.
    Command CancelLinking {
        /// The linking.
        linking: LinkingId,
    } -> LinkingView { client.cancel_linking(linking).await? }

    /// Waits for a connection to the network.
    Wait WaitConnected {
        /// Longest time, in milliseconds.
        timeout_ms: Option<u64>,
    } -> () { client.wait_connected(time(timeout_ms, patience)).await? }

    /// Waits until all history up to the present connection was fetched. The error is `no_store` if
    /// no peer keeps history.
    Wait WaitCaughtUp {
        /// Longest time, in milliseconds.
        timeout_ms: Option<u64>,
    } -> () { client.wait_caught_up(time(timeout_ms, patience)).await? }

    /// Waits until everything in the outbox was sent: a peer was given it.
    Wait WaitSent {
        /// Longest time, in milliseconds.
        timeout_ms: Option<u64>,
    } -> () { client.wait_sent(time(timeout_ms, patience)).await? }

    /// Waits until everything in the outbox was published: a Store has it. Where there is no Store, a peer that
    /// relays was given it, and answered afterwards.
    Wait WaitPublished {
        /// Longest time, in milliseconds.
        timeout_ms: Option<u64>,
    } -> () { client.wait_published(time(timeout_ms, patience)).await? }
}

impl Call {
    /// Reads a call. The parameters are a JSON object; null stands for an empty one.
    ///
    /// # Errors
    /// [`MethodError::UnknownMethod`] and [`MethodError::BadParams`].
    pub fn read(method: &str, params: Value) -> Result<Self, MethodError> {
        let method: Method = method.parse()?;
        let params = match params {
            Value::Null => Value::Object(Map::new()),
            Value::Object(_) => params,
            // serde would also read parameters from an array, in the order of their definition.
            _ => return Err(MethodError::BadParams("the parameters must be an object".into())),
        };
        // Moved, not copied: a parameter may be a secret.
        let call = [("method", Value::String(method.to_string())), ("params", params)];
        let call = call.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        serde_json::from_value(Value::Object(call))
            .map_err(|error| MethodError::BadParams(error.to_string()))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Method {
    type Err = MethodError;

    fn from_str(name: &str) -> Result<Self, MethodError> {
        let read: Result<_, serde::de::value::Error> = Self::deserialize(name.into_deserializer());
        read.map_err(|_| MethodError::UnknownMethod(name.to_owned()))
    }
}

fn json_of(answer: impl Serialize) -> Result<Value, MethodError> {
    serde_json::to_value(answer).map_err(|error| MethodError::Result(error.to_string()))
}

fn time(timeout_ms: Option<u64>, patience: Duration) -> Duration {
    timeout_ms.map_or(patience, Duration::from_millis)
}

fn checked_limit(limit: Option<u32>) -> Result<u32, MethodError> {
    match limit.unwrap_or(DEFAULT_HISTORY) {
        limit @ ..=MAX_HISTORY => Ok(limit),
        limit => Err(MethodError::BadParams(format!("limit: at most {MAX_HISTORY}, not {limit}"))),
    }
}

fn bad_phrase(error: PhraseError) -> Error {
    CommandError::BadPhrase { reason: error.to_string() }.into()
}

/// From when on messages are transferred.
fn first_moment(days: Option<u64>, since: Option<Timestamp>) -> Result<Timestamp, MethodError> {
    match (days, since) {
        (Some(_), Some(_)) => Err(MethodError::BadParams("give days or since, not both".into())),
        (None, Some(since)) => Ok(since),
        (days, None) => Ok(days_ago(days.unwrap_or(DEFAULT_TRANSFER_DAYS))),
    }
}

/// The moment so many days ago, but not before the unix epoch.
fn days_ago(days: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_secs(now.as_secs().saturating_sub(days.saturating_mul(DAY_SECS)))
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
