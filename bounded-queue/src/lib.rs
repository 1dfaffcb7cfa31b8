//! A queue for what comes from a network and must not wait for its reader.
//!
//! Pushing never waits and never fails. The queue is bounded in items and in bytes: when it is full,
//! the oldest items give way, and the reader is told what it has lost before it gets the rest.
//! [`queue`] makes both ends for one reader; [`Readers`] hands the same items to many readers, each
//! with a queue of its own.
//!
//! `tokio::sync::broadcast` and `async-channel` bound a queue by count alone. Messages here are
//! between a few bytes and 150 KiB long, so a bound by count would either lose small messages that
//! memory has room for, or let a slow reader hold gigabytes.
//!
//! # Example
//!
//! ```
//! use bounded_queue::{Item, Limits, Next, queue};
//!
//! struct Text(&'static str);
//!
//! impl Item for Text {
//!     /// How many texts were lost.
//!     type Lost = u64;
//!
//!     fn weight(&self) -> usize {
//!         self.0.len()
//!     }
//!
//!     fn give_way(&self, lost: &mut u64) {
//!         *lost += 1;
//!     }
//! }
//!
//! # futures::executor::block_on(async {
//! let (sender, mut receiver) = queue(Limits { len: 2, bytes: 1000 });
//! for text in ["one", "two", "three"] {
//!     sender.push(Text(text));
//! }
//! sender.close();
//! assert!(matches!(receiver.next().await, Some(Next::Lost(1))));
//! assert!(matches!(receiver.next().await, Some(Next::Item(Text("two")))));
//! assert!(matches!(receiver.next().await, Some(Next::Item(Text("three")))));
//! assert!(receiver.next().await.is_none());
//! # });
//! ```

mod ends;
mod readers;
mod state;

pub use ends::{Receiver, Sender, queue};
pub use readers::Readers;
pub use state::{Item, Limits, Next};
