//! `installations …`: the account's devices.

mod add;
mod link;
mod list;
mod revoke;
mod show;

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::{Client, Event, InstallationId, InstallationView, Timestamp};

use crate::args::{Global, Installations};
use crate::error::CliError;
use crate::names;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::text;

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Runs `installations …`.
pub(crate) async fn installations(
    global: &Global,
    out: Out,
    command: Installations,
) -> Result<(), CliError> {
    match command {
        Installations::Link { name, network, peers } => {
            link::link(global, out, name, network.as_deref(), peers).await
        }
        Installations::Revoke { installations, phrase_file, phrase_prompt, yes, now, no_wait } => {
            let phrase = revoke::phrase(phrase_file.as_deref(), phrase_prompt)?;
            let session = Session::open(global, out, Need::CaughtUp).await?;
            let wait = Wait { now, no_wait };
            let done = revoke::revoke(&session, &installations, phrase.as_ref(), yes, wait).await;
            session.finish(done).await
        }
        other => {
            let session = Session::open(global, out, Need::CaughtUp).await?;
            let done = run(&session, other).await;
            session.finish(done).await
        }
    }
}

async fn run(session: &Session, command: Installations) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    match command {
        Installations::List => list::list(client, out).await,
        Installations::Status => list::status(client, out).await,
        Installations::Add { code, string, history, no_history, now, no_wait } => {
            let days = if no_history { 0 } else { history };
            let wait = Wait { now, no_wait };
            add::add(session, &code, string, days, wait).await
        }
        Installations::Name { installation, name } => {
            let id = names::installation(client, &installation).await?.installation;
            client.name_installation(id, name).await?;
            session.published().await?;
            let views = client.installations().await?;
            let view = views.iter().find(|view| view.installation == id);
            out.result(&json!({"installation": view}), || {
                view.map_or(String::new(), |view| list::show(view, &views))
            })
        }
        Installations::HandOver { installation, days } => {
            let id = names::installation(client, &installation).await?.installation;
            client.transfer_history(id, days_ago(days)).await?;
            let views = client.installations().await?;
            settle(session, &[id], true, Wait { now: false, no_wait: false }).await?;
            out.result(&json!({"handed_over_to": id}), || {
                format!("Handed over to {}.", calls(&id, &views))
            })
        }
        // They need more than an open account, or none.
        Installations::Link { .. } | Installations::Revoke { .. } => Ok(()),
    }
}

/// How a command waits for its work to be done.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// At once, and not over a time.
    now: bool,
    /// Not at all.
    no_wait: bool,
}

/// The moment some days ago.
fn days_ago(days: u32) -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_secs(now.unwrap_or_default().as_secs()) - DAY.saturating_mul(days)
}

/// An installation, as its account calls it.
fn calls(id: &InstallationId, all: &[InstallationView]) -> String {
    let name = all.iter().find(|view| view.installation == *id).and_then(|it| it.name.as_deref());
    match name {
        Some(name) => format!("“{}”", text::line(name)),
        None => format!("…{}", id.short()),
    }
}

/// Waits until installations are in all groups (revoked ones: in none), and until what is handed
/// over to them has gone out, if something is; shows how far that is. A signal ends the
/// waiting only: what is left is done whenever the program runs.
async fn settle(
    session: &Session,
    which: &[InstallationId],
    mut handing_over: bool,
    wait: Wait,
) -> Result<bool, CliError> {
    if wait.now {
        session.client.hurry_installations().await?;
    }
    if wait.no_wait || !session.is_online() {
        return Ok(false);
    }
    let (client, out) = (&session.client, session.out);
    let mut states = client.installation_states();
    let mut events = client.events(0);
    let mut shown = BTreeMap::new();
    let mut in_groups = false;
    let work = async {
        while !in_groups || handing_over {
            tokio::select! {
                views = states.try_next() => {
                    let Some(views) = views? else { return Err(waku_chat::Error::Closed.into()) };
                    in_groups = progress(out, which, &views, &mut shown)?;
                    if wait.now && !in_groups {
                        client.hurry_installations().await?;
                    }
                }
                event = events.try_next() => {
                    let Some((_, event)) = event? else {
                        return Err(waku_chat::Error::Closed.into());
                    };
                    if let Event::HandoverProgress { to, sent, total, done } = event
                        && which.contains(&to)
                    {
                        told(out, &json!({"handed_over": {"to": to, "sent": sent, "total": total}}),
                            &format!("{sent} of {total} messages handed over"))?;
                        handing_over &= !done;
                    }
                }
            }
        }
        Ok::<_, CliError>(true)
    };
    let settled = tokio::select! {
        settled = work => settled?,
        stopped = crate::signal() => {
            stopped?;
            out.progress("The rest is done whenever the program runs here.");
            false
        }
    };
    session.published().await?;
    Ok(settled)
}

/// Shows how many groups are done, where that has changed, and says whether all are.
fn progress(
    out: Out,
    which: &[InstallationId],
    views: &[InstallationView],
    shown: &mut BTreeMap<InstallationId, (usize, usize)>,
) -> Result<bool, CliError> {
    let mut all = true;
    for view in views.iter().filter(|view| which.contains(&view.installation)) {
        let left = if view.revoked.is_some() { view.groups } else { view.groups_without };
        let total = view.groups + view.groups_without;
        all &= left == 0;
        if shown.insert(view.installation, (left, total)) != Some((left, total)) && total > 0 {
            let what = if view.revoked.is_some() { "out of" } else { "in" };
            let name = calls(&view.installation, views);
            told(
                out,
                &json!({"progress": {"installation": view.installation,
                    "groups_done": total - left, "groups": total}}),
                &format!("{name} is {what} {} of {total} groups", total - left),
            )?;
        }
    }
    Ok(all)
}

/// How far work has come: a line of JSON for programs, words for people.
fn told(out: Out, value: &serde_json::Value, text: &str) -> Result<(), CliError> {
    if out.json {
        out.line(&value.to_string())
    } else {
        out.progress(text);
        Ok(())
    }
}

/// The groups that this account is in, with the own installations in each.
async fn groups(
    client: &Client,
) -> Result<Vec<(waku_chat::GroupView, Vec<InstallationId>)>, CliError> {
    let mut out = Vec::new();
    for group in client.groups().await? {
        if group.membership != waku_chat::Membership::Active {
            continue;
        }
        let members = client.members(group.id).await?.unwrap_or_default();
        let own = members.into_iter().filter(|member| member.own);
        out.push((group, own.flat_map(|member| member.installations).collect()));
    }
    Ok(out)
}
