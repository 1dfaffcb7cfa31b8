//! `installations status`: which installations are in which groups.

use serde_json::json;
use waku_chat::{Client, GroupView, InstallationId, InstallationView, Membership};

use crate::error::CliError;
use crate::session::Session;
use crate::show::{installation as show, text};

/// The account's installations in one group.
struct Row {
    group: GroupView,
    /// Active installations in the group.
    present: Vec<InstallationId>,
    /// Active installations that are not in the group yet.
    to_add: Vec<InstallationId>,
    /// Revoked installations that are still in the group.
    to_remove: Vec<InstallationId>,
}

impl Row {
    fn new(group: GroupView, inside: &[InstallationId], all: &[InstallationView]) -> Self {
        let pick = |revoked: bool, is_inside: bool| -> Vec<_> {
            let fits = |view: &&InstallationView| {
                view.revoked.is_some() == revoked
                    && inside.contains(&view.installation) == is_inside
            };
            all.iter().filter(fits).map(|view| view.installation).collect()
        };
        Self {
            group,
            present: pick(false, true),
            to_add: pick(false, false),
            to_remove: pick(true, true),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "group": self.group.id,
            "name": self.group.name,
            "present": self.present,
            "to_add": self.to_add,
            "to_remove": self.to_remove,
            "done": self.to_add.is_empty() && self.to_remove.is_empty(),
        })
    }

    fn show(&self, all: &[InstallationView]) -> String {
        let list = |what: &str, ids: &[InstallationId]| match ids {
            [] => String::new(),
            ids => {
                let names: Vec<_> = ids.iter().map(|id| show::name(id, all)).collect();
                format!("  {what}: {}", names.join(", "))
            }
        };
        format!(
            "“{}”{}{}{}",
            text::line(&self.group.name),
            list("present", &self.present),
            list("to be added", &self.to_add),
            list("to be removed", &self.to_remove)
        )
    }
}

/// Runs `installations status`.
pub(super) async fn run(session: &Session) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let views = client.installations().await?;
    let mut rows = Vec::new();
    for group in client.groups().await? {
        if group.membership == Membership::Active {
            let inside = own_installations(client, &group).await?;
            rows.push(Row::new(group, &inside, &views));
        }
    }
    if rows.is_empty() {
        out.progress("This account is in no group.");
    }
    let value: Vec<_> = rows.iter().map(Row::to_json).collect();
    out.result(&value, || rows.iter().map(|row| row.show(&views)).collect::<Vec<_>>().join("\n"))
}

/// The account's own installations in a group.
async fn own_installations(
    client: &Client,
    group: &GroupView,
) -> Result<Vec<InstallationId>, CliError> {
    let members = client.members(group.id).await?.unwrap_or_default();
    let own = members.into_iter().filter(|member| member.own);
    Ok(own.flat_map(|member| member.installations).collect())
}
