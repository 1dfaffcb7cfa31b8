//! What handles ask of the network task, and how it replies.

use std::time::Duration;

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use crate::error::{NodeError, PublishError};
use crate::filter::{FilterError, FilterRequest};
use crate::lightpush::{LightpushError, LightpushRequest};
use crate::message::{MessageHash, WakuMessage};
use crate::ping::PingError;
use crate::store::{ArchiveError, QueryError, StoreError, StorePage, StoreQuery};

/// What a handle can ask of the network task. A dropped reply only means that nobody waits for it.
pub(crate) enum Command {
    Publish {
        pubsub_topic: String,
        hash: MessageHash,
        encoded: Bytes,
        message: WakuMessage,
        reply: oneshot::Sender<Result<(), PublishError>>,
    },
    /// Asks for the connected peers that subscribe to a topic.
    Subscribers {
        pubsub_topic: String,
        reply: oneshot::Sender<Vec<PeerId>>,
    },
    Subscribe {
        pubsub_topic: String,
        reply: oneshot::Sender<Result<(), NodeError>>,
    },
    Unsubscribe {
        pubsub_topic: String,
        reply: oneshot::Sender<Result<(), NodeError>>,
    },
    Connect {
        addr: Multiaddr,
        reply: ConnectReply,
    },
    Disconnect {
        peer: PeerId,
        reply: oneshot::Sender<()>,
    },
    StoreQuery {
        peer: Option<PeerId>,
        request_id: String,
        query: StoreQuery,
        reply: StoreReply,
    },
    Filter {
        peer: Option<PeerId>,
        request: FilterRequest,
        reply: FilterReply,
    },
    /// Asks for the peers that this node has filter subscriptions with.
    FilterServers(oneshot::Sender<Vec<PeerId>>),
    Lightpush {
        peer: Option<PeerId>,
        request: LightpushRequest,
        reply: LightpushReply,
    },
    Ping {
        peer: PeerId,
        reply: PingReply,
    },
    /// Asks for a trial write to the archive, if there is one.
    CheckArchive(oneshot::Sender<Option<oneshot::Receiver<Result<(), ArchiveError>>>>),
    Shutdown,
}

/// Where the answer to a Store query comes from.
pub(crate) enum StoreAnswer {
    /// From a peer: the body, not decoded yet.
    Peer(Bytes),
    /// From the node's own archive.
    Own(oneshot::Receiver<Result<StorePage, QueryError>>),
}

/// Told once a peer is ready, or cannot be reached.
pub(super) type ConnectReply = oneshot::Sender<Result<PeerId, NodeError>>;
/// Told which server carried the request out.
pub(super) type FilterReply = oneshot::Sender<Result<PeerId, FilterError>>;
pub(super) type LightpushReply = oneshot::Sender<Result<(), LightpushError>>;
pub(super) type PingReply = oneshot::Sender<Result<Duration, PingError>>;
pub(super) type StoreReply = oneshot::Sender<Result<StoreAnswer, StoreError>>;
