//! `chat`: a conversation, line by line.

use futures::TryStreamExt as _;
use waku_chat::{Client, Event, GroupId};

use super::mark_read::mark_read;
use crate::error::CliError;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::event::event as show_event;
use crate::show::message::chat_line;
use crate::show::names::Names;
use crate::show::{group::member, text};
use crate::signals::stop_requested;
use crate::{find, input};

/// How many messages are shown at the beginning.
const RECENT: u32 = 20;

const HELP: &str = "/members  show who is here\n/leave    leave the group\n/quit     end the program\n\
                    //text    send a line that begins with a slash";

/// The arguments of `chat`.
#[derive(Debug, clap::Args)]
pub(crate) struct Chat {
    /// Id, name, or end of the id of the group
    group: String,
}

/// Runs `chat`, until the user ends it.
pub(crate) async fn run(global: &Global, out: Out, args: Chat) -> Result<(), CliError> {
    let out = Out { json: false, ..out };
    let session = Session::open(global, out, Need::Eventually).await?;
    let chatted = chat(&session, &args.group).await;
    if chatted.is_ok() {
        // What is left goes out the next time; the user is told so.
        if let Err(error) = session.published().await {
            out.warn(&format!("{error}; the rest is sent the next time"));
        }
    }
    session.finish(chatted).await
}

async fn chat(session: &Session, group: &str) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let group = find::group(client, group).await?;
    out.progress(&format!(
        "“{}”  {}\nType a message, or /help for the commands.",
        text::line(&group.name),
        text::line(&group.description)
    ));
    let talked = tokio::select! {
        talked = talk(client, out, group.id) => talked,
        stopped = stop_requested() => stopped,
    };
    if talked.is_ok() && session.is_online() {
        // Once, at the end, since it is a message to the account's other installations.
        mark_read(client, group.id).await?;
    }
    talked
}

async fn talk(client: &Client, out: Out, group: GroupId) -> Result<(), CliError> {
    let mut names = Names::load(client).await?;
    let mut shown = 0;
    for message in client.history(group, None, RECENT).await? {
        shown = shown.max(message.id);
        out.line(&chat_line(&message, &names))?;
    }
    let mut events = client.events(0);
    let mut typed = input::lines();
    loop {
        tokio::select! {
            line = typed.recv() => match line {
                None => return Ok(()),
                Some(line) => {
                    if !act(client, out, group, line.trim_end()).await? {
                        return Ok(());
                    }
                }
            },
            event = events.try_next() => {
                let Some((cursor, event)) = event? else { return Ok(()) };
                if names.may_have_changed(&event) {
                    names = Names::load(client).await?;
                }
                match &event {
                    Event::MessageReceived { message } if message.group == group => {
                        if message.id > shown {
                            out.line(&chat_line(message, &names))?;
                        }
                    }
                    Event::Sent { .. }
                    | Event::Unconfirmed { .. }
                    | Event::Published { .. }
                    | Event::CaughtUp { .. } => {}
                    other => out.line(&format!("-- {}", show_event(other, &names)))?,
                }
                client.acknowledge(cursor).await?;
                if matches!(event, Event::GroupLeft { group: left, .. } if left == group) {
                    return Ok(());
                }
            }
        }
    }
}

/// Does what a typed line says. Returns false to end the chat.
async fn act(client: &Client, out: Out, group: GroupId, line: &str) -> Result<bool, CliError> {
    let done = match line {
        "" => return Ok(true),
        "/quit" => return Ok(false),
        "/help" => return out.line(HELP).map(|()| true),
        "/members" => {
            for view in client.members(group).await?.unwrap_or_default() {
                out.line(&format!("   {}", member(&view)))?;
            }
            return Ok(true);
        }
        "/leave" => client.leave_group(group).await,
        other => match other.strip_prefix('/') {
            None => client.send(group, other).await.map(drop),
            Some(text) if text.starts_with('/') => client.send(group, text).await.map(drop),
            Some(_) => {
                return out.line("-- no such command; /help shows the commands").map(|()| true);
            }
        },
    };
    // A message that is too long, for example, does not end the chat.
    match done {
        Ok(()) => Ok(true),
        Err(error) if matches!(error, waku_chat::Error::Command(_)) => {
            out.line(&format!("-- not done: {error}")).map(|()| true)
        }
        Err(error) => Err(error.into()),
    }
}
