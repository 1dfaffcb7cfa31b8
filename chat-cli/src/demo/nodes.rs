//! The nodes that the demo runs on.

use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use crate::config::NodeKind;
use crate::error::CliError;
use crate::global::Global;
use crate::transport;

/// The kind of node that the relay and the members run on. The outsider's is always embedded.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Nodes {
    /// The kind of node.
    pub(super) kind: NodeKind,
    /// The place that libwaku was loaded from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) library: Option<String>,
    /// The DNS servers that libwaku asks.
    #[serde(skip)]
    dns_servers: Vec<IpAddr>,
}

impl Nodes {
    /// The nodes that the command line asks for. Loads the library, if one is needed, before anything
    /// else is done.
    pub(super) fn new(global: &Global) -> Result<Self, CliError> {
        let kind = transport::requested_kind(global)?.unwrap_or_default();
        let library = match kind {
            NodeKind::Embedded => None,
            NodeKind::Libwaku => Some(transport::libwaku::load(global, None)?.place().to_owned()),
        };
        Ok(Self { kind, library, dns_servers: global.dns_servers.clone() })
    }

    /// The options with which a process of the demo runs on the same kind of node.
    pub(super) fn args(&self) -> Vec<String> {
        match &self.library {
            None => Vec::new(),
            Some(place) => {
                let mut args = vec!["--node".to_owned(), "libwaku".to_owned()];
                // A library that the system found by name, it finds again.
                if Path::new(place).is_absolute() {
                    args.extend(["--libwaku".to_owned(), place.clone()]);
                }
                for server in &self.dns_servers {
                    args.extend(["--dns-server".to_owned(), server.to_string()]);
                }
                args
            }
        }
    }

    /// The nodes, for people.
    pub(super) fn show(&self) -> String {
        match &self.library {
            None => "the embedded node".to_owned(),
            Some(place) => format!("libwaku, from {place}"),
        }
    }
}
