//! Bounds on what a node spends on its peers, and on how often it dials.

use std::time::Duration;

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
    /// `None` for no such bound. One address can be a whole household or office.
    pub max_connections_per_ip: Option<u32>,
    /// Inbound connections that have not finished their handshake.
    pub max_pending_inbound: u32,
    /// Sustained inbound bytes on one connection. A faster connection is read more slowly, which
    /// loses nothing.
    pub peer_bytes_per_second: u64,
    /// Inbound bytes on one connection that may arrive in one burst.
    pub peer_burst_bytes: u64,
    /// Sustained inbound bytes on all connections together.
    pub total_bytes_per_second: u64,
    /// Inbound bytes on all connections together that may arrive in one burst.
    pub total_burst_bytes: u64,
    /// Streams of one protocol that a peer may have open to this node at once, those that wait for an
    /// answer included. A further one is reset without a word. nim-libp2p takes 10.
    pub max_streams_per_protocol: usize,
    /// Invalid relay messages before a peer is disconnected; it regains one a second.
    pub invalid_messages_per_peer: u32,
    /// Events that wait for one slow reader; beyond that it misses the oldest.
    pub event_queue_len: usize,
    /// Bytes of messages that wait for one slow reader; beyond that it misses the oldest.
    pub event_queue_bytes: usize,
    /// Time for one request and its answer.
    pub request_timeout: Duration,
    /// Time for dialling, and for each handshake.
    pub dial_timeout: Duration,
    /// How long a connection may carry nothing before it is closed.
    pub idle_timeout: Duration,
    /// Store requests that wait for their turn; further ones are answered with status 429.
    pub store_queue_len: usize,
    /// Bytes of Store answers that are being written; further requests wait.
    pub store_in_flight_bytes: usize,
    /// Bytes of messages that wait to be written to the archive; further messages are not archived,
    /// and are counted.
    pub archive_queue_bytes: usize,
    /// Sustained filter and lightpush requests of one peer; further ones are answered with status
    /// 429. Twice as many may arrive in one burst.
    pub service_requests_per_second: u64,
    /// Bytes of filter pushes that wait for one slow subscriber; further ones are dropped, and
    /// counted.
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
            max_streams_per_protocol: 128,
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

/// Back-off between attempts to reach a static peer: it doubles with each failure, and is jittered.
#[derive(Clone, Debug)]
pub struct ReconnectConfig {
    /// The wait after the first failure.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(60) }
    }
}
