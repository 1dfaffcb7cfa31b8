//! A machine that is driven by hand: the test is its network, its Store and its clock.

use std::time::Duration;

use chat_core::machine::{
    Answer, Command, CommandError, CommandId, Disposition, Event, Input, Machine, OpenError,
    OutboxId, Output, PublishFailure, QueryId, StepError,
};
use chat_core::random::Entropy;
use chat_core::time::Timestamp;

use super::command::{Asked, Hand};
use super::message::{inbound, nanoseconds};
use crate::world::network::Observed;
use crate::world::state::World;

/// A query that a machine asks a Store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Its name.
    pub id: QueryId,
    /// Content topics; none for the whole shard.
    pub topics: Vec<String>,
    /// Begin, inclusive.
    pub start: Timestamp,
    /// End, inclusive.
    pub end: Timestamp,
}

/// What a machine told, in order of time within each kind.
#[derive(Debug, Default)]
pub struct Told {
    /// What it publishes. The messages are by device 0, whatever the machine's number was.
    pub published: Vec<(OutboxId, Observed)>,
    /// What it asks the Store.
    pub queries: Vec<HistoryQuery>,
    /// The sets of topics that it began to watch.
    pub watched: Vec<Vec<String>>,
    /// Its events.
    pub events: Vec<Event>,
    /// What became of the envelopes that it was given.
    pub dispositions: Vec<Disposition>,
    /// The answers to its commands, until they are fetched.
    answers: Vec<(CommandId, Result<Answer, CommandError>)>,
}

impl Told {
    fn take(&mut self, now: Timestamp, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Publish { outbox, topic, payload, timestamp } => {
                    let timestamp_ns = nanoseconds(timestamp);
                    let payload = payload.to_vec();
                    let message = Observed { topic, payload, timestamp_ns, seen_at: now, by: 0 };
                    self.published.push((outbox, message));
                }
                Output::FetchHistory { query: id, topics, start, end, .. } => {
                    self.queries.push(HistoryQuery { id, topics, start, end });
                }
                Output::Watch(topics) => self.watched.push(topics),
                Output::Unwatch(_) => {}
                Output::Answer(id, answer) => self.answers.push((id, answer)),
                Output::Event { event, .. } => self.events.push(event),
                Output::Disposed(disposition) => self.dispositions.push(disposition),
            }
        }
    }
}

/// A machine that is driven by hand.
#[derive(Debug)]
pub struct ByHand {
    /// The machine.
    pub machine: Machine,
    /// Its clock, which each step moves on by [`ByHand::step_time`].
    pub now: Timestamp,
    /// How much time a step takes.
    pub step_time: Duration,
    /// What it told since it was last taken from here.
    pub told: Told,
    /// Why the step of the last command failed, if it did.
    pub failure: Option<StepError>,
    commands: u64,
    /// Its steps; a machine by hand gets their number for randomness.
    steps: u64,
}

impl ByHand {
    /// Drives a machine from a moment on, with five milliseconds between two steps.
    pub fn new(machine: Machine, now: Timestamp) -> Self {
        Self {
            machine,
            now,
            step_time: Duration::from_millis(5),
            told: Told::default(),
            failure: None,
            commands: 0,
            steps: 0,
        }
    }

    /// Takes a device's machine out of a world, offline.
    ///
    /// # Panics
    /// Where its process is down.
    pub fn from_world(world: &mut World, device: usize) -> Self {
        world.set_online(device, false);
        #[allow(clippy::expect_used)]
        let machine = world.devices[device].machine.take().expect("the device is up");
        Self::new(machine, world.now())
    }

    fn try_step(&mut self, input: Input) -> Result<(), StepError> {
        self.try_batch(vec![input])
    }

    fn try_batch(&mut self, inputs: Vec<Input>) -> Result<(), StepError> {
        self.now = self.now + self.step_time;
        self.steps += 1;
        let mut fresh = [0; 32];
        fresh[..8].copy_from_slice(&self.steps.to_be_bytes());
        let outputs = self.machine.step_all(self.now, Entropy::new(fresh), inputs)?;
        self.told.take(self.now, outputs);
        Ok(())
    }

    #[allow(clippy::expect_used)]
    fn step(&mut self, input: Input) {
        self.try_step(input).expect("the step succeeds");
    }

    /// Gives or takes the connection.
    ///
    /// # Panics
    /// Where the step fails; so it is with all methods of this type that do not say otherwise.
    pub fn connect(&mut self, connected: bool) {
        self.step(Input::Connection { connected });
    }

    /// Wakes the machine.
    pub fn tick(&mut self) {
        self.step(Input::Tick);
    }

    /// Tells the machine that envelopes were lost on the way to it.
    pub fn miss(&mut self) {
        self.step(Input::Missed);
    }

    /// Shows the machine a timestamp of a message that is not its business, in nanoseconds since the
    /// unix epoch.
    pub fn show_time(&mut self, timestamp_ns: i64) {
        self.step(Input::ObservedTime { timestamp_ns });
    }

    /// Hands the machine a Waku message.
    pub fn deliver(&mut self, message: &Observed) {
        self.step(Input::Envelope(inbound(message)));
    }

    /// Hands the machine Waku messages in one step.
    ///
    /// # Errors
    /// Where the step fails; the machine has none of them then.
    pub fn try_deliver_all(&mut self, messages: &[Observed]) -> Result<(), StepError> {
        let inputs = messages.iter().map(|message| Input::Envelope(inbound(message)));
        self.try_batch(inputs.collect())
    }

    /// Tells the machine what became of a publication.
    pub fn published(&mut self, outbox: OutboxId, failure: Option<PublishFailure>) {
        self.step(Input::Published { outbox, failure });
    }

    /// Answers a query with a page, and where the next one begins.
    ///
    /// # Errors
    /// Where the step fails.
    pub fn try_page(
        &mut self,
        query: QueryId,
        messages: &[Observed],
        cursor: Option<[u8; 32]>,
    ) -> Result<(), StepError> {
        let messages = messages.iter().map(inbound).collect();
        self.try_step(Input::HistoryPage { query, messages, cursor })
    }

    /// Answers a query with a page, and where the next one begins.
    #[allow(clippy::expect_used)]
    pub fn page(&mut self, query: QueryId, messages: &[Observed], cursor: Option<[u8; 32]>) {
        self.try_page(query, messages, cursor).expect("the step succeeds");
    }

    /// Lets a query fail.
    pub fn fail_query(&mut self, query: QueryId, reason: &str, no_store: bool) {
        self.step(Input::HistoryFailed { query, reason: reason.to_owned(), no_store });
    }

    /// The query that the machine asked last; those before it are forgotten.
    pub fn asked(&mut self) -> Option<HistoryQuery> {
        std::mem::take(&mut self.told.queries).pop()
    }

    /// The hand of a user on it. A command whose step fails is not answered; the error is in
    /// [`ByHand::failure`] then.
    pub fn user(&mut self) -> Hand<'_> {
        Hand::on(self)
    }

    /// Opens its database again, in a new process at the same moment.
    ///
    /// # Errors
    /// Where the database does not open.
    pub fn reopen(self, seed: [u8; 32]) -> Result<Self, OpenError> {
        let (now, step_time, params) = (self.now, self.step_time, self.machine.params().clone());
        let store = self.machine.into_database();
        store.inject_fault_after(None);
        let machine = Machine::open(store, params, seed, now)?;
        Ok(Self { step_time, ..Self::new(machine, now) })
    }
}

impl Asked for &mut ByHand {
    fn ask(&mut self, command: Command, _: Duration) -> Option<Result<Answer, CommandError>> {
        let id = CommandId(self.commands);
        self.commands += 1;
        self.failure = self.try_step(Input::Command(id, command)).err();
        let mut answers = std::mem::take(&mut self.told.answers);
        answers.retain(|(of, _)| *of == id);
        assert!(answers.len() == usize::from(self.failure.is_none()), "each is answered once");
        answers.pop().map(|(_, answer)| answer)
    }
}
