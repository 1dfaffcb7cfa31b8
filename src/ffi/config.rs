//! The configuration of a client, as JSON; docs/C-API.md describes it.
//!
//! Errors never quote a value: it could be a passphrase or a recovery phrase in the wrong place.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use chat_core::database::DatabaseKey;
use chat_core::identity::phrase::{PhraseError, RecoveryPhrase};
use chat_core::params::{NetworkParams, ParamsError};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use waku_node::Multiaddr;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest configuration, in bytes: all lists may be full of usual addresses.
pub(super) const MAX_CONFIG: usize = 64 * 1024;
/// Most addresses in one list: far more than a node stays connected with.
const MAX_ADDRESSES: usize = 64;
/// Longest address, in bytes: one with a name, a certificate's hash and an id is far shorter.
const MAX_ADDRESS: usize = 512;
/// Longest path, in bytes, as systems have it.
const MAX_PATH: usize = 4096;

/// Why a configuration is not valid.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("the configuration is not valid: {0}")]
    Json(String),
    #[error("give exactly one of passphrase and key")]
    Key,
    #[error("the key is not 64 hex digits")]
    KeyDigits,
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    #[error("{0} is not a path")]
    Path(&'static str),
    #[error(transparent)]
    Network(#[from] ParamsError),
    #[error("libwaku supports clusters up to 65535 only")]
    Cluster,
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    #[error("{list}: at most {MAX_ADDRESSES} addresses")]
    TooManyAddresses { list: &'static str },
    #[error("{list}[{index}] is not a multiaddress")]
    Address { list: &'static str, index: usize },
    #[error("the transport is missing: one of embedded, libwaku, offline")]
    NoTransport,
    #[error("transport: waku_chat_attach takes attached only, and waku_chat_open the others")]
    OtherTransport,
}

/// What a client is opened with.
pub(super) struct Config {
    pub(super) database: PathBuf,
    pub(super) key: DatabaseKey,
    pub(super) network: NetworkParams,
    /// The recovery phrase of the account that is to be created.
    pub(super) create: Option<RecoveryPhrase>,
    pub(super) transport: Option<TransportConfig>,
}

/// The connection to the network.
pub(super) enum TransportConfig {
    /// A node in this process.
    Embedded { listen: Vec<Multiaddr>, peers: Vec<Multiaddr> },
    /// A node of libwaku.
    Libwaku {
        library: Option<PathBuf>,
        listen_address: IpAddr,
        tcp_port: NonZeroU16,
        cluster: u16,
        peers: Vec<String>,
        dns_servers: Vec<IpAddr>,
    },
    /// The host's node of libwaku.
    Attached { library: Option<PathBuf> },
    /// No network.
    Offline,
}

/// A network, given by its name or its parameters.
struct Network(NetworkParams);

/// The parameters: all of them, and nothing else.
#[derive(Deserialize)]
#[serde(remote = "NetworkParams", deny_unknown_fields)]
struct Params {
    name: String,
    cluster: u32,
    shards: u32,
    slot_secs: u64,
    invitation_delay_ms: u64,
    rank_delay_ms: u64,
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Network;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"public\", \"fast\" or the parameters of a network")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Network, E> {
                match name {
                    "public" => Ok(Network(NetworkParams::public())),
                    "fast" => Ok(Network(NetworkParams::fast())),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Network, A::Error> {
                Params::deserialize(MapAccessDeserializer::new(map)).map(Network)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    database: String,
    passphrase: Option<Secret>,
    key: Option<Secret>,
    network: Network,
    create: Option<Create>,
    transport: Option<RawTransport>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    phrase: Secret,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RawTransport {
    Embedded(Embedded),
    Libwaku(Libwaku),
    Attached(Attached),
    Offline(Offline),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Embedded {
    #[serde(default)]
    listen: Vec<String>,
    #[serde(default)]
    peers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Libwaku {
    library: Option<String>,
    #[serde(default = "loopback")]
    listen_address: IpAddr,
    tcp_port: NonZeroU16,
    #[serde(default)]
    peers: Vec<String>,
    #[serde(default)]
    dns_servers: Vec<IpAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attached {
    library: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offline {}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

impl Config {
    /// Reads a configuration.
    pub(super) fn read(json: &str) -> Result<Self, ConfigError> {
        let raw: Raw = strict(json).map_err(|error| ConfigError::Json(unquoted(&error)))?;
        raw.network.0.validate()?;
        let transport =
            raw.transport.map(|transport| transport.check(&raw.network.0)).transpose()?;
        Ok(Self {
            database: path(raw.database, "database")?,
            key: key(raw.passphrase, raw.key)?,
            create: raw
                .create
                .map(|create| RecoveryPhrase::parse(create.phrase.expose()))
                .transpose()?,
            network: raw.network.0,
            transport,
        })
    }
}

/// Reads an object: serde would also read a structure from an array.
fn strict(json: &str) -> Result<Raw, serde_json::Error> {
    if !json.trim_start().starts_with('{') {
        return Err(serde_json::Error::invalid_type(
            Unexpected::Other("something else"),
            &"an object",
        ));
    }
    serde_json::from_str(json)
}

/// What is wrong with the JSON, without the value that is wrong: only those parts of serde's messages
/// that come from this file.
fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !error.is_data() || text.starts_with("missing field") || text.starts_with("duplicate field")
    {
        return text;
    }
    match text.rsplit_once(", expected ") {
        // The message about an unknown member of an empty object does not say what is expected.
        Some((_, expected)) if !text.contains("there are no fields at line") => {
            format!("expected {expected}")
        }
        _ => format!("line {} column {}", error.line(), error.column()),
    }
}

impl RawTransport {
    fn check(self, network: &NetworkParams) -> Result<TransportConfig, ConfigError> {
        let library = |given: Option<String>| given.map(|given| path(given, "library")).transpose();
        Ok(match self {
            RawTransport::Embedded(Embedded { listen, peers }) => TransportConfig::Embedded {
                listen: addresses(listen, "listen")?,
                peers: addresses(peers, "peers")?,
            },
            RawTransport::Libwaku(given) => TransportConfig::Libwaku {
                library: library(given.library)?,
                listen_address: given.listen_address,
                tcp_port: given.tcp_port,
                cluster: cluster(network)?,
                peers: (addresses(given.peers, "peers")?.iter()).map(ToString::to_string).collect(),
                dns_servers: match given.dns_servers.len() <= MAX_ADDRESSES {
                    true => given.dns_servers,
                    false => return Err(ConfigError::TooManyAddresses { list: "dns_servers" }),
                },
            },
            RawTransport::Attached(given) => {
                cluster(network)?;
                TransportConfig::Attached { library: library(given.library)? }
            }
            RawTransport::Offline(Offline {}) => TransportConfig::Offline,
        })
    }
}

fn cluster(network: &NetworkParams) -> Result<u16, ConfigError> {
    u16::try_from(network.cluster).map_err(|_| ConfigError::Cluster)
}

fn path(given: String, what: &'static str) -> Result<PathBuf, ConfigError> {
    if given.is_empty() || given.len() > MAX_PATH || given.contains('\0') {
        return Err(ConfigError::Path(what));
    }
    Ok(given.into())
}

fn key(passphrase: Option<Secret>, key: Option<Secret>) -> Result<DatabaseKey, ConfigError> {
    match (passphrase, key) {
        (Some(text), None) if text.expose().is_empty() => Err(ConfigError::EmptyPassphrase),
        (Some(text), None) => Ok(DatabaseKey::Passphrase(text.into_inner())),
        (None, Some(digits)) => {
            let digits = digits.into_inner();
            let mut bytes = Zeroizing::new([0; 32]);
            if digits.len() != 64 {
                return Err(ConfigError::KeyDigits);
            }
            HEXLOWER_PERMISSIVE
                .decode_mut(digits.as_bytes(), bytes.as_mut_slice())
                .map_err(|_| ConfigError::KeyDigits)?;
            Ok(DatabaseKey::Raw(bytes))
        }
        _ => Err(ConfigError::Key),
    }
}

fn addresses(given: Vec<String>, list: &'static str) -> Result<Vec<Multiaddr>, ConfigError> {
    if given.len() > MAX_ADDRESSES {
        return Err(ConfigError::TooManyAddresses { list });
    }
    let read = |(index, text): (usize, String)| match text.parse() {
        Ok(address) if text.len() <= MAX_ADDRESS => Ok(address),
        _ => Err(ConfigError::Address { list, index }),
    };
    given.into_iter().enumerate().map(read).collect()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
