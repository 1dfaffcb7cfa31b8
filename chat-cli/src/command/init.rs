//! `init`: a new account.

use serde_json::json;
use waku_chat::{Client, ClientConfig, DatabaseKey, IdentityView, RecoveryPhrase, new_phrase};
use waku_node::Multiaddr;
use zeroize::Zeroizing;

use crate::config::{self, Config};
use crate::error::CliError;
use crate::global::Global;
use crate::home::{self, Home};
use crate::out::Out;
use crate::{secrets, transport};

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The network: public, fast (short slots, for trying out), or a JSON file of parameters
    #[arg(long, default_value = "public", value_name = "public|fast|FILE")]
    network: String,
    /// A node to connect to, like /ip4/127.0.0.1/tcp/60000; may be repeated; saved in config.json
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Multiaddr>,
}

/// Runs `init`.
pub(crate) async fn run(global: &Global, out: Out, args: Init) -> Result<(), CliError> {
    let config = transport::choose(global, config::network(&args.network)?, args.peers)?;
    let home = Home::create(&home::path(global)?)?;
    let passphrase = secrets::passphrase(global.passphrase_file.as_deref(), true)?;
    out.progress("Creating the account…");
    home.prepare(&config)?;
    let phrase = new_phrase()?;
    let identity = match create(&home, &config, passphrase, &phrase).await {
        Ok(identity) => identity,
        Err(error) => {
            home.discard();
            return Err(error);
        }
    };
    if config.peers.is_empty() {
        out.warn("no --peer was given: add one to config.json before going online");
    }
    let words = phrase.words();
    let value = json!({
        "account": identity.account,
        "installation": identity.installation,
        "network": identity.network,
        "home": home.path(),
        "node": config.node,
        "phrase": *words,
    });
    out.result(&value, || show(&identity, &home, &words))
}

async fn create(
    home: &Home,
    config: &Config,
    passphrase: Zeroizing<String>,
    phrase: &RecoveryPhrase,
) -> Result<IdentityView, CliError> {
    let client = Client::create(
        ClientConfig {
            database: home.database(),
            key: DatabaseKey::Passphrase(passphrase),
            network: config.network.clone(),
            transport: transport::none(),
        },
        phrase,
    )
    .await?;
    let identity = client.identity().await?;
    client.shutdown().await?;
    Ok(identity)
}

fn show(identity: &IdentityView, home: &Home, words: &str) -> String {
    let numbered: Vec<String> =
        words.split(' ').enumerate().map(|(n, word)| format!("{:>2} {word:<10}", n + 1)).collect();
    let rows: Vec<String> =
        numbered.chunks(4).map(|row| format!("    {}", row.concat().trim_end())).collect();
    format!(
        "Account      {}\nInstallation {}\nNetwork      {}\nHome         {}\n\n\
         The recovery phrase of the account. It is shown this one time and stored nowhere:\n\n\
         {}\n\n\
         Write it down on paper. Anyone who has it can take over the account. Without it, the\n\
         account is lost when this device or its passphrase is lost.",
        identity.account,
        identity.installation,
        identity.network,
        home.path().display(),
        rows.join("\n"),
    )
}
