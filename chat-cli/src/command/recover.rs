//! `recover`: an account comes back with its recovery phrase alone.

use futures::TryStreamExt as _;
use serde_json::json;
use std::path::PathBuf;
use waku_chat::{Client, ClientConfig, DatabaseKey, Event};
use waku_node::Multiaddr;

use crate::config;
use crate::error::CliError;
use crate::global::Global;
use crate::home::{self, Home};
use crate::out::Out;
use crate::session::{Need, Session};
use crate::show::count;
use crate::{secrets, transport};

/// The arguments of `recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Recover {
    /// Read the recovery phrase from this file, or from standard input for `-`. Without it, the
    /// program asks for the phrase
    #[arg(long, value_name = "FILE")]
    phrase_file: Option<PathBuf>,
    /// The network: public, fast (short slots, for trying out), or a JSON file of parameters
    #[arg(long, default_value = "public", value_name = "public|fast|FILE")]
    network: String,
    /// A node to connect to, like /ip4/127.0.0.1/tcp/60000; may be repeated; saved in config.json
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Multiaddr>,
    /// Stop looking for the account's card, if no Store has it. Contacts then need a new link
    #[arg(long, conflicts_with_all = ["phrase_file", "network", "peers"])]
    give_up: bool,
}

/// Runs `recover`: begins to recover an account, or continues.
pub(crate) async fn run(global: &Global, out: Out, args: Recover) -> Result<(), CliError> {
    let path = home::path(global)?;
    match Home::open(&path) {
        Err(CliError::NotInitialised(_)) if !args.give_up => begin(global, out, &args).await?,
        Err(error) => return Err(error),
        Ok(home) => {
            drop(home);
            if !is_recovering(global, out).await? {
                return Err(CliError::AlreadyInitialised(path));
            }
        }
    }
    let session = Session::open(global, out, Need::CaughtUp).await?;
    let done = finish(&session, args.give_up).await;
    session.finish(done).await
}

/// Creates an installation of the account from the phrase.
async fn begin(global: &Global, out: Out, args: &Recover) -> Result<(), CliError> {
    if args.peers.is_empty() {
        return Err(CliError::NoPeers);
    }
    let network = config::network(&args.network)?;
    let config = transport::choose(global, network, args.peers.clone())?;
    let home = Home::create(&home::path(global)?)?;
    let phrase = secrets::recovery_phrase(args.phrase_file.as_deref())?;
    let passphrase = secrets::passphrase(global.passphrase_file.as_deref(), true)?;
    home.prepare(&config)?;
    out.progress("Recovering the account…");
    let made = async {
        let client = Client::recover(
            ClientConfig {
                database: home.database(),
                key: DatabaseKey::Passphrase(passphrase),
                network: config.network,
                transport: transport::none(),
            },
            &phrase,
        )
        .await?;
        client.shutdown().await
    };
    made.await.map_err(|error| {
        home.discard();
        error.into()
    })
}

/// Waits until the account's card was found, or was looked for in vain.
async fn finish(session: &Session, give_up: bool) -> Result<(), CliError> {
    if give_up {
        session.client.end_recovery().await?;
    }
    let identity = session.client.identity().await?;
    let mut events = session.client.events(0);
    let wait = async {
        while let Some((_, event)) = events.try_next().await? {
            match event {
                Event::Recovered { revoked } => return Ok(Some(revoked)),
                Event::RecoveryPending { reason } if !give_up => {
                    session.out.warn(&format!("{reason}; the program will look again"));
                    return Ok(None);
                }
                _ => {}
            }
        }
        Ok::<_, CliError>(None)
    };
    let waited = tokio::time::timeout(session.global().timeout, wait).await;
    let revoked = waited.unwrap_or(Ok(None))?;
    let value = json!({
        "account": identity.account,
        "installation": identity.installation,
        "recovered": revoked.is_some(),
        "revoked": revoked.clone().unwrap_or_default(),
    });
    session.out.result(&value, || match &revoked {
        Some(revoked) => format!(
            "{} is recovered, and {} revoked.\n\
             Its contacts learn of it from the account's next card, within about two days, and then\n\
             invite it into their groups again: see `waku-chat requests list`. Contacts, names and\n\
             messages that only the lost installations had do not come back.",
            identity.account,
            count(revoked.len(), "lost installation is", "lost installations are")
        ),
        None => format!(
            "{} is not recovered yet: no Store has its card. Run `waku-chat recover` again,\n\
             perhaps with other peers in config.json, or `waku-chat recover --give-up` to go on\n\
             without the card.",
            identity.account
        ),
    })
}

/// Whether the account in the home directory is being recovered.
async fn is_recovering(global: &Global, out: Out) -> Result<bool, CliError> {
    let session = Session::open(global, out, Need::Nothing).await?;
    let identity = session.client.identity().await;
    session.finish(identity.map(|it| it.recovering).map_err(CliError::from)).await
}
