//! `contact …` and `requests …`.

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::{Client, ContactView, Event, GroupView, Membership, RequestView};

use crate::args::{Contact, Global, Requests};
use crate::error::CliError;
use crate::names;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::text;
use crate::time;

/// Longest link that is read from standard input, in bytes.
const MAX_LINK: u64 = 256 * 1024;

/// Runs `contact …`. None of it needs the network.
pub(crate) async fn contact(global: &Global, out: Out, command: Contact) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::Nothing).await?;
    let done = run_contact(&session.client, out, command).await;
    session.finish(done).await
}

async fn run_contact(client: &Client, out: Out, command: Contact) -> Result<(), CliError> {
    match command {
        Contact::Link { no_card } => {
            let link = match no_card {
                true => client.short_contact_link().await?,
                false => client.contact_link().await?,
            };
            out.progress("Give this to whoever is to invite you, over a channel that you trust:");
            out.result(&json!({"link": link}), || link.clone())
        }
        Contact::Add { link, name } => {
            let link = if link == "-" { read_link().await? } else { link };
            let contact = client.add_contact(link.trim(), name).await?;
            if contact.pending {
                out.progress("The link has no card: it is looked for whenever you are connected.");
            }
            out.result(&contact, || format!("Added {}", show_contact(&contact)))
        }
        Contact::List => {
            let contacts = client.contacts().await?;
            if contacts.is_empty() {
                out.progress("No contacts yet: `waku-chat contact add LINK` adds one.");
            }
            out.result(&contacts, || {
                contacts.iter().map(show_contact).collect::<Vec<_>>().join("\n")
            })
        }
        Contact::Remove { contact } => {
            let account = names::contact(client, &contact).await?;
            client.remove_contact(account).await?;
            out.result(&json!({"removed": account}), || format!("Removed {account}"))
        }
    }
}

async fn read_link() -> Result<String, CliError> {
    use tokio::io::AsyncReadExt as _;
    let mut link = String::new();
    tokio::io::stdin()
        .take(MAX_LINK)
        .read_to_string(&mut link)
        .await
        .map_err(|source| CliError::System { what: "cannot read standard input", source })?;
    Ok(link)
}

fn show_contact(contact: &ContactView) -> String {
    let name = contact.name.as_deref().map_or("(no name)".to_owned(), text::line);
    let state = match (contact.blocked, contact.usable_until) {
        (true, _) => "blocked".to_owned(),
        (false, None) if contact.pending => "its card is being looked for".to_owned(),
        (false, Some(until)) => format!("can be invited until {}", time::show(until)),
        (false, None) => "cannot be invited: ask for a link".to_owned(),
    };
    format!("{}  {name}  {state}", contact.account)
}

/// Runs `requests …`.
pub(crate) async fn requests(global: &Global, out: Out, command: Requests) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let done = run_requests(&session, command).await;
    session.finish(done).await
}

async fn run_requests(session: &Session, command: Requests) -> Result<(), CliError> {
    let (client, out) = (&session.client, session.out);
    match command {
        Requests::List => {
            let requests = client.requests().await?;
            if requests.is_empty() {
                out.progress("Nobody waits for an answer.");
            }
            out.result(&requests, || {
                requests.iter().map(show_request).collect::<Vec<_>>().join("\n")
            })
        }
        Requests::Accept { request } => {
            let request = names::request(client, &request).await?;
            let before = groups(client).await?;
            client.accept_request(request.id).await?;
            if !session.is_online() {
                return out.result(&json!({"accepted": request.id, "group": null}), || {
                    "Accepted; the group is joined when this device is online again.".to_owned()
                });
            }
            out.progress("joining…");
            let limit = session.global().timeout;
            let joined = tokio::time::timeout(limit, joined(client, &request, &before)).await;
            let group = joined.map_err(|_| waku_chat::Error::Timeout {
                what: "joining the group",
                after: limit,
            })??;
            session.published().await?;
            out.result(&json!({"accepted": request.id, "group": group}), || {
                format!("Joined “{}”  {}", text::line(&group.name), group.id)
            })
        }
        Requests::Decline { request } => {
            let request = names::request(client, &request).await?;
            client.decline_request(request.id).await?;
            out.result(&json!({"declined": request.id}), || "Declined.".to_owned())
        }
        Requests::Block { request } => {
            let request = names::request(client, &request).await?;
            client.block_request(request.id).await?;
            out.result(&json!({"declined": request.id, "blocked": request.from}), || {
                format!("Declined, and {} is blocked.", request.from)
            })
        }
    }
}

fn show_request(request: &RequestView) -> String {
    let from = request.name.as_deref().map_or("a stranger".to_owned(), text::line);
    let state = match request.state {
        waku_chat::RequestState::Pending => "",
        waku_chat::RequestState::Accepted => "  (accepted, being fetched)",
    };
    format!(
        "{}  “{}” from {from}  {}  {}{state}",
        request.id,
        text::line(&request.group_name),
        request.from,
        time::show(request.received_at),
    )
}

async fn groups(client: &Client) -> Result<Vec<GroupView>, CliError> {
    let mut groups = client.groups().await?;
    groups.retain(|group| group.membership == Membership::Active);
    Ok(groups)
}

/// Waits for a group that was not there before, as the request leads to one.
async fn joined(
    client: &Client,
    request: &RequestView,
    before: &[GroupView],
) -> Result<GroupView, CliError> {
    let mut events = client.events(0);
    loop {
        let waiting = client.requests().await?.iter().any(|r| r.id == request.id);
        let now = groups(client).await?;
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
