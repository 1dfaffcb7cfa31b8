//! The relay of the demo, with a Store.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin};
use waku_chat::NetworkParams;
use waku_transport::libwaku::{NodeConfig, Retention, StoreConfig};
use waku_transport::{Confirmation, Transport as _};

use super::nodes::Nodes;
use super::process::{end, failure, pipe, spawn, within};
use crate::config::NodeKind;
use crate::error::{CliError, file};
use crate::global::Global;
use crate::input;
use crate::out::Out;
use crate::transport::libwaku;

/// How long the Store of a libwaku relay keeps messages: far longer than a demo lasts.
const RETENTION: Duration = Duration::from_secs(3600);

/// The process of the relay.
pub(super) struct Relay {
    child: Child,
    stdin: Option<ChildStdin>,
    /// The address that it listens on.
    pub(super) address: String,
    /// Its process id.
    pub(super) pid: Option<u32>,
}

impl Relay {
    /// Starts a relay with a Store, on a free port.
    pub(super) async fn start(directory: &Path, nodes: &Nodes) -> Result<Self, CliError> {
        let store = directory.join("relay.db").display().to_string();
        let mut args = vec!["--json", "-v"];
        match nodes.kind {
            NodeKind::Embedded => args.extend([
                "node",
                "--with-stdin",
                "--network",
                "fast",
                "--listen",
                "/ip4/127.0.0.1/tcp/0",
            ]),
            NodeKind::Libwaku => args.push("demo-relay"),
        }
        args.extend(["--store", &store]);
        let mut child = spawn(&directory.join("relay.log"), nodes, &args)?;
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(pipe(child.stdout.take())?).lines();
        let address = within("starting the relay", async {
            let line = lines.next_line().await.ok().flatten();
            let started: Value =
                line.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
            match started["listening"][0].as_str() {
                Some(address) => Ok(address.to_owned()),
                None => Err(failure("the relay did not start; see its log")),
            }
        })
        .await?;
        let pid = child.id();
        Ok(Self { child, stdin, address, pid })
    }

    /// Stops the relay.
    pub(super) async fn stop(mut self) -> Result<(), CliError> {
        self.stdin = None;
        end("the relay", &mut self.child).await
    }
}

/// Runs a libwaku node that relays, with Store, filter and lightpush, until standard input ends.
pub(super) async fn run_libwaku(global: &Global, out: Out, store: &Path) -> Result<(), CliError> {
    let library = libwaku::load(global, None)?;
    let config = NodeConfig {
        store: Some(StoreConfig {
            path: std::path::absolute(store).map_err(file("cannot use", store))?,
            retention: Retention::Age(RETENTION),
        }),
        filter: true,
        lightpush: true,
        ..libwaku::node_config(global, &NetworkParams::fast())?
    };
    let node = libwaku::start(&library, config, Vec::new(), Confirmation::fast()).await?;
    let addresses = node.status().await.listen_addresses;
    let told = out.result(&json!({"listening": addresses, "library": library.place()}), || {
        addresses.join("\n")
    });
    if told.is_ok() {
        input::closed().await;
    }
    node.shutdown().await;
    told
}
