//! The task that owns the swarm.
//!
//! All that happens on the network goes through the [`Driver`]. Handles send it [`Command`]s over one
//! bounded channel, and read what it publishes in [`crate::status::Shared`].
//!
//! `behaviour` composes libp2p's protocols with those of this folder: `gossip` under `written`, `push`,
//! `turns` and `colocation`, over the `transport` with its `muxer`; `stream_use` is what `push` and
//! `turns` hold to. `driver` holds the state, `run` dispatches commands and events, and the other files
//! handle what each protocol brings.

mod behaviour;
mod colocation;
mod command;
mod connections;
mod driver;
mod filter;
mod gossip;
mod kept_out;
mod lightpush;
mod listen;
mod muxer;
mod peers;
mod ping;
mod push;
mod reconnect;
mod relay;
mod requests;
mod returns;
mod run;
mod servers;
mod store;
mod stream_use;
mod tasks;
mod transport;
mod turns;
mod written;

pub(crate) use command::{Command, StoreAnswer};
pub(crate) use driver::Driver;
pub(crate) use written::Written;
