//! The methods, and what each does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::devices;
use super::error::RpcError;
use super::params::{
    Accounts, Admin, Contact, Cursor, Description, History, InGroup, NewGroup, Nothing, OneAccount,
    OneRequest, Text, Wait, read,
};
use super::{DEFAULT_HISTORY, MAX_HISTORY};
use crate::client::Client;

/// What calling a method amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It tells something and changes nothing.
    Query,
    /// It changes something.
    Command,
    /// It returns when something has happened.
    Wait,
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What calling it amounts to.
    pub kind: Kind,
}

const fn query(name: &'static str) -> Method {
    Method { name, kind: Kind::Query }
}

const fn command(name: &'static str) -> Method {
    Method { name, kind: Kind::Command }
}

const fn wait(name: &'static str) -> Method {
    Method { name, kind: Kind::Wait }
}

/// All methods.
pub const METHODS: &[Method] = &[
    query("identity"),
    query("status"),
    query("groups"),
    query("contacts"),
    query("requests"),
    query("counters"),
    query("group"),
    query("members"),
    query("missing"),
    query("history"),
    query("installations"),
    query("linkings"),
    query("own_linking"),
    command("contact_link"),
    command("short_contact_link"),
    command("add_contact"),
    command("remove_contact"),
    command("create_group"),
    command("add_members"),
    command("remove_members"),
    command("leave_group"),
    command("describe_group"),
    command("set_admin"),
    command("send"),
    command("accept_request"),
    command("decline_request"),
    command("block_request"),
    command("acknowledge"),
    command("mark_read"),
    command("name_installation"),
    command("revoke_installations"),
    command("hurry_installations"),
    command("hand_over"),
    command("answer_link"),
    command("confirm_link"),
    command("cancel_link"),
    wait("wait_connected"),
    wait("wait_caught_up"),
    wait("wait_published"),
];

/// The method of a name.
///
/// # Errors
/// [`RpcError::UnknownMethod`].
pub fn method(name: &str) -> Result<&'static Method, RpcError> {
    let found = METHODS.iter().find(|method| method.name == name);
    found.ok_or_else(|| RpcError::UnknownMethod(name.to_owned()))
}

pub(super) async fn call(
    client: &Client,
    method: &Method,
    given: Value,
    patience: Duration,
) -> Result<Value, RpcError> {
    match method.name {
        "installations"
        | "linkings"
        | "own_linking"
        | "mark_read"
        | "name_installation"
        | "revoke_installations"
        | "hurry_installations"
        | "hand_over"
        | "answer_link"
        | "confirm_link"
        | "cancel_link" => devices::call(client, method, given).await,
        "identity" => {
            let Nothing {} = read(given)?;
            value(client.identity().await?)
        }
        "status" => {
            let Nothing {} = read(given)?;
            let status = client.status().await;
            Ok(json!({
                "connected": status.connected,
                "peers": status.peers,
                "store_available": status.store_available,
                "listen_addresses": status.listen_addresses,
                "failure": status.failure,
            }))
        }
        "groups" => {
            let Nothing {} = read(given)?;
            value(client.groups().await?)
        }
        "contacts" => {
            let Nothing {} = read(given)?;
            value(client.contacts().await?)
        }
        "requests" => {
            let Nothing {} = read(given)?;
            value(client.requests().await?)
        }
        "counters" => {
            let Nothing {} = read(given)?;
            let counters = client.counters().await?;
            let refused = counters.refused.iter().map(|(why, n)| (format!("{why:?}"), *n));
            Ok(json!({
                "messages": counters.messages,
                "commits": counters.commits,
                "doorbells": counters.doorbells,
                "joined": counters.joined,
                "deferred": counters.deferred,
                "duplicates": counters.duplicates,
                "stale": counters.stale,
                "not_for_us": counters.not_for_us,
                "cards": counters.cards,
                "refused": refused.collect::<BTreeMap<_, _>>(),
            }))
        }
        "group" => {
            let InGroup { group } = read(given)?;
            value(client.group(group).await?)
        }
        "members" => {
            let InGroup { group } = read(given)?;
            value(client.members(group).await?)
        }
        "missing" => {
            let InGroup { group } = read(given)?;
            value(client.missing(group).await?)
        }
        "history" => {
            let History { group, before, limit } = read(given)?;
            let limit = limit.unwrap_or(DEFAULT_HISTORY);
            if limit > MAX_HISTORY {
                let why = format!("limit: {MAX_HISTORY} at most, not {limit}");
                return Err(RpcError::BadParams(why));
            }
            value(client.history(group, before, limit).await?)
        }
        "contact_link" => {
            let Nothing {} = read(given)?;
            value(client.contact_link().await?)
        }
        "short_contact_link" => {
            let Nothing {} = read(given)?;
            value(client.short_contact_link().await?)
        }
        "add_contact" => {
            let Contact { link, name } = read(given)?;
            value(client.add_contact(link, name).await?)
        }
        "remove_contact" => {
            let OneAccount { account } = read(given)?;
            value(client.remove_contact(account).await?)
        }
        "create_group" => {
            let NewGroup { name, description, members } = read(given)?;
            value(client.create_group(name, description, &members).await?)
        }
        "add_members" => {
            let Accounts { group, accounts } = read(given)?;
            value(client.add_members(group, &accounts).await?)
        }
        "remove_members" => {
            let Accounts { group, accounts } = read(given)?;
            value(client.remove_members(group, &accounts).await?)
        }
        "leave_group" => {
            let InGroup { group } = read(given)?;
            value(client.leave_group(group).await?)
        }
        "describe_group" => {
            let Description { group, name, description } = read(given)?;
            value(client.describe_group(group, name, description).await?)
        }
        "set_admin" => {
            let Admin { group, account, admin } = read(given)?;
            value(client.set_admin(group, account, admin).await?)
        }
        "send" => {
            let Text { group, text } = read(given)?;
            Ok(json!({"message": client.send(group, text).await?}))
        }
        "accept_request" => {
            let OneRequest { request } = read(given)?;
            value(client.accept_request(request).await?)
        }
        "decline_request" => {
            let OneRequest { request } = read(given)?;
            value(client.decline_request(request).await?)
        }
        "block_request" => {
            let OneRequest { request } = read(given)?;
            value(client.block_request(request).await?)
        }
        "acknowledge" => {
            let Cursor { cursor } = read(given)?;
            value(client.acknowledge(cursor).await?)
        }
        "wait_connected" => value(client.wait_connected(time(given, patience)?).await?),
        "wait_caught_up" => value(client.wait_caught_up(time(given, patience)?).await?),
        "wait_published" => value(client.wait_published(time(given, patience)?).await?),
        other => Err(RpcError::UnknownMethod(other.to_owned())),
    }
}

/// How long to wait.
fn time(given: Value, patience: Duration) -> Result<Duration, RpcError> {
    let Wait { timeout_ms } = read(given)?;
    Ok(timeout_ms.map_or(patience, Duration::from_millis))
}

pub(super) fn value(result: impl serde::Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(result).map_err(|error| RpcError::Result(error.to_string()))
}
