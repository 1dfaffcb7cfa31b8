//! `node`: runs a Waku node for others to use.
//!
//! 1. `options` combines the options of the command line and of a file; `value` has their types.
//! 2. The node is started with them. `endpoint` serves its `health` and metrics.
//! 3. It runs until a signal comes, or until standard input ends if asked for, and is then shut down.

mod endpoint;
mod health;
mod node_config;
mod options;
mod value;

use std::path::Path;

use serde_json::json;
use tracing_subscriber::EnvFilter;
use waku_node::{ConfigError, EventStream, KeyFileError, Node, NodeConfig, NodeError, NodeEvent};

pub(crate) use options::NodeArgs;

use crate::config::{self, NodeKind};
use crate::error::{CliError, OperatorError};
use crate::global::Global;
use crate::out::Out;
use crate::signals::Signals;
use crate::{files, input, log, transport};
use endpoint::Endpoint;
use health::Health;
use options::{DEFAULT_NETWORK, Effective, Given, Options};
use value::LogFormat;

/// Runs a node until it is told to stop.
pub(crate) async fn run(global: &Global, out: Out, args: NodeArgs) -> Result<(), CliError> {
    transport::check_embedded(global)?;
    if transport::requested_kind(global)? == Some(NodeKind::Libwaku) {
        return Err(CliError::Usage(
            "`waku-chat node` runs this program's own node; for nwaku's, run wakunode2".to_owned(),
        ));
    }
    let effective = effective(global, args.options, args.config.as_deref())?;
    if args.print_config {
        return out.result(&effective, || {
            // Options that cannot be printed cannot have been read.
            effective.to_toml().unwrap_or_default().trim_end().to_owned()
        });
    }
    start_log(&effective)?;
    let mut signals = Signals::new()?;
    let config = effective.node_config();
    let store = config.store.as_ref().and_then(|store| store.path.as_deref());
    if let Some(path) = store.filter(|path| !path.exists()) {
        // SQLite gives its other files the permissions of this one.
        files::write_private(path, &[]).map_err(|error| match error {
            CliError::File { path, source, .. } => {
                OperatorError::Store { path, reason: source.to_string() }.into()
            }
            other => other,
        })?;
    }
    // Opened before the node starts, so that a port in use is reported before anything is touched.
    let listener = match effective.metrics.on() {
        Some(address) => Some(Endpoint::bind(*address).await?),
        None => None,
    };
    let started = tokio::select! {
        started = Node::start(config.clone()) => started,
        () = signals.next() => return Ok(()),
    };
    let node = started.map_err(|error| refused(error, &config))?;
    let events = node.events();
    let ran = serve(out, &effective, &node, events, listener, &mut signals).await;
    stop(node, &mut signals, out).await?;
    ran
}

/// Combines the command line, the file and the defaults.
fn effective(global: &Global, line: Options, path: Option<&Path>) -> Result<Effective, CliError> {
    let options = match path {
        Some(path) => line.over(Options::read(path)?),
        None => line,
    };
    let name = options.network.clone().unwrap_or_else(|| DEFAULT_NETWORK.to_owned());
    let network = config::network(&name)?;
    // `-v` and `RUST_LOG` work as for every command; the option `--log-level` goes before them.
    let log = std::env::var("RUST_LOG").unwrap_or_default();
    let log = if log.is_empty() { log::verbosity_filter(global) } else { &log };
    let has_peers = options.peers.as_ref().is_some_and(|peers| !peers.is_empty());
    let given = Given { network: &network, network_name: &name, log, has_peers };
    Ok(options.fill(&given))
}

/// Starts the log as the options say.
fn start_log(effective: &Effective) -> Result<(), CliError> {
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

/// Names the file that kept a node from starting, if a file did.
fn refused(error: NodeError, config: &NodeConfig) -> CliError {
    let store = config.store.as_ref().and_then(|store| store.path.clone());
    match (error, store, config.key_path()) {
        (NodeError::Archive(error), Some(path), _) => {
            OperatorError::Store { path, reason: error.to_string() }.into()
        }
        (NodeError::KeyFile(KeyFileError::Io { path, source }), ..) => {
            OperatorError::Key { path, reason: source.to_string() }.into()
        }
        (NodeError::KeyFile(KeyFileError::Malformed { path }), ..) => {
            OperatorError::Key { path, reason: "a key is 64 hexadecimal digits".to_owned() }.into()
        }
        (error @ NodeError::Config(ConfigError::Key), _, Some(path)) => {
            OperatorError::Key { path, reason: error.to_string() }.into()
        }
        (error @ NodeError::Config(_), ..) => CliError::Usage(error.to_string()),
        (error, ..) => error.into(),
    }
}

/// Reports that the node is running, and waits for the reason to stop it.
async fn serve(
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
    let mut started = json!({
        "listening": addresses,
        "peer_id": node.peer_id().to_string(),
        "cluster": cluster,
        "shards": shards,
    });
    if let Some(endpoint) = &endpoint {
        started["metrics"] = endpoint.address().to_string().into();
    }
    out.result(&started, || addresses.join("\n"))?;
    if let Some(endpoint) = &endpoint {
        out.progress(&format!(
            "Serving http://{0}/health and http://{0}/metrics.",
            endpoint.address()
        ));
    }
    out.progress(&format!(
        "Relaying shards {shards:?} of cluster {cluster}. Press Ctrl-C to stop."
    ));
    let closed = input::closed();
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

/// Shuts the node down: connections are closed, and queued messages are written to the Store. Another
/// signal ends the wait for that.
async fn stop(node: Node, signals: &mut Signals, out: Out) -> Result<(), CliError> {
    out.progress("Stopping. Press Ctrl-C again to stop at once.");
    ended(node.shutdown(), signals).await
}

async fn ended(shutdown: impl Future<Output = ()>, signals: &mut Signals) -> Result<(), CliError> {
    tokio::select! {
        () = shutdown => Ok(()),
        () = signals.next() => Err(OperatorError::Interrupted.into()),
    }
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
