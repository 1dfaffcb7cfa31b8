//! How messages come and go.

use std::sync::Arc;

use super::edge::ServerLink;

/// How messages come and go.
#[derive(Clone)]
pub(super) enum Mode {
    /// By relay, both ways.
    Relay,
    /// From a server by filter, and to it by lightpush.
    Edge(Arc<ServerLink>),
}
