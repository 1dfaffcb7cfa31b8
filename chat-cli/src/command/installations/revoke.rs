//! `installations revoke`.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use serde_json::json;
use waku_chat::{InstallationId, InstallationView, RecoveryPhrase};

use super::progress::{Pace, settle};
use crate::error::CliError;
use crate::session::Session;
use crate::show::installation as show;
use crate::{find, input, secrets};

/// The arguments of `installations revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// Id, name, or end of the id of each installation
    #[arg(required = true, value_name = "INSTALLATION")]
    installations: Vec<String>,
    /// Revoke with the recovery phrase in this file (`-`: standard input), which can revoke any
    /// installation, also one that is senior to this one
    #[arg(long, value_name = "FILE", conflicts_with = "phrase_prompt")]
    phrase_file: Option<PathBuf>,
    /// Revoke with the recovery phrase, and ask for it at the terminal
    #[arg(long)]
    phrase_prompt: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Remove the installations from all groups at once, so that an observer of the network can tell
    /// that these groups have a member in common; otherwise they are removed over about an hour
    #[arg(long)]
    now: bool,
    /// Do not wait until the installations are removed from all groups; that continues whenever the
    /// program runs
    #[arg(long)]
    no_wait: bool,
}

impl Revoke {
    /// The recovery phrase, if the command is to use it.
    pub(super) fn phrase(&self) -> Result<Option<RecoveryPhrase>, CliError> {
        let wanted = self.phrase_file.is_some() || self.phrase_prompt;
        wanted.then(|| secrets::recovery_phrase(self.phrase_file.as_deref())).transpose()
    }
}

/// Runs `installations revoke`.
pub(super) async fn run(
    session: &Session,
    args: Revoke,
    phrase: Option<&RecoveryPhrase>,
) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let mut ids: Vec<InstallationId> = Vec::new();
    let views = client.installations().await?;
    let mut own = false;
    for name in &args.installations {
        let view = find::installation(client, name).await?;
        own |= view.own;
        if !ids.contains(&view.installation) {
            ids.push(view.installation);
        }
    }
    if !args.yes {
        confirm(session, &ids, &views, own).await?;
    }
    client.revoke_installations(&ids, phrase).await?;
    session.published().await?;
    // An installation that has revoked itself cannot see what follows.
    let pace = Pace { now: args.now, no_wait: args.no_wait };
    let settled = if own { false } else { settle(session, &ids, false, pace).await? };
    let views = client.installations().await?;
    let shown: Vec<_> = views.iter().filter(|view| ids.contains(&view.installation)).collect();
    out.result(&json!({"revoked": shown, "done": settled}), || {
        let shown: Vec<_> = shown.iter().map(|view| show::installation(view, &views)).collect();
        shown.join("\n")
    })
}

/// Asks for confirmation. Without a terminal, `--yes` is needed.
async fn confirm(
    session: &Session,
    ids: &[InstallationId],
    views: &[InstallationView],
    own: bool,
) -> Result<(), CliError> {
    if session.out.json || !std::io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "revoking needs --yes where it cannot be confirmed".to_owned(),
        ));
    }
    let names: Vec<_> = ids.iter().map(|id| show::name(id, views)).collect();
    session.out.line(&format!(
        "{} will no longer read or write anything for this account, in any group.\n\
         What it has stored stays on it.{}\n\
         A revoked installation can come back only as a new one. Revoke? (yes/no)",
        names.join(", "),
        if own { " THIS INSTALLATION IS AMONG THEM." } else { "" }
    ))?;
    match input::lines().recv().await.as_deref().map(str::trim) {
        Some("yes") => Ok(()),
        _ => Err(CliError::Stopped("nothing was changed")),
    }
}
