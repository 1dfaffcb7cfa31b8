//! Bytes: how topics, envelopes and frames are derived, sealed and read.
//!
//! From the outside in: an [`envelope`] is the payload of one Waku message on a content [`topic`];
//! both hang on [`roots`] that ratchet with each slot. Inside it is a [`frame`]: an MLS message or
//! a message of the contact protocol. Under MLS there is [`content`] (what an application message
//! says) or a [`header`] (what a commit carries as authenticated data), and both hold a [`chain`]
//! link, so that nothing goes missing unnoticed. What an account's own installations tell one
//! another is [`sync`]. [`item`] names epochs, commits and messages.
//!
//! All of it is pure: keys and bytes in, bytes or a typed error out. Every decoder checks sizes and
//! counts before it allocates. `docs/PROTOCOL.md` is the same in words, with test vectors.

pub mod chain;
pub mod content;
pub mod envelope;
pub mod frame;
pub mod header;
pub mod item;
pub mod labels;
mod proto;
pub mod roots;
pub(crate) mod scheme;
pub mod sync;
pub mod topic;
