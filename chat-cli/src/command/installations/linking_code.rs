//! `installations linking-code`: the new installation, which shows a linking code and waits.

use std::io::IsTerminal as _;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use waku_chat::transport::Transport;
use waku_chat::{
    Client, ClientConfig, DatabaseKey, Error, Event, Linking, NewcomerState, NewcomerView,
};
use waku_node::Multiaddr;
use zeroize::Zeroizing;

use super::qr;
use crate::config::{self, Config};
use crate::error::CliError;
use crate::global::Global;
use crate::home::{self, Home};
use crate::out::Out;
use crate::session::Session;
use crate::show::time;
use crate::signals::stop_requested;
use crate::{secrets, transport};

/// The name of the new installation if neither the user nor the machine has one.
const DEFAULT_NAME: &str = "new installation";
/// The longest name, in bytes.
const MAX_NAME: usize = 64;

/// What the user is told when a signal stops the command.
const CONTINUES: &str = "`waku-chat installations linking-code` with the same home continues";

/// The arguments of `installations linking-code`.
#[derive(Debug, clap::Args)]
pub(crate) struct LinkingCode {
    /// The name of this installation, which only this account sees [default: the machine's name]
    #[arg(long)]
    name: Option<String>,
    /// The network: public, fast (short slots, for trying out), or a JSON file of parameters
    /// [default: public]
    #[arg(long, value_name = "public|fast|FILE")]
    network: Option<String>,
    /// A node to connect to, like /ip4/127.0.0.1/tcp/60000; may be repeated; saved in config.json
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Multiaddr>,
}

/// Runs `installations linking-code`: begins to link this installation to an account, or continues.
pub(super) async fn run(global: &Global, out: Out, args: LinkingCode) -> Result<(), CliError> {
    if global.offline {
        return Err(CliError::Usage("linking needs the network: leave out --offline".to_owned()));
    }
    let path = home::path(global)?;
    let fresh = home::is_unused(&path);
    let (home, config) = if fresh {
        let network = config::network(args.network.as_deref().unwrap_or("public"))?;
        if args.peers.is_empty() {
            return Err(CliError::Usage("name a node to connect to with --peer".to_owned()));
        }
        let config = transport::choose(global, network, args.peers)?;
        (Home::create(&path)?, config)
    } else {
        let home = Home::open(&path)?;
        let config = home.config()?;
        let other_network = match args.network.as_deref() {
            Some(network) => config::network(network)? != config.network,
            None => false,
        };
        if other_network || (!args.peers.is_empty() && args.peers != config.peers) {
            return Err(CliError::Usage(
                "this home was set up with another --network or --peer: leave these options out to \
                 continue, or change its config.json"
                    .to_owned(),
            ));
        }
        (home, config)
    };
    let passphrase = secrets::passphrase(global.passphrase_file.as_deref(), fresh)?;
    if fresh {
        home.prepare(&config)?;
    }
    let transport = transport::start(global, &config).await?;
    let parts =
        Parts { home: &home, config: &config, passphrase, transport: Arc::clone(&transport) };
    match join(&parts, out, args.name).await {
        Ok(client) => {
            let session = Session::of(client, out, home, transport, global);
            let done = wait_until_complete(&session).await;
            session.finish(done).await
        }
        Err(error) => {
            transport.shutdown().await;
            Err(error)
        }
    }
}

/// What the client of the new installation is made from.
struct Parts<'a> {
    home: &'a Home,
    config: &'a Config,
    passphrase: Zeroizing<String>,
    transport: Arc<dyn Transport>,
}

impl Parts<'_> {
    fn client_config(&self) -> ClientConfig {
        ClientConfig {
            database: self.home.database(),
            key: DatabaseKey::Passphrase(self.passphrase.clone()),
            network: self.config.network.clone(),
            transport: Arc::clone(&self.transport),
        }
    }
}

/// Shows the linking code and the authentication string, until this is an installation of the
/// account.
async fn join(parts: &Parts<'_>, out: Out, name: Option<String>) -> Result<Client, CliError> {
    let linking = match Client::resume_linking(parts.client_config()).await {
        Ok(linking) => {
            let view = linking.view().await?;
            if matches!(view.state, NewcomerState::Ended { .. }) {
                linking.close().await?;
                Client::start_linking(parts.client_config(), name.unwrap_or(view.name)).await?
            } else {
                linking
            }
        }
        Err(Error::NoAccount) => {
            Client::start_linking(parts.client_config(), name.unwrap_or_else(host_name)).await?
        }
        // It was linked before it was stopped, or it has an account of its own.
        Err(Error::AccountExists) => {
            let client = Client::open(parts.client_config()).await?;
            return match client.own_linking().await? {
                Some(_) => Ok(client),
                None => {
                    client.shutdown().await?;
                    Err(CliError::AlreadyInitialised(parts.home.path().to_owned()))
                }
            };
        }
        Err(error) => return Err(error.into()),
    };
    let mut states = linking.states();
    let code = linking.code().await?;
    let shown = async {
        while let Some(view) = states.next().await {
            show_state(out, &view, code.as_ref().map(|code| code.as_str()))?;
        }
        Ok::<_, CliError>(())
    };
    tokio::select! {
        // Both end: the states end with the linking.
        both = async { tokio::try_join!(finish(linking), shown) } => Ok(both?.0),
        stopped = stop_requested() => {
            stopped?;
            Err(CliError::Stopped(CONTINUES))
        }
    }
}

async fn finish(linking: Linking) -> Result<Client, CliError> {
    Ok(linking.finish().await?)
}

fn show_state(out: Out, view: &NewcomerView, code: Option<&str>) -> Result<(), CliError> {
    if out.json {
        let code = code.filter(|_| view.state == NewcomerState::Waiting);
        return out.line(&json!({"linking": view, "code": code}).to_string());
    }
    match view.state {
        NewcomerState::Waiting => {
            let Some(code) = code else { return Ok(()) };
            let drawn = qr::draw(code, std::io::stdout().is_terminal()).unwrap_or_default();
            out.line(&format!(
                "{drawn}\n{code}\n\nOn an installation that has the account, run:\n    \
                 waku-chat installations add CODE\n\
                 The linking code can be used once, until {}. Show it to nobody else.",
                time::date_time(view.until)
            ))
        }
        NewcomerState::Answered => {
            out.progress("An account answered…");
            Ok(())
        }
        NewcomerState::ShowsString => {
            let account = view.account.map(|it| it.to_string()).unwrap_or_default();
            let string = view.string.as_deref().unwrap_or_default();
            out.line(&format!(
                "Is this your account? If not, press Ctrl-C and begin again.\n    {account}\n\
                 If it is, type this authentication string into the other installation:\n\n    {string}\n"
            ))
        }
        NewcomerState::Linked => {
            out.progress("Linked. Waiting to be added to the account's own group…");
            Ok(())
        }
        NewcomerState::Done | NewcomerState::Ended { .. } => Ok(()),
    }
}

/// Waits until this installation is in the account's own group, and says what comes next.
async fn wait_until_complete(session: &Session) -> Result<(), CliError> {
    let client = &session.client;
    let mut events = client.events(0);
    let arrived = async {
        loop {
            match client.own_linking().await?.map(|view| view.state) {
                None | Some(NewcomerState::Done) => return Ok::<_, CliError>(()),
                Some(NewcomerState::Ended { code, by_other }) => {
                    return Err(Error::LinkingEnded { code, by_other }.into());
                }
                Some(_) => {}
            }
            match events.try_next().await? {
                Some((_, Event::LinkingAnsweredTwice { account, .. })) => session.out.warn(&format!(
                    "the linking code was answered twice: if {account} is not your account, do not \
                     use this installation"
                )),
                Some(_) => {}
                None => return Err(Error::Closed.into()),
            }
        }
    };
    tokio::select! {
        arrived = arrived => arrived?,
        stopped = stop_requested() => {
            stopped?;
            return Err(CliError::Stopped(CONTINUES));
        }
    }
    session.published().await?;
    let identity = client.identity().await?;
    session.out.step(&json!({"state": "done"}), "Linking is complete.")?;
    session.out.result(
        &json!({"account": identity.account, "installation": identity.installation}),
        || {
            format!(
                "This installation now belongs to your account.\nAccount      {}\nInstallation {}\n\
                 It is added to the account's groups within minutes, while the other installation runs.",
                identity.account, identity.installation
            )
        },
    )
}

/// The name of the machine, if it has one that fits.
fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() || name.len() > MAX_NAME { DEFAULT_NAME.to_owned() } else { name }
}
