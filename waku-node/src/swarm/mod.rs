//! The task that owns the swarm.
//!
//! All that happens on the network goes through the [`Driver`]. Handles send it [`Command`]s over one
//! bounded channel, and read what it publishes in [`crate::status::Shared`].
//!
//! `behaviour` composes libp2p's protocols with three of this folder: `push`, `colocation` and
//! `written`, over the `transport` with its `muxer`. `driver` holds the state, `run` dispatches commands and events, and the other files
//! handle what each protocol brings.

mod behaviour;
mod colocation;
mod command;
mod connections;
mod driver;
mod filter;
mod gossip;
mod lightpush;
mod listen;
mod muxer;
mod peers;
mod ping;
mod push;
mod reconnect;
mod relay;
mod requests;
mod run;
mod servers;
mod store;
mod tasks;
mod transport;
mod written;

pub(crate) use command::{Command, StoreAnswer};
pub(crate) use driver::Driver;
pub(crate) use written::Written;
