//! A network in one process with a clock of its own: machines, a relay that can lose, duplicate,
//! delay and partition, and a Store. The same seed gives the same run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use chat_core::group::observe;
use chat_core::identity::RecoveryPhrase;
use chat_core::ids::AccountId;
use chat_core::machine::{
    Answer, Command, CommandError, CommandId, Disposition, Event, Inbound, Input, Machine,
    Newcomer, OpenError, OutboxId, Output, PublishFailure, QueryId, StepError,
};
use chat_core::params::NetworkParams;
use chat_core::store::Store;
use chat_core::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::crash::{Crash, Home, KeyWatch, Tally};

/// A Waku message as an outsider at a relay sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Content topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Its timestamp, in nanoseconds since the unix epoch.
    pub timestamp_ns: i64,
    /// When the relay saw it.
    pub seen_at: Timestamp,
    /// Which device published it. Ground truth for tests; no outsider has it.
    pub by: usize,
}

impl Observed {
    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.payload);
        hash.update(&self.topic);
        hash.update(self.timestamp_ns.to_be_bytes());
        hash.finalize().into()
    }

    /// As a device gets it.
    pub fn inbound(&self) -> Inbound {
        Inbound {
            topic: self.topic.clone(),
            payload: self.payload.clone().into(),
            timestamp_ns: self.timestamp_ns,
        }
    }
}

/// How bad the network is; each is a share of 1,000.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Deliveries that are lost. Store has them still.
    pub drop: u64,
    /// Deliveries that come twice.
    pub duplicate: u64,
    /// Publications that are reported as failed though they went out.
    pub false_failure: u64,
    /// Most milliseconds that a delivery takes.
    pub delay_ms: u64,
}

/// One installation.
pub struct Device {
    /// Its machine; none while its process is down, or has no account yet.
    pub machine: Option<Machine>,
    /// What it runs while it has no account.
    pub(crate) newcomer: Option<Newcomer>,
    pub(crate) database: Option<Store>,
    /// Where its database is, if it is a file.
    pub(crate) home: Option<Home>,
    /// Which process of the device this is: what was under way for an earlier one is lost.
    pub(crate) life: u32,
    /// What its machine did.
    pub tally: Tally,
    /// Whether it has a connection.
    pub online: bool,
    /// How far its clock is ahead, in milliseconds.
    pub clock_ahead_ms: i64,
    pub(crate) watched: BTreeSet<String>,
    /// What it was told, by cursor; an event that was told again is here once.
    pub events: BTreeMap<u64, Event>,
    /// What became of the envelopes that it got.
    pub dispositions: Vec<Disposition>,
    answers: BTreeMap<u64, Result<Answer, CommandError>>,
    /// Steps that failed, for tests that let them.
    pub failures: Vec<StepError>,
    /// The partition that it is in: only devices of one partition hear one another.
    pub partition: u32,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({:?})", self.machine)
    }
}

impl Device {
    /// Whether its process is running.
    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some() || self.newcomer.is_some()
    }

    /// Runs what a database is for, which may not have come as far as an account.
    fn open(
        &mut self,
        store: Store,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<(), OpenError> {
        // The application asks for what it has not acknowledged, and may know some of it.
        let told = match Machine::has_account(&store)? {
            true => {
                let machine = Machine::open(store, params, seed, now)?;
                let told = machine.events(0, u32::MAX)?;
                self.machine = Some(machine);
                told
            }
            false => {
                let newcomer = Newcomer::open(store, params, seed, now)?;
                let told = newcomer.events(0, u32::MAX)?;
                self.newcomer = Some(newcomer);
                told
            }
        };
        for (cursor, event) in told {
            self.hear(cursor, event);
        }
        Ok(())
    }

    fn database(&self) -> Option<&Store> {
        let newcomer = self.newcomer.as_ref().map(Newcomer::store);
        self.machine.as_ref().map(Machine::store).or(newcomer)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        let newcomer = self.newcomer.as_ref().and_then(Newcomer::next_wake);
        self.machine.as_ref().and_then(Machine::next_wake).or(newcomer)
    }

    fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Output>, StepError> {
        match (&mut self.machine, &mut self.newcomer) {
            (Some(machine), _) => machine.step(now, input),
            (None, Some(newcomer)) => newcomer.step(now, input),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn hear(&mut self, cursor: u64, event: Event) {
        let known = self.events.insert(cursor, event);
        if let Some(known) = known {
            assert_eq!(Some(&known), self.events.get(&cursor), "a cursor names one event");
        }
    }
}

#[derive(Debug)]
enum Action {
    Deliver(Process, Inbound),
    Published(Process, OutboxId, Option<PublishFailure>),
    History(Process, QueryId, Query),
    Wake(usize),
}

/// A process of a device.
#[derive(Debug, Clone, Copy)]
struct Process {
    device: usize,
    life: u32,
}

#[derive(Debug)]
struct Query {
    topics: Vec<String>,
    start: Timestamp,
    end: Timestamp,
    cursor: Option<[u8; 32]>,
    limit: u32,
}

/// The network and everybody in it.
pub struct World {
    /// The network's parameters.
    pub params: NetworkParams,
    /// The true time.
    pub now: Timestamp,
    /// The installations.
    pub devices: Vec<Device>,
    /// Everything that was published, in order; also what Store has.
    pub observed: Vec<Observed>,
    /// In which partition what was observed is known, as long as there are several.
    known_in: Vec<Option<u32>>,
    /// How bad the network is.
    pub faults: Faults,
    /// Whether there is a Store.
    pub has_store: bool,
    /// What it was asked by topic: when, by which device, and the topics.
    pub asked: Vec<(Timestamp, usize, Vec<String>)>,
    /// Where a process is to die.
    pub crash: Option<Crash>,
    /// Which keys sealed what, over all processes of a device.
    pub keys: KeyWatch,
    rng: ChaCha20Rng,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    actions: BTreeMap<u64, Action>,
    next_action: u64,
    next_command: u64,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({} devices, {} published)", self.devices.len(), self.observed.len())
    }
}

/// The most that one wait may do: a run that goes in circles ends with a clear failure.
const MOST_ACTIONS: usize = 2_000_000;

impl World {
    /// An empty network.
    pub fn new(params: NetworkParams, seed: u64) -> Self {
        observe::start();
        Self {
            params,
            now: Timestamp::from_secs(1_800_000_000),
            devices: Vec::new(),
            observed: Vec::new(),
            known_in: Vec::new(),
            faults: Faults::default(),
            has_store: true,
            asked: Vec::new(),
            crash: None,
            keys: KeyWatch::default(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            queue: BinaryHeap::new(),
            actions: BTreeMap::new(),
            next_action: 0,
            next_command: 0,
        }
    }

    /// The generator of the run, for what a test decides by chance.
    pub fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.rng
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64().checked_rem(bound).unwrap_or(0)
    }

    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    /// A new account on a new device, with its database in memory, online. Its number.
    ///
    /// # Panics
    /// Where the machine cannot be made: a simulation has nothing to go on with then.
    pub fn add_device(&mut self) -> usize {
        #[allow(clippy::expect_used)]
        let store = Store::in_memory().expect("a database in memory can be opened");
        self.add_device_on(store)
    }

    /// A new account on a new device with this database. Its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn add_device_on(&mut self, store: Store) -> usize {
        let phrase = RecoveryPhrase::generate(&mut self.rng);
        self.add_device_of(&phrase, store)
    }

    /// A new device that brings an account back with its phrase alone. Its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn recover(&mut self, phrase: &RecoveryPhrase) -> usize {
        let seed = self.seed();
        #[allow(clippy::expect_used)]
        let store = Store::in_memory().expect("a database in memory can be opened");
        #[allow(clippy::expect_used)]
        let machine = Machine::recover(store, self.params.clone(), seed, self.now, phrase)
            .expect("an empty database takes an account");
        self.add_machine(machine)
    }

    /// A new device on this database, enrolled by the recovery phrase. Its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn add_device_of(&mut self, phrase: &RecoveryPhrase, store: Store) -> usize {
        let seed = self.seed();
        #[allow(clippy::expect_used)]
        let machine = Machine::create(store, self.params.clone(), seed, self.now, phrase)
            .expect("an empty database takes an account");
        self.add_machine(machine)
    }

    /// A further device of the account that `of` belongs to, online, with its database in memory:
    /// what linking comes to, without the network. Its number.
    ///
    /// # Panics
    /// Where it cannot be taken into the account.
    pub fn add_installation(&mut self, of: usize) -> usize {
        #[allow(clippy::expect_used)]
        let store = Store::in_memory().expect("a database in memory can be opened");
        self.add_installation_on(of, store)
    }

    /// The same with this database. Its number.
    ///
    /// # Panics
    /// As [`World::add_installation`].
    pub fn add_installation_on(&mut self, of: usize, store: Store) -> usize {
        let seed = self.seed();
        let now = self.time_of(of);
        #[allow(clippy::expect_used)]
        let first = self.devices[of].machine.as_mut().expect("the device is up");
        #[allow(clippy::expect_used)]
        let machine = first.insider_installation(store, seed, now).expect("it can be linked");
        // That was no step, so nobody was told of it.
        #[allow(clippy::expect_used)]
        let told = first.events(0, u32::MAX).expect("events can be read");
        for (cursor, event) in told {
            self.devices[of].hear(cursor, event);
        }
        self.step(of, Input::Tick);
        self.add_machine(machine)
    }

    fn add_machine(&mut self, machine: Machine) -> usize {
        self.put(Some(machine), None)
    }

    /// A device that runs this, online. Its number.
    pub(crate) fn put(&mut self, machine: Option<Machine>, newcomer: Option<Newcomer>) -> usize {
        self.devices.push(Device {
            machine,
            newcomer,
            database: None,
            home: None,
            life: 0,
            tally: Tally::default(),
            online: false,
            clock_ahead_ms: 0,
            watched: BTreeSet::new(),
            events: BTreeMap::new(),
            dispositions: Vec::new(),
            answers: BTreeMap::new(),
            failures: Vec::new(),
            partition: 0,
        });
        let at = self.devices.len() - 1;
        self.set_online(at, true);
        at
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

    /// Gives a device its connection, or takes it.
    pub fn set_online(&mut self, device: usize, online: bool) {
        self.devices[device].online = online;
        self.devices[device].watched.clear();
        self.step(device, Input::Connection { connected: online });
    }

    /// Ends a device's process; its database stays.
    pub fn stop(&mut self, device: usize) {
        let it = &mut self.devices[device];
        let newcomer = it.newcomer.take().map(Newcomer::into_store);
        it.database = it.machine.take().map(Machine::into_store).or(newcomer);
        it.life += 1;
        it.online = false;
        it.watched.clear();
    }

    /// Starts a device's process again on its database, online.
    ///
    /// # Panics
    /// Where the database does not open.
    pub fn start(&mut self, device: usize) {
        let seed = self.seed();
        let now = self.time_of(device);
        let params = self.params.clone();
        let it = &mut self.devices[device];
        if !it.is_up() {
            #[allow(clippy::expect_used)]
            let store = match (it.database.take(), &it.home) {
                (Some(store), _) => store,
                (None, Some(home)) => home.open(seed).expect("what a killed process left opens"),
                (None, None) => unreachable!("a process that ended leaves its database"),
            };
            store.inject_fault_after(None);
            #[allow(clippy::expect_used)]
            it.open(store, params, seed, now).expect("what a process left can be opened");
        }
        self.set_online(device, true);
    }

    pub(crate) fn time_of(&self, device: usize) -> Timestamp {
        Timestamp(self.now.0.saturating_add_signed(self.devices[device].clock_ahead_ms))
    }

    fn schedule(&mut self, at: Timestamp, action: Action) {
        self.next_action += 1;
        self.queue.push(Reverse((at.0, self.next_action)));
        self.actions.insert(self.next_action, action);
    }

    /// Puts one input into a device's machine, and carries out what comes of it.
    pub fn step(&mut self, device: usize, input: Input) {
        let now = self.time_of(device);
        let it = &mut self.devices[device];
        let Some(store) = it.database() else { return };
        if let Some(crash) = &self.crash {
            crash.arm(device, &it.tally, store);
        }
        let stepped = it.step(now, input);
        self.keys.note(&stepped, &observe::take());
        let mut outputs = match stepped {
            Ok(outputs) => outputs,
            Err(error) => {
                if self.crash.as_ref().is_some_and(|crash| crash.caused(device, &error)) {
                    self.crash = None;
                    self.kill(device);
                } else {
                    it.failures.push(error);
                }
                return;
            }
        };
        it.tally.count(&outputs);
        let spared = match &self.crash {
            Some(crash) => {
                if let Some(store) = it.database() {
                    store.inject_fault_after(None);
                }
                crash.spares(device, &it.tally, &outputs)
            }
            None => None,
        };
        outputs.truncate(spared.unwrap_or(usize::MAX));
        for output in outputs {
            self.carry_out(device, output);
        }
        if spared.is_some() {
            self.crash = None;
            self.kill(device);
            return;
        }
        self.grow_up(device);
        if let Some(at) = self.devices[device].next_wake() {
            let at = at.0.saturating_add_signed(-self.devices[device].clock_ahead_ms);
            self.schedule(Timestamp(at.max(self.now.0 + 1)), Action::Wake(device));
        }
    }

    fn chance(&mut self, of_thousand: u64) -> bool {
        of_thousand > 0 && self.below(1000) < of_thousand
    }

    fn process(&self, device: usize) -> Process {
        Process { device, life: self.devices[device].life }
    }

    fn alive(&self, process: Process) -> Option<usize> {
        let device = &self.devices[process.device];
        (device.is_up() && device.life == process.life).then_some(process.device)
    }

    fn carry_out(&mut self, device: usize, output: Output) {
        let process = self.process(device);
        match output {
            Output::Publish { outbox, topic, payload, timestamp } => {
                if !self.devices[device].online {
                    let failure = Some(PublishFailure::Retry);
                    self.schedule(
                        self.now + Duration::from_millis(1),
                        Action::Published(process, outbox, failure),
                    );
                    return;
                }
                let message = Observed {
                    topic,
                    payload: payload.to_vec(),
                    timestamp_ns: i64::try_from(timestamp.0).unwrap_or(0).saturating_mul(1_000_000),
                    seen_at: self.now,
                    by: device,
                };
                self.inject(message);
                let failure =
                    self.chance(self.faults.false_failure).then_some(PublishFailure::Retry);
                self.schedule(
                    self.now + Duration::from_millis(1),
                    Action::Published(process, outbox, failure),
                );
            }
            Output::Watch(topics) => self.devices[device].watched.extend(topics),
            Output::Unwatch(topics) => {
                for topic in topics {
                    self.devices[device].watched.remove(&topic);
                }
            }
            Output::FetchHistory { query, topics, start, end, cursor, limit } => {
                let asked = Query { topics, start, end, cursor, limit };
                self.schedule(
                    self.now + Duration::from_millis(2),
                    Action::History(process, query, asked),
                );
            }
            Output::Answer(CommandId(id), answer) => {
                self.devices[device].answers.insert(id, answer);
            }
            Output::Event { cursor, event } => {
                self.devices[device].hear(cursor, event);
            }
            Output::Disposed(disposition) => self.devices[device].dispositions.push(disposition),
        }
    }

    /// Publishes a Waku message, whoever made it: relay and Store take anything.
    pub fn inject(&mut self, message: Observed) {
        let partition = self.devices.get(message.by).map_or(0, |device| device.partition);
        let listeners: Vec<usize> = self
            .devices
            .iter()
            .enumerate()
            .filter(|(at, device)| {
                *at != message.by
                    && device.online
                    && device.partition == partition
                    && device.watched.contains(&message.topic)
            })
            .map(|(at, _)| at)
            .collect();
        for listener in listeners {
            if self.chance(self.faults.drop) {
                continue;
            }
            let copies = 1 + usize::from(self.chance(self.faults.duplicate));
            for _ in 0..copies {
                let delay = self.below(self.faults.delay_ms.saturating_add(1)) + 1;
                let at = self.now + Duration::from_millis(delay);
                self.schedule(at, Action::Deliver(self.process(listener), message.inbound()));
            }
        }
        self.join_stores();
        self.known_in.push(self.is_parted().then_some(partition));
        self.observed.push(message);
    }

    fn is_parted(&self) -> bool {
        self.devices.windows(2).any(|pair| pair[0].partition != pair[1].partition)
    }

    /// Once the network is whole again, its Stores tell one another what they have.
    fn join_stores(&mut self) {
        if !self.is_parted() {
            for known in self.known_in.iter_mut().rev().take_while(|known| known.is_some()) {
                *known = None;
            }
        }
    }

    fn page(&mut self, device: usize, query: &Query) -> (Vec<Inbound>, Option<[u8; 32]>) {
        self.join_stores();
        let ns = |at: Timestamp| i64::try_from(at.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let partition = self.devices[device].partition;
        let mut matching: Vec<&Observed> = self
            .observed
            .iter()
            .zip(&self.known_in)
            .filter(|(_, known_in)| known_in.is_none_or(|known_in| known_in == partition))
            .map(|(message, _)| message)
            .filter(|message| {
                (ns(query.start)..=ns(query.end)).contains(&message.timestamp_ns)
                    && (query.topics.is_empty() || query.topics.contains(&message.topic))
            })
            .collect();
        matching.sort_by_key(|message| (message.timestamp_ns, message.hash()));
        let begin = match query.cursor {
            Some(cursor) => {
                matching.iter().position(|message| message.hash() == cursor).map_or(0, |at| at + 1)
            }
            None => 0,
        };
        let page: Vec<&Observed> =
            matching.iter().skip(begin).take(query.limit as usize).copied().collect();
        let more = begin + page.len() < matching.len();
        let cursor = page.last().filter(|_| more).map(|message| message.hash());
        (page.into_iter().map(Observed::inbound).collect(), cursor)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver(process, inbound) => {
                let Some(device) = self.alive(process) else { return };
                if self.devices[device].online {
                    self.step(device, Input::Envelope(inbound));
                }
            }
            Action::Published(process, outbox, failure) => {
                let Some(device) = self.alive(process) else { return };
                self.step(device, Input::Published { outbox, failure });
            }
            Action::History(process, query, asked) => {
                let Some(device) = self.alive(process) else { return };
                if !self.devices[device].online {
                    return;
                }
                if !self.has_store {
                    let reason = "no Store".to_string();
                    self.step(device, Input::HistoryFailed { query, reason, no_store: true });
                    return;
                }
                if !asked.topics.is_empty() {
                    self.asked.push((self.now, device, asked.topics.clone()));
                }
                let (messages, cursor) = self.page(device, &asked);
                self.step(device, Input::HistoryPage { query, messages, cursor });
            }
            Action::Wake(device) => {
                let now = self.time_of(device);
                if self.devices[device].next_wake().is_some_and(|at| at <= now) {
                    self.step(device, Input::Tick);
                }
            }
        }
    }

    /// What was published since so many messages were, cards left out: those come by themselves.
    pub fn no_cards_since(&self, from: usize) -> Vec<&Observed> {
        let is_card = |message: &Observed| {
            let at = u64::try_from(message.timestamp_ns).unwrap_or(0) / 1_000_000;
            let machine = self.devices.get(message.by).and_then(|by| by.machine.as_ref());
            machine.is_some_and(|by| by.insider_card_topic(Timestamp(at)) == message.topic)
        };
        self.observed[from..].iter().filter(|message| !is_card(message)).collect()
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// Where the network does not come to rest: something goes in circles.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        let mut actions = 0;
        while let Some(Reverse((at, id))) = self.queue.peek().copied() {
            if at > until.0 {
                break;
            }
            self.queue.pop();
            self.now = Timestamp(at.max(self.now.0));
            if let Some(action) = self.actions.remove(&id) {
                self.act(action);
            }
            actions += 1;
            assert!(actions < MOST_ACTIONS, "the simulation goes in circles");
        }
        self.now = until;
    }

    /// Gives a command and lets a little time pass; its answer.
    ///
    /// # Errors
    /// The command's own.
    ///
    /// # Panics
    /// Where the step fails, so that there is no answer.
    pub fn command(&mut self, device: usize, command: Command) -> Result<Answer, CommandError> {
        #[allow(clippy::expect_used)]
        let answer = self.ask(device, command).expect("a command is answered at once");
        self.run_for(Duration::from_millis(50));
        answer
    }

    /// Gives a command; its answer. None: the step failed, or the process died before it answered.
    pub fn ask(&mut self, device: usize, command: Command) -> Option<Result<Answer, CommandError>> {
        self.next_command += 1;
        let id = self.next_command;
        self.step(device, Input::Command(CommandId(id), command));
        self.devices[device].answers.remove(&id)
    }

    /// Makes two devices' accounts contacts of one another.
    ///
    /// # Panics
    /// Where a link does not work.
    #[allow(clippy::expect_used)]
    pub fn befriend(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let link = self.command(from, Command::MakeContactLink).expect("a link is made");
            let Answer::ContactLink(link) = link else { unreachable!("a link was asked for") };
            self.command(to, Command::AddContact { link, name: None }).expect("a link is taken");
        }
    }
}
