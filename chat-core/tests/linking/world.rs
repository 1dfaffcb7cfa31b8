//! A network in memory, and the devices on it, driven step by step.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use chat_core::identity::RecoveryPhrase;
use chat_core::ids::LinkingId;
use chat_core::machine::{
    Answer, Command, CommandError, CommandId, Event, Inbound, Input, LinkState, LinkView, Machine,
    Newcomer, NewcomerState, NewcomerView, Output,
};
use chat_core::params::NetworkParams;
use chat_core::store::Store;
use chat_core::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// One device: with an account, without, or switched off.
pub(crate) enum Device {
    Machine(Box<Machine>),
    Newcomer(Box<Newcomer>),
    Off(Store),
}

struct Slot {
    device: Option<Device>,
    inputs: VecDeque<Input>,
    watched: BTreeSet<String>,
    events: Vec<Event>,
    answers: Vec<Result<Answer, CommandError>>,
    /// Steps taken since the world began.
    steps: usize,
}

/// When a device is killed: in the step of this number, at this write, or after it and before what
/// it put out was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) device: usize,
    pub(crate) step: usize,
    pub(crate) write: Option<u64>,
}

/// What the network loses: of a message by this device, to that one.
type Loses = dyn FnMut(usize, usize, &Inbound) -> bool;

/// A message on the network, and who sent it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) from: usize,
    pub(crate) message: Inbound,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) params: NetworkParams,
    /// Everything that was published; also what a Store answers with.
    pub(crate) archive: Vec<Sent>,
    pub(crate) loses: Box<Loses>,
    pub(crate) has_store: bool,
    pub(crate) kill: Option<Kill>,
    pub(crate) was_killed: bool,
    devices: Vec<Slot>,
    seeds: u8,
}

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

impl World {
    /// With slots of five seconds.
    pub(crate) fn new() -> Self {
        Self::on(NetworkParams::fast())
    }

    /// With slots of an hour, where much time passes.
    pub(crate) fn slow() -> Self {
        Self::on(NetworkParams::public())
    }

    fn on(params: NetworkParams) -> Self {
        Self {
            now: START,
            params,
            archive: Vec::new(),
            loses: Box::new(|_, _, _| false),
            has_store: true,
            kill: None,
            was_killed: false,
            devices: Vec::new(),
            seeds: 0,
        }
    }

    pub(crate) fn seed(&mut self) -> [u8; 32] {
        self.seeds += 1;
        [self.seeds; 32]
    }

    pub(crate) fn put(&mut self, device: Device) -> usize {
        self.devices.push(Slot {
            device: Some(device),
            inputs: VecDeque::from([Input::Connection { connected: true }]),
            watched: BTreeSet::new(),
            events: Vec::new(),
            answers: Vec::new(),
            steps: 0,
        });
        self.devices.len() - 1
    }

    /// A device with an account of its own.
    pub(crate) fn account(&mut self) -> usize {
        let seed = self.seed();
        let phrase = RecoveryPhrase::generate(&mut ChaCha20Rng::from_seed(seed));
        let (store, params, seed) = (Store::in_memory().unwrap(), self.params.clone(), self.seed());
        let machine = Machine::create(store, params, seed, self.now, &phrase).unwrap();
        self.put(Device::Machine(Box::new(machine)))
    }

    /// A new device that shows a code.
    pub(crate) fn newcomer(&mut self, name: &str) -> usize {
        let (store, params, seed) = (Store::in_memory().unwrap(), self.params.clone(), self.seed());
        let newcomer = Newcomer::create(store, params, seed, self.now, name).unwrap();
        self.put(Device::Newcomer(Box::new(newcomer)))
    }

    pub(crate) fn device(&self, at: usize) -> &Device {
        self.devices[at].device.as_ref().unwrap()
    }

    /// Takes a device away for good.
    pub(crate) fn take(&mut self, at: usize) -> Device {
        self.devices[at].inputs.clear();
        self.devices[at].device.take().unwrap()
    }

    pub(crate) fn machine(&self, at: usize) -> &Machine {
        match self.device(at) {
            Device::Machine(machine) => machine,
            _ => panic!("device {at} has no account"),
        }
    }

    pub(crate) fn new_device(&self, at: usize) -> &Newcomer {
        match self.device(at) {
            Device::Newcomer(newcomer) => newcomer,
            _ => panic!("device {at} is no newcomer"),
        }
    }

    pub(crate) fn events(&self, at: usize) -> &[Event] {
        &self.devices[at].events
    }

    pub(crate) fn code(&self, at: usize) -> String {
        self.new_device(at).code().unwrap().to_string()
    }

    /// The new device's own view, whichever machine it is by now.
    pub(crate) fn view(&self, at: usize) -> NewcomerView {
        match self.device(at) {
            Device::Newcomer(newcomer) => newcomer.view(),
            Device::Machine(machine) => machine.arrival().unwrap(),
            Device::Off(_) => panic!("device {at} is off"),
        }
    }

    pub(crate) fn link(&self, at: usize, id: &LinkingId) -> LinkView {
        self.machine(at).linking(id).unwrap()
    }

    pub(crate) fn switch_off(&mut self, at: usize) {
        let slot = &mut self.devices[at];
        slot.inputs.clear();
        slot.watched.clear();
        let store = match slot.device.take().unwrap() {
            Device::Machine(machine) => machine.into_store(),
            Device::Newcomer(newcomer) => newcomer.into_store(),
            Device::Off(store) => store,
        };
        slot.device = Some(Device::Off(store));
    }

    pub(crate) fn switch_on(&mut self, at: usize) {
        let seed = self.seed();
        let Some(Device::Off(store)) = self.devices[at].device.take() else {
            panic!("device {at} is on");
        };
        let device = match Machine::has_account(&store).unwrap() {
            true => {
                let machine = Machine::open(store, self.params.clone(), seed, self.now).unwrap();
                Device::Machine(Box::new(machine))
            }
            false => {
                let newcomer = Newcomer::open(store, self.params.clone(), seed, self.now).unwrap();
                Device::Newcomer(Box::new(newcomer))
            }
        };
        let slot = &mut self.devices[at];
        slot.device = Some(device);
        slot.inputs.push_back(Input::Connection { connected: true });
    }

    fn kill_now(&mut self, at: usize) {
        self.was_killed = true;
        self.kill = None;
        self.switch_off(at);
        if let Device::Off(store) = self.device(at) {
            store.inject_fault_after(None);
        }
        self.switch_on(at);
    }

    fn step(&mut self, at: usize, input: Input) {
        let now = self.now;
        let steps = self.devices[at].steps;
        self.devices[at].steps += 1;
        let kill = self.kill.filter(|kill| kill.device == at && kill.step == steps);
        let inject = |store: &Store| {
            if let Some(kill) = kill {
                store.inject_fault_after(kill.write);
            }
        };
        let (outputs, wake) = match self.devices[at].device.as_mut().unwrap() {
            Device::Machine(machine) => {
                inject(machine.store());
                (machine.step(now, input), machine.next_wake())
            }
            Device::Newcomer(newcomer) => {
                inject(newcomer.store());
                (newcomer.step(now, input), newcomer.next_wake())
            }
            Device::Off(_) => return,
        };
        if let Some(kill) = kill {
            assert!(outputs.is_ok() || kill.write.is_some(), "{outputs:?}");
            // Whatever it put out is lost with it.
            return self.kill_now(at);
        }
        assert!(wake.is_none_or(|wake| wake > now), "it would spin");
        for output in outputs.unwrap() {
            self.carry_out(at, output);
        }
        if matches!(self.device(at), Device::Newcomer(it) if it.is_linked()) {
            let Some(Device::Newcomer(newcomer)) = self.devices[at].device.take() else { return };
            let machine = newcomer.into_machine().unwrap();
            self.devices[at].device = Some(Device::Machine(Box::new(machine)));
            self.devices[at].inputs.push_back(Input::Connection { connected: true });
        }
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        match output {
            Output::Publish { outbox, topic, payload, timestamp } => {
                let timestamp_ns = i64::try_from(timestamp.0).unwrap() * 1_000_000;
                let message = Inbound { topic, payload, timestamp_ns };
                self.devices[at].inputs.push_back(Input::Published { outbox, failure: None });
                self.publish(at, message);
            }
            Output::Watch(topics) => self.devices[at].watched.extend(topics),
            Output::Unwatch(topics) => {
                self.devices[at].watched.retain(|topic| !topics.contains(topic));
            }
            Output::FetchHistory { query, start, end, .. } => {
                let input = match self.has_store {
                    true => {
                        let within = |sent: &&Sent| {
                            let at = Timestamp((sent.message.timestamp_ns / 1_000_000) as u64);
                            (start..=end).contains(&at)
                        };
                        let messages =
                            self.archive.iter().filter(within).map(|sent| sent.message.clone());
                        Input::HistoryPage { query, messages: messages.collect(), cursor: None }
                    }
                    false => Input::HistoryFailed { query, reason: "none".into(), no_store: true },
                };
                self.devices[at].inputs.push_back(input);
            }
            Output::Answer(_, answer) => self.devices[at].answers.push(answer),
            Output::Event { event, .. } => self.devices[at].events.push(event),
            Output::Disposed(_) => {}
        }
    }

    /// Puts a message on the network; its sender hears it too, as relays do.
    pub(crate) fn publish(&mut self, from: usize, message: Inbound) {
        self.archive.push(Sent { from, message: message.clone() });
        for to in 0..self.devices.len() {
            if !(self.loses)(from, to, &message) {
                self.deliver(to, message.clone());
            }
        }
    }

    /// Hands a message to a device, if it listens.
    pub(crate) fn deliver(&mut self, to: usize, message: Inbound) {
        if self.devices[to].watched.contains(&message.topic) {
            self.devices[to].inputs.push_back(Input::Envelope(message));
        }
    }

    /// Until nothing is left to do at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let next = (0..self.devices.len()).find(|at| !self.devices[*at].inputs.is_empty());
            let Some(at) = next else { return };
            let input = self.devices[at].inputs.pop_front().unwrap();
            self.step(at, input);
        }
        panic!("it never settles");
    }

    /// Lets time pass; whoever wants to be woken is.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let wake = |slot: &Slot| match slot.device.as_ref().unwrap() {
                Device::Machine(machine) => machine.next_wake(),
                Device::Newcomer(newcomer) => newcomer.next_wake(),
                Device::Off(_) => None,
            };
            let next = self.devices.iter().filter_map(wake).min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            for slot in &mut self.devices {
                if wake(slot).is_some_and(|at| at <= next) {
                    slot.inputs.push_back(Input::Tick);
                }
            }
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    pub(crate) fn command(&mut self, at: usize, command: Command) -> Result<Answer, CommandError> {
        self.settle();
        self.devices[at].answers.clear();
        self.step(at, Input::Command(CommandId(1), command));
        self.settle();
        // Who was killed with it does not hear the answer.
        self.devices[at].answers.pop().unwrap_or(Ok(Answer::Done))
    }

    /// The answering of a code; its id.
    pub(crate) fn answer(&mut self, at: usize, code: &str) -> Result<LinkView, CommandError> {
        match self.command(at, Command::AnswerLink { code: code.into() })? {
            Answer::Linking(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn confirm(
        &mut self,
        at: usize,
        id: LinkingId,
        string: &str,
    ) -> Result<LinkView, CommandError> {
        match self.command(at, Command::ConfirmLink { id, string: string.into() })? {
            Answer::Linking(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn cancel(&mut self, at: usize, id: LinkingId) -> Result<Answer, CommandError> {
        self.command(at, Command::CancelLink { id })
    }

    /// What a user does who sees both screens, as often as is needed.
    pub(crate) fn link_by_hand(&mut self, old: usize, new: usize) {
        let id = self.view(new).id;
        for _ in 0..60 {
            self.pass(SECOND);
            let new_one = self.view(new);
            match self.machine(old).linking(&id).map(|link| link.state) {
                None => {
                    let code = match self.device(new) {
                        Device::Newcomer(newcomer) => newcomer.code(),
                        _ => None,
                    };
                    if let Some(code) = code {
                        let _ = self
                            .command(old, Command::AnswerLink { code: (*code).as_str().into() });
                    }
                }
                Some(LinkState::AwaitsString) => {
                    if let Some(string) = new_one.string {
                        let _ = self.command(old, Command::ConfirmLink { id, string });
                    }
                }
                Some(LinkState::Done) if new_one.state == NewcomerState::Done => return,
                _ => {}
            }
        }
        panic!("not linked: {:?}, {:?}", self.machine(old).linkings(), self.view(new));
    }

    /// Steps that a device has taken.
    pub(crate) fn steps(&self, at: usize) -> usize {
        self.devices[at].steps
    }
}
