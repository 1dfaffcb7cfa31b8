//! A Waku node on rust-libp2p: relay, metadata, Store v3, filter v2 and lightpush v3 and v2, over
//! tcp and websocket.
//!
//! [`Node::start`] runs a node from a [`NodeConfig`]. Its handle publishes messages, returns streams of
//! [`NodeEvent`]s and asks Stores for history. Wire formats and parameters are those of nwaku,
//! go-waku and js-waku, and it interoperates with all three.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use waku_node::{Node, NodeConfig, WakuMessage, pubsub_topic};
//!
//! let node = Node::start(NodeConfig::default()).await?;
//! node.connect("/ip4/127.0.0.1/tcp/60000".parse()?).await?;
//! let message = WakuMessage {
//!     payload: "hello".into(),
//!     content_topic: "/example/1/greeting/plain".into(),
//!     ..WakuMessage::default()
//! };
//! node.publish(&pubsub_topic(66, 0), message).await?;
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing that peers send can make a node panic, hang or grow without bound: every frame has a
//! largest size, every queue a largest length, every wait a time-out. See [`Limits`].

mod budget;
mod codec;
mod config;
mod error;
mod events;
mod filter;
mod lightpush;
mod message;
mod metadata;
mod metrics;
mod node;
mod ping;
mod random;
mod status;
mod store;
mod swarm;
mod topic;
mod wire;

pub use bytes::Bytes;
pub use libp2p::{Multiaddr, PeerId};

pub use config::{
    AddressError, ConfigError, FilterConfig, KeyFile, KeyFileError, Limits, NodeConfig, NodeKey,
    ReconnectConfig, StoreConfig,
};
pub use error::{NodeError, PublishError};
pub use events::{EventStream, NodeEvent};
pub use filter::{FilterError, MAX_FILTER_TOPICS};
pub use lightpush::LightpushError;
pub use message::{
    BadHash, MAX_MESSAGE_SIZE, MAX_META_SIZE, MessageError, MessageHash, WakuMessage, frame_size,
    message_hash,
};
pub use metadata::{Metadata, MetadataError};
pub use node::Node;
pub use ping::PingError;
pub use status::{
    ArchiveStatus, Counters, FilterStatus, NodeStatus, PeerInfo, StaticPeerStatus, TopicStatus,
};
pub use store::{
    ArchiveError, DEFAULT_PAGE, MAX_HASHES, MAX_PAGE, MAX_TOPICS, MAX_TOPICS_WITH_CURSOR,
    StoreError, StorePage, StoreQuery, StoredMessage,
};
pub use topic::{
    ContentTopic, MAX_CONTENT_TOPIC_SIZE, TopicError, parse_content_topic, parse_pubsub_topic,
    pubsub_topic, shard_for,
};

/// Store's wire format, for tools and tests that speak it without a node.
pub mod store_wire {
    pub use crate::store::{
        Response, decode_request, decode_response, encode_request, encode_response,
    };
    pub use crate::wire::WireError;
}

/// Filter's wire format, for tools and tests that speak it without a node.
pub mod filter_wire {
    pub use crate::filter::{
        FilterKind, FilterPush, FilterRequest, FilterResponse, decode_push, decode_request,
        decode_response, encode_push, encode_request, encode_response,
    };
    pub use crate::wire::WireError;
}

/// Lightpush's wire formats, for tools and tests that speak them without a node.
pub mod lightpush_wire {
    pub use crate::lightpush::{
        LightpushRequest, LightpushResponse, decode_request, decode_request_v2, decode_response,
        decode_response_v2, encode_request, encode_request_v2, encode_response, encode_response_v2,
    };
    pub use crate::wire::WireError;
}
