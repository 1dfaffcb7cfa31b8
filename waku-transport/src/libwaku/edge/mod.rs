//! Nodes at the edge of the network, which do not relay: filter to receive, lightpush to publish.
//!
//! The library offers the calls and leaves the rest to its user. What v0.37.1 does, and what this does
//! about it:
//!
//! - The library picks a server by itself, out of all that it ever heard of. So a node is connected to
//!   one server at a time, and another server is tried with another node.
//! - It reports success whatever the server answers within 5 s. So only the connection is trusted: with
//!   each new connection, all subscriptions that the server may remember are withdrawn and made again,
//!   and from time to time some of them are renewed, in turn.
//! - Renewals also keep subscriptions alive: a server forgets a peer that made no request for 5
//!   minutes, and the library does not offer filter's ping.
//! - Each subscription leaves a receiver behind in the library for good, so that N subscriptions make N
//!   events of each message. So a node that has subscribed too often is replaced by a new one, which
//!   looks like a short interruption.
//! - Servers take 100 topics in a request, 1,000 from a peer, and 30 requests in a minute. Topics that
//!   are watched together go into one request, and requests wait for their turn.
//!
//! Files, from the bottom up: `options`; `budget`, the number of requests in a minute; `link`, what a
//! transport shares with the task that serves it; `service`, one node and its server; `keeper`, the
//! task.

mod budget;
mod keeper;
mod link;
mod options;
mod service;

pub(super) use keeper::{EdgeKeeper, open};
pub(super) use link::ServerLink;
pub use options::{EdgeOptions, MAX_EDGE_TOPICS};
