//! `installations revoke`.

use std::io::IsTerminal as _;
use std::path::Path;

use serde_json::json;
use waku_chat::{InstallationId, RecoveryPhrase};
use zeroize::Zeroizing;

use super::{Wait, calls, list, settle};
use crate::command::chat::read_lines;
use crate::error::CliError;
use crate::home;
use crate::names;
use crate::session::Session;

/// The recovery phrase, from a file or from whoever sits at the terminal.
pub(super) fn phrase(
    file: Option<&Path>,
    prompt: bool,
) -> Result<Option<RecoveryPhrase>, CliError> {
    let words = match (file, prompt) {
        (Some(path), _) => Zeroizing::new(home::read(path)?),
        (None, true) => {
            let asked = rpassword::prompt_password("Recovery phrase: ");
            Zeroizing::new(asked.map_err(|error| {
                CliError::NoPhrase(format!("there is no terminal to ask at ({error})"))
            })?)
        }
        (None, false) => return Ok(None),
    };
    // What is wrong with it names no word.
    let phrase = RecoveryPhrase::parse(&words);
    phrase.map(Some).map_err(|error| CliError::NoPhrase(error.to_string()))
}

/// Takes devices out of the account.
pub(super) async fn revoke(
    session: &Session,
    wanted: &[String],
    phrase: Option<&RecoveryPhrase>,
    yes: bool,
    wait: Wait,
) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let mut ids: Vec<InstallationId> = Vec::new();
    let views = client.installations().await?;
    let mut own = false;
    for name in wanted {
        let view = names::installation(client, name).await?;
        own |= view.own;
        if !ids.contains(&view.installation) {
            ids.push(view.installation);
        }
    }
    if !yes {
        if out.json || !std::io::stdin().is_terminal() {
            return Err(CliError::Usage("to revoke without being asked, say --yes".to_owned()));
        }
        let names: Vec<_> = ids.iter().map(|id| calls(id, &views)).collect();
        out.line(&format!(
            "{} will write and read nothing more for this account, in any group. What it has stays \
             on it.{}\nA revoked device can be linked again as a new one only. Revoke? (yes/no)",
            names.join(", "),
            if own { " THIS DEVICE IS AMONG THEM." } else { "" }
        ))?;
        if read_lines().recv().await.as_deref().map(str::trim) != Some("yes") {
            return Err(CliError::Stopped("nothing was changed"));
        }
    }
    client.revoke_installations(&ids, phrase).await?;
    session.published().await?;
    // Whoever took itself out can see no more of it.
    let settled = if own { false } else { settle(session, &ids, false, wait).await? };
    let views = client.installations().await?;
    let shown: Vec<_> = views.iter().filter(|view| ids.contains(&view.installation)).collect();
    out.result(&json!({"revoked": shown, "done": settled}), || {
        let shown: Vec<_> = shown.iter().map(|view| list::show(view, &views)).collect();
        shown.join("\n")
    })
}
