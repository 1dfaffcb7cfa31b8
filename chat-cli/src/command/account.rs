//! `init` and `whoami`.

use serde_json::json;
use waku_chat::{Client, ClientConfig, DatabaseKey, new_phrase};
use waku_node::Multiaddr;

use crate::args::Global;
use crate::error::CliError;
use crate::home::{self, Config, Home};
use crate::nodes;
use crate::out::Out;
use crate::passphrase;
use crate::session::{Need, Session, home_path, no_transport};

/// Makes an account.
pub(crate) async fn init(
    global: &Global,
    out: Out,
    network: &str,
    peers: Vec<Multiaddr>,
) -> Result<(), CliError> {
    let (node, libwaku) = nodes::chosen(global, &peers)?;
    let config = Config { network: home::network(network)?, peers, node, libwaku };
    let home = Home::create(&home_path(global)?)?;
    let passphrase = passphrase::get(global.passphrase_file.as_deref(), true)?;
    out.progress("making the account…");
    home.prepare(&config)?;
    let phrase = new_phrase()?;
    let created = async {
        let client = Client::create(
            ClientConfig {
                database: home.database(),
                key: DatabaseKey::Passphrase(passphrase),
                network: config.network,
                transport: no_transport(),
            },
            &phrase,
        )
        .await?;
        let identity = client.identity().await?;
        client.shutdown().await?;
        Ok::<_, CliError>(identity)
    };
    let identity = match created.await {
        Ok(identity) => identity,
        Err(error) => {
            home.discard();
            return Err(error);
        }
    };
    let words = phrase.words();
    if config.peers.is_empty() {
        out.warn("no --peer was given: add one to config.json before going online");
    }
    out.result(
        &json!({
            "account": identity.account,
            "installation": identity.installation,
            "network": identity.network,
            "home": home.path(),
            "node": config.node,
            "phrase": *words,
        }),
        || {
            let numbered: Vec<String> =
                words.split(' ').enumerate().map(|(n, w)| format!("{:>2} {w:<10}", n + 1)).collect();
            let rows: Vec<String> =
                numbered.chunks(4).map(|row| format!("    {}", row.concat().trim_end())).collect();
            format!(
                "Account      {}\nInstallation {}\nNetwork      {}\nHome         {}\n\n\
                 The recovery phrase of the account. It is shown this one time and kept nowhere:\n\n\
                 {}\n\n\
                 Write it down on paper. Whoever has it can take the account over; without it the\n\
                 account cannot be brought back when this device or its passphrase is lost.",
                identity.account,
                identity.installation,
                identity.network,
                home.path().display(),
                rows.join("\n"),
            )
        },
    )
}

/// Shows the own account.
pub(crate) async fn whoami(global: &Global, out: Out) -> Result<(), CliError> {
    let session = Session::open(global, out, Need::Nothing).await?;
    let shown = async {
        let identity = session.client.identity().await?;
        out.result(&identity, || {
            let caught_up = identity.caught_up_to.map_or("never".to_owned(), crate::time::show);
            format!(
                "Account      {}\nInstallation {}\nNetwork      {}\nHome         {}\n\
                 Caught up    {caught_up}\nTo be sent   {}",
                identity.account,
                identity.installation,
                crate::text::line(&identity.network),
                session.home.path().display(),
                identity.outbox,
            )
        })
    }
    .await;
    session.finish(shown).await
}
