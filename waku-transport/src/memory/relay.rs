//! The relay of a memory network, with its Store: which message reaches which endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::faults::{Faults, Rng};
use super::store::{Store, StoreBehaviour};
use crate::error::{HistoryError, PublishError};
use crate::history::{HistoryPage, HistoryQuery};
use crate::hub::Hub;
use crate::message::ReceivedMessage;
use crate::message::{Message, MessageHash};

/// Names one endpoint of a [`Network`](super::Network): 0 for the first, and so on. No id is used
/// twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub usize);

/// What an outsider who runs the relay and the Store sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// An endpoint published a message. Seen once for each attempt that reached the relay.
    Published {
        /// The endpoint whose connection the message came over.
        from: EndpointId,
        /// The message, all of which the relay can read.
        message: Message,
        /// Hash of the message on the network's shard.
        hash: MessageHash,
    },
    /// An endpoint queried the Store.
    Queried {
        /// The endpoint whose connection the query came over.
        from: EndpointId,
        /// The query, all of which the Store can read.
        query: HistoryQuery,
    },
}

type Observer = Box<dyn FnMut(&Observed) + Send>;

pub(super) struct Relay {
    pubsub_topic: String,
    endpoints: BTreeMap<EndpointId, Connected>,
    next_id: usize,
    store: Store,
    store_side: usize,
    running: bool,
    faults: Faults,
    rng: Rng,
    observers: Vec<Observer>,
}

/// An endpoint, as the relay knows it.
struct Connected {
    hub: Arc<Hub>,
    online: bool,
    /// The part of the network that it is in; 0 for all endpoints while there is no partition.
    side: usize,
    /// Messages held back, each until that number of later ones have gone by.
    held: Vec<(u32, ReceivedMessage)>,
}

impl Relay {
    pub(super) fn new(pubsub_topic: String, store_len: usize) -> Self {
        Self {
            pubsub_topic,
            endpoints: BTreeMap::new(),
            next_id: 0,
            store: Store::new(store_len),
            store_side: 0,
            running: true,
            faults: Faults::default(),
            rng: Rng::new(0),
            observers: Vec::new(),
        }
    }

    /// Adds an endpoint, online and on side 0.
    pub(super) fn add(&mut self, hub: Arc<Hub>) -> EndpointId {
        let id = EndpointId(self.next_id);
        self.next_id += 1;
        hub.set_peers(self.running.into());
        self.endpoints.insert(id, Connected { hub, online: true, side: 0, held: Vec::new() });
        id
    }

    pub(super) fn remove(&mut self, id: EndpointId) {
        self.endpoints.remove(&id);
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.rng = Rng::new(faults.seed);
        self.faults = faults;
    }

    pub(super) fn flush(&mut self) {
        for endpoint in self.endpoints.values_mut() {
            for (_, message) in std::mem::take(&mut endpoint.held) {
                endpoint.hub.relayed(message);
            }
        }
    }

    pub(super) fn partition(&mut self, sides: &[&[EndpointId]], store_side: usize) {
        self.store_side = store_side;
        for (id, endpoint) in &mut self.endpoints {
            endpoint.side = sides.iter().position(|s| s.contains(id)).unwrap_or(0);
        }
    }

    pub(super) fn set_online(&mut self, id: EndpointId, online: bool) {
        if let Some(endpoint) = self.endpoints.get_mut(&id) {
            endpoint.online = online;
            endpoint.update(self.running);
        }
    }

    pub(super) fn set_running(&mut self, running: bool) {
        self.running = running;
        for endpoint in self.endpoints.values_mut() {
            endpoint.update(running);
        }
    }

    pub(super) fn set_store(&mut self, behaviour: StoreBehaviour) {
        self.store.behaviour = behaviour;
    }

    pub(super) fn stored(&self) -> impl Iterator<Item = &ReceivedMessage> {
        self.store.messages()
    }

    pub(super) fn observe(&mut self, observer: Observer) {
        self.observers.push(observer);
    }

    pub(super) fn publish(
        &mut self,
        from: EndpointId,
        message: Message,
    ) -> Result<MessageHash, PublishError> {
        let sender = match self.endpoints.get(&from) {
            None => return Err(PublishError::Closed),
            Some(sender) if !sender.online || !self.running => return Err(PublishError::NoPeers),
            Some(sender) => sender,
        };
        let received = ReceivedMessage::of(&self.pubsub_topic, &message);
        let (hash, side) = (received.hash, sender.side);
        sender.hub.sending(hash);
        self.show(&Observed::Published { from, message, hash });
        self.carry(from, side, &received);
        Ok(hash)
    }

    /// A page, or `None` where the Store is silent.
    pub(super) fn query(
        &mut self,
        from: EndpointId,
        query: &HistoryQuery,
    ) -> Result<Option<HistoryPage>, HistoryError> {
        if !self.endpoints.contains_key(&from) {
            return Err(HistoryError::Closed);
        }
        if !self.reaches_store(from) {
            return Err(HistoryError::NoStore);
        }
        self.show(&Observed::Queried { from, query: query.clone() });
        self.store.answer(query)
    }

    pub(super) fn reaches_store(&self, from: EndpointId) -> bool {
        self.running
            && self.store.behaviour != StoreBehaviour::Absent
            && self.endpoints.get(&from).is_some_and(|e| e.online && e.side == self.store_side)
    }

    fn show(&mut self, seen: &Observed) {
        self.observers.iter_mut().for_each(|observer| observer(seen));
    }

    /// Brings a message to all other endpoints on its side. Endpoints are taken in the order of
    /// their ids, and for each the same number of random numbers is drawn, so that runs repeat.
    fn carry(&mut self, from: EndpointId, side: usize, message: &ReceivedMessage) {
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

impl Connected {
    /// Tells the endpoint the state of its connection. A message that was held back is lost with the
    /// connection.
    fn update(&mut self, running: bool) {
        let connected = self.online && running;
        if !connected {
            self.held.clear();
        }
        self.hub.set_peers(connected.into());
    }

    /// Delivers a message, or holds it back until `hold` later ones have come; then delivers those
    /// that have waited long enough.
    fn arrive(&mut self, message: ReceivedMessage, hold: Option<u32>) {
        for (left, _) in &mut self.held {
            *left -= 1;
        }
        match hold {
            Some(count) => self.held.push((count, message)),
            None => self.hub.relayed(message),
        }
        // Counts start at 1 or more, so no count stays at zero and the subtraction is safe.
        for (_, message) in self.held.extract_if(.., |(left, _)| *left == 0) {
            self.hub.relayed(message);
        }
    }
}
