//! What the nodes of the demo run on, and the relay if that is libwaku.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use waku_chat::NetworkParams;
use waku_transport::Transport as _;
use waku_transport::libwaku::{NodeConfig, Retention, StoreConfig};

use crate::args::Global;
use crate::error::CliError;
use crate::nodes::{self, NodeKind};
use crate::out::Out;

/// How long the relay's Store keeps messages; the demo is over long before.
const RETENTION: Duration = Duration::from_secs(3600);

/// What all nodes of a demo run on, except for the outsider's.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Nodes {
    /// Which kind.
    pub(super) kind: NodeKind,
    /// Where libwaku was loaded from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) library: Option<String>,
}

impl Nodes {
    /// What the command line asks for. That there is a library is tried here, before anything else.
    pub(super) fn new(global: &Global) -> Result<Self, CliError> {
        let kind = nodes::asked_for(global)?.unwrap_or_default();
        let library = match kind {
            NodeKind::Embedded => None,
            NodeKind::Libwaku => Some(nodes::library(global, None)?.place().to_owned()),
        };
        Ok(Self { kind, library })
    }

    /// Has a process of the demo load the same library.
    pub(super) fn args(&self) -> Vec<String> {
        match &self.library {
            None => Vec::new(),
            Some(place) => {
                let mut args = vec!["--node".to_owned(), "libwaku".to_owned()];
                // What the system has found by name, it finds again.
                if Path::new(place).is_absolute() {
                    args.extend(["--libwaku".to_owned(), place.clone()]);
                }
                args
            }
        }
    }

    /// For people.
    pub(super) fn show(&self) -> String {
        match &self.library {
            None => "the embedded node".to_owned(),
            Some(place) => format!("libwaku, from {place}"),
        }
    }
}

/// Runs a relay with Store, filter and lightpush on a node of libwaku, until standard input ends.
pub(crate) async fn relay(global: &Global, out: Out, store: &Path) -> Result<(), CliError> {
    let library = nodes::library(global, None)?;
    let config = NodeConfig {
        store: Some(StoreConfig {
            path: std::path::absolute(store).map_err(crate::error::file("cannot use", store))?,
            retention: Retention::Age(RETENTION),
        }),
        filter: true,
        lightpush: true,
        ..nodes::libwaku_config(global, &NetworkParams::fast())?
    };
    let node = nodes::libwaku(&library, config, Vec::new()).await?;
    let addresses = node.status().await.listen_addresses;
    let told = out.result(&json!({"listening": addresses, "library": library.place()}), || {
        addresses.join("\n")
    });
    if told.is_ok() {
        let (mut stdin, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
        // It ends with an error, or without one: it ends.
        let _ = tokio::io::copy(&mut stdin, &mut nowhere).await;
    }
    node.shutdown().await;
    told
}
