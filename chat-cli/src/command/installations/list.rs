//! `installations list` and `installations status`.

use serde_json::json;
use waku_chat::{Client, InstallationView};

use super::{calls, groups};
use crate::error::CliError;
use crate::out::Out;
use crate::text;
use crate::time;

/// Shows the account's devices.
pub(super) async fn list(client: &Client, out: Out) -> Result<(), CliError> {
    let views = client.installations().await?;
    out.result(&views, || views.iter().map(|it| show(it, &views)).collect::<Vec<_>>().join("\n"))
}

/// A device, in a few lines.
pub(super) fn show(view: &InstallationView, all: &[InstallationView]) -> String {
    let by = |id: Option<waku_chat::InstallationId>| {
        id.map_or("the recovery phrase".to_owned(), |id| calls(&id, all))
    };
    let name = view.name.as_deref().map_or("(no name)".to_owned(), text::line);
    let mut lines = vec![format!(
        "…{}  {name}{}",
        view.installation.short(),
        if view.own { "  (this one)" } else { "" }
    )];
    if let Some(at) = view.added_at {
        lines.push(format!("added {} by {}", time::show(at), by(view.added_by)));
    }
    if let Some(revoked) = &view.revoked {
        lines.push(format!("REVOKED {} by {}", time::show(revoked.at), by(revoked.by)));
    }
    if !view.own {
        let seen = view.last_seen.map_or("never".to_owned(), time::show);
        lines.push(format!("last seen {seen}"));
    }
    lines.push(match (view.revoked.is_some(), view.groups, view.groups_without) {
        (true, 0, _) => "in no group any more".to_owned(),
        (true, groups, _) => format!("still in {groups} groups"),
        (false, groups, 0) => format!("in all {groups} groups"),
        (false, groups, without) => format!("in {groups} groups, {without} yet to come"),
    });
    if !view.own && view.revoked.is_none() && !view.may_revoke {
        lines.push("senior: only the recovery phrase revokes it from here".to_owned());
    }
    lines.join("\n    ")
}

/// Shows for each group which devices are in it, are to come, and are to go.
pub(super) async fn status(client: &Client, out: Out) -> Result<(), CliError> {
    let views = client.installations().await?;
    let mut rows = Vec::new();
    for (group, inside) in groups(client).await? {
        let pick = |wanted: fn(bool, bool) -> bool| -> Vec<_> {
            let fits = |view: &&InstallationView| {
                wanted(view.revoked.is_some(), inside.contains(&view.installation))
            };
            views.iter().filter(fits).map(|view| view.installation).collect()
        };
        let there = pick(|revoked, inside| !revoked && inside);
        let to_come = pick(|revoked, inside| !revoked && !inside);
        let to_go = pick(|revoked, inside| revoked && inside);
        rows.push((group, there, to_come, to_go));
    }
    let value: Vec<_> = rows
        .iter()
        .map(|(group, there, to_come, to_go)| {
            json!({"group": group.id, "name": group.name, "there": there, "to_come": to_come,
                   "to_go": to_go, "done": to_come.is_empty() && to_go.is_empty()})
        })
        .collect();
    if rows.is_empty() {
        out.progress("This account is in no group.");
    }
    out.result(&value, || {
        let named = |what: &str, ids: &[waku_chat::InstallationId]| match ids {
            [] => String::new(),
            ids => {
                let names: Vec<_> = ids.iter().map(|id| calls(id, &views)).collect();
                format!("  {what}: {}", names.join(", "))
            }
        };
        let row =
            |(group, there, to_come, to_go): &(waku_chat::GroupView, Vec<_>, Vec<_>, Vec<_>)| {
                format!(
                    "“{}”{}{}{}",
                    text::line(&group.name),
                    named("there", there),
                    named("yet to come", to_come),
                    named("yet to go", to_go)
                )
            };
        rows.iter().map(row).collect::<Vec<_>>().join("\n")
    })
}
