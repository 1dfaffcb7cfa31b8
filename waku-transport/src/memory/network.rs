//! A memory network, and the hooks by which a test decides what happens in it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::endpoint::MemoryTransport;
use super::faults::Faults;
use super::relay::{EndpointId, Observed, Relay};
use super::store::StoreBehaviour;
use super::witness::RelayStore;
use crate::clock::{Clock, system_clock};
use crate::confirm::{Confirmation, Confirmer};
use crate::hub::{EventLimits, Hub};
use crate::message::ReceivedMessage;
use crate::sync::lock;

/// The settings of a [`Network`].
#[derive(Clone)]
pub struct NetworkOptions {
    /// The shard, `/waku/2/rs/<cluster>/<shard>`; it goes into each message's hash.
    pub pubsub_topic: String,
    /// Most messages that the Store keeps.
    pub store_len: usize,
    /// Bounds on what each endpoint keeps for its readers.
    pub events: EventLimits,
    /// How long an endpoint waits for a Store that is silent.
    pub history_timeout: Duration,
    /// How endpoints ask the Store for what they published.
    pub confirmation: Confirmation,
    /// The endpoints' clock in unix nanoseconds, for
    /// [`Status::recent_timestamps`](crate::Status::recent_timestamps); `None` for the system's.
    pub clock: Option<Arc<dyn Fn() -> i64 + Send + Sync>>,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            pubsub_topic: "/waku/2/rs/66/0".to_owned(),
            store_len: 100_000,
            events: EventLimits::default(),
            history_timeout: Duration::from_secs(20),
            // Nothing is on its way for any time.
            confirmation: Confirmation {
                first_min: Duration::ZERO,
                first_max: Duration::ZERO,
                ..Confirmation::fast()
            },
            clock: None,
        }
    }
}

/// A Waku network inside the process: one ideal relay with a Store. Clones are the same network.
#[derive(Clone)]
pub struct Network {
    options: Arc<NetworkOptions>,
    relay: Arc<Mutex<Relay>>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new(NetworkOptions::default())
    }
}

impl Network {
    /// A network without endpoints, on which nothing goes wrong.
    pub fn new(options: NetworkOptions) -> Self {
        let relay = Relay::new(options.pubsub_topic.clone(), options.store_len);
        Self { options: Arc::new(options), relay: Arc::new(Mutex::new(relay)) }
    }

    /// Adds an endpoint, online and on side 0.
    pub fn endpoint(&self) -> MemoryTransport {
        self.endpoint_with(self.options.events.clone())
    }

    /// Adds an endpoint with bounds of its own.
    pub fn endpoint_with(&self, limits: EventLimits) -> MemoryTransport {
        let clock: Clock = self.options.clock.clone().unwrap_or_else(system_clock);
        let hub = Arc::new(Hub::new(limits, clock));
        let id = lock(&self.relay).add(Arc::clone(&hub));
        let witness = RelayStore { id, relay: Arc::clone(&self.relay) };
        let confirmation = self.options.confirmation.clone();
        MemoryTransport {
            id,
            relay: Arc::clone(&self.relay),
            confirmer: Confirmer::new(confirmation, witness, Arc::clone(&hub)),
            hub,
            history_timeout: self.options.history_timeout,
        }
    }

    /// The shard, `/waku/2/rs/<cluster>/<shard>`.
    pub fn pubsub_topic(&self) -> &str {
        &self.options.pubsub_topic
    }

    /// Sets the faults from now on, and restarts the random numbers from their seed.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.relay).set_faults(faults);
    }

    /// Delivers all messages that are held back.
    pub fn flush(&self) {
        lock(&self.relay).flush();
    }

    /// Divides the network: each list is a side, numbered from 0, and messages stay on the side that
    /// they are published on. Endpoints that are not listed are on side 0, and the Store is on
    /// `store_side`. No endpoint notices, since each side has a relay.
    pub fn partition(&self, sides: &[&[EndpointId]], store_side: usize) {
        lock(&self.relay).partition(sides, store_side);
    }

    /// Undoes [`partition`](Self::partition). Messages that were published meanwhile are not delivered
    /// again.
    pub fn heal(&self) {
        self.partition(&[], 0);
    }

    /// Takes an endpoint's connection away, or brings it back. An unknown endpoint is ignored.
    pub fn set_online(&self, id: EndpointId, online: bool) {
        lock(&self.relay).set_online(id, online);
    }

    /// Stops the relay, which takes all connections away, or starts it again. The Store keeps its
    /// messages.
    pub fn set_running(&self, running: bool) {
        lock(&self.relay).set_running(running);
    }

    /// Sets how the Store answers from now on.
    pub fn set_store(&self, behaviour: StoreBehaviour) {
        lock(&self.relay).set_store(behaviour);
    }

    /// All messages that the Store keeps, in its order.
    pub fn stored(&self) -> Vec<ReceivedMessage> {
        lock(&self.relay).stored().cloned().collect()
    }

    /// Calls `observer` with everything that an outsider sees from now on, in order. It is called
    /// inside of `publish` and `history` and must not use the network.
    pub fn observe(&self, observer: impl FnMut(&Observed) + Send + 'static) {
        lock(&self.relay).observe(Box::new(observer));
    }
}
