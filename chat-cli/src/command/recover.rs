//! `recover`: an account comes back with its phrase alone.

use futures::TryStreamExt as _;
use serde_json::json;
use waku_chat::{Client, ClientConfig, DatabaseKey, Event, RecoveryPhrase};

use crate::args::{self, Global};
use crate::error::CliError;
use crate::home::{self, Config, Home};
use crate::nodes;
use crate::out::Out;
use crate::passphrase;
use crate::session::{Need, Session, home_path, no_transport};

/// Recovers an account, or takes up again where that was interrupted.
pub(crate) async fn recover(
    global: &Global,
    out: Out,
    args: args::Recover,
) -> Result<(), CliError> {
    let path = home_path(global)?;
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

/// Enrols this device by the phrase.
async fn begin(global: &Global, out: Out, args: &args::Recover) -> Result<(), CliError> {
    if args.peers.is_empty() {
        return Err(CliError::NoPeers);
    }
    let (node, libwaku) = nodes::chosen(global, &args.peers)?;
    let network = home::network(&args.network)?;
    let config = Config { network, peers: args.peers.clone(), node, libwaku };
    let home = Home::create(&home_path(global)?)?;
    let phrase = RecoveryPhrase::parse(&passphrase::phrase(args.phrase_file.as_deref())?)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let passphrase = passphrase::get(global.passphrase_file.as_deref(), true)?;
    home.prepare(&config)?;
    out.progress("recovering the account…");
    let made = async {
        let client = Client::recover(
            ClientConfig {
                database: home.database(),
                key: DatabaseKey::Passphrase(passphrase),
                network: config.network,
                transport: no_transport(),
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

/// Waits until the account's card was found, or looked for in vain.
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
                    session.out.warn(&format!("{reason}; it is looked for again"));
                    return Ok(None);
                }
                _ => {}
            }
        }
        Ok::<_, CliError>(None)
    };
    let waited = tokio::time::timeout(session.global().timeout, wait).await;
    let revoked = waited.unwrap_or(Ok(None))?;
    session.out.result(
        &json!({
            "account": identity.account,
            "installation": identity.installation,
            "recovered": revoked.is_some(),
            "revoked": revoked.clone().unwrap_or_default(),
        }),
        || match &revoked {
            Some(revoked) => format!(
                "{} is recovered; {} lost installations are revoked.\n\
                 Its contacts hear of it with the account's next card, within two days or so, and \
                 invite it into\ntheir groups again: see `waku-chat requests list`. Contacts, names \
                 and messages that were on the\nlost devices only do not come back.",
                identity.account,
                revoked.len()
            ),
            None => format!(
                "{} is not recovered yet: no Store has a card of it. Run `waku-chat recover` again, \
                 with other peers\nin config.json perhaps, or `waku-chat recover --give-up` to go on \
                 without.",
                identity.account
            ),
        },
    )
}

/// Whether the account that is here is one that is being recovered.
async fn is_recovering(global: &Global, out: Out) -> Result<bool, CliError> {
    let session = Session::open(global, out, Need::Nothing).await?;
    let identity = session.client.identity().await;
    session.finish(identity.map(|it| it.recovering).map_err(CliError::from)).await
}
