//! An exhaustive search for trees in which the fork choice breaks what it promises.
//!
//! Three accounts with two installations each commit and remove one another, in every way that makes a
//! tree of a few commits. On each tree every [`Property`] is tried on the real
//! [`choose`](fn@chat_core::convergence::choose), with further commits by those who might gain by them. Small
//! trees are enough to find most mistakes in a rule like this, and they show the smallest example.
//!
//! `cargo run --release -p chat-sim --bin model -- --commits 3` prints what holds and what does not.

mod findings;
mod group;
mod properties;
mod scope;
mod search;

pub use findings::{Findings, Property, Tally};
pub use group::{Action, Group, Layout};
pub use scope::Scope;
pub use search::search;
