//! `installations add`: the installation that has the account, and links a new one.

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::{Client, CommandError, Error, LinkingId, LinkingState, LinkingView, linking_id};

use super::history::days_ago;
use super::progress::{Pace, settle};
use crate::error::CliError;
use crate::input;
use crate::session::Session;
use crate::show::{count, installation as show, text};
use crate::signals::stop_requested;

/// The arguments of `installations add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// The linking code
    code: String,
    /// The authentication string that the new installation shows. Without it, the program asks for
    /// the string, or reads it from standard input
    #[arg(long, value_name = "DIGITS")]
    authentication_string: Option<String>,
    /// Transfer the message history of this many days to the new installation
    #[arg(long, value_name = "DAYS", default_value = "30")]
    history: u32,
    /// Transfer no message history
    #[arg(long, conflicts_with = "history")]
    no_history: bool,
    /// Add the installation to all groups at once, so that an observer of the network can tell that
    /// these groups have a member in common; otherwise it is added over about ten minutes
    #[arg(long)]
    now: bool,
    /// Do not wait until the installation is in all groups; that continues whenever the program runs
    #[arg(long)]
    no_wait: bool,
}

/// Runs `installations add`: answers the linking code, asks for the authentication string, and adds
/// the new installation to the account.
pub(super) async fn run(session: &Session, args: Add) -> Result<(), CliError> {
    if !session.is_online() {
        return Err(CliError::Usage("linking needs the network: leave out --offline".to_owned()));
    }
    let days = if args.no_history { 0 } else { args.history };
    let linked = link(session, &args.code, args.authentication_string, days);
    let view = tokio::select! {
        view = linked => view?,
        stopped = stop_requested() => {
            stopped?;
            return Err(CliError::Stopped(
                "`waku-chat installations add` with the same code continues",
            ));
        }
    };
    let Some(installation) = view.installation else {
        return Err(CliError::Name("the new installation is gone again".to_owned()));
    };
    session
        .out
        .step(&json!({"state": "done", "linking": view}), "The new installation is ready.")?;
    let pace = Pace { now: args.now, no_wait: args.no_wait };
    let settled = settle(session, &[installation], days > 0, pace).await?;
    let views = session.client.installations().await?;
    let shown = views.iter().find(|it| it.installation == installation);
    session.out.result(&json!({"installation": shown, "done": settled}), || {
        let shown = shown.map_or(String::new(), |it| show::installation(it, &views));
        format!("Linked:\n{shown}")
    })
}

/// Links the new installation, up to where it is in the account's own group.
async fn link(
    session: &Session,
    code: &str,
    string: Option<String>,
    days: u32,
) -> Result<LinkingView, CliError> {
    let id = answer(session, code).await?;
    let mut view = until(session, id, |state| !matches!(state, LinkingState::Answered)).await?;
    if view.state == LinkingState::AwaitsString {
        view = confirm(session, view, string, days).await?;
    }
    if let (
        LinkingState::Granted | LinkingState::Admitted | LinkingState::Done,
        Some(installation),
    ) = (view.state, view.installation)
    {
        if days > 0 {
            session.client.transfer_history(installation, days_ago(days)).await?;
        }
        session.out.step(
            &json!({"state": "granted", "linking": view}),
            "The new installation belongs to your account. Waiting for it…",
        )?;
        view = until(session, id, |state| matches!(state, LinkingState::Done)).await?;
    }
    Ok(view)
}

/// Answers the linking code, or continues the linking that was begun with it.
async fn answer(session: &Session, code: &str) -> Result<LinkingId, CliError> {
    let network = session.home.config()?.network;
    match session.client.answer_linking(code.trim()).await {
        Ok(view) => {
            session.out.progress("Waiting for the new installation…");
            Ok(view.id)
        }
        Err(used @ Error::Command(CommandError::BadLinkingCode { .. }))
            if used.code() == "linking_code_used" =>
        {
            let id = linking_id(code.trim(), &network)?;
            // Also a linking that is complete: the command may have been stopped before the history
            // was transferred.
            let open = find(&session.client, id)
                .await?
                .is_some_and(|view| !matches!(view.state, LinkingState::Ended { .. }));
            if open { Ok(id) } else { Err(used.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows what is about to be granted, and takes the authentication string. A mistyped string can be
/// corrected.
async fn confirm(
    session: &Session,
    view: LinkingView,
    string: Option<String>,
    days: u32,
) -> Result<LinkingView, CliError> {
    let (client, out) = (&session.client, session.out);
    let account = client.identity().await?.account;
    if out.json {
        let waits = json!({"state": "awaits_string", "linking": view, "account": account});
        out.line(&waits.to_string())?;
    } else {
        let name = text::line(view.name.as_deref().unwrap_or("(no name)"));
        let history = match days {
            0 => "it gets no messages from before".to_owned(),
            days => format!(
                "it gets the messages of the last {} from this installation",
                count(days as usize, "day", "days")
            ),
        };
        out.line(&format!(
            "The new installation calls itself “{name}”. With its authentication string it joins your\n\
             account:\n\
             \x20 - it reads everything sent from now on to your {} and to all later ones;\n\
             \x20 - {history}; it sees your contacts;\n\
             \x20 - it writes and invites in your name, and can link further installations, until you\n\
             \x20   revoke it.\n\
             It must show this account:\n    {account}\n\
             Type its authentication string of nine digits, or `no`:",
            count(view.groups, "group", "groups")
        ))?;
    }
    if let Some(string) = string {
        return unless_ended(client.confirm_linking(view.id, string).await?);
    }
    let mut lines = input::lines();
    loop {
        tokio::select! {
            line = lines.recv() => match line.as_deref().map(str::trim) {
                None => return Err(CliError::Usage(
                    "no authentication string was given: run the command again at a terminal, or \
                     with --authentication-string"
                        .to_owned(),
                )),
                Some("") => {}
                Some("no") => return unless_ended(client.cancel_linking(view.id).await?),
                Some(string) => match client.confirm_linking(view.id, string).await {
                    Err(mistyped @ Error::Command(CommandError::BadLinkingString { .. })) => {
                        out.step(
                            &json!({"mistyped": mistyped.to_string()}),
                            &format!("{mistyped}; type it again:"),
                        )?;
                    }
                    other => return unless_ended(other?),
                },
            },
            over = until(session, view.id, |state| !matches!(state, LinkingState::AwaitsString)) => {
                return over;
            }
        }
    }
}

/// A linking that has not ended; one that has is an error.
fn unless_ended(view: LinkingView) -> Result<LinkingView, CliError> {
    match view.state {
        LinkingState::Ended { code, by_other } => {
            Err(Error::LinkingEnded { code, by_other }.into())
        }
        _ => Ok(view),
    }
}

async fn find(client: &Client, id: LinkingId) -> Result<Option<LinkingView>, CliError> {
    Ok(client.linkings().await?.into_iter().find(|view| view.id == id))
}

/// Waits for a state. A linking ends by itself after some time, so this needs no time-out.
async fn until(
    session: &Session,
    id: LinkingId,
    wanted: impl Fn(&LinkingState) -> bool,
) -> Result<LinkingView, CliError> {
    let mut events = session.client.events(0);
    loop {
        let Some(view) = find(&session.client, id).await? else {
            return Err(Error::Command(CommandError::UnknownLinking).into());
        };
        let view = unless_ended(view)?;
        if wanted(&view.state) {
            return Ok(view);
        }
        if events.try_next().await?.is_none() {
            return Err(Error::Closed.into());
        }
    }
}
