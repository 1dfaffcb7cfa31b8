//! A node of the library: one of our own, or one of a host process.
//!
//! - [`handle`]: the handle that users have, and how a node ends.
//! - [`context`]: the library's address of a node, who uses it, and when it is out of use.
//! - [`create`]: nodes of our own, from configuration to destruction.
//! - [`attach`]: nodes of a host.
//! - [`calls`]: all other calls of a node.
//! - [`arguments`]: what goes into calls and comes out of them, checked.

mod arguments;
mod attach;
mod calls;
mod context;
mod create;
mod handle;

pub use attach::EventInlet;
pub use handle::{Node, NodeOptions};
