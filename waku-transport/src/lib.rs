//! One interface to a Waku network, and the backends behind it.
//!
//! [`Transport`] is what an application needs of Waku and no more: publishing, watching content
//! topics, a stream of events, paged history, and status. It does not read what it carries.
//!
//! | backend | what it is |
//! |---|---|
//! | [`memory`] | a network inside the process, with faults on demand; for tests and simulations |
//! | [`embedded`] | a node of this project, [`waku_node`], in the same process |
//! | `libwaku` | a node of libwaku, the C library (behind the feature of that name): one of our own that relays, one of our own at the edge of the network with filter and lightpush, or one that a host process has already |
//!
//! All backends pass the same suite of tests, `conformance` (behind the feature of that name), so
//! that an application which runs on one of them runs on the others.
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
//! // An endpoint that was offline asks a Store.
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
//! # Guarantees
//!
//! - **Watching is local, which is the private way.** An endpoint subscribes to its whole shard,
//!   receives everything on it, and picks out the watched topics by itself. Waku's filter protocol
//!   would save bandwidth, and tell a server exactly which topics belong together in one
//!   installation: for topics that rotate, that is the whole secret. So `watch` costs no network
//!   traffic, takes effect at once, and is cheap for thousands of topics. The one exception is an
//!   edge node of libwaku, which has a constructor of its own (`LibwakuTransport::edge`) that states
//!   what it gives away.
//! - **Published means published.** [`Transport::publish`] returns once a Store that is not this process has
//!   the message; where no Store can be asked, once it was written to the connection of a relay peer
//!   that answered afterwards. [`Transport::send`] returns when it is on its way. Stores are asked for
//!   ranges of time ([`Confirmation`]), never for a message.
//! - **Delivery is at most once, and gaps may be invisible.** Relay confirms nothing to those who receive.
//!   Messages that were dropped on this side are reported as
//!   [`Event::Missed`]; messages that were lost elsewhere are for the application to notice. After
//!   `Missed`, and after [`Event::Connected`], fetch [`Transport::history`].
//! - **Duplicates are suppressed** by message hash within a window ([`EventLimits`]), and an
//!   endpoint's own messages are not delivered back to it. Live events and history overlap: an
//!   application that reads both compares [`ReceivedMessage::hash`].
//! - **Nothing is taken on trust.** Hashes are computed from what arrived, a page of history holds
//!   only what was asked for, sizes are bounded, and every wait has an end. Timestamps are the
//!   sender's claim.
//! - **Memory is bounded** in count and bytes, whatever peers send and however slow a reader is.
//! - **Payloads are not copied** on their way from the network to the application: they are
//!   [`bytes::Bytes`], which queues and readers share.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
#[cfg(feature = "libwaku")]
pub mod libwaku;
pub mod memory;

mod clock;
mod confirm;
mod error;
mod event;
mod history;
mod hub;
mod message;
mod sent;
mod status;
mod sync;
mod topics;
mod transport;
mod window;

pub use confirm::{Confirmation, MAX_WAIT};
pub use embedded::EmbeddedTransport;
pub use error::{HistoryError, PublishError, TransportError};
pub use event::{Event, EventStream};
pub use history::{HistoryPage, HistoryQuery, MAX_HISTORY_LIMIT, MAX_HISTORY_TOPICS};
pub use hub::EventLimits;
#[cfg(feature = "libwaku")]
pub use libwaku::LibwakuTransport;
pub use message::{MAX_MESSAGE_BYTES, Message, MessageHash, ReceivedMessage};
pub use sent::Sent;
pub use status::Status;
pub use topics::{MAX_TOPIC_BYTES, MAX_WATCHED_TOPICS};
pub use transport::Transport;
