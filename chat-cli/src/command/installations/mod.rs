//! `installations …`: the installations of the account.

mod add;
mod history;
mod linking_code;
mod progress;
mod qr;
mod revoke;
mod status;

use serde_json::json;

use crate::error::CliError;
use crate::find;
use crate::global::Global;
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::installation as show;

pub(crate) use add::Add;
pub(crate) use linking_code::LinkingCode;
pub(crate) use revoke::Revoke;

/// The commands of `installations`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Installations {
    /// List the installations: names, who added them and when, when last seen, in how many groups
    List,
    /// Show for each group which installations are in it, and which are still to be added or removed
    Status,
    /// On a new device: show a linking code, and wait to be added to an account
    LinkingCode(LinkingCode),
    /// On an installation of the account: add a new one, by the linking code that it shows
    Add(Add),
    /// Revoke installations: remove them from the account for good
    Revoke(Revoke),
    /// Name an installation; only this account's installations see the name
    Name {
        /// Id, name, or end of the id of the installation
        installation: String,
        /// The name
        name: String,
    },
    /// Send old messages to an installation that was added later
    TransferHistory {
        /// Id, name, or end of the id of the installation
        installation: String,
        /// How many days to go back
        #[arg(long, default_value = "30")]
        days: u32,
    },
}

/// Runs `installations …`.
pub(crate) async fn run(global: &Global, out: Out, command: Installations) -> Result<(), CliError> {
    let open = || Session::open(global, out, Need::CaughtUp);
    match command {
        Installations::LinkingCode(args) => linking_code::run(global, out, args).await,
        Installations::Revoke(args) => {
            // Read before the account is opened, so that a mistake in it is reported at once.
            let phrase = args.phrase()?;
            let session = open().await?;
            let done = revoke::run(&session, args, phrase.as_ref()).await;
            session.finish(done).await
        }
        Installations::Add(args) => {
            let session = open().await?;
            let done = add::run(&session, args).await;
            session.finish(done).await
        }
        Installations::List => {
            let session = open().await?;
            let done = list(&session).await;
            session.finish(done).await
        }
        Installations::Status => {
            let session = open().await?;
            let done = status::run(&session).await;
            session.finish(done).await
        }
        Installations::Name { installation, name } => {
            let session = open().await?;
            let done = set_name(&session, &installation, name).await;
            session.finish(done).await
        }
        Installations::TransferHistory { installation, days } => {
            let session = open().await?;
            let done = history::transfer(&session, &installation, days).await;
            session.finish(done).await
        }
    }
}

async fn list(session: &Session) -> Result<(), CliError> {
    let views = session.client.installations().await?;
    session.out.result(&views, || {
        views.iter().map(|it| show::installation(it, &views)).collect::<Vec<_>>().join("\n")
    })
}

async fn set_name(session: &Session, wanted: &str, name: String) -> Result<(), CliError> {
    let client = &session.client;
    let id = find::installation(client, wanted).await?.installation;
    client.name_installation(id, name).await?;
    session.published().await?;
    let views = client.installations().await?;
    let view = views.iter().find(|view| view.installation == id);
    session.out.result(&json!({"installation": view}), || {
        view.map_or(String::new(), |view| show::installation(view, &views))
    })
}
