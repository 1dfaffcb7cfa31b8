//! One interface to a Waku network, and the backends behind it.
//!
//! [`Transport`] is what an application needs of Waku and no more: publish, watch content topics,
//! a stream of events, paged history, status. It knows nothing of what is carried.
//!
//! | backend | what it is |
//! |---|---|
//! | [`memory`] | a network inside the process, with faults on demand; for tests and simulations |
//! | [`embedded`] | a Waku node of its own, [`waku_node`] |
//! | `libwaku` | a node of libwaku, the C library: one of our own that relays, one at the edge of the network with filter and lightpush, or one that a host process has already (behind the feature of that name) |
//!
//! All backends pass one suite of tests, `conformance` (behind the feature of that name), so an
//! application that runs on one of them runs on the others.
//!
//! # Example
//!
//! ```
//! use futures::StreamExt;
//! use waku_transport::{Event, HistoryQuery, Message, Transport, memory::Network};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::default();
//! let (alice, bob) = (network.endpoint(), network.endpoint());
//!
//! let topic = "/example/1/greetings/proto".to_owned();
//! bob.watch(vec![topic.clone()]).await?;
//! let mut events = bob.events();
//!
//! let hash = alice
//!     .publish(Message {
//!         content_topic: topic.clone(),
//!         payload: "hello".into(),
//!         timestamp_ns: 1_700_000_000_000_000_000,
//!     })
//!     .await?;
//!
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         assert_eq!((message.hash, &message.payload[..]), (hash, &b"hello"[..]));
//!         break;
//!     }
//! }
//!
//! // Whoever was not there asks a Store.
//! let page = bob
//!     .history(HistoryQuery { content_topics: vec![topic], ..HistoryQuery::default() })
//!     .await?;
//! assert_eq!((page.messages.len(), page.cursor), (1, None));
//!
//! alice.shutdown().await;
//! bob.shutdown().await;
//! assert_eq!(events.next().await, None);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - **Watching is local, and that is the private way.** An endpoint subscribes to its shard as a
//!   whole, receives everything on it, and picks the watched topics out by itself. Waku's filter
//!   protocol would save the bandwidth and tell a server exactly which topics belong together in
//!   one device: for topics that rotate, that is the whole secret. It follows that `watch` costs
//!   no network traffic, takes effect at once, and is cheap for thousands of topics. The one
//!   exception is an edge node of libwaku, which is chosen by name (`LibwakuTransport::edge`) and
//!   says there what it gives away.
//! - **Delivery is at most once, and gaps may be invisible.** Relay confirms nothing: a message
//!   that [`Transport::publish`] accepted has reached a neighbour at best, or a Store where the
//!   backend asks one (`libwaku` does). What was dropped on
//!   this side is reported as [`Event::Missed`]; what was lost elsewhere is for the application to
//!   notice. After `Missed`, and after [`Event::Connected`], fetch [`Transport::history`].
//! - **Duplicates are suppressed** by message hash within a window ([`EventLimits`]), and own
//!   messages are not delivered back. Live events and history overlap: an application that reads
//!   both compares [`Inbound::hash`].
//! - **Nothing is taken on trust.** Hashes are computed from what arrived, a page of history holds
//!   only what was asked for, sizes are bounded, and every wait has an end. Timestamps are the
//!   sender's claim.
//! - **Memory is bounded** in count and bytes, whatever peers send and however slow a reader is.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
#[cfg(feature = "libwaku")]
pub mod libwaku;
pub mod memory;

mod error;
mod hub;
mod types;
mod window;

use async_trait::async_trait;

pub use embedded::EmbeddedTransport;
pub use error::{HistoryError, PublishError, TransportError};
pub use hub::EventLimits;
#[cfg(feature = "libwaku")]
pub use libwaku::LibwakuTransport;
pub use types::{
    Event, EventStream, HistoryPage, HistoryQuery, Inbound, MAX_HISTORY_LIMIT, MAX_HISTORY_TOPICS,
    MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES, MAX_WATCHED_TOPICS, Message, MessageHash, Status,
};

/// A connection to one shard of a Waku network.
///
/// All methods may be called from many tasks at once, and may be cancelled by dropping their
/// futures: a publish may then have happened or not, everything else has no effect.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Hands a message to the peers that carry the shard. A backend may take seconds to find out
    /// whether it has got there, so whoever has many of them publishes many at once.
    ///
    /// Idempotent: the same message again is `Ok`, and goes out at most once more; unless it was
    /// found to be lost, which it may stay for as long as the network calls it a duplicate.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; [`PublishError::is_retryable`] says whether to try the same again later.
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError>;

    /// Adds content topics to those whose messages are delivered. The set counts, not how often a
    /// topic was added. At most [`MAX_WATCHED_TOPICS`], fewer where a backend says so.
    ///
    /// # Errors
    ///
    /// [`TransportError`]; then none was added.
    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError>;

    /// Takes content topics out again; those that are not watched are passed over.
    ///
    /// # Errors
    ///
    /// [`TransportError`]; then none was taken out.
    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError>;

    /// A new stream of everything that happens from now on. Each stream gets every event and has
    /// a bounded queue of its own.
    fn events(&self) -> EventStream;

    /// Fetches one page of history from a Store, oldest message first.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; [`HistoryError::is_retryable`] says whether to ask the same again later.
    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError>;

    /// How things stand at this moment.
    async fn status(&self) -> Status;

    /// Closes connections and ports, and ends the event streams. Everything answers `Closed` from
    /// then on. Calling it again does nothing; when it returns, all has been released.
    async fn shutdown(&self);
}
