//! Installations of the account.

use waku_chat::{InstallationId, InstallationView};

use super::{count, text, time};

/// An installation, in a few lines. `all` are the account's installations.
pub(crate) fn installation(view: &InstallationView, all: &[InstallationView]) -> String {
    let by = |id: Option<InstallationId>| {
        id.map_or("the recovery phrase".to_owned(), |id| name(&id, all))
    };
    let called = view.name.as_deref().map_or("(no name)".to_owned(), text::line);
    let mut lines = vec![format!(
        "…{}  {called}{}",
        view.installation.short(),
        if view.own { "  (this one)" } else { "" }
    )];
    if let Some(at) = view.added_at {
        lines.push(format!("added {} by {}", time::date_time(at), by(view.added_by)));
    }
    if let Some(revoked) = &view.revoked {
        lines.push(format!("REVOKED {} by {}", time::date_time(revoked.at), by(revoked.by)));
    }
    if !view.own {
        let seen = view.last_seen.map_or("never".to_owned(), time::date_time);
        lines.push(format!("last seen {seen}"));
    }
    lines.push(match (view.revoked.is_some(), view.groups, view.groups + view.groups_without) {
        (true, 0, _) => "removed from all groups".to_owned(),
        (true, left, _) => format!("still in {}", count(left, "group", "groups")),
        (false, inside, all) => format!("in {inside} of {all} groups"),
    });
    if !view.own && view.revoked.is_none() && !view.may_revoke {
        lines.push(
            "senior to this one: from here, only the recovery phrase can revoke it".to_owned(),
        );
    }
    lines.join("\n    ")
}

/// What the account calls an installation.
pub(crate) fn name(id: &InstallationId, all: &[InstallationView]) -> String {
    let name = all.iter().find(|view| view.installation == *id).and_then(|it| it.name.as_deref());
    match name {
        Some(name) => format!("“{}”", text::line(name)),
        None => format!("…{}", id.short()),
    }
}
