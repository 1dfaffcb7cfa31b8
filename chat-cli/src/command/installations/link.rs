//! `installations link`: the new device, which shows a code and waits.

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

use super::show;
use super::told;
use crate::args::Global;
use crate::error::CliError;
use crate::home::{self, Config, Home};
use crate::nodes;
use crate::out::Out;
use crate::passphrase;
use crate::session::{Session, home_path};
use crate::time;

/// What the new device is called where nobody says.
const NAME: &str = "new device";
/// Bytes that a name may have.
const MAX_NAME: usize = 64;

/// Links this device to an account, or goes on with that.
pub(super) async fn link(
    global: &Global,
    out: Out,
    name: Option<String>,
    network: Option<&str>,
    peers: Vec<Multiaddr>,
) -> Result<(), CliError> {
    if global.offline {
        return Err(CliError::Usage("a device is linked over the network, not --offline".into()));
    }
    let path = home_path(global)?;
    let fresh = std::fs::metadata(path.join("chat.db")).map_or(true, |meta| meta.len() == 0);
    let (home, config) = if fresh {
        let (node, libwaku) = nodes::chosen(global, &peers)?;
        let network = home::network(network.unwrap_or("public"))?;
        if peers.is_empty() {
            return Err(CliError::Usage("name a node to connect to with --peer".to_owned()));
        }
        let config = Config { network, peers, node, libwaku };
        (Home::create(&path)?, config)
    } else {
        let home = Home::open(&path)?;
        let config = home.config()?;
        let other_network = match network {
            Some(network) => home::network(network)? != config.network,
            None => false,
        };
        if other_network || (!peers.is_empty() && peers != config.peers) {
            return Err(CliError::Usage(
                "this home was set up with another --network or --peer: leave them out to go on, \
                 or change its config.json"
                    .to_owned(),
            ));
        }
        (home, config)
    };
    let passphrase = passphrase::get(global.passphrase_file.as_deref(), fresh)?;
    if fresh {
        home.prepare(&config)?;
    }
    let transport = nodes::transport(global, &config).await?;
    let place =
        Place { home: &home, config: &config, passphrase, transport: Arc::clone(&transport) };
    match enter(&place, out, name).await {
        Ok(client) => {
            let session = Session::of(client, out, home, transport, global);
            let done = arrive(&session).await;
            session.finish(done).await
        }
        Err(error) => {
            transport.shutdown().await;
            Err(error)
        }
    }
}

/// What the new device runs on.
struct Place<'a> {
    home: &'a Home,
    config: &'a Config,
    passphrase: Zeroizing<String>,
    transport: Arc<dyn Transport>,
}

impl Place<'_> {
    fn config(&self) -> ClientConfig {
        ClientConfig {
            database: self.home.database(),
            key: DatabaseKey::Passphrase(self.passphrase.clone()),
            network: self.config.network.clone(),
            transport: Arc::clone(&self.transport),
        }
    }
}

/// Shows code and string until this device is an installation of the account.
async fn enter(place: &Place<'_>, out: Out, name: Option<String>) -> Result<Client, CliError> {
    let linking = match Client::resume_linking(place.config()).await {
        Ok(linking) => {
            let view = linking.view().await?;
            if matches!(view.state, NewcomerState::Ended { .. }) {
                linking.close().await?;
                Client::start_linking(place.config(), name.unwrap_or(view.name)).await?
            } else {
                linking
            }
        }
        Err(Error::NoAccount) => {
            Client::start_linking(place.config(), name.unwrap_or_else(host_name)).await?
        }
        // It was linked before it was stopped, or never needed to be.
        Err(Error::AccountExists) => {
            let client = Client::open(place.config()).await?;
            return match client.own_linking().await? {
                Some(_) => Ok(client),
                None => {
                    client.shutdown().await?;
                    Err(CliError::AlreadyInitialised(place.home.path().to_owned()))
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
        // Both: the states end with the linking.
        both = async { tokio::try_join!(finish(linking), shown) } => Ok(both?.0),
        stopped = crate::signal() => {
            stopped?;
            Err(CliError::Stopped("`waku-chat installations link` with the same home goes on"))
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
            let drawn = show::qr(code, std::io::stdout().is_terminal()).unwrap_or_default();
            out.line(&format!(
                "{drawn}\n{code}\n\nOn a device that has the account:\n    \
                 waku-chat installations add CODE\n\
                 The code is good for one answer, until {}. Show it to nobody else.",
                time::show(view.until)
            ))
        }
        NewcomerState::Answered => {
            out.progress("an account answered…");
            Ok(())
        }
        NewcomerState::ShowsString => {
            let account = view.account.map(|it| it.to_string()).unwrap_or_default();
            let string = view.string.as_deref().unwrap_or_default();
            out.line(&format!(
                "Is this your account? If not, press Ctrl-C and begin again.\n    {account}\n\
                 Then type this into the other device:\n\n    {string}\n"
            ))
        }
        NewcomerState::Linked => {
            out.progress("linked; waiting to be let in…");
            Ok(())
        }
        NewcomerState::Done | NewcomerState::Ended { .. } => Ok(()),
    }
}

/// Waits until the device is in the account's own group, and says what comes next.
async fn arrive(session: &Session) -> Result<(), CliError> {
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
                Some((_, Event::LinkAnsweredTwice { account, .. })) => session.out.warn(&format!(
                    "the code was answered twice: if {account} is not your account, do not use \
                     this device"
                )),
                Some(_) => {}
                None => return Err(Error::Closed.into()),
            }
        }
    };
    tokio::select! {
        arrived = arrived => arrived?,
        stopped = crate::signal() => {
            stopped?;
            return Err(CliError::Stopped("`waku-chat installations link` with the same home goes on"));
        }
    }
    session.published().await?;
    let identity = client.identity().await?;
    told(session.out, &json!({"state": "done"}), "It is there.")?;
    session.out.result(
        &json!({"account": identity.account, "installation": identity.installation}),
        || {
            format!(
                "This device belongs to your account now.\nAccount      {}\nInstallation {}\n\
                 Its groups come within minutes, while the other device is up.",
                identity.account, identity.installation
            )
        },
    )
}

/// What the machine is called, as far as it makes a name.
fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() || name.len() > MAX_NAME { NAME.to_owned() } else { name }
}
