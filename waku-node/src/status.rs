//! The state and the counters of a node, for its handles and its metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use libp2p::{Multiaddr, PeerId};

use crate::events::EventHub;
use crate::store::ArchiveCounters;

/// A connected peer that passed the metadata exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The identity of the peer.
    pub peer_id: PeerId,
    /// The remote addresses of the connections with it.
    pub addresses: Vec<Multiaddr>,
    /// The protocols that it offers, according to identify.
    pub protocols: Vec<String>,
    /// The software that it says it runs, with its version.
    pub agent: String,
    /// The shards that it says it takes part in.
    pub shards: Vec<u32>,
    /// Whether this node has it in the mesh of any topic.
    pub in_mesh: bool,
    /// Whether it offers Store v3.
    pub store: bool,
    /// Whether it offers filter v2.
    pub filter: bool,
    /// Whether it offers lightpush, in either version.
    pub lightpush: bool,
}

/// The relay peers of a topic that the node subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicStatus {
    /// The pubsub topic.
    pub pubsub_topic: String,
    /// Peers in the mesh of the topic.
    pub mesh_peers: usize,
    /// Connected peers that subscribe to the topic.
    pub topic_peers: usize,
}

/// The connection with a static peer, or the attempts at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticPeerStatus {
    /// Its address, without `/p2p`.
    pub address: Multiaddr,
    /// The peer that is connected at this address, if any.
    pub peer: Option<PeerId>,
    /// How many attempts in a row have failed.
    pub failures: u32,
    /// Why the last attempt or connection ended, however long ago.
    pub last_error: Option<String>,
}

/// What the node's own archive holds, and what it did not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// Messages that it holds.
    pub messages: u64,
    /// Bytes of these messages.
    pub bytes: u64,
    /// Messages left out because their senders marked them as ephemeral.
    pub skipped_ephemeral: u64,
    /// Messages left out because their timestamps are more than 20 s off. If there are many, a clock is
    /// wrong.
    pub skipped_timestamp: u64,
    /// Messages left out because the archive could not keep up.
    pub skipped_overflow: u64,
    /// Messages lost to errors of the database.
    pub failed: u64,
    /// Whether the most recent messages were lost to such errors.
    pub failing: bool,
}

/// The subscribers of the node's own filter service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterStatus {
    /// Peers that have subscriptions.
    pub subscribers: usize,
    /// Pairs of pubsub topic and content topic, of all subscribers together.
    pub criteria: usize,
}

/// A node's state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Connected peers that passed the metadata exchange.
    pub connected_peers: usize,
    /// Topics that the node subscribes to.
    pub topics: Vec<TopicStatus>,
    /// The static peers, as configured.
    pub static_peers: Vec<StaticPeerStatus>,
    /// What the node counted since its start.
    pub counters: Counters,
    /// The node's own archive, if it has one.
    pub archive: Option<ArchiveStatus>,
    /// The node's own filter service, if it has one.
    pub filter: Option<FilterStatus>,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What a node counted since its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counters {
            /// The name, explanation and value of each counter.
            pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),*), self.$name),)*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct AtomicCounters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl AtomicCounters {
            fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// The node's own messages that were handed to relay.
    relay_published,
    /// Valid messages received by relay, without duplicates.
    relay_received,
    /// Relay messages refused because they were malformed, too large or broke a rule.
    relay_invalid,
    /// Relay messages that this node does not take although other implementations relay them. They are
    /// neither passed on nor held against the sender.
    relay_ignored,
    /// Times that a peer was too slow to take what was sent to it.
    relay_slow_peer,
    /// Peers disconnected for too many invalid messages.
    peers_struck,
    /// Peers disconnected because of the metadata exchange.
    metadata_refused,
    /// Inbound connections that failed or exceeded a limit.
    connections_refused,
    /// Times that reading from a connection was put off because it, or all connections together,
    /// brought more bytes than allowed.
    reads_put_off,
    /// Inbound requests that were malformed, too large, too slow or cut off.
    requests_failed,
    /// Store requests of peers that were answered, with whatever status.
    store_served,
    /// Store requests of peers that were refused before they were looked up.
    store_refused,
    /// Entries in the answers of Stores that were left out as invalid or false.
    store_entries_dropped,
    /// Filter requests of peers that were answered, with whatever status.
    filter_served,
    /// Messages pushed to filter subscribers.
    filter_pushed,
    /// Messages that filter subscribers did not receive: they were too slow, gone or not listening.
    filter_push_failed,
    /// Messages pushed by filter servers that were taken.
    filter_received,
    /// Messages pushed by filter servers that were left out: malformed, or not subscribed to.
    filter_unwanted,
    /// Lightpush requests of peers whose message was relayed.
    lightpush_served,
    /// Lightpush requests of peers that failed.
    lightpush_refused,
    /// The node's own messages that were published by lightpush.
    lightpush_published,
}

impl AtomicCounters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// What the network task shares with the handles of its node.
pub(crate) struct Shared {
    pub(crate) events: EventHub,
    pub(crate) counters: AtomicCounters,
    pub(crate) archive: Option<Arc<ArchiveCounters>>,
    view: RwLock<View>,
}

#[derive(Default)]
pub(crate) struct View {
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) peers: Vec<PeerInfo>,
    pub(crate) topics: Vec<TopicStatus>,
    pub(crate) static_peers: Vec<StaticPeerStatus>,
    pub(crate) filter: Option<FilterStatus>,
}

impl Shared {
    pub(crate) fn new(events: EventHub, archive: Option<Arc<ArchiveCounters>>) -> Self {
        Self { events, counters: AtomicCounters::default(), archive, view: RwLock::default() }
    }

    pub(crate) fn read<T>(&self, f: impl FnOnce(&View) -> T) -> T {
        f(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn update(&self, f: impl FnOnce(&mut View)) {
        f(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let (connected_peers, topics, static_peers, filter) =
            self.read(|v| (v.peers.len(), v.topics.clone(), v.static_peers.clone(), v.filter));
        let archive = self.archive.as_deref().map(|a| {
            let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
            ArchiveStatus {
                messages: get(&a.messages),
                bytes: get(&a.bytes),
                skipped_ephemeral: get(&a.ephemeral),
                skipped_timestamp: get(&a.timestamp),
                skipped_overflow: get(&a.overflow),
                failed: get(&a.failed),
                failing: a.failing.load(Ordering::Relaxed),
            }
        });
        NodeStatus {
            connected_peers,
            topics,
            static_peers,
            counters: self.counters.snapshot(),
            archive,
            filter,
        }
    }
}
