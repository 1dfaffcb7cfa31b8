//! `group …`.

use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::json;
use waku_chat::{CommandError, GroupView, MemberView, Membership};

use crate::args::{Global, Group};
use crate::error::CliError;
use crate::names;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::text;

/// Runs `group …`.
pub(crate) async fn group(global: &Global, out: Out, command: Group) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let done = run(&session, command).await;
    session.finish(done).await
}

async fn run(session: &Session, command: Group) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let group = match command {
        Group::List => {
            let groups = client.groups().await?;
            if groups.is_empty() {
                out.progress("No groups yet: `waku-chat group create NAME` makes one.");
            }
            return out.result(&groups, || groups.iter().map(show).collect::<Vec<_>>().join("\n"));
        }
        Group::Members { group } => {
            let group = names::group(client, &group).await?;
            let members = client.members(group.id).await?.unwrap_or_default();
            return out.result(&members, || {
                members.iter().map(show_member).collect::<Vec<_>>().join("\n")
            });
        }
        Group::Read { group } => {
            let group = names::group(client, &group).await?.id;
            let message = super::messages::mark_read(client, group).await?;
            session.published().await?;
            return out.result(&json!({"group": group, "read": message}), || {
                "Noted for the other devices.".to_owned()
            });
        }
        Group::Create { name, members, description } => {
            let members = names::contacts(client, &members).await?;
            let create = || client.create_group(name.clone(), description.clone(), &members);
            with_cards(session, create).await?.id
        }
        Group::Add { group, members } => {
            let group = names::group(client, &group).await?.id;
            let members = names::contacts(client, &members).await?;
            with_cards(session, || client.add_members(group, &members)).await?;
            group
        }
        Group::Remove { group, members } => {
            let group = names::group(client, &group).await?.id;
            let mut accounts = Vec::with_capacity(members.len());
            for member in &members {
                accounts.push(names::member(client, group, member).await?);
            }
            client.remove_members(group, &accounts).await?;
            group
        }
        Group::Leave { group } => {
            let group = names::group(client, &group).await?.id;
            client.leave_group(group).await?;
            group
        }
        Group::Rename { group, name } => {
            let group = names::group(client, &group).await?.id;
            client.describe_group(group, Some(name), None).await?;
            group
        }
        Group::Describe { group, description } => {
            let group = names::group(client, &group).await?.id;
            client.describe_group(group, None, Some(description)).await?;
            group
        }
        Group::Promote { group, member } => set_admin(session, &group, &member, true).await?,
        Group::Demote { group, member } => set_admin(session, &group, &member, false).await?,
    };
    session.published().await?;
    let group = client.group(group).await?;
    out.result(&json!({"group": group}), || group.as_ref().map_or(String::new(), show))
}

/// Does what needs the cards of contacts. One that is being looked for is waited for, within the
/// time-out.
async fn with_cards<T, F>(session: &Session, act: impl Fn() -> F) -> Result<T, CliError>
where
    F: Future<Output = Result<T, waku_chat::Error>>,
{
    /// Between two tries: a Store answers in about this time.
    const PAUSE: Duration = Duration::from_millis(200);
    let begun = Instant::now();
    loop {
        match act().await {
            Err(waku_chat::Error::Command(CommandError::ContactPending { .. }))
                if session.is_online() && begun.elapsed() < session.global().timeout =>
            {
                session.out.progress("looking for the card of a contact…");
                tokio::time::sleep(PAUSE).await;
            }
            done => return Ok(done?),
        }
    }
}

async fn set_admin(
    session: &Session,
    group: &str,
    member: &str,
    admin: bool,
) -> Result<waku_chat::GroupId, CliError> {
    let group = names::group(&session.client, group).await?.id;
    let member = names::member(&session.client, group, member).await?;
    session.client.set_admin(group, member, admin).await?;
    Ok(group)
}

fn show(group: &GroupView) -> String {
    let state = match group.membership {
        Membership::Active if group.admin => "admin",
        Membership::Active => "member",
        Membership::Leaving => "leaving",
        Membership::Left => "left",
        Membership::Removed => "removed",
    };
    let about = match group.description.as_str() {
        "" => String::new(),
        text => format!("\n    {}", text::line(text)),
    };
    format!(
        "{}  “{}”  {} accounts, epoch {}  {state}{about}",
        group.id,
        text::line(&group.name),
        group.accounts,
        group.epoch,
    )
}

/// A member in one line.
pub(crate) fn show_member(member: &MemberView) -> String {
    let name = match (&member.name, member.own) {
        (_, true) => "you".to_owned(),
        (Some(name), _) => text::line(name),
        (None, _) => "(no contact)".to_owned(),
    };
    let admin = member.admin.map_or(String::new(), |number| format!("  admin {number}"));
    format!("{}  {name}{admin}", member.account)
}
