//! libwaku from Rust.
//!
//! Two layers: [`Symbols`], the 42 functions of `vendor/libwaku.h` as a [`Library`] has them, typed
//! by bindgen and resolved at run time; and [`Node`], which is safe to use. What the library leaves
//! to the care of its callers is taken care of there:
//!
//! - no call with a context that does not live, none from a callback, none before all functions
//!   were found;
//! - each call has a time-out, whether or not the library ever answers, and an answer that comes
//!   after it, or twice, is dropped;
//! - arguments are checked and JSON is made by serde, so that nothing is handed over that is known
//!   to end the process; a configuration that the library does not accept is never started;
//! - all calls of the process come from two threads that live as long as it does;
//! - callbacks copy and return, and nothing unwinds out of them.
//!
//! A node is one of our own ([`Node::new`]), or one that a host has in the same process already
//! ([`Node::attach`]): that one is only called, and its owner hands its events on.
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

pub use bindings::{RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
pub use config::{LogLevel, Nat, NodeConfig, NodeKey, Retention, StoreConfig};
pub use error::{CallError, ConfigError, LoadError, NewNodeError};
pub use event::{EventQueueLimits, Events, NodeEvent, TopicHealth};
pub use library::{LIBRARY_VARIABLE, Library, Source};
pub use message::{MAX_MESSAGE_BYTES, WakuMessage};
pub use node::{EventInlet, Node, NodeOptions, PeerInfo};
pub use store::{MAX_PAGE, StoreAnswer, StoreQuery, StoredMessage};
pub use symbols::Symbols;
