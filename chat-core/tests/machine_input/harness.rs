//! One machine with a peer, driven by bytes: each byte string is a sequence of inputs, so that
//! property tests and the fuzzer say the same with the same bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_core::identity::RecoveryPhrase;
use chat_core::ids::{AccountId, GroupId, ItemHash, RequestId};
use chat_core::machine::{
    Answer, Command, CommandId, ContactView, GroupView, Inbound, Input, Machine, MessageView,
    OutboxId, Output, PublishFailure, QueryId, RequestView, StepError,
};
use chat_core::params::NetworkParams;
use chat_core::store::{Store, StoreError};
use chat_core::time::{Slot, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// Messages that are remembered for replays.
const CAPTURED: usize = 200;

/// Bytes that decide; zeros once there are no more.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// True once in so many times.
    fn once_in(&mut self, times: u8) -> bool {
        self.byte().is_multiple_of(times)
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn long(&mut self) -> u64 {
        (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte()))
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn text(&mut self) -> String {
        match self.byte() {
            255 => "x".repeat(200_000),
            254 => "x".repeat(2_000),
            len => {
                let bytes: Vec<u8> = (0..len % 24).map(|_| self.byte()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = usize::from(self.word());
        from.get(at.checked_rem(from.len())?).cloned()
    }
}

/// What a machine shows of itself.
#[derive(Debug, PartialEq)]
struct Shown {
    groups: Vec<GroupView>,
    history: Vec<Vec<MessageView>>,
    contacts: Vec<ContactView>,
    requests: Vec<RequestView>,
}

fn shown(machine: &Machine) -> Shown {
    let groups = machine.groups().unwrap();
    let history: Vec<Vec<MessageView>> =
        groups.iter().map(|group| machine.history(&group.id, None, 10_000).unwrap()).collect();
    for messages in &history {
        let hashes: BTreeSet<ItemHash> = messages.iter().map(|message| message.message).collect();
        assert_eq!(hashes.len(), messages.len(), "a message is in the history twice");
    }
    let contacts = machine.contacts().unwrap();
    let requests = machine.requests().unwrap();
    Shown { groups, history, contacts, requests }
}

/// The machine under test, its peer, and what passed between them.
pub(crate) struct Harness {
    machine: Option<Machine>,
    peer: Machine,
    params: NetworkParams,
    now: Timestamp,
    /// How far the machine's clock is ahead.
    ahead_ms: i64,
    captured: Vec<Inbound>,
    queries: Vec<QueryId>,
    outbox: Vec<OutboxId>,
    groups: Vec<GroupId>,
    accounts: Vec<AccountId>,
    connected: bool,
    commands: u64,
    link: String,
}

impl Harness {
    /// Two accounts that know each other, in one group.
    pub(crate) fn new() -> Self {
        let params = NetworkParams::fast();
        let now = Timestamp::from_secs(1_800_000_000);
        let account = |seed: u8| {
            let phrase = RecoveryPhrase::generate(&mut ChaCha20Rng::from_seed([seed; 32]));
            let store = Store::in_memory().unwrap();
            Machine::create(store, params.clone(), [seed + 10; 32], now, &phrase).unwrap()
        };
        let (machine, peer) = (account(1), account(2));
        let accounts = [&machine, &peer].map(|it| it.identity().unwrap().account).to_vec();
        let mut it = Self {
            machine: Some(machine),
            peer,
            params,
            now,
            ahead_ms: 0,
            captured: Vec::new(),
            queries: Vec::new(),
            outbox: Vec::new(),
            groups: Vec::new(),
            accounts,
            connected: false,
            commands: 0,
            link: String::new(),
        };
        it.prepare();
        it
    }

    fn prepare(&mut self) {
        self.step(Input::Connection { connected: true });
        self.connected = true;
        self.answer_query();
        self.step_peer(Input::Connection { connected: true });
        let mine = self.step(Input::Command(CommandId(0), Command::MakeContactLink));
        let theirs = self.step_peer(Input::Command(CommandId(0), Command::MakeContactLink));
        let link = |outputs: &[Output]| {
            outputs.iter().find_map(|output| match output {
                Output::Answer(_, Ok(Answer::ContactLink(link))) => Some(link.clone()),
                _ => None,
            })
        };
        let (mine, theirs) = (link(&mine).unwrap(), link(&theirs).unwrap());
        let add = |link: String| {
            Input::Command(CommandId(0), Command::AddContact { link, name: Some("them".into()) })
        };
        self.step(add(theirs.clone()));
        self.link = theirs;
        self.step_peer(add(mine));
        let members = vec![self.accounts[1]];
        let (name, description) = ("hikers".to_string(), String::new());
        let create = Command::CreateGroup { name, description, members };
        self.step(Input::Command(CommandId(0), create));
        self.groups = self.machine().groups().unwrap().iter().map(|group| group.id).collect();
        // Doorbell, invitation and commit reach the peer, the doorbell first.
        for _ in 0..2 {
            for message in self.captured.clone() {
                self.step_peer(Input::Envelope(message));
            }
        }
        assert_eq!(self.peer.groups().unwrap().len(), 1, "the peer is in the group");
    }

    fn machine(&self) -> &Machine {
        self.machine.as_ref().unwrap()
    }

    fn time(&self) -> Timestamp {
        Timestamp(self.now.0.saturating_add_signed(self.ahead_ms))
    }

    fn capture(&mut self, topic: String, payload: Vec<u8>, at: Timestamp) {
        if self.captured.len() == CAPTURED {
            self.captured.remove(0);
        }
        let timestamp_ns = i64::try_from(at.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        self.captured.push(Inbound { topic, payload: payload.into(), timestamp_ns });
    }

    /// A step that has to succeed.
    fn step(&mut self, input: Input) -> Vec<Output> {
        match self.try_step(input) {
            Ok(outputs) => outputs,
            Err(error) => panic!("a step failed: {error}"),
        }
    }

    fn try_step(&mut self, input: Input) -> Result<Vec<Output>, StepError> {
        self.now = self.now + Duration::from_millis(1);
        let now = self.time();
        let machine = self.machine.as_mut().unwrap();
        let outputs = machine.step(now, input)?;
        if let Some(wake) = machine.next_wake() {
            let slot_ends = Slot::at(now, self.params.slot_secs).next();
            let latest = slot_ends.start(self.params.slot_secs).max(now + Duration::from_millis(1));
            assert!(wake > now && wake <= latest, "{now:?}: wakes at {wake:?}");
        }
        for output in &outputs {
            match output {
                Output::Publish { outbox, topic, payload, timestamp } => {
                    self.outbox.push(*outbox);
                    self.capture(topic.clone(), payload.to_vec(), *timestamp);
                }
                Output::FetchHistory { query, .. } => self.queries.push(*query),
                Output::Answer(_, Ok(Answer::Group(group))) => self.groups.push(group.id),
                _ => {}
            }
        }
        Ok(outputs)
    }

    /// The peer is honest, on time and has a good Store.
    fn step_peer(&mut self, input: Input) -> Vec<Output> {
        let mut all = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let outputs = self.peer.step(self.now, input).unwrap();
            for output in &outputs {
                match output {
                    Output::Publish { outbox, topic, payload, timestamp } => {
                        self.capture(topic.clone(), payload.to_vec(), *timestamp);
                        inputs.push(Input::Published { outbox: *outbox, failure: None });
                    }
                    Output::FetchHistory { query, .. } => inputs.push(Input::HistoryPage {
                        query: *query,
                        messages: self.captured.clone(),
                        cursor: None,
                    }),
                    _ => {}
                }
            }
            all.extend(outputs);
        }
        all
    }

    fn answer_query(&mut self) {
        if let Some(query) = self.queries.pop() {
            let messages = self.captured.clone();
            self.step(Input::HistoryPage { query, messages, cursor: None });
        }
    }

    /// Carries out the inputs that the bytes say, and checks what must hold.
    pub(crate) fn run(&mut self, data: &[u8]) {
        let mut choices = Choices(data);
        while !choices.0.is_empty() {
            self.one(&mut choices);
        }
        let before = shown(self.machine());
        self.reopen();
        assert_eq!(shown(self.machine()), before, "what was reopened is the same");
    }

    fn reopen(&mut self) {
        let store = self.machine.take().unwrap().into_store();
        store.inject_fault_after(None);
        let seed = [self.now.0 as u8; 32];
        let machine = Machine::open(store, self.params.clone(), seed, self.time()).unwrap();
        self.machine = Some(machine);
        self.queries.clear();
        self.step(Input::Connection { connected: self.connected });
    }

    fn one(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            0 => {
                let ms = u64::from(choices.word());
                self.now = self.now + Duration::from_millis(ms);
                self.step(Input::Tick);
            }
            1 => {
                let quarters = i64::from(choices.byte() as i8);
                self.ahead_ms = quarters * 15 * 60_000;
                self.step(Input::Tick);
            }
            2 => {
                if let Some(message) = self.mutated(choices) {
                    self.step(Input::Envelope(message));
                }
            }
            3 => {
                let topic = match (choices.byte() % 4, choices.pick(&self.captured)) {
                    (0, _) | (_, None) => choices.text(),
                    (_, Some(message)) => message.topic,
                };
                let len = [0, 1, 512, 513, 1024, 2048, 131_072][usize::from(choices.byte() % 7)];
                let payload = vec![choices.byte(); len].into();
                let timestamp_ns = self.timestamp(choices);
                self.step(Input::Envelope(Inbound { topic, payload, timestamp_ns }));
            }
            4 => {
                let query = self.some_query(choices);
                let count = choices.byte() % 6;
                let messages = (0..count).filter_map(|_| self.mutated(choices)).collect();
                let cursor = (choices.once_in(2)).then(|| [choices.byte(); 32]);
                self.step(Input::HistoryPage { query, messages, cursor });
            }
            5 => {
                let query = self.some_query(choices);
                let (reason, no_store) = (choices.text(), choices.once_in(2));
                self.step(Input::HistoryFailed { query, reason, no_store });
            }
            6 => {
                let outbox = choices.pick(&self.outbox).unwrap_or(OutboxId(choices.long()));
                let failure = [None, Some(PublishFailure::Retry), Some(PublishFailure::Refused)]
                    [usize::from(choices.byte() % 3)];
                self.step(Input::Published { outbox, failure });
            }
            7 => {
                self.connected = !choices.once_in(3);
                self.step(Input::Connection { connected: self.connected });
            }
            8 => {
                let timestamp_ns = self.timestamp(choices);
                self.step(Input::ObservedTime { timestamp_ns });
            }
            9 | 10 => {
                let command = self.command(choices);
                self.commands += 1;
                let id = CommandId(self.commands);
                let outputs = self.step(Input::Command(id, command));
                let answered =
                    |output: &&Output| matches!(output, Output::Answer(to, _) if *to == id);
                assert_eq!(outputs.iter().filter(answered).count(), 1, "each is answered once");
            }
            11 => {
                let group = self.groups[0];
                let command = match choices.byte() % 4 {
                    0 => Command::DescribeGroup {
                        group,
                        name: Some(choices.text()),
                        description: None,
                    },
                    1 => Command::CreateGroup {
                        name: "another".into(),
                        description: String::new(),
                        members: vec![self.accounts[0]],
                    },
                    _ => Command::Send { group, text: choices.text() },
                };
                self.step_peer(Input::Command(CommandId(0), command));
            }
            12 => {
                if let Some(message) = choices.pick(&self.captured) {
                    self.step_peer(Input::Envelope(message));
                }
            }
            13 => match choices.byte() % 8 {
                0 => self.reopen(),
                1 => {
                    self.step(Input::Missed);
                }
                _ => self.answer_query(),
            },
            14 => self.fail(choices),
            _ => {
                // All that was sent, in order: the best that a relay does.
                for message in self.captured.clone() {
                    self.step(Input::Envelope(message));
                }
            }
        }
    }

    /// A step in which the database fails after some writes: then nothing has changed.
    fn fail(&mut self, choices: &mut Choices<'_>) {
        let before = shown(self.machine());
        self.machine().store().inject_fault_after(Some(u64::from(choices.byte() % 12)));
        let command = self.command(choices);
        match self.try_step(Input::Command(CommandId(0), command)) {
            Ok(_) => {}
            Err(StepError::Store(StoreError::Injected)) => {
                assert_eq!(shown(self.machine()), before, "a step that failed changed something");
            }
            Err(error) => panic!("a step failed otherwise: {error}"),
        }
        self.machine().store().inject_fault_after(None);
    }

    fn some_query(&mut self, choices: &mut Choices<'_>) -> QueryId {
        match (choices.byte() % 4, self.queries.pop()) {
            (0, _) | (_, None) => QueryId(choices.long()),
            (_, Some(query)) => query,
        }
    }

    fn timestamp(&self, choices: &mut Choices<'_>) -> i64 {
        let seconds = self.now.secs() as i64;
        match choices.byte() % 6 {
            0 => choices.long() as i64,
            1 => i64::MAX,
            2 => (seconds + i64::from(choices.word())) * 1_000_000_000,
            3 => (seconds - i64::from(choices.word())) * 1_000_000_000,
            _ => seconds * 1_000_000_000,
        }
    }

    /// Something that was sent, as it was or with a part of it changed.
    fn mutated(&mut self, choices: &mut Choices<'_>) -> Option<Inbound> {
        let mut message = choices.pick(&self.captured)?;
        match choices.byte() % 8 {
            0 => {
                let at = usize::from(choices.word()) % message.payload.len().max(1);
                let mut payload = message.payload.to_vec();
                if let Some(byte) = payload.get_mut(at) {
                    *byte ^= choices.byte();
                }
                message.payload = payload.into();
            }
            1 => message.timestamp_ns = self.timestamp(choices),
            2 => message.payload.truncate(usize::from(choices.word())),
            3 => {
                if let Some(other) = choices.pick(&self.captured) {
                    message.topic = other.topic;
                }
            }
            _ => {}
        }
        Some(message)
    }

    fn command(&mut self, choices: &mut Choices<'_>) -> Command {
        let known = !choices.once_in(8);
        let group = choices.pick(&self.groups).filter(|_| known);
        let group = group.unwrap_or(GroupId(choices.bytes()));
        let account = choices.pick(&self.accounts).filter(|_| known);
        let account = account.unwrap_or(AccountId(choices.bytes()));
        let requests = self.machine().requests().unwrap();
        let request = choices.pick(&requests).map(|request| request.id);
        let request = request.unwrap_or(RequestId(choices.bytes()));
        let text = choices.text();
        match choices.byte() % 16 {
            0 if choices.once_in(2) => Command::MakeShortContactLink,
            0 => Command::MakeContactLink,
            1 if known => Command::AddContact { link: self.link.clone(), name: Some(text) },
            1 => Command::AddContact { link: text, name: None },
            2 => Command::RemoveContact { account },
            3 => Command::CreateGroup {
                name: text,
                description: choices.text(),
                members: vec![account],
            },
            4 => Command::AddMembers { group, accounts: vec![account, account] },
            5 => Command::RemoveMembers { group, accounts: vec![account] },
            6 if choices.once_in(4) => Command::LeaveGroup { group },
            7 => Command::DescribeGroup { group, name: Some(text), description: None },
            8 => Command::DescribeGroup { group, name: None, description: Some(text) },
            9 => Command::SetAdmin { group, account, admin: choices.once_in(2) },
            10 => Command::AcceptRequest { request },
            11 => Command::DeclineRequest { request },
            12 => Command::BlockRequest { request },
            13 => Command::AcknowledgeEvents { cursor: choices.long() },
            14 => Command::AddMembers { group, accounts: Vec::new() },
            _ => Command::Send { group, text },
        }
    }
}
