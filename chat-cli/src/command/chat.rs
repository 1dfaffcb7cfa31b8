//! `chat`: a conversation, line by line.

use std::io::BufRead as _;

use futures::TryStreamExt as _;
use tokio::sync::mpsc;
use waku_chat::{Client, Event, GroupId};

use super::group::show_member;
use super::messages::{People, mark_read};
use crate::args::Global;
use crate::error::CliError;
use crate::names;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::text;
use crate::time;

/// Messages shown at the beginning.
const RECENT: u32 = 20;
/// Typed lines that wait to be sent.
const TYPED: usize = 16;

const HELP: &str = "/members  who is here\n/leave    leave the group\n/quit     end the program\n\
                    //text    send a line that begins with a slash";

/// Talks in a group until the user has had enough.
pub(crate) async fn chat(global: &Global, out: Out, group: &str) -> Result<(), CliError> {
    let out = Out { json: false, ..out };
    let session = Session::open(global, out, Need::Eventually).await?;
    let talked = async {
        let group = names::group(&session.client, group).await?;
        out.progress(&format!(
            "“{}”  {}\n/help shows what else can be typed.",
            text::line(&group.name),
            text::line(&group.description)
        ));
        let talked = tokio::select! {
            talked = talk(&session.client, out, group.id) => talked,
            stopped = crate::signal() => stopped,
        };
        if talked.is_ok() && session.is_online() {
            // Once, when the user turns away: it is a message to the account's other devices.
            mark_read(&session.client, group.id).await?;
        }
        talked
    }
    .await;
    if talked.is_ok() {
        // What is left goes out the next time; the user is told so.
        if let Err(error) = session.published().await {
            out.warn(&format!("{error}: the rest is sent the next time"));
        }
    }
    session.finish(talked).await
}

async fn talk(client: &Client, out: Out, group: GroupId) -> Result<(), CliError> {
    let mut people = People::load(client).await?;
    let mut shown = 0;
    for message in client.history(group, None, RECENT).await? {
        shown = shown.max(message.id);
        let text = message.text.as_deref().unwrap_or("(unknown kind)");
        let sender = people.account(&message.sender);
        out.line(&format!("{} {sender}: {}", time::clock(message.sent_at), text::block(text)))?;
    }
    let mut events = client.events(0);
    let mut typed = read_lines();
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
                if people.may_have_changed(&event) {
                    people = People::load(client).await?;
                }
                match &event {
                    Event::MessageReceived { message } if message.group == group => {
                        if message.id > shown {
                            let text = message.text.as_deref().unwrap_or("(unknown kind)");
                            let sender = people.account(&message.sender);
                            let clock = time::clock(message.sent_at);
                            out.line(&format!("{clock} {sender}: {}", text::block(text)))?;
                        }
                    }
                    Event::Published { .. } | Event::CaughtUp { .. } => {}
                    other => out.line(&format!("-- {}", people.event(other)))?,
                }
                client.acknowledge(cursor).await?;
                if matches!(event, Event::GroupLeft { group: left, .. } if left == group) {
                    return Ok(());
                }
            }
        }
    }
}

/// Does what a line says; false to end.
async fn act(client: &Client, out: Out, group: GroupId, line: &str) -> Result<bool, CliError> {
    let done = match line {
        "" => return Ok(true),
        "/quit" => return Ok(false),
        "/help" => return out.line(HELP).map(|()| true),
        "/members" => {
            for member in client.members(group).await?.unwrap_or_default() {
                out.line(&format!("   {}", show_member(&member)))?;
            }
            return Ok(true);
        }
        "/leave" => client.leave_group(group).await,
        other => match other.strip_prefix('/') {
            None => client.send(group, other).await.map(drop),
            Some(text) if text.starts_with('/') => client.send(group, text).await.map(drop),
            Some(_) => {
                return out.line("-- there is no such command; /help shows them").map(|()| true);
            }
        },
    };
    // A message that is too long, for example, ends no conversation.
    match done {
        Ok(()) => Ok(true),
        Err(error) if matches!(error, waku_chat::Error::Command(_)) => {
            out.line(&format!("-- not done: {error}")).map(|()| true)
        }
        Err(error) => Err(error.into()),
    }
}

/// Lines of standard input, read in a thread of its own, which ends with the process.
pub(crate) fn read_lines() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(TYPED);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}
