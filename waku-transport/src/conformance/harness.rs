//! What a backend provides to run the suite.

use async_trait::async_trait;

use crate::hub::EventLimits;
use crate::memory::StoreBehaviour;
use crate::status::Status;
use crate::topics::MAX_WATCHED_TOPICS;
use crate::transport::Transport;

/// A small network for one test: a relay that keeps a Store, and endpoints connected to it.
#[async_trait]
pub trait Harness: Send + Sized {
    /// The transport of the backend.
    type Endpoint: Transport;

    /// Most topics that one endpoint watches.
    fn max_watched_topics(&self) -> usize {
        MAX_WATCHED_TOPICS
    }

    /// Whether endpoints receive the whole shard and pick out the watched topics by themselves. If a
    /// server does that for them, they know nothing of other messages, and the suite checks that.
    fn receives_the_whole_shard(&self) -> bool {
        true
    }

    /// Starts one more endpoint and returns once it is connected both ways: it can publish, and
    /// what others publish reaches it. Endpoints are numbered from 0.
    async fn endpoint(&mut self, limits: EventLimits) -> Self::Endpoint;

    /// Starts an endpoint, outside of the numbering, whose only peer has a Store with this behaviour.
    /// The endpoint gives up on a silent Store within seconds.
    async fn endpoint_with_store(&mut self, behaviour: StoreBehaviour) -> Self::Endpoint;

    /// Starts an endpoint, outside of the numbering, that can publish over a relay which keeps no Store, and
    /// whose only Store has this behaviour. It asks a Store three times, within seconds. `None` where
    /// an endpoint cannot have two peers.
    async fn publisher_with_store(&mut self, behaviour: StoreBehaviour) -> Option<Self::Endpoint>;

    /// Cuts the connection of endpoint number `index`, from outside.
    async fn cut(&mut self, index: usize);

    /// Brings the connection back and returns once the endpoint is connected both ways.
    async fn restore(&mut self, index: usize);

    /// Stops the relay and its Store.
    async fn stop_relay(&mut self);

    /// Starts the relay and its Store again, at the same address and with the same history, and
    /// returns once all endpoints are connected both ways.
    async fn start_relay(&mut self);

    /// Whether the resources of an endpoint, such as ports, are free again; `before` is its last
    /// status.
    async fn released(&mut self, before: &Status) -> bool;

    /// Stops the network.
    async fn finish(self);
}
