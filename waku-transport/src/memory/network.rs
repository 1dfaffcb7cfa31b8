//! The relay of a memory network, and the hooks by which a test decides what it does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::MemoryTransport;
use super::faults::{Faults, Rng};
use super::store::{Store, StoreBehaviour};
use crate::hub::{Clock, EventLimits, Hub, lock, system_clock};
use crate::{HistoryError, HistoryPage, HistoryQuery, Inbound, Message, MessageHash, PublishError};

/// Names one endpoint of a [`Network`]: 0 for the first, and so on. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub usize);

/// How a [`Network`] is made.
#[derive(Clone)]
pub struct NetworkOptions {
    /// The shard; it goes into each message's hash.
    pub pubsub_topic: String,
    /// Most messages that the Store keeps.
    pub store_len: usize,
    /// Bounds on what each endpoint keeps for its readers.
    pub events: EventLimits,
    /// How long an endpoint waits for a Store that is silent.
    pub history_timeout: Duration,
    /// The endpoints' clock in unix nanoseconds, for
    /// [`Status::recent_timestamps`](crate::Status::recent_timestamps); the system's if none.
    pub clock: Option<Arc<dyn Fn() -> i64 + Send + Sync>>,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            pubsub_topic: "/waku/2/rs/66/0".to_owned(),
            store_len: 100_000,
            events: EventLimits::default(),
            history_timeout: Duration::from_secs(20),
            clock: None,
        }
    }
}

/// What an outsider who runs the relay and the Store sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// An endpoint published a message; seen once for each attempt that reached the relay.
    Published {
        /// Who was connected at the other end of the line.
        from: EndpointId,
        /// All there is to see of the message.
        message: Message,
        /// Its hash.
        hash: MessageHash,
    },
    /// An endpoint asked the Store.
    Queried {
        /// Who asked.
        from: EndpointId,
        /// What for.
        query: HistoryQuery,
    },
}

type Observer = Box<dyn FnMut(&Observed) + Send>;

/// A Waku network inside the process: one ideal relay with a Store. Clones are the same network.
#[derive(Clone)]
pub struct Network {
    options: Arc<NetworkOptions>,
    relay: Arc<Mutex<Relay>>,
}

struct Relay {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    next_id: usize,
    store: Store,
    store_side: usize,
    running: bool,
    faults: Faults,
    rng: Rng,
    observers: Vec<Observer>,
}

struct Endpoint {
    hub: Arc<Hub>,
    online: bool,
    /// The part of the network that it is in; 0 for all while nothing is cut.
    side: usize,
    /// Messages held back, each until that many later ones have gone by.
    held: Vec<(u32, Inbound)>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new(NetworkOptions::default())
    }
}

impl Network {
    /// A network without endpoints, on which nothing goes wrong.
    pub fn new(options: NetworkOptions) -> Self {
        let relay = Relay {
            endpoints: BTreeMap::new(),
            next_id: 0,
            store: Store::new(options.store_len),
            store_side: 0,
            running: true,
            faults: Faults::default(),
            rng: Rng::new(0),
            observers: Vec::new(),
        };
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
        let mut relay = lock(&self.relay);
        let id = EndpointId(relay.next_id);
        relay.next_id += 1;
        let endpoint = Endpoint { hub: Arc::clone(&hub), online: true, side: 0, held: Vec::new() };
        endpoint.hub.set_peers(relay.running.into());
        relay.endpoints.insert(id, endpoint);
        MemoryTransport {
            id,
            network: self.clone(),
            hub,
            history_timeout: self.options.history_timeout,
        }
    }

    /// The shard.
    pub fn pubsub_topic(&self) -> &str {
        &self.options.pubsub_topic
    }

    /// Sets what goes wrong from now on, and starts the random numbers again from its seed.
    pub fn set_faults(&self, faults: Faults) {
        let mut relay = lock(&self.relay);
        relay.rng = Rng::new(faults.seed);
        relay.faults = faults;
    }

    /// Delivers all messages that are held back.
    pub fn flush(&self) {
        for endpoint in lock(&self.relay).endpoints.values_mut() {
            for (_, message) in std::mem::take(&mut endpoint.held) {
                endpoint.hub.relayed(message);
            }
        }
    }

    /// Cuts the network: each list is a side, numbered from 0, and messages stay on the side that
    /// they are published on. Endpoints that are not listed are on side 0, and the Store is on
    /// `store_side`. Nobody notices, since everybody keeps a relay of its side.
    pub fn partition(&self, sides: &[&[EndpointId]], store_side: usize) {
        let mut relay = lock(&self.relay);
        relay.store_side = store_side;
        for (id, endpoint) in &mut relay.endpoints {
            endpoint.side = sides.iter().position(|s| s.contains(id)).unwrap_or(0);
        }
    }

    /// Undoes [`partition`](Self::partition). What was published meanwhile is not delivered again.
    pub fn heal(&self) {
        self.partition(&[], 0);
    }

    /// Takes an endpoint's connection away, or brings it back. An unknown endpoint is passed over.
    pub fn set_online(&self, id: EndpointId, online: bool) {
        let mut relay = lock(&self.relay);
        let running = relay.running;
        if let Some(endpoint) = relay.endpoints.get_mut(&id) {
            endpoint.online = online;
            endpoint.update(running);
        }
    }

    /// Stops the relay, which takes everybody's connection away, or starts it again. The Store
    /// keeps its messages.
    pub fn set_running(&self, running: bool) {
        let mut relay = lock(&self.relay);
        relay.running = running;
        for endpoint in relay.endpoints.values_mut() {
            endpoint.update(running);
        }
    }

    /// Sets how the Store answers from now on.
    pub fn set_store(&self, behaviour: StoreBehaviour) {
        lock(&self.relay).store.behaviour = behaviour;
    }

    /// Everything that the Store keeps, in its order.
    pub fn stored(&self) -> Vec<Inbound> {
        lock(&self.relay).store.messages().cloned().collect()
    }

    /// Has `observer` called with everything that an outsider sees from now on, in order. It is
    /// called inside of `publish` and `history` and must not use the network.
    pub fn observe(&self, observer: impl FnMut(&Observed) + Send + 'static) {
        lock(&self.relay).observers.push(Box::new(observer));
    }

    pub(super) fn publish(
        &self,
        from: EndpointId,
        hub: &Hub,
        message: Message,
    ) -> Result<MessageHash, PublishError> {
        let inbound = Inbound::of(&self.options.pubsub_topic, &message);
        let hash = inbound.hash;
        let mut relay = lock(&self.relay);
        let running = relay.running;
        let side = match relay.endpoints.get(&from) {
            None => return Err(PublishError::Closed),
            Some(sender) if !sender.online || !running => return Err(PublishError::NoPeers),
            Some(sender) => sender.side,
        };
        hub.sending(hash);
        relay.show(&Observed::Published { from, message, hash });
        relay.carry(from, side, &inbound);
        Ok(hash)
    }

    /// A page, or `None` where the Store keeps silent.
    pub(super) fn query(
        &self,
        from: EndpointId,
        query: &HistoryQuery,
    ) -> Result<Option<HistoryPage>, HistoryError> {
        let mut relay = lock(&self.relay);
        if !relay.endpoints.contains_key(&from) {
            return Err(HistoryError::Closed);
        }
        if !relay.reaches_store(from) {
            return Err(HistoryError::NoStore);
        }
        relay.show(&Observed::Queried { from, query: query.clone() });
        relay.store.answer(query)
    }

    pub(super) fn has_store(&self, from: EndpointId) -> bool {
        lock(&self.relay).reaches_store(from)
    }

    pub(super) fn leave(&self, id: EndpointId) {
        lock(&self.relay).endpoints.remove(&id);
    }
}

impl Relay {
    fn show(&mut self, seen: &Observed) {
        self.observers.iter_mut().for_each(|observer| observer(seen));
    }

    fn reaches_store(&self, from: EndpointId) -> bool {
        self.running
            && self.store.behaviour != StoreBehaviour::Absent
            && self.endpoints.get(&from).is_some_and(|e| e.online && e.side == self.store_side)
    }

    /// Brings a message to everybody else on its side. Endpoints are taken in the order of their
    /// ids, and for each the same number of random numbers is drawn, so that runs repeat.
    fn carry(&mut self, from: EndpointId, side: usize, message: &Inbound) {
        let faults = self.faults;
        let lost_to_store = self.rng.chance(faults.store_drop);
        if side == self.store_side && !lost_to_store {
            self.store.keep(message.clone());
        }
        for (id, endpoint) in &mut self.endpoints {
            if *id == from {
                continue;
            }
            let dropped = self.rng.chance(faults.drop);
            let twice = self.rng.chance(faults.duplicate);
            let hold = self.rng.chance(faults.reorder);
            let hold_for = self.rng.up_to(faults.max_hold);
            if dropped || !endpoint.online || endpoint.side != side {
                continue;
            }
            endpoint.arrive(message.clone(), hold.then_some(hold_for));
            if twice {
                endpoint.hub.relayed(message.clone());
            }
        }
    }
}

impl Endpoint {
    /// Tells the endpoint what became of its connection. What was on its way is lost with it.
    fn update(&mut self, running: bool) {
        let connected = self.online && running;
        if !connected {
            self.held.clear();
        }
        self.hub.set_peers(connected.into());
    }

    /// Delivers a message, or holds it back until `hold` later ones have come; then delivers those
    /// that have waited long enough.
    fn arrive(&mut self, message: Inbound, hold: Option<u32>) {
        for (left, _) in &mut self.held {
            *left -= 1;
        }
        match hold {
            Some(count) => self.held.push((count, message)),
            None => self.hub.relayed(message),
        }
        // Counts start at 1 or more, so nothing stays at zero and the subtraction is safe.
        for (_, message) in self.held.extract_if(.., |(left, _)| *left == 0) {
            self.hub.relayed(message);
        }
    }
}
