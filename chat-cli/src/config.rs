//! The settings of an account's home directory, and the networks that they can name.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use waku_chat::NetworkParams;
use waku_node::Multiaddr;

use crate::error::CliError;
use crate::files;

/// The contents of `config.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The network's parameters, as they were when the account was created.
    pub(crate) network: NetworkParams,
    /// The peers to connect to.
    #[serde(default)]
    pub(crate) peers: Vec<Multiaddr>,
    /// The node to run on. The embedded node is the default, and is not written.
    #[serde(default, skip_serializing_if = "NodeKind::is_default")]
    pub(crate) node: NodeKind,
    /// The absolute path of the libwaku to load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) libwaku: Option<PathBuf>,
    /// The DNS servers that libwaku asks. Without any it asks this machine alone, and no public ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dns_servers: Vec<IpAddr>,
}

/// The kinds of Waku node that an account can run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeKind {
    /// The program's own node.
    #[default]
    Embedded,
    /// libwaku, the library of nwaku, or one with the same C interface.
    Libwaku,
}

impl NodeKind {
    /// Whether this is the kind that is used when none is asked for.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Config {
    /// Reads the settings in a file. Their values are checked.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let text = files::read(path)?;
        let bad = |reason: String| CliError::Config { path: path.to_owned(), reason };
        let config: Self = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if config.libwaku.as_ref().is_some_and(|library| !library.is_absolute()) {
            // It would be another file in each directory that the program is started in.
            return Err(bad("the path of libwaku is not absolute".to_owned()));
        }
        checked(config.network, path).map(|network| Self { network, ..config })
    }

    /// Writes the settings to a file that only the user can read.
    pub(crate) fn write(&self, path: &Path) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| CliError::Config {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        files::write_private(path, format!("{text}\n").as_bytes())
    }
}

/// The network with this name, or with the parameters in the file of this name.
pub(crate) fn network(name: &str) -> Result<NetworkParams, CliError> {
    match name {
        "public" => Ok(NetworkParams::public()),
        "fast" => Ok(NetworkParams::fast()),
        path => {
            let path = Path::new(path);
            if !path.exists() {
                return Err(CliError::Usage(format!(
                    "--network takes public, fast or a file of parameters, and there is no file {}",
                    path.display()
                )));
            }
            let params: NetworkParams = serde_json::from_str(&files::read(path)?)
                .map_err(|e| CliError::Config { path: path.into(), reason: e.to_string() })?;
            checked(params, path)
        }
    }
}

fn checked(network: NetworkParams, path: &Path) -> Result<NetworkParams, CliError> {
    match network.validate() {
        Ok(()) => Ok(network),
        Err(error) => Err(CliError::Config { path: path.into(), reason: error.to_string() }),
    }
}
