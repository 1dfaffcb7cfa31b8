//! `installations add`: the device that has the account, and grants it.

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::{Client, CommandError, Error, LinkState, LinkView, LinkingId, linking_id};

use super::{Wait, days_ago, settle, told};
use crate::command::chat::read_lines;
use crate::error::CliError;
use crate::session::Session;
use crate::text;

/// Takes in the code of a new device, asks for its string, and makes it an installation.
pub(super) async fn add(
    session: &Session,
    code: &str,
    string: Option<String>,
    days: u32,
    wait: Wait,
) -> Result<(), CliError> {
    if !session.is_online() {
        return Err(CliError::Usage("a device is linked over the network, not --offline".into()));
    }
    let work = async {
        let id = answer(session, code).await?;
        let mut view = until(session, id, |state| !matches!(state, LinkState::Answered)).await?;
        if view.state == LinkState::AwaitsString {
            view = confirm(session, view, string, days).await?;
        }
        if let (LinkState::Granted | LinkState::Admitted | LinkState::Done, Some(device)) =
            (view.state, view.installation)
        {
            if days > 0 {
                session.client.transfer_history(device, days_ago(days)).await?;
            }
            told(
                session.out,
                &json!({"state": "granted", "linking": view}),
                "It belongs to your account. Letting it in…",
            )?;
            view = until(session, id, |state| matches!(state, LinkState::Done)).await?;
        }
        Ok::<_, CliError>(view)
    };
    let view = tokio::select! {
        view = work => view?,
        stopped = crate::signal() => {
            stopped?;
            return Err(CliError::Stopped("`waku-chat installations add` with the same code goes on"));
        }
    };
    let Some(device) = view.installation else {
        return Err(CliError::Name("the device went as it came".to_owned()));
    };
    told(session.out, &json!({"state": "done", "linking": view}), "It is there.")?;
    let settled = settle(session, &[device], days > 0, wait).await?;
    let views = session.client.installations().await?;
    let shown = views.iter().find(|it| it.installation == device);
    session.out.result(&json!({"installation": shown, "done": settled}), || {
        let groups = shown.map_or(String::new(), |it| super::list::show(it, &views));
        format!("Linked:\n{groups}")
    })
}

/// Answers the code, or goes on with the linking that was begun with it.
async fn answer(session: &Session, code: &str) -> Result<LinkingId, CliError> {
    let network = session.home.config()?.network;
    match session.client.answer_linking(code.trim()).await {
        Ok(view) => {
            session.out.progress("waiting for the new device…");
            Ok(view.id)
        }
        Err(used @ Error::Command(CommandError::BadLinkingCode { .. }))
            if used.code() == "linking_code_used" =>
        {
            let id = linking_id(code.trim(), &network)?;
            // Also one that is done: this may have been stopped before messages were handed over.
            let open = find(&session.client, id)
                .await?
                .is_some_and(|view| !matches!(view.state, LinkState::Ended { .. }));
            if open { Ok(id) } else { Err(used.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows what is being granted, and takes the string; slips may be mended.
async fn confirm(
    session: &Session,
    view: LinkView,
    string: Option<String>,
    days: u32,
) -> Result<LinkView, CliError> {
    let (client, out) = (&session.client, session.out);
    let account = client.identity().await?.account;
    let waits = json!({"state": "awaits_string", "linking": view, "account": account});
    if out.json {
        out.line(&waits.to_string())?;
    } else {
        let name = text::line(view.name.as_deref().unwrap_or("(no name)"));
        let history = match days {
            0 => "it gets none of the messages that were sent before".to_owned(),
            days => format!("it gets the messages of the last {days} days from this device"),
        };
        out.line(&format!(
            "The new device calls itself “{name}”. With the string that it shows it becomes an \
             installation\nof your account:\n\
             \x20 - it reads everything that is sent to your {} groups from now on, and to all that come;\n\
             \x20 - {history}; it sees your contacts;\n\
             \x20 - it writes in your name, invites, and can link further devices, until you revoke it.\n\
             It has to show this account:\n    {account}\n\
             Type its string of nine digits, or `no`:",
            view.groups
        ))?;
    }
    if let Some(string) = string {
        return said(client.confirm_linking(view.id, string).await?);
    }
    let mut lines = read_lines();
    loop {
        tokio::select! {
            line = lines.recv() => match line.as_deref().map(str::trim) {
                None => return Err(CliError::Usage(
                    "no string was given: run this again with --string, or at a terminal".into(),
                )),
                Some("") => {}
                Some("no") => return said(client.cancel_linking(view.id).await?),
                Some(string) => match client.confirm_linking(view.id, string).await {
                    Err(slip @ Error::Command(CommandError::BadLinkingString { .. })) => {
                        told(out, &json!({"slip": slip.to_string()}), &format!("{slip}; again:"))?;
                    }
                    other => return said(other?),
                },
            },
            over = until(session, view.id, |state| !matches!(state, LinkState::AwaitsString)) => {
                return over;
            }
        }
    }
}

/// What a linking that goes on looks like; an ended one is an error.
fn said(view: LinkView) -> Result<LinkView, CliError> {
    match view.state {
        LinkState::Ended { code, by_other } => Err(Error::LinkingEnded { code, by_other }.into()),
        _ => Ok(view),
    }
}

async fn find(client: &Client, id: LinkingId) -> Result<Option<LinkView>, CliError> {
    Ok(client.linkings().await?.into_iter().find(|view| view.id == id))
}

/// Waits for a state. The linking has an end of its own, so there is none here.
async fn until(
    session: &Session,
    id: LinkingId,
    wanted: impl Fn(&LinkState) -> bool,
) -> Result<LinkView, CliError> {
    let mut events = session.client.events(0);
    loop {
        let Some(view) = find(&session.client, id).await? else {
            return Err(Error::Command(CommandError::UnknownLinking).into());
        };
        let view = said(view)?;
        if wanted(&view.state) {
            return Ok(view);
        }
        if events.try_next().await?.is_none() {
            return Err(Error::Closed.into());
        }
    }
}
