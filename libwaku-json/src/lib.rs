//! The JSON that libwaku v0.37.1 and its hosts exchange: messages, events, Store queries and their
//! answers, and lists of peers.
//!
//! Two crates stand at its two ends and share these types: `waku-sys` calls libwaku as a host, and
//! `waku-node-capi` is a drop-in for it. What one end writes, the other end reads.
//!
//! Reading is as lenient as libwaku is: numbers may be strings, base64 may lack its padding, unknown
//! members are skipped. The errors of [`Message::from_json`] and [`StoreQuery::from_json`], which read
//! what hosts wrote, are in libwaku's words, because hosts read them.

mod encoding;
mod event;
mod message;
mod object;
mod peers;
mod store;

pub use encoding::from_hex;
pub use event::{Event, PeerEvent, TopicHealth};
pub use message::{Message, MessageError};
pub use object::{MAX_JSON, ObjectError, object};
pub use peers::{ConnectedPeers, PeerInfo};
pub use store::{QueryError, StoreAnswer, StoreQuery, StoredMessage};
