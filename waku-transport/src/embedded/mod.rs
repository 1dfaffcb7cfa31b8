//! A Waku node of this project, in the same process.
//!
//! [`EmbeddedTransport`] runs a [`waku_node::Node`] that takes part in relay on one shard.
//! The node dials static peers, and dials them again; this reports how many are connected. History
//! comes from any connected peer that offers Store.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use waku_node::{NodeConfig, pubsub_topic};
//! use waku_transport::{EmbeddedTransport, Transport};
//!
//! let config = NodeConfig {
//!     static_peers: vec!["/ip4/127.0.0.1/tcp/60000".parse()?],
//!     ..NodeConfig::default()
//! };
//! let transport = EmbeddedTransport::new(config, &pubsub_topic(66, 0)).await?;
//! transport.watch(vec!["/example/1/greetings/proto".to_owned()]).await?;
//! # transport.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod convert;
mod options;
mod publisher;
mod pump;
mod stores;
mod transport;
mod witnesses;

pub use options::{EmbeddedOptions, StartError};
pub use transport::EmbeddedTransport;
