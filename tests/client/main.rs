//! The client over a network in memory: conversations, lost connections, restarts.
#![allow(clippy::unwrap_used)]

mod connection;
mod conversation;
mod restart;
mod world;
