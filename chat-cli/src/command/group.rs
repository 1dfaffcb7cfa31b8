//! `group …`.

use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::json;
use waku_chat::{CommandError, GroupId};

use super::mark_read::mark_read;
use crate::error::CliError;
use crate::find;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Outcome, Session};
use crate::show::group as show;

/// The commands of `group`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Group {
    /// Create a group, and invite contacts to it
    Create {
        /// Name of the group
        name: String,
        /// Contacts to invite
        #[arg(value_name = "CONTACT")]
        members: Vec<String>,
        /// Description of the group
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Invite contacts to a group
    Add {
        /// Id, name, or end of the id of the group
        group: String,
        /// Contacts to invite
        #[arg(required = true, value_name = "CONTACT")]
        members: Vec<String>,
    },
    /// Remove members from a group; for admins
    Remove {
        /// Id, name, or end of the id of the group
        group: String,
        /// Members to remove
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Leave a group
    Leave {
        /// Id, name, or end of the id of the group
        group: String,
    },
    /// Rename a group, for all members
    Rename {
        /// Id, name, or end of the id of the group
        group: String,
        /// The new name
        name: String,
    },
    /// Set the description of a group, for all members
    Describe {
        /// Id, name, or end of the id of the group
        group: String,
        /// The new description
        description: String,
    },
    /// Make a member an admin; for admins
    Promote {
        /// Id, name, or end of the id of the group
        group: String,
        /// Member to promote
        member: String,
    },
    /// Make an admin an ordinary member again; for admins
    Demote {
        /// Id, name, or end of the id of the group
        group: String,
        /// Admin to demote
        member: String,
    },
    /// Mark a group as read up to its newest message, for the account's other installations
    MarkRead {
        /// Id, name, or end of the id of the group
        group: String,
    },
    /// List all groups
    List,
    /// List the members of a group
    Members {
        /// Id, name, or end of the id of the group
        group: String,
    },
}

/// Runs `group …`.
pub(crate) async fn run(global: &Global, out: Out, command: Group) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let done = act(&session, command).await;
    session.finish(done).await
}

async fn act(session: &Session, command: Group) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let id = async |group: String| Ok::<_, CliError>(find::group(client, &group).await?.id);
    let changed = match command {
        Group::List => return list(session).await,
        Group::Members { group } => return members(session, &group).await,
        Group::MarkRead { group } => {
            let group = id(group).await?;
            let message = mark_read(client, group).await?;
            session.published().await?;
            return out.result(&json!({"group": group, "read": message}), || {
                "Marked as read, for the other installations too.".to_owned()
            });
        }
        Group::Create { name, members, description } => {
            let members = find::contacts(client, &members).await?;
            let create = || client.create_group(name.clone(), description.clone(), &members);
            with_cards(session, create).await?.id
        }
        Group::Add { group, members } => {
            let group = id(group).await?;
            let members = find::contacts(client, &members).await?;
            with_cards(session, || client.add_members(group, &members)).await?;
            group
        }
        Group::Remove { group, members } => {
            let group = id(group).await?;
            let mut accounts = Vec::with_capacity(members.len());
            for member in &members {
                accounts.push(find::member(client, group, member).await?);
            }
            client.remove_members(group, &accounts).await?;
            group
        }
        Group::Leave { group } => {
            let group = id(group).await?;
            client.leave_group(group).await?;
            group
        }
        Group::Rename { group, name } => {
            let group = id(group).await?;
            client.describe_group(group, Some(name), None).await?;
            group
        }
        Group::Describe { group, description } => {
            let group = id(group).await?;
            client.describe_group(group, None, Some(description)).await?;
            group
        }
        Group::Promote { group, member } => set_admin(session, &group, &member, true).await?,
        Group::Demote { group, member } => set_admin(session, &group, &member, false).await?,
    };
    let outcome = session.published().await?;
    let group = client.group(changed).await?;
    let published = outcome == Outcome::Published;
    out.result(&json!({"group": group, "state": outcome, "published": published}), || {
        group.as_ref().map_or(String::new(), show::group)
    })
}

async fn list(session: &Session) -> Result<(), CliError> {
    let groups = session.client.groups().await?;
    if groups.is_empty() {
        session.out.progress("No groups yet: `waku-chat group create NAME` creates one.");
    }
    session.out.result(&groups, || groups.iter().map(show::group).collect::<Vec<_>>().join("\n"))
}

async fn members(session: &Session, group: &str) -> Result<(), CliError> {
    let group = find::group(&session.client, group).await?;
    let members = session.client.members(group.id).await?.unwrap_or_default();
    session.out.result(&members, || members.iter().map(show::member).collect::<Vec<_>>().join("\n"))
}

/// Runs a command that needs the cards of contacts. While a card is being looked for, it is tried
/// again, up to the time-out.
async fn with_cards<T, F>(session: &Session, act: impl Fn() -> F) -> Result<T, CliError>
where
    F: Future<Output = Result<T, waku_chat::Error>>,
{
    /// The time between two tries: about as long as a Store takes to answer.
    const PAUSE: Duration = Duration::from_millis(200);
    let begun = Instant::now();
    loop {
        match act().await {
            Err(waku_chat::Error::Command(CommandError::ContactPending { .. }))
                if session.is_online() && begun.elapsed() < session.global().timeout =>
            {
                session.out.progress("Looking for the card of a contact…");
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
) -> Result<GroupId, CliError> {
    let group = find::group(&session.client, group).await?.id;
    let member = find::member(&session.client, group, member).await?;
    session.client.set_admin(group, member, admin).await?;
    Ok(group)
}
