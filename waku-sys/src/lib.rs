//! libwaku from Rust.
//!
//! There are two layers. [`Symbols`] are the 42 functions of `vendor/libwaku.h`, typed by bindgen and
//! resolved at run time in a [`Library`]. [`Node`] is safe to use, and does what the library leaves to
//! its callers:
//!
//! - No call is made with a context that does not live, from a callback, or before all functions
//!   were found.
//! - Each call has a time-out, whether or not the library ever answers. An answer that comes too late
//!   or a second time is dropped.
//! - Arguments are checked and JSON is written by serde, so that the library is given nothing that is
//!   known to abort the process. A node whose configuration the library refused is never started.
//! - All calls of the process come from two threads that live as long as the process. Nodes are made,
//!   started, stopped and destroyed one at a time.
//! - Callbacks copy and return, and no panic unwinds out of them.
//!
//! A node is one of our own ([`Node::new`]), or one that a host has in the same process already
//! ([`Node::attach`]). A host's node is only called, and the host hands its events on.
//!
//! Written against libwaku v0.37.1.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use waku_sys::{Library, Node, NodeConfig, NodeOptions, Source};
//!
//! let library = Library::load(&Source::Anywhere)?;
//! let port = 60_000.try_into()?;
//! let config = NodeConfig::new("127.0.0.1".parse()?, port, 66, vec![0]);
//! let (node, mut events) = Node::new(&library, &config, NodeOptions::default()).await?;
//! node.start().await?;
//! node.connect("/ip4/127.0.0.1/tcp/60001/p2p/16Uiu2HAm…").await?;
//! while let Some(event) = events.next().await {
//!     println!("{event:?}");
//! }
//! node.destroy().await?;
//! # Ok(())
//! # }
//! ```

#[rustfmt::skip]
#[allow(
    unsafe_code, missing_docs, unreachable_pub, dead_code,
    non_snake_case, clippy::all, clippy::undocumented_unsafe_blocks,
)]
mod bindings;

mod config;
mod error;
mod event;
mod lanes;
mod library;
mod message;
mod node;
mod pending;
mod store;
mod symbols;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use bounded_queue::Limits;
pub use libwaku_json::{
    ConnectedPeers, Message as WakuMessage, PeerInfo, StoreAnswer, StoreQuery, StoredMessage,
    TopicHealth,
};

pub use bindings::{RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
pub use config::{LogLevel, Nat, NodeConfig, NodeKey, Retention, StoreConfig};
pub use error::{CallError, ConfigError, LoadError, NewNodeError};
pub use event::{Events, NodeEvent};
pub use library::{LIBRARY_VARIABLE, Library, Source};
pub use message::MAX_MESSAGE_BYTES;
pub use node::{EventInlet, Node, NodeOptions};
pub use store::MAX_PAGE;
pub use symbols::Symbols;
