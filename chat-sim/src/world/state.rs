//! The world: its parts, and the time that passes in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chat_core::group::observe;
use chat_core::ids::{AccountId, EpochId, InstallationId};
use chat_core::machine::Machine;
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::action::Action;
use super::clock::Clock;
use super::device::Device;
use super::network::{Network, Observed};
use crate::crash::Crash;
use crate::keys::KeyWatch;

/// The most that one wait may do: a run that goes in circles ends with a clear failure.
const MOST_ACTIONS: usize = 2_000_000;

/// The network and everybody in it.
pub struct World {
    /// The network's parameters.
    pub params: NetworkParams,
    /// The installations.
    pub devices: Vec<Device>,
    /// The network between them.
    pub network: Network,
    /// Where a process is to die.
    pub crash: Option<Crash>,
    /// The keys that sealed something, over all processes of a device.
    pub keys: KeyWatch,
    /// The members of each epoch in which a device encrypted something, as that device saw them.
    pub epochs: BTreeMap<EpochId, BTreeSet<InstallationId>>,
    pub(super) clock: Clock<Action>,
    pub(super) rng: ChaCha20Rng,
    /// What the devices' systems give them for a step: apart from what decides the run, so that a
    /// step more changes nothing else.
    pub(super) entropy: ChaCha20Rng,
    pub(super) commands: u64,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({:?})", self.network)
    }
}

impl World {
    /// An empty network.
    pub fn new(params: NetworkParams, seed: u64) -> Self {
        observe::start();
        Self {
            params,
            devices: Vec::new(),
            network: Network::new(),
            crash: None,
            keys: KeyWatch::default(),
            epochs: BTreeMap::new(),
            clock: Clock::new(Timestamp::from_secs(1_800_000_000)),
            rng: ChaCha20Rng::seed_from_u64(seed),
            entropy: ChaCha20Rng::seed_from_u64(!seed),
            commands: 0,
        }
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The generator of the run, for what a test decides by chance.
    pub fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.rng
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// Bytes by chance.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    /// A device's machine.
    ///
    /// # Panics
    /// Where its process is down: the test is wrong then.
    #[allow(clippy::expect_used)]
    pub fn machine(&self, device: usize) -> &Machine {
        self.devices[device].machine.as_ref().expect("the device is up")
    }

    /// A device's account.
    pub fn account(&self, device: usize) -> AccountId {
        #[allow(clippy::expect_used)]
        self.machine(device).identity().expect("the identity can be read").account
    }

    /// The time by a device's clock.
    pub(crate) fn time_of(&self, device: usize) -> Timestamp {
        Timestamp(self.now().0.saturating_add_signed(self.devices[device].clock_ahead_ms))
    }

    /// Whether a device has a connection.
    pub fn is_online(&self, device: usize) -> bool {
        self.network.ports[device].online
    }

    /// The partition that a device is in: only devices of one partition hear one another.
    pub fn partition(&self, device: usize) -> u32 {
        self.network.ports[device].partition
    }

    /// Puts a device into a partition. All begin in partition 0.
    pub fn part(&mut self, device: usize, partition: u32) {
        self.network.ports[device].partition = partition;
    }

    /// Puts all devices into one partition again.
    pub fn heal(&mut self) {
        for port in &mut self.network.ports {
            port.partition = 0;
        }
    }

    /// What was published since so many messages were, cards left out: those come by themselves.
    pub fn no_cards_since(&self, from: usize) -> Vec<&Observed> {
        let is_card = |message: &Observed| {
            let at = u64::try_from(message.timestamp_ns).unwrap_or(0) / 1_000_000;
            let machine = self.devices.get(message.by).and_then(|by| by.machine.as_ref());
            machine.is_some_and(|by| by.insider_card_topic(Timestamp(at)) == message.topic)
        };
        self.network.observed[from..].iter().filter(|message| !is_card(message)).collect()
    }

    /// Publishes a Waku message, from whatever source: relay and Store take anything.
    pub fn inject(&mut self, message: Observed) {
        let deliveries = self.network.publish(message.clone(), &mut self.rng);
        for delivery in deliveries {
            self.deliver_after(delivery.to, &message, delivery.after_ms);
        }
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// Where the network does not come to rest: something goes in circles.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now() + time;
        let mut actions = 0;
        while let Some(action) = self.clock.next(until) {
            self.act(action);
            actions += 1;
            assert!(actions < MOST_ACTIONS, "the simulation goes in circles");
        }
        self.clock.forward(until);
    }

    /// Lets happen all that happens at the next moment. False: nothing is left to happen until
    /// `limit`, and it is that late now.
    ///
    /// # Panics
    /// As [`World::run_for`].
    pub fn run_to_next(&mut self, limit: Timestamp) -> bool {
        match self.clock.next_at() {
            Some(at) if at <= limit => {
                self.run_for(at.since(self.now()));
                true
            }
            _ => {
                self.clock.forward(limit);
                false
            }
        }
    }

    /// Lets pass the little time in which all that is under way on the network arrives: messages,
    /// results of publications, answers of the Store, and what these cause at once.
    ///
    /// # Panics
    /// Where that takes more than a minute.
    pub fn deliver_all(&mut self) {
        let limit = self.now() + Duration::from_secs(60);
        while self.is_busy() {
            assert!(self.run_to_next(limit), "something is under way on the network for a minute");
        }
    }

    /// Whether something is under way on the network: a message, the result of a publication, or an
    /// answer of the Store.
    pub fn is_busy(&self) -> bool {
        self.clock.pending().any(Action::is_under_way)
    }
}
