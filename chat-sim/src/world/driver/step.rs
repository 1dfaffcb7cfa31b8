//! Inputs and outputs of a device in a world.

use std::time::Duration;

use chat_core::database::DatabaseError;
use chat_core::group::observe;
use chat_core::machine::{Input, Newcomer, Output, PublishFailure, QueryId, StepError};
use chat_core::random::Entropy;
use chat_core::time::Timestamp;
use rand_core::Rng as _;

use super::message::{inbound, nanoseconds};
use crate::crash::Kind;
use crate::world::action::{Action, Process};
use crate::world::device::Device;
use crate::world::network::{Observed, Query, StoreQuery};
use crate::world::state::World;

/// Until the result of a publication is known.
const PUBLISHED: Duration = Duration::from_millis(1);
/// Until the Store answers.
const HISTORY: Duration = Duration::from_millis(2);

fn kind(output: &Output) -> Kind {
    match output {
        Output::Publish { .. } => Kind::Publishes,
        Output::Answer(..) | Output::Event { .. } => Kind::Tells,
        Output::Watch(_)
        | Output::Unwatch(_)
        | Output::FetchHistory { .. }
        | Output::Disposed(_) => Kind::Other,
    }
}

/// Whether a step refused what the application asked for, and so hands nothing out.
fn is_refusal(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Answer(_, Err(_))))
}

impl Device {
    fn step(
        &mut self,
        now: Timestamp,
        entropy: Entropy,
        input: Input,
    ) -> Result<Vec<Output>, StepError> {
        match (&mut self.machine, &mut self.newcomer) {
            (Some(machine), _) => machine.step(now, entropy, input),
            (None, Some(newcomer)) => newcomer.step(now, entropy, input),
            (None, None) => Ok(Vec::new()),
        }
    }
}

impl World {
    /// Gives a device its connection, or takes it.
    pub fn set_online(&mut self, device: usize, online: bool) {
        let port = &mut self.network.ports[device];
        port.online = online;
        port.watched.clear();
        self.step(device, Input::Connection { connected: online });
    }

    /// Takes a device's connection and gives it back, so that it fetches what it missed.
    pub fn reconnect(&mut self, device: usize) {
        self.set_online(device, false);
        self.set_online(device, true);
    }

    /// Wakes a device's machine, whether it wants that or not.
    pub fn tick(&mut self, device: usize) {
        self.step(device, Input::Tick);
    }

    /// Hands a Waku message to a device, whatever it watches, now.
    pub fn hand_over(&mut self, device: usize, message: &Observed) {
        self.step(device, Input::Envelope(inbound(message)));
    }

    /// Lets a device see a timestamp, in nanoseconds since the unix epoch, of a message on its shard
    /// that is not its business.
    pub fn show_time(&mut self, device: usize, timestamp_ns: i64) {
        self.step(device, Input::ObservedTime { timestamp_ns });
    }

    /// Has a device get a message after some milliseconds, if its process lives so long.
    pub(in crate::world) fn deliver_after(&mut self, device: usize, message: &Observed, ms: u64) {
        let action = Action::Deliver(self.process(device), inbound(message));
        self.clock.schedule(self.now() + Duration::from_millis(ms), action);
    }

    /// Puts one input into a device's machine, and carries out what comes of it.
    pub(super) fn step(&mut self, device: usize, input: Input) {
        let now = self.time_of(device);
        let mut fresh = [0; 32];
        self.entropy.fill_bytes(&mut fresh);
        let entropy = Entropy::new(fresh);
        let it = &mut self.devices[device];
        let Some(store) = it.database() else { return };
        if let Some(crash) = &self.crash
            && let Some(writes) = crash.writes_before(device, &it.tally)
        {
            store.inject_fault_after(Some(writes));
        }
        let stepped = it.step(now, entropy, input);
        let sealed = observe::take();
        let mut outputs = match stepped {
            Ok(outputs) => outputs,
            Err(error) => return self.failed(device, error),
        };
        if !is_refusal(&outputs) {
            self.keys.note(&sealed);
        }
        if !sealed.is_empty() {
            self.note_epochs(device);
        }
        let it = &mut self.devices[device];
        let kinds: Vec<Kind> = outputs.iter().map(kind).collect();
        it.tally.count(&kinds);
        let spared = match &self.crash {
            Some(crash) => {
                if let Some(store) = it.database() {
                    store.inject_fault_after(None);
                }
                crash.spares(device, &it.tally, &kinds)
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
            assert!(at > now, "device {device} would spin: at {now:?} it wants to wake at {at:?}");
            let at = at.0.saturating_add_signed(-self.devices[device].clock_ahead_ms);
            let at = Timestamp(at.max(self.now().0 + 1));
            self.clock.schedule(at, Action::Wake(device));
        }
    }

    /// Notes who is in the epochs that a device follows: it has just encrypted something.
    fn note_epochs(&mut self, device: usize) {
        let Some(machine) = &self.devices[device].machine else { return };
        for group in machine.groups().into_iter().flatten() {
            let members = machine.members(&group.id).ok().flatten().unwrap_or_default();
            let installations = members.into_iter().flat_map(|member| member.installations);
            self.epochs.entry(group.epoch_id).or_insert_with(|| installations.collect());
        }
    }

    fn failed(&mut self, device: usize, error: StepError) {
        let planned = self.crash.as_ref().is_some_and(|crash| crash.device == device);
        match error {
            StepError::Database(DatabaseError::Injected) if planned => {
                self.crash = None;
                self.kill(device);
            }
            error => self.devices[device].failures.push(error),
        }
    }

    /// A new device that was given its account runs the machine of it from now on.
    fn grow_up(&mut self, device: usize) {
        let it = &mut self.devices[device];
        let Some(newcomer) = it.newcomer.take_if(|newcomer| newcomer.is_linked()) else { return };
        #[allow(clippy::expect_used)]
        let machine = Newcomer::into_machine(newcomer).expect("a linked device has an account");
        it.machine = Some(machine);
        // What the newcomer asked for is nothing to the machine.
        it.life += 1;
        let online = self.is_online(device);
        self.set_online(device, online);
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
                let failed = match self.is_online(device) {
                    true => {
                        let timestamp_ns = nanoseconds(timestamp);
                        let (seen_at, by) = (self.now(), device);
                        let payload = payload.to_vec();
                        self.inject(Observed { topic, payload, timestamp_ns, seen_at, by });
                        self.network.fails_falsely(&mut self.rng)
                    }
                    false => true,
                };
                let failure = failed.then_some(PublishFailure::Retry);
                let action = Action::Published(process, outbox, failure);
                self.clock.schedule(self.now() + PUBLISHED, action);
            }
            Output::Watch(topics) => self.network.ports[device].watched.extend(topics),
            Output::Unwatch(topics) => {
                for topic in topics {
                    self.network.ports[device].watched.remove(&topic);
                }
            }
            Output::FetchHistory { query, topics, start, end, cursor, limit } => {
                let asked = Query { topics, start, end, cursor, limit };
                let action = Action::History(process, query, asked);
                self.clock.schedule(self.now() + HISTORY, action);
            }
            Output::Answer(id, answer) => {
                self.devices[device].answers.insert(id.0, answer);
            }
            Output::Event { cursor, event } => self.devices[device].hear(cursor, event),
            Output::Disposed(disposition) => self.devices[device].dispositions.push(disposition),
        }
    }

    /// Lets happen what was planned for now.
    pub(in crate::world) fn act(&mut self, action: Action) {
        match action {
            Action::Deliver(process, inbound) => {
                let Some(device) = self.alive(process) else { return };
                if self.is_online(device) {
                    self.step(device, Input::Envelope(inbound));
                }
            }
            Action::Published(process, outbox, failure) => {
                let Some(device) = self.alive(process) else { return };
                self.step(device, Input::Published { outbox, failure });
            }
            Action::History(process, query, asked) => {
                let Some(device) = self.alive(process) else { return };
                if self.is_online(device) {
                    self.answer_query(device, query, &asked);
                }
            }
            Action::Wake(device) => {
                let now = self.time_of(device);
                if self.devices[device].next_wake().is_some_and(|at| at <= now) {
                    self.step(device, Input::Tick);
                }
            }
        }
    }

    fn answer_query(&mut self, device: usize, query: QueryId, asked: &Query) {
        if !self.network.has_store {
            let reason = "no Store".to_string();
            return self.step(device, Input::HistoryFailed { query, reason, no_store: true });
        }
        self.network.queries.push(StoreQuery {
            at: self.now(),
            by: device,
            topics: asked.topics.clone(),
            start: asked.start,
            end: asked.end,
            goes_on: asked.cursor.is_some(),
        });
        if !asked.topics.is_empty() {
            self.network.asked.push((self.now(), device, asked.topics.clone()));
        }
        let (page, cursor) = self.network.page(device, asked);
        let messages = page.iter().map(inbound).collect();
        self.step(device, Input::HistoryPage { query, messages, cursor });
    }
}
