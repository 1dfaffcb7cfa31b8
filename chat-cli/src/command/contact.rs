//! `contact …`.

use serde_json::json;
use waku_chat::Client;

use crate::error::CliError;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::people;
use crate::{find, input};

/// How much is read from standard input as a link, in bytes.
const MAX_LINK: u64 = 256 * 1024;

/// The commands of `contact`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Contact {
    /// Make a contact link to give to another person, who can then invite this account
    Link {
        /// Make a short link, without the account's card: the contact gets the card from the network
        #[arg(long)]
        no_card: bool,
    },
    /// Add a contact from a contact link, or renew a contact with a new link
    Add {
        /// The contact link; `-` reads it from standard input
        link: String,
        /// A name for the contact, which only this account sees
        #[arg(long)]
        name: Option<String>,
    },
    /// List all contacts
    List,
    /// Remove a contact
    Remove {
        /// Id, name, or end of the id of the contact
        contact: String,
    },
}

/// Runs `contact …`. None of its commands needs the network.
pub(crate) async fn run(global: &Global, out: Out, command: Contact) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::Nothing).await?;
    let done = act(&session.client, out, command).await;
    session.finish(done).await
}

async fn act(client: &Client, out: Out, command: Contact) -> Result<(), CliError> {
    match command {
        Contact::Link { no_card } => {
            let link = match no_card {
                true => client.short_contact_link().await?,
                false => client.contact_link().await?,
            };
            out.progress(
                "Give this link to the person who is to invite you, over a channel that you trust:",
            );
            out.result(&json!({"link": link}), || link.clone())
        }
        Contact::Add { link, name } => {
            let link = if link == "-" { input::read_all(MAX_LINK).await? } else { link };
            let contact = client.add_contact(link.trim(), name).await?;
            if contact.pending {
                out.progress("The link has no card; it is looked for whenever you are connected.");
            }
            out.result(&contact, || format!("Added {}", people::contact(&contact)))
        }
        Contact::List => {
            let contacts = client.contacts().await?;
            if contacts.is_empty() {
                out.progress("No contacts yet: `waku-chat contact add LINK` adds one.");
            }
            out.result(&contacts, || {
                contacts.iter().map(people::contact).collect::<Vec<_>>().join("\n")
            })
        }
        Contact::Remove { contact } => {
            let account = find::contact(client, &contact).await?;
            client.remove_contact(account).await?;
            out.result(&json!({"removed": account}), || format!("Removed {account}"))
        }
    }
}
