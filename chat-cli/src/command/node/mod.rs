//! `node`: a Waku node for others to use.
//!
//! 1. `options` puts together what the command line and a file say; `value` has their types.
//! 2. The node is started from that, with its `key`; `http` serves `health` and metrics beside it.
//! 3. It runs until one of the `signals`, or the end of standard input, and then ends in order.

mod error;
mod health;
mod http;
mod key;
mod options;
mod signals;
mod value;

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tracing_subscriber::EnvFilter;
use waku_node::{ConfigError, EventStream, Node, NodeError, NodeEvent};

pub(crate) use error::OperatorError;
pub(crate) use options::Node as Args;

use crate::args::Global;
use crate::error::CliError;
use crate::home;
use crate::out::Out;
use health::Health;
use http::Endpoint;
use options::{Effective, Given, Options};
use signals::Signals;
use value::LogFormat;

/// Where a node listens if nobody says otherwise: on the port that Waku nodes have, for this machine.
const DEFAULT_LISTEN: &str = "/ip4/127.0.0.1/tcp/60000";
/// The network that it is for, likewise.
const DEFAULT_NETWORK: &str = "public";

/// Runs a node until it is told to stop.
pub(crate) async fn node(global: &Global, out: Out, args: Args) -> Result<(), CliError> {
    let effective = effective(global, args.options, args.config.as_deref())?;
    if args.print_config {
        return out.result(&effective, || {
            // What cannot be printed was not read either.
            effective.to_toml().unwrap_or_default().trim_end().to_owned()
        });
    }
    log(&effective)?;
    let mut signals = Signals::new()?;
    let key = effective.key.on().map(|name| key::key(Path::new(&name.0))).transpose()?;
    let store = effective.store.on().map(|name| PathBuf::from(&name.0));
    if let Some(path) = store.as_deref().filter(|path| !path.exists()) {
        // SQLite gives its other files the rights of this one.
        home::write_private(path, &[]).map_err(|error| match error {
            CliError::File { path, source, .. } => {
                OperatorError::Store { path, reason: source.to_string() }.into()
            }
            other => other,
        })?;
    }
    // Opened before the node, so that a taken port is told before anything else is touched.
    let listener = match effective.metrics.on() {
        Some(address) => Some(Endpoint::bind(*address).await?),
        None => None,
    };
    let started = tokio::select! {
        started = Node::start(effective.node(key)) => started,
        () = signals.next() => return Ok(()),
    };
    let node = started.map_err(|error| refused(error, &effective))?;
    let events = node.events();
    let ran = run(out, &effective, &node, events, listener, &mut signals).await;
    stop(node, &mut signals, out).await?;
    ran
}

/// What the command line, the file and defaults come to.
fn effective(global: &Global, line: Options, path: Option<&Path>) -> Result<Effective, CliError> {
    let options = match path {
        Some(path) => line.over(Options::read(path)?),
        None => line,
    };
    let name = options.network.clone().unwrap_or_else(|| DEFAULT_NETWORK.to_owned());
    let network = home::network(&name)?;
    // `-v` and `RUST_LOG` work here as they do everywhere; an option goes before them.
    let log = std::env::var("RUST_LOG").unwrap_or_default();
    let log = if log.is_empty() { crate::log_filter(global) } else { &log };
    let has_peers = options.peers.as_ref().is_some_and(|peers| !peers.is_empty());
    let given = Given { network: &network, network_name: &name, log, has_peers };
    Ok(options.fill(&given))
}

/// Begins to log as the options say.
fn log(effective: &Effective) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(&effective.log_level).map_err(|error| {
        CliError::Usage(format!("log-level {:?}: {error}", effective.log_level))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match effective.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Why a node was not started.
fn refused(error: NodeError, effective: &Effective) -> CliError {
    match (error, effective.store.on(), effective.key.on()) {
        (NodeError::Archive(error), Some(name), _) => {
            OperatorError::Store { path: PathBuf::from(&name.0), reason: error.to_string() }.into()
        }
        (error @ NodeError::Config(ConfigError::Key), _, Some(name)) => {
            OperatorError::Key { path: PathBuf::from(&name.0), reason: error.to_string() }.into()
        }
        (error @ NodeError::Config(_), ..) => CliError::Usage(error.to_string()),
        (error, ..) => error.into(),
    }
}

/// Says that the node is there, and waits for the reason to end it.
async fn run(
    out: Out,
    effective: &Effective,
    node: &Node,
    mut events: EventStream,
    listener: Option<tokio::net::TcpListener>,
    signals: &mut Signals,
) -> Result<(), CliError> {
    let endpoint = match listener {
        Some(listener) => {
            let health = Health::new(node.clone(), effective.health_peers);
            Some(
                Endpoint::serve(listener, health)
                    .map_err(|source| CliError::System { what: "cannot serve metrics", source })?,
            )
        }
        None => None,
    };
    let (cluster, shards) = (effective.cluster, &effective.shards);
    let addresses: Vec<String> = node.listen_addresses().iter().map(ToString::to_string).collect();
    let mut told = json!({
        "listening": addresses,
        "peer_id": node.peer_id().to_string(),
        "cluster": cluster,
        "shards": shards,
    });
    if let Some(endpoint) = &endpoint {
        told["metrics"] = endpoint.address().to_string().into();
    }
    out.result(&told, || addresses.join("\n"))?;
    if let Some(endpoint) = &endpoint {
        out.progress(&format!("health and metrics are on http://{}/", endpoint.address()));
    }
    out.progress(&format!("relaying shards {shards:?} of cluster {cluster}; Ctrl-C ends it"));
    let closed = stdin_closed();
    tokio::pin!(closed);
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = &mut closed, if effective.with_stdin => return Ok(()),
            event = events.recv() => match event {
                Some(NodeEvent::PeerConnected { peer }) => tracing::info!(%peer, "connected"),
                Some(NodeEvent::PeerDisconnected { peer }) => tracing::info!(%peer, "gone"),
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

/// Ends the node: no more connections, what is queued goes to the Store, all is closed. A signal
/// meanwhile ends the wait for it.
async fn stop(node: Node, signals: &mut Signals, out: Out) -> Result<(), CliError> {
    out.progress("ending; a second signal does so at once");
    ended(node.shutdown(), signals).await
}

async fn ended(shutdown: impl Future<Output = ()>, signals: &mut Signals) -> Result<(), CliError> {
    tokio::select! {
        () = shutdown => Ok(()),
        () = signals.next() => Err(OperatorError::Interrupted.into()),
    }
}

/// Waits for the end of standard input; what comes before it is passed over.
async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 256];
    while stdin.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_signal_does_not_wait() {
        let mut signals = Signals::new().unwrap();
        ended(std::future::ready(()), &mut signals).await.unwrap();
        let process = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &process]).status().unwrap();
        assert!(sent.success());
        let error = ended(std::future::pending(), &mut signals).await.unwrap_err();
        assert!(matches!(error, CliError::Operator(OperatorError::Interrupted)));
        assert_ne!(
            format!("{:?}", error.exit_code()),
            format!("{:?}", std::process::ExitCode::SUCCESS)
        );
    }
}
