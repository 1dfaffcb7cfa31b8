//! A node of libwaku, the C library, in this process.
//!
//! [`LibwakuTransport`] runs on a node of a library that is loaded at run time, in one of three ways:
//!
//! | | the node | receives by | publishes by |
//! |---|---|---|---|
//! | [`new`](LibwakuTransport::new) | is made and owned here | relay | relay |
//! | [`edge`](LibwakuTransport::edge) | is made and owned here | filter | lightpush |
//! | [`attach`](LibwakuTransport::attach) | belongs to a host process | relay | relay |
//!
//! Relay is the private way, and costs the traffic of the whole shard. **Filter tells its server
//! which content topics this installation follows, and lightpush which messages are its own.** Choose
//! it knowing that.
//!
//! The library leaves much to its user, which is done here: static peers are dialled while they are
//! not connected, a connection that is up and carries nothing is replaced, messages are published at a
//! pace at which none is lost, a Store is asked whether they have arrived ([`Confirmation`](crate::Confirmation)), and
//! results and events are believed only as far as they can be.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use waku_transport::libwaku::{Library, LibwakuOptions, LibwakuTransport, NodeConfig, Source};
//! use waku_transport::Transport;
//!
//! let library = Library::load(&Source::Anywhere)?;
//! let config = NodeConfig::new("127.0.0.1".parse()?, 61_000.try_into()?, 66, vec![0]);
//! let peers = vec!["/ip4/127.0.0.1/tcp/60000/p2p/16Uiu2HAm…".to_owned()];
//! let options = LibwakuOptions::default();
//! let transport = LibwakuTransport::new(&library, config, 0, peers, options).await?;
//! transport.watch(vec!["/example/1/greetings/proto".to_owned()]).await?;
//! # transport.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Files, from the bottom up: `error`, `node`, `message`; `stores`, the Stores of connected peers;
//! `confirm`, whether a message has arrived; `pace`; `library_memory`, what the library will call a
//! duplicate; `pump`, from the library to the hub; `edge` and `keeper`, the tasks that keep a node
//! connected; `options`; `mode`; `publisher`; `transport`, which puts them together.

mod edge;
mod error;
mod keeper;
mod library_memory;
mod message;
mod mode;
mod node;
mod options;
mod pace;
mod publisher;
mod pump;
mod stores;
mod transport;

pub use edge::{EdgeOptions, MAX_EDGE_TOPICS};
pub use error::LibwakuError;
pub use options::LibwakuOptions;
pub use pace::Pace;
pub use transport::LibwakuTransport;
pub use waku_sys::{
    CallError, ConfigError, EventInlet, Library, LoadError, LogLevel, Nat, NewNodeError, Node,
    NodeConfig, NodeKey, Retention, Source, StoreConfig,
};
