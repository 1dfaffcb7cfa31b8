//! How a node is configured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::NodeError;

/// The secret key of a node's identity: secp256k1, 32 bytes, as ENRs require.
///
/// Erased from memory when dropped; deliberately without `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// Takes a secret key. Its validity is checked when the node starts.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// Draws a new key from the operating system's randomness.
    pub fn generate() -> Self {
        Self(libp2p::identity::secp256k1::Keypair::generate().secret().to_bytes())
    }

    /// The secret bytes, to be stored somewhere safe.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn keypair(&self) -> Result<libp2p::identity::Keypair, NodeError> {
        // `try_from_bytes` erases the buffer that it is given.
        let mut copy = self.0;
        let secret = libp2p::identity::secp256k1::SecretKey::try_from_bytes(&mut copy)
            .map_err(|_| NodeError::Key)?;
        Ok(libp2p::identity::secp256k1::Keypair::from(secret).into())
    }
}

/// Everything that a node is told at its start.
#[derive(Clone)]
pub struct NodeConfig {
    /// Where to listen: `/ip4/…/tcp/…` or `/ip6/…/tcp/…`, port 0 for any free port; with `/ws`
    /// behind the port for websocket. May be empty.
    pub listen: Vec<Multiaddr>,
    /// Where peers are told to find the node, in addition to where it listens: what a router or a
    /// name in DNS makes of it. Without `/p2p`. It tells nobody what is not in here or in `listen`.
    pub announce: Vec<Multiaddr>,
    /// The identity; a random one if `None`.
    pub key: Option<NodeKey>,
    /// The Waku cluster. Peers of other clusters are disconnected.
    pub cluster_id: u32,
    /// Shards to subscribe to at the start, and to announce in metadata.
    pub shards: Vec<u32>,
    /// Peers to stay connected with, with or without `/p2p/<id>`.
    pub static_peers: Vec<Multiaddr>,
    /// Whether to take part in relay.
    pub relay: bool,
    /// Keep an archive and answer Store queries.
    pub store: Option<StoreConfig>,
    /// Serve filter: push messages to peers that subscribe to their content topics. Using the
    /// filter of others is always possible.
    pub filter: bool,
    /// Bounds of the filter service.
    pub filter_config: FilterConfig,
    /// Serve lightpush: publish for peers that ask for it. Using that of others is always possible.
    pub lightpush: bool,
    /// Bounds on what peers can make this node spend.
    pub limits: Limits,
    /// How static peers are dialled again.
    pub reconnect: ReconnectConfig,
}

impl Default for NodeConfig {
    fn default() -> Self {
        let mut loopback = Multiaddr::empty();
        loopback.push(Protocol::Ip4(std::net::Ipv4Addr::LOCALHOST));
        loopback.push(Protocol::Tcp(0));
        Self {
            listen: vec![loopback],
            announce: Vec::new(),
            key: None,
            cluster_id: 66,
            shards: vec![0],
            static_peers: Vec::new(),
            relay: true,
            store: None,
            filter: false,
            filter_config: FilterConfig::default(),
            lightpush: false,
            limits: Limits::default(),
            reconnect: ReconnectConfig::default(),
        }
    }
}

/// The archive behind a Store server. What exceeds any of the bounds is removed oldest first.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The SQLite file; `None` keeps the archive in memory.
    pub path: Option<PathBuf>,
    /// How long messages are kept, by their timestamp. Older ones are never returned, and are
    /// deleted by a sweep.
    pub retention: Duration,
    /// Most messages kept.
    pub max_messages: u64,
    /// Most bytes kept, as a database with its indexes: at least [`StoreConfig::MIN_BYTES`]. The
    /// file is no larger, except for what one batch of new messages adds before the oldest go; beside
    /// it SQLite keeps a log of up to 16 MiB.
    pub max_bytes: u64,
}

impl StoreConfig {
    /// Smallest [`StoreConfig::max_bytes`]: an empty database, and the largest message.
    pub const MIN_BYTES: u64 = 512 * 1024;
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: None,
            retention: Duration::from_secs(2 * 24 * 3600),
            max_messages: 1_000_000,
            max_bytes: 512 * 1024 * 1024,
        }
    }
}

/// Bounds of the filter service. The defaults are those of nwaku.
#[derive(Clone, Debug)]
pub struct FilterConfig {
    /// Subscribers.
    pub max_peers: usize,
    /// Pairs of pubsub topic and content topic that one of them subscribes to.
    pub max_criteria_per_peer: usize,
    /// How long subscriptions last without a request or a ping.
    pub subscription_timeout: Duration,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            max_peers: 100,
            max_criteria_per_peer: 1000,
            subscription_timeout: Duration::from_secs(300),
        }
    }
}

/// Bounds on what peers can make this node spend. Sizes in bytes, rates per second.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections in total.
    pub max_connections: u32,
    /// Inbound connections, leaving the rest for those that this node dials.
    pub max_inbound_connections: u32,
    /// Connections with one peer; two nodes that dial each other at once need two.
    pub max_connections_per_peer: u32,
    /// Inbound connections from one IPv4 address or one /64 of IPv6, unfinished handshakes included;
    /// as many as there are if `None`. One address can be a whole household or office.
    pub max_connections_per_ip: Option<u32>,
    /// Inbound connections that have not finished their handshake.
    pub max_pending_inbound: u32,
    /// Sustained inbound bytes on one connection. One that is faster is read more slowly;
    /// nothing is lost by that.
    pub peer_bytes_per_second: u64,
    /// Inbound bytes on one connection that may come at once.
    pub peer_burst_bytes: u64,
    /// Sustained inbound bytes on all connections together.
    pub total_bytes_per_second: u64,
    /// Inbound bytes from all peers that may come at once.
    pub total_burst_bytes: u64,
    /// Invalid relay messages (refilled at one a second) before a peer is disconnected.
    pub invalid_messages_per_peer: u32,
    /// Events that wait for one slow reader before it misses the oldest.
    pub event_queue_len: usize,
    /// Bytes of messages that wait for one slow reader before it misses the oldest.
    pub event_queue_bytes: usize,
    /// Time for one request and its answer.
    pub request_timeout: Duration,
    /// Time for dialling, and for each handshake.
    pub dial_timeout: Duration,
    /// Connections on which nothing happens are closed after this.
    pub idle_timeout: Duration,
    /// Store requests that wait for their turn; more are answered with status 429.
    pub store_queue_len: usize,
    /// Store answers being written, in bytes; further requests wait.
    pub store_in_flight_bytes: usize,
    /// Messages that wait to be written to the archive, in bytes; more are not archived, and
    /// counted.
    pub archive_queue_bytes: usize,
    /// Filter and lightpush requests of one peer in a second, sustained; more are answered with
    /// status 429. Twice as many may come at once.
    pub service_requests_per_second: u64,
    /// Filter pushes that wait for one slow subscriber, in bytes; more are dropped, and counted.
    pub filter_queue_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            max_connections: 128,
            max_inbound_connections: 96,
            max_connections_per_peer: 4,
            max_connections_per_ip: None,
            max_pending_inbound: 64,
            peer_bytes_per_second: 16 * MIB,
            peer_burst_bytes: 32 * MIB,
            total_bytes_per_second: 32 * MIB,
            total_burst_bytes: 64 * MIB,
            invalid_messages_per_peer: 20,
            event_queue_len: 16_384,
            event_queue_bytes: 64 * 1024 * 1024,
            request_timeout: Duration::from_secs(20),
            dial_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(3600),
            store_queue_len: 256,
            store_in_flight_bytes: 64 * 1024 * 1024,
            archive_queue_bytes: 64 * 1024 * 1024,
            service_requests_per_second: 1000,
            filter_queue_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Back-off between attempts to reach a static peer: doubled after each failure, with jitter.
#[derive(Clone, Debug)]
pub struct ReconnectConfig {
    /// Wait before the first repetition.
    pub min: Duration,
    /// Upper bound of the wait.
    pub max: Duration,
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(60) }
    }
}

impl NodeConfig {
    /// Refuses what could never work, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), NodeError> {
        let l = &self.limits;
        if l.peer_bytes_per_second == 0 || l.total_bytes_per_second == 0 {
            return Err(NodeError::Config("a byte rate of zero would never read anything"));
        }
        // One frame must fit, or a throttled connection would never finish reading it.
        if l.peer_burst_bytes < MIN_BURST || l.total_burst_bytes < MIN_BURST {
            return Err(NodeError::Config("byte bursts must be at least 512 KiB"));
        }
        if self.shards.iter().any(|s| *s > MAX_SHARD) {
            return Err(NodeError::Config("a shard is a number below 1024"));
        }
        if self.store.as_ref().is_some_and(|s| s.max_bytes < StoreConfig::MIN_BYTES) {
            return Err(NodeError::Config("the archive's max_bytes must be at least 512 KiB"));
        }
        if l.service_requests_per_second == 0 {
            return Err(NodeError::Config("service_requests_per_second must be above zero"));
        }
        if self.reconnect.min.is_zero() || self.reconnect.max < self.reconnect.min {
            return Err(NodeError::Config(
                "reconnect.min must be above zero and not above reconnect.max",
            ));
        }
        self.listen.iter().try_for_each(|a| check_listen(a).map(drop))?;
        self.announce.iter().try_for_each(check_announced)?;
        self.static_peers.iter().try_for_each(|a| check_dial(a).map(drop))
    }
}

/// Smallest byte burst: a frame of every protocol that is served fits.
const MIN_BURST: u64 = 512 * 1024;
/// Static sharding has 1024 shards in a cluster.
const MAX_SHARD: u32 = 1023;

/// The socket address of a listen address.
pub(crate) fn check_listen(addr: &Multiaddr) -> Result<SocketAddr, NodeError> {
    let mut parts: Vec<_> = addr.iter().collect();
    if parts.len() == 3 && matches!(&parts[2], Protocol::Ws(path) if path == "/") {
        parts.pop();
    }
    match parts.as_slice() {
        [Protocol::Ip4(ip), Protocol::Tcp(port)] => Ok(SocketAddr::new((*ip).into(), *port)),
        [Protocol::Ip6(ip), Protocol::Tcp(port)] => Ok(SocketAddr::new((*ip).into(), *port)),
        _ => Err(NodeError::Address {
            addr: addr.clone(),
            reason: "listening is possible on /ip4/…/tcp/… and /ip6/…/tcp/… only, with or without /ws",
        }),
    }
}

/// Splits an address that can be dialled into its transport part and the peer id, if it has one.
pub(crate) fn check_dial(
    addr: &Multiaddr,
) -> Result<(Multiaddr, Option<libp2p::PeerId>), NodeError> {
    let bad = |reason| Err(NodeError::Address { addr: addr.clone(), reason });
    let mut parts = addr.iter();
    if !matches!(
        parts.next(),
        Some(
            Protocol::Ip4(_)
                | Protocol::Ip6(_)
                | Protocol::Dns(_)
                | Protocol::Dns4(_)
                | Protocol::Dns6(_)
        )
    ) {
        return bad("it must begin with /ip4, /ip6 or /dns");
    }
    match parts.next() {
        Some(Protocol::Tcp(0)) => return bad("port 0 cannot be dialled"),
        Some(Protocol::Tcp(_)) => {}
        _ => return bad("only tcp is supported"),
    }
    let mut transport: Multiaddr = addr.iter().take(2).collect();
    let mut next = parts.next();
    if let Some(ws @ Protocol::Ws(_)) = next {
        transport.push(ws);
        next = parts.next();
    }
    match (next, parts.next()) {
        (None, _) => Ok((transport, None)),
        (Some(Protocol::P2p(peer)), None) => Ok((transport, Some(peer))),
        _ => bad("after the port only /ws and /p2p/<peer id> may follow"),
    }
}

/// Refuses an address that nobody could dial. What this node cannot dial, like `/wss` behind somebody
/// who ends TLS for it, others may.
fn check_announced(addr: &Multiaddr) -> Result<(), NodeError> {
    let bad = |reason| Err(NodeError::Address { addr: addr.clone(), reason });
    let mut parts = addr.iter();
    match parts.next() {
        Some(Protocol::Ip4(ip)) if ip.is_unspecified() => return bad("it names no host"),
        Some(Protocol::Ip6(ip)) if ip.is_unspecified() => return bad("it names no host"),
        Some(
            Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_),
        ) => {}
        _ => return bad("it must begin with /ip4, /ip6 or /dns"),
    }
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => {}
        _ => return bad("it must go on with /tcp and a port above 0"),
    }
    if parts.any(|p| !matches!(p, Protocol::Ws(_) | Protocol::Wss(_) | Protocol::Tls)) {
        return bad("after the port only /ws, /wss or /tls/ws may follow");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_dialled_is_announced() {
        for good in [
            "/ip4/203.0.113.7/tcp/60000",
            "/dns4/example.org/tcp/443/wss",
            "/dns/example.org/tcp/443/tls/ws",
            "/ip6/2001:db8::1/tcp/8000/ws",
        ] {
            assert!(check_announced(&good.parse().expect("an address")).is_ok(), "{good}");
        }
        for bad in [
            "/ip4/0.0.0.0/tcp/60000",
            "/ip6/::/tcp/60000",
            "/ip4/203.0.113.7/tcp/0",
            "/ip4/203.0.113.7/udp/1",
            "/ip4/203.0.113.7",
            "/tcp/60000",
            "/ip4/203.0.113.7/tcp/1/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf",
        ] {
            assert!(check_announced(&bad.parse().expect("an address")).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_tcp_and_websocket_addresses_can_be_dialled() {
        let peer = libp2p::PeerId::random();
        for good in [
            "/ip4/127.0.0.1/tcp/1".to_owned(),
            "/ip4/127.0.0.1/tcp/1/ws".to_owned(),
            format!("/dns4/example.org/tcp/30303/p2p/{peer}"),
            format!("/dns4/example.org/tcp/8000/ws/p2p/{peer}"),
        ] {
            let addr: Multiaddr = good.parse().expect("an address");
            let (transport, id) = check_dial(&addr).expect("can be dialled");
            let whole = id.map_or(transport.clone(), |id| transport.with(Protocol::P2p(id)));
            assert_eq!(whole, addr, "nothing of it is lost");
        }
        for bad in [
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/udp/1/quic-v1",
            "/ip4/127.0.0.1/tcp/1/wss",
            "/ip4/127.0.0.1/tcp/1/ws/ws",
            "/tcp/1",
            "/memory/1",
        ] {
            let addr: Multiaddr = bad.parse().expect("an address");
            assert!(matches!(check_dial(&addr), Err(NodeError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn a_key_makes_the_same_identity_again() {
        let key = NodeKey::generate();
        let again = NodeKey::from_bytes(*key.expose());
        let id = |k: &NodeKey| k.keypair().map(|k| k.public().to_peer_id()).expect("a valid key");
        assert_eq!(id(&key), id(&again));
        assert!(matches!(NodeKey::from_bytes([0; 32]).keypair(), Err(NodeError::Key)));
    }
}
