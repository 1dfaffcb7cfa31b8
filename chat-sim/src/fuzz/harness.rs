//! The machine under test, its peer, and the inputs that bytes choose.

use std::time::Duration;

use chat_core::database::{Database, DatabaseError};
use chat_core::identity::RecoveryPhrase;
use chat_core::ids::{AccountId, GroupId, RequestId};
use chat_core::machine::{Machine, OutboxId, PublishFailure, QueryId, StepError};
use chat_core::params::NetworkParams;
use chat_core::time::{Slot, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::choices::Choices;
use super::shown::shown;
use super::wish::Wish;
use crate::world::{ByHand, Observed, Unanswered};

/// Messages that are remembered for replays.
const CAPTURED: usize = 200;

/// The machine under test, its peer, and what passed between them.
#[derive(Debug)]
pub struct Harness {
    machine: Option<ByHand>,
    peer: ByHand,
    params: NetworkParams,
    now: Timestamp,
    /// How far the machine's clock is ahead.
    ahead_ms: i64,
    captured: Vec<Observed>,
    queries: Vec<QueryId>,
    outbox: Vec<OutboxId>,
    groups: Vec<GroupId>,
    accounts: Vec<AccountId>,
    connected: bool,
    link: String,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// Two accounts that know each other, in one group.
    ///
    /// # Panics
    /// Where they cannot be made.
    pub fn new() -> Self {
        let params = NetworkParams::fast();
        let now = Timestamp::from_secs(1_800_000_000);
        let account = |seed: u8| {
            let phrase = RecoveryPhrase::generate(&mut ChaCha20Rng::from_seed([seed; 32]));
            let store = Database::in_memory().unwrap();
            let seed = [seed + 10; 32];
            let machine = Machine::create(store, params.clone(), seed, now, &phrase).unwrap();
            let mut it = ByHand::new(machine, now);
            // The harness sets the clocks.
            it.step_time = Duration::ZERO;
            it
        };
        let (machine, peer) = (account(1), account(2));
        let accounts = [&machine, &peer].map(|it| it.machine.identity().unwrap().account).to_vec();
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
            link: String::new(),
        };
        it.prepare();
        it
    }

    fn prepare(&mut self) {
        self.step(|it| it.connect(true));
        self.connected = true;
        self.answer_query();
        self.step_peer(|it| it.connect(true));
        let mine = self.step(|it| it.user().contact_link()).unwrap();
        let theirs = self.step_peer(|it| it.user().contact_link()).unwrap();
        self.step(|it| it.user().add_contact(&theirs, Some("them"))).unwrap();
        self.step_peer(|it| it.user().add_contact(&mine, Some("them"))).unwrap();
        self.link = theirs;
        let members = vec![self.accounts[1]];
        let group = self.step(|it| it.user().create_group("hikers", members)).unwrap();
        self.groups = vec![group];
        // Doorbell, invitation and commit reach the peer, the doorbell first.
        for _ in 0..2 {
            for message in self.captured.clone() {
                self.step_peer(|it| it.deliver(&message));
            }
        }
        assert_eq!(self.peer.machine.groups().unwrap().len(), 1, "the peer is in the group");
    }

    fn machine(&self) -> &Machine {
        &self.machine.as_ref().unwrap().machine
    }

    fn time(&self) -> Timestamp {
        Timestamp(self.now.0.saturating_add_signed(self.ahead_ms))
    }

    fn capture(&mut self, message: Observed) {
        if self.captured.len() == CAPTURED {
            self.captured.remove(0);
        }
        self.captured.push(message);
    }

    /// A step of the machine under test, and what must hold after it.
    fn step<T>(&mut self, step: impl FnOnce(&mut ByHand) -> T) -> T {
        self.now = self.now + Duration::from_millis(1);
        let now = self.time();
        let it = self.machine.as_mut().unwrap();
        it.now = now;
        let result = step(it);
        if it.failure.is_none()
            && let Some(wake) = it.machine.next_wake()
        {
            let slot_ends = Slot::at(now, self.params.slot_secs).next();
            let latest = slot_ends.start(self.params.slot_secs).max(now + Duration::from_millis(1));
            assert!(wake > now && wake <= latest, "{now:?}: wakes at {wake:?}");
        }
        let told = std::mem::take(&mut it.told);
        self.queries.extend(told.queries.iter().map(|query| query.id));
        for (outbox, message) in told.published {
            self.outbox.push(outbox);
            self.capture(message);
        }
        result
    }

    /// The peer is honest, on time and has a good Store.
    fn step_peer<T>(&mut self, step: impl FnOnce(&mut ByHand) -> T) -> T {
        self.peer.now = self.now;
        let result = step(&mut self.peer);
        loop {
            let told = std::mem::take(&mut self.peer.told);
            if told.published.is_empty() && told.queries.is_empty() {
                return result;
            }
            for (outbox, message) in told.published {
                self.capture(message);
                self.peer.published(outbox, None);
            }
            for query in told.queries {
                self.peer.page(query.id, &self.captured, None);
            }
        }
    }

    fn answer_query(&mut self) {
        if let Some(query) = self.queries.pop() {
            let messages = self.captured.clone();
            self.step(|it| it.page(query, &messages, None));
        }
    }

    /// Carries out the inputs that the bytes say, and checks what must hold.
    ///
    /// # Panics
    /// Where it does not hold.
    pub fn run(&mut self, data: &[u8]) {
        let mut choices = Choices::new(data);
        while !choices.is_empty() {
            self.one(&mut choices);
        }
        let before = shown(self.machine());
        self.reopen();
        assert_eq!(shown(self.machine()), before, "what was reopened is the same");
    }

    fn reopen(&mut self) {
        let seed = [self.now.0 as u8; 32];
        let mut it = self.machine.take().unwrap();
        it.now = self.time();
        self.machine = Some(it.reopen(seed).unwrap());
        self.queries.clear();
        let connected = self.connected;
        self.step(|it| it.connect(connected));
    }

    fn one(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            0 => {
                let ms = u64::from(choices.word());
                self.now = self.now + Duration::from_millis(ms);
                self.step(ByHand::tick);
            }
            1 => {
                let quarters = i64::from(choices.byte() as i8);
                self.ahead_ms = quarters * 15 * 60_000;
                self.step(ByHand::tick);
            }
            2 => {
                if let Some(message) = self.mutated(choices) {
                    self.step(|it| it.deliver(&message));
                }
            }
            3 => {
                let topic = match (choices.byte() % 4, choices.pick(&self.captured)) {
                    (0, _) | (_, None) => choices.text(),
                    (_, Some(message)) => message.topic,
                };
                let len = [0, 1, 512, 513, 1024, 2048, 131_072][usize::from(choices.byte() % 7)];
                let payload = vec![choices.byte(); len];
                let timestamp_ns = self.timestamp(choices);
                let (seen_at, by) = (self.now, 0);
                let message = Observed { topic, payload, timestamp_ns, seen_at, by };
                self.step(|it| it.deliver(&message));
            }
            4 => {
                let query = self.some_query(choices);
                let count = choices.byte() % 6;
                let messages: Vec<Observed> =
                    (0..count).filter_map(|_| self.mutated(choices)).collect();
                let cursor = (choices.once_in(2)).then(|| [choices.byte(); 32]);
                self.step(|it| it.page(query, &messages, cursor));
            }
            5 => {
                let query = self.some_query(choices);
                let (reason, no_store) = (choices.text(), choices.once_in(2));
                self.step(|it| it.fail_query(query, &reason, no_store));
            }
            6 => {
                let outbox = choices.pick(&self.outbox).unwrap_or(OutboxId(choices.long()));
                let failure = [None, Some(PublishFailure::Retry), Some(PublishFailure::Refused)]
                    [usize::from(choices.byte() % 3)];
                self.step(|it| it.published(outbox, failure));
            }
            7 => {
                self.connected = !choices.once_in(3);
                let connected = self.connected;
                self.step(|it| it.connect(connected));
            }
            8 => {
                let timestamp_ns = self.timestamp(choices);
                self.step(|it| it.show_time(timestamp_ns));
            }
            9 | 10 => {
                let wish = self.wish(choices);
                let answer = self.step(|it| wish.ask(it.user()));
                match answer {
                    Ok(group) => self.groups.extend(group),
                    Err(Unanswered::Refused(_)) => {}
                    Err(Unanswered::Died) => self.panic_of_failure(),
                }
            }
            11 => {
                let group = self.groups[0];
                let text = |choices: &mut Choices<'_>| choices.text();
                // What is too long is refused, also by the peer.
                let _ = match choices.byte() % 4 {
                    0 => {
                        let name = text(choices);
                        self.step_peer(|it| it.user().rename(group, &name)).map(drop)
                    }
                    1 => {
                        let members = vec![self.accounts[0]];
                        self.step_peer(|it| it.user().create_group("another", members)).map(drop)
                    }
                    _ => {
                        let text = text(choices);
                        self.step_peer(|it| it.user().send(group, &text)).map(drop)
                    }
                };
            }
            12 => {
                if let Some(message) = choices.pick(&self.captured) {
                    self.step_peer(|it| it.deliver(&message));
                }
            }
            13 => match choices.byte() % 8 {
                0 => self.reopen(),
                1 => {
                    self.step(ByHand::miss);
                }
                _ => self.answer_query(),
            },
            14 => self.fail(choices),
            _ => {
                // All that was sent, in order: the best that a relay does.
                for message in self.captured.clone() {
                    self.step(|it| it.deliver(&message));
                }
            }
        }
    }

    /// A step in which the database fails after some writes: then nothing has changed.
    fn fail(&mut self, choices: &mut Choices<'_>) {
        let before = shown(self.machine());
        self.machine().database().inject_fault_after(Some(u64::from(choices.byte() % 12)));
        let wish = self.wish(choices);
        let answer = self.step(|it| wish.ask(it.user()));
        match answer {
            Ok(group) => self.groups.extend(group),
            Err(Unanswered::Refused(_)) => {}
            Err(Unanswered::Died) => {
                let failure = self.machine.as_mut().unwrap().failure.take();
                let planned = matches!(failure, Some(StepError::Database(DatabaseError::Injected)));
                assert!(planned, "a step failed otherwise: {failure:?}");
                assert_eq!(shown(self.machine()), before, "a step that failed changed something");
            }
        }
        self.machine().database().inject_fault_after(None);
    }

    fn panic_of_failure(&self) {
        panic!("a step failed: {:?}", self.machine.as_ref().unwrap().failure);
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
    fn mutated(&mut self, choices: &mut Choices<'_>) -> Option<Observed> {
        let mut message = choices.pick(&self.captured)?;
        match choices.byte() % 8 {
            0 => {
                let at = usize::from(choices.word()) % message.payload.len().max(1);
                if let Some(byte) = message.payload.get_mut(at) {
                    *byte ^= choices.byte();
                }
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

    /// What a user wishes, as the bytes say it.
    fn wish(&mut self, choices: &mut Choices<'_>) -> Wish {
        let known = !choices.once_in(8);
        let group = choices.pick(&self.groups).filter(|_| known);
        let group = group.unwrap_or(GroupId(choices.bytes()));
        let account = choices.pick(&self.accounts).filter(|_| known);
        let account = account.unwrap_or(AccountId(choices.bytes()));
        let requests = self.machine().requests().unwrap();
        let request = choices.pick(&requests).map(|request| request.id);
        let request = request.unwrap_or(RequestId(choices.bytes()));
        let link = if known { Some(self.link.clone()) } else { None };
        let text = choices.text();
        let kind = choices.byte() % 16;
        let second = if kind == 3 { choices.text() } else { String::new() };
        let yes = match kind {
            0 | 9 => choices.once_in(2),
            6 => choices.once_in(4),
            _ => false,
        };
        let cursor = if kind == 13 { choices.long() } else { 0 };
        Wish { kind, group, account, request, link, text, second, yes, cursor }
    }
}
