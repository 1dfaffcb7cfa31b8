//! The requests that a host can make of a node, with their arguments read.

use std::time::Duration;

use waku_node::{Multiaddr, PeerId, WakuMessage};

/// Which peers of a topic a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// All peers that take part in the topic.
    Connected,
    /// The peers in its mesh.
    Mesh,
}

/// A request to a node.
pub(crate) enum Request {
    Start,
    Stop,
    Publish {
        topic: String,
        message: WakuMessage,
    },
    Subscribe {
        topic: String,
    },
    Unsubscribe {
        topic: String,
    },
    FilterSubscribe {
        topic: String,
        contents: Vec<String>,
    },
    FilterUnsubscribe {
        topic: String,
        contents: Vec<String>,
    },
    FilterUnsubscribeAll,
    Lightpush {
        topic: String,
        message: WakuMessage,
    },
    CountPeers {
        topic: String,
        among: Among,
    },
    ListPeers {
        topic: String,
        among: Among,
    },
    StoreQuery {
        query: String,
        peer: String,
        timeout: Option<Duration>,
    },
    Connect {
        peers: Vec<Multiaddr>,
        timeout: Option<Duration>,
    },
    Disconnect {
        peer: PeerId,
    },
    DisconnectAll,
    Dial {
        peer: Multiaddr,
        protocol: String,
        timeout: Option<Duration>,
    },
    DialById {
        peer: PeerId,
        protocol: String,
        timeout: Option<Duration>,
    },
    /// Measures how long a peer takes to answer. Its addresses are read when the request is carried
    /// out.
    Ping {
        peer: String,
        timeout: Option<Duration>,
    },
    KnownPeers,
    ConnectedPeers,
    ConnectedPeersInfo,
    PeersByProtocol {
        protocol: String,
    },
    ListenAddresses,
    Enr,
    PeerId,
    Metrics,
    Online,
    /// Something that this node does not do. The text lacks its end, " by this node".
    NotServed(&'static str),
}

impl Request {
    /// Whether it changes the state of the node, so that later requests must wait for it.
    pub(crate) fn is_ordered(&self) -> bool {
        matches!(self, Self::Start | Self::Stop | Self::Subscribe { .. } | Self::Unsubscribe { .. })
    }

    /// How many bytes it holds while it waits.
    pub(crate) fn weight(&self) -> usize {
        const BASE: usize = 256;
        BASE + match self {
            Self::FilterSubscribe { topic, contents }
            | Self::FilterUnsubscribe { topic, contents } => {
                topic.len() + contents.iter().map(|c| c.len() + size_of::<String>()).sum::<usize>()
            }
            Self::Publish { topic, message } | Self::Lightpush { topic, message } => {
                topic.len() + message.payload.len() + message.content_topic.len()
            }
            Self::StoreQuery { query, peer, .. } => query.len() + peer.len(),
            Self::Ping { peer, .. } => peer.len(),
            Self::Connect { peers, .. } => peers.iter().map(Multiaddr::len).sum(),
            Self::Subscribe { topic }
            | Self::Unsubscribe { topic }
            | Self::CountPeers { topic, .. }
            | Self::ListPeers { topic, .. } => topic.len(),
            Self::Dial { protocol, .. }
            | Self::DialById { protocol, .. }
            | Self::PeersByProtocol { protocol } => protocol.len(),
            _ => 0,
        }
    }
}
