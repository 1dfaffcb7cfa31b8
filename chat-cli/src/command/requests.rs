//! `requests …`.

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::{Client, Event, GroupView, Membership, RequestView};

use crate::error::CliError;
use crate::find;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::{people, text};

/// The commands of `requests`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Requests {
    /// List the requests that wait for an answer
    List,
    /// Accept a request, and join its group
    Accept {
        /// Id, end of the id, name of the inviter, or name of the group
        request: String,
    },
    /// Decline a request; the inviter is not told
    Decline {
        /// Id, end of the id, name of the inviter, or name of the group
        request: String,
    },
    /// Decline a request, and ignore the inviter from now on
    Block {
        /// Id, end of the id, name of the inviter, or name of the group
        request: String,
    },
}

/// Runs `requests …`.
pub(crate) async fn run(global: &Global, out: Out, command: Requests) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let done = act(&session, command).await;
    session.finish(done).await
}

async fn act(session: &Session, command: Requests) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    match command {
        Requests::List => {
            let requests = client.requests().await?;
            if requests.is_empty() {
                out.progress("No requests.");
            }
            out.result(&requests, || {
                requests.iter().map(people::request).collect::<Vec<_>>().join("\n")
            })
        }
        Requests::Accept { request } => {
            let request = find::request(client, &request).await?;
            accept(session, &request).await
        }
        Requests::Decline { request } => {
            let request = find::request(client, &request).await?;
            client.decline_request(request.id).await?;
            out.result(&json!({"declined": request.id}), || "Declined.".to_owned())
        }
        Requests::Block { request } => {
            let request = find::request(client, &request).await?;
            client.block_request(request.id).await?;
            out.result(&json!({"declined": request.id, "blocked": request.from}), || {
                format!("Declined, and blocked {}.", request.from)
            })
        }
    }
}

async fn accept(session: &Session, request: &RequestView) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    let before = active_groups(client).await?;
    client.accept_request(request.id).await?;
    if !session.is_online() {
        return out.result(&json!({"accepted": request.id, "group": null}), || {
            "Accepted. You join the group when this installation is online again.".to_owned()
        });
    }
    out.progress("Joining…");
    let limit = session.global().timeout;
    let joined = tokio::time::timeout(limit, joined(client, request, &before)).await;
    let group = joined
        .map_err(|_| waku_chat::Error::Timeout { what: "joining the group", after: limit })??;
    session.published().await?;
    out.result(&json!({"accepted": request.id, "group": group}), || {
        format!("Joined “{}”  {}", text::line(&group.name), group.id)
    })
}

async fn active_groups(client: &Client) -> Result<Vec<GroupView>, CliError> {
    let mut groups = client.groups().await?;
    groups.retain(|group| group.membership == Membership::Active);
    Ok(groups)
}

/// Waits for the group that the request leads to, which is not among the groups of `before`.
async fn joined(
    client: &Client,
    request: &RequestView,
    before: &[GroupView],
) -> Result<GroupView, CliError> {
    let mut events = client.events(0);
    loop {
        let waiting = client.requests().await?.iter().any(|r| r.id == request.id);
        let now = active_groups(client).await?;
        let new = now.into_iter().find(|group| before.iter().all(|old| old.id != group.id));
        if let Some(group) = new.filter(|_| !waiting) {
            return Ok(group);
        }
        match events.try_next().await? {
            Some((_, Event::RequestFailed { request: id, reason })) if id == request.id => {
                return Err(CliError::Name(format!(
                    "the invitation cannot be used: {}",
                    text::line(&reason)
                )));
            }
            Some(_) => {}
            None => return Err(waku_chat::Error::Closed.into()),
        }
    }
}
