//! Waiting until installations are in all groups, or out of them, and showing how far that is.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::{Error, Event, InstallationId, InstallationView};

use crate::error::CliError;
use crate::out::Out;
use crate::session::Session;
use crate::show::installation as show;
use crate::signals::stop_requested;

/// How fast groups are changed, and whether the command waits for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Change all groups at once, not over some time.
    pub(super) now: bool,
    /// Do not wait for it.
    pub(super) no_wait: bool,
}

/// Waits until installations are in all groups (revoked ones: in none) and, for a history transfer,
/// until all messages were sent to them. Says whether all of that is done. A signal ends only the
/// waiting: the rest is done whenever the program runs.
pub(super) async fn settle(
    session: &Session,
    which: &[InstallationId],
    mut transferring: bool,
    pace: Pace,
) -> Result<bool, CliError> {
    if pace.now {
        session.client.hurry_installations().await?;
    }
    if pace.no_wait || !session.is_online() {
        return Ok(false);
    }
    let (client, out) = (&session.client, session.out);
    let mut states = client.installation_states();
    let mut events = client.events(0);
    let mut shown = BTreeMap::new();
    let mut in_groups = false;
    let work = async {
        while !in_groups || transferring {
            tokio::select! {
                views = states.try_next() => {
                    let Some(views) = views? else { return Err(Error::Closed.into()) };
                    in_groups = show_groups(out, which, &views, &mut shown)?;
                    if pace.now && !in_groups {
                        client.hurry_installations().await?;
                    }
                }
                event = events.try_next() => {
                    let Some((_, event)) = event? else { return Err(Error::Closed.into()) };
                    if let Event::HistoryTransferProgress { to, sent, total, done } = event
                        && which.contains(&to)
                    {
                        out.step(
                            &json!({"history_transfer": {"to": to, "sent": sent, "total": total}}),
                            &format!("History transfer: {sent} of {total} messages sent"),
                        )?;
                        transferring &= !done;
                    }
                }
            }
        }
        Ok::<_, CliError>(true)
    };
    let settled = tokio::select! {
        settled = work => settled?,
        stopped = stop_requested() => {
            stopped?;
            out.progress("The rest is done whenever the program runs on this installation.");
            false
        }
    };
    session.published().await?;
    Ok(settled)
}

/// Shows in how many groups the change is done, where that number has changed, and says whether it
/// is done in all.
fn show_groups(
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
            let change = if view.revoked.is_some() { "removed from" } else { "added to" };
            let name = show::name(&view.installation, views);
            out.step(
                &json!({"progress": {"installation": view.installation,
                    "groups_done": total - left, "groups": total}}),
                &format!("{name}: {change} {} of {total} groups", total - left),
            )?;
        }
    }
    Ok(all)
}
