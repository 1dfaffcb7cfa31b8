//! What a node reports by itself.
//!
//! - `node_event`: the events, read from the library's JSON.
//! - `queue`: from the library's thread to the reader, through a bounded queue.
//! - `callback`: the C function that the library calls, and which queue belongs to which node.

mod callback;
mod node_event;
mod queue;

#[cfg(feature = "testing")]
pub(crate) use callback::total;
pub(crate) use callback::{close, on_event, open};
pub use node_event::NodeEvent;
pub use queue::Events;
pub(crate) use queue::{EventSender, queue};
