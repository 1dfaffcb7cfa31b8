//! Whether what was published has arrived: a Store is asked.
//!
//! The library accepts more than it can carry, and says that all is well. A Store that is connected
//! knows better. One task asks for all messages that wait to be confirmed, many at once, a few
//! times each; memory is bounded, and so is the time.
//!
//! What a Store does not have is not lost for sure. It may not keep this shard, or find that the
//! clocks differ. So its word counts only once it was seen to keep something, and no longer when it
//! has missed too many messages in a row.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};
use waku_sys::MAX_PAGE;

use super::history::{Store, Stores};
use crate::hub::{Hub, lock};
use crate::{HistoryError, MessageHash};

/// How publishing is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// How long after publishing a Store is first asked. Doubles with each time that it does not
    /// have the message yet. Half of it is the least time between two questions.
    pub first: Duration,
    /// How often a Store is asked before the message counts as lost.
    pub tries: u32,
    /// What it is asked.
    pub lookup: Lookup,
}

impl Default for Confirmation {
    /// Six times within 13 s, by time; so after 16 s it is over. A Store on the same machine has a message within
    /// milliseconds, one that is busy within a second.
    fn default() -> Self {
        Self { first: Duration::from_millis(200), tries: 6, lookup: Lookup::Time }
    }
}

impl Confirmation {
    /// How long it takes at most to confirm a message, or to find it lost. Nothing is known of one
    /// for which that was not enough.
    pub fn longest(&self) -> Duration {
        let waits = (0..self.tries).map(|tries| self.after(tries));
        waits.fold(PATIENCE, Duration::saturating_add)
    }

    /// How long to wait before a question.
    fn after(&self, tries: u32) -> Duration {
        self.first.saturating_mul(1 << tries.min(16))
    }
}

/// What a Store is asked in order to confirm messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The hashes of all messages on the shard from the same time. It tells the Store nothing that
    /// fetching history would not tell, and costs 40 bytes for each message of anybody's in that
    /// time; up to 2,000 of them, beyond that nothing is confirmed.
    Time,
    /// The hashes that are in question. Cheapest, and it tells the Store for sure which messages
    /// come from this node, on which topics, where relaying alone leaves that open.
    Hash,
}

/// Most messages that wait at once. Further ones are not confirmed.
const MAX_WAITING: usize = 8192;

/// Most messages in question at once, by time. By hash it is [`MAX_PAGE`].
const MAX_ASKED: usize = 1024;

/// Most pages of hashes fetched for one question by time.
const MAX_PAGES: usize = 20;

/// How many messages in a row a Store may miss before its word no longer counts: it is the Store
/// then, or a clock, and publishing the same again for ever would help nobody.
const MAX_MISSED: u32 = 16;

/// Most Stores of which it is remembered how they did.
const MAX_STORES: usize = 64;

/// For how long it counts whether a Store is there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Longest time between questions to Stores that do not answer.
const MAX_GAP: Duration = Duration::from_secs(5);

/// How long a Store has to answer a question. One that is slower confirms nothing: whoever
/// publishes does not wait for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A Store has it.
    Stored,
    /// A Store that should have it has not.
    Lost,
    /// There is no Store, or none whose word counts.
    Unknown,
}

/// What a Store answered to one question.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Hashes that it has, asked for or not.
    pub(super) hashes: HashSet<MessageHash>,
    /// Whether it has none but these of what was asked for.
    pub(super) complete: bool,
}

/// The messages in question.
pub(super) struct Confirmer {
    options: Confirmation,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<MessageHash, Waiting>,
    stores: HashMap<String, Standing>,
    /// Whether a Store was there when it was last looked, and when that was.
    looked: Option<(bool, Instant)>,
}

struct Waiting {
    timestamp_ns: i64,
    tries: u32,
    due: Instant,
    /// Whether a Store whose word counts did not have it.
    missed: bool,
    tell: Vec<oneshot::Sender<Verdict>>,
}

/// How a Store did so far. It is there once the Store was seen to keep something.
#[derive(Debug, Default)]
struct Standing {
    missed: u32,
}

impl Standing {
    fn counts(&self) -> bool {
        self.missed < MAX_MISSED
    }
}

impl Confirmer {
    pub(super) fn new(options: Confirmation) -> Self {
        Self { options, state: Mutex::default(), changed: Notify::new() }
    }

    /// Asks for a message that was just published.
    pub(super) async fn verdict(&self, hash: MessageHash, timestamp_ns: i64) -> Verdict {
        let (tell, told) = oneshot::channel();
        {
            let (mut state, now) = (lock(&self.state), Instant::now());
            if state.store_there(now) == Some(false)
                || state.waiting.len() >= MAX_WAITING
                || self.options.tries == 0
            {
                return Verdict::Unknown;
            }
            let waiting = state.waiting.entry(hash).or_insert_with(|| Waiting {
                timestamp_ns,
                tries: 0,
                due: now + self.options.after(0),
                missed: false,
                tell: Vec::new(),
            });
            waiting.tell.push(tell);
        }
        self.changed.notify_one();
        match timeout(self.options.longest(), told).await {
            Ok(Ok(verdict)) => verdict,
            // A Store does not answer, or nobody is asked any more.
            Err(_) | Ok(Err(_)) => Verdict::Unknown,
        }
    }

    /// Asks until the hub is closed.
    pub(super) async fn run(self: Arc<Self>, stores: Arc<Stores>, hub: Arc<Hub>) {
        tokio::select! {
            () = self.work(&stores) => {}
            () = hub.closed() => {}
        }
        // Whoever waits is told by the end of the hub as well.
        lock(&self.state).waiting.clear();
    }

    async fn work(&self, stores: &Stores) {
        let least = self.options.first / 2;
        let (mut gap, mut rounds) = (least, 0_usize);
        loop {
            let (due, there) = {
                let mut state = lock(&self.state);
                (state.next_due(), state.store_there(Instant::now()))
            };
            match due {
                None => self.changed.notified().await,
                // Where there is none, nobody has to wait for the first question.
                Some(_) if there.is_none() => drop(self.stores(stores).await),
                Some(due) if Instant::now() < due => tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                Some(_) => {
                    let answered = self.round(stores, rounds).await;
                    rounds = rounds.wrapping_add(1);
                    // A Store that has enough of questions is asked less.
                    gap = if answered { least } else { (gap * 2).min(MAX_GAP) };
                    tokio::time::sleep(gap).await;
                }
            }
        }
    }

    /// The Stores that are there. If there is none, nobody waits any longer.
    async fn stores(&self, stores: &Stores) -> Vec<Store> {
        let connected = stores.connected().await.unwrap_or_default();
        lock(&self.state).looked(!connected.is_empty(), Instant::now());
        connected
    }

    /// Asks one of the Stores for what is due; whether it answered.
    async fn round(&self, stores: &Stores, rounds: usize) -> bool {
        let most = match self.options.lookup {
            Lookup::Time => MAX_ASKED,
            Lookup::Hash => MAX_PAGE as usize,
        };
        let asked = lock(&self.state).take_due(Instant::now() + self.options.first / 2, most);
        let connected = self.stores(stores).await;
        let Some(store) = connected.get(rounds % connected.len().max(1)) else { return true };
        let hashes: Vec<_> = asked.iter().map(|(hash, _)| *hash).collect();
        let times = asked.iter().map(|(_, at)| *at);
        let asking = async {
            match (self.options.lookup, times.clone().min(), times.max()) {
                (Lookup::Time, Some(start), Some(end)) => {
                    stores.hashes_between(store, start, end, &hashes, MAX_PAGES).await
                }
                _ => stores.which_of(store, &hashes).await,
            }
        };
        let found = timeout(PATIENCE, asking).await.unwrap_or(Err(HistoryError::Timeout));
        let found = found.inspect_err(|error: &HistoryError| {
            tracing::debug!(store = store.id, %error, "nothing was confirmed");
        });
        let answered = found.is_ok();
        let next = |tries| Instant::now() + self.options.after(tries);
        lock(&self.state).settle(&store.id, &hashes, found.ok(), self.options.tries, next);
        answered
    }
}

impl State {
    fn next_due(&mut self) -> Option<Instant> {
        // Who gave up need not be asked for.
        self.waiting.retain(|_, w| {
            w.tell.retain(|tell| !tell.is_closed());
            !w.tell.is_empty()
        });
        self.waiting.values().map(|w| w.due).min()
    }

    /// What is due by then, the first to be due first.
    fn take_due(&self, by: Instant, most: usize) -> Vec<(MessageHash, i64)> {
        let due = self.waiting.iter().filter(|(_, w)| w.due <= by);
        let mut due: Vec<_> = due.map(|(hash, w)| (w.due, *hash, w.timestamp_ns)).collect();
        due.sort_unstable();
        due.truncate(most);
        due.into_iter().map(|(_, hash, at)| (hash, at)).collect()
    }

    /// None if that has to be looked at again.
    fn store_there(&self, now: Instant) -> Option<bool> {
        let fresh = |(_, at): &(bool, Instant)| now.duration_since(*at) < LOOK_AGAIN;
        self.looked.filter(fresh).map(|(there, _)| there)
    }

    fn looked(&mut self, there: bool, now: Instant) {
        self.looked = Some((there, now));
        if there {
            return;
        }
        for (_, waiting) in self.waiting.drain() {
            waiting.tell(Verdict::Unknown);
        }
    }

    /// Draws the conclusions from an answer, or from there being none.
    fn settle(
        &mut self,
        store: &str,
        asked: &[MessageHash],
        found: Option<Found>,
        max_tries: u32,
        next: impl Fn(u32) -> Instant,
    ) {
        let found = found.unwrap_or_default();
        if self.stores.len() > MAX_STORES {
            self.stores.clear();
        }
        if !found.hashes.is_empty() {
            // It keeps something, whoever's it is.
            self.stores.entry(store.to_owned()).or_default();
        }
        let mut standing = self.stores.get_mut(store);
        if let Some(standing) = &mut standing
            && asked.iter().any(|hash| found.hashes.contains(hash))
        {
            standing.missed = 0;
        }
        for hash in asked {
            let Some(mut waiting) = self.waiting.remove(hash) else { continue };
            if found.hashes.contains(hash) {
                waiting.tell(Verdict::Stored);
                continue;
            }
            let counts = standing.as_ref().is_some_and(|standing| standing.counts());
            waiting.missed |= found.complete && counts;
            waiting.tries += 1;
            if waiting.tries < max_tries {
                waiting.due = next(waiting.tries);
                self.waiting.insert(*hash, waiting);
                continue;
            }
            if !waiting.missed {
                waiting.tell(Verdict::Unknown);
                continue;
            }
            if let Some(standing) = &mut standing {
                standing.missed += 1;
                if !standing.counts() {
                    tracing::warn!(store, "this Store misses all that is published here");
                }
            }
            waiting.tell(Verdict::Lost);
        }
    }
}

impl Waiting {
    fn tell(self, verdict: Verdict) {
        for tell in self.tell {
            // Who has given up is not there to hear.
            let _ = tell.send(verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> MessageHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        MessageHash(hash)
    }

    fn wait(state: &mut State, n: u32) -> oneshot::Receiver<Verdict> {
        let (tell, told) = oneshot::channel();
        let tell = vec![tell];
        let waiting =
            Waiting { timestamp_ns: 1, tries: 0, due: Instant::now(), missed: false, tell };
        state.waiting.insert(hash(n), waiting);
        told
    }

    /// One question of two that are allowed; `has` is none if there was no answer.
    fn ask(state: &mut State, store: &str, asked: &[u32], has: Option<&[u32]>) {
        let asked: Vec<_> = asked.iter().map(|n| hash(*n)).collect();
        let found =
            has.map(|has| Found { hashes: has.iter().map(|n| hash(*n)).collect(), complete: true });
        state.settle(store, &asked, found, 2, |_| Instant::now());
    }

    #[test]
    fn a_store_is_believed_once_it_keeps_something_and_until_it_misses_too_much() {
        let mut state = State::default();
        // It was never seen to keep anything: what it does not have may be anywhere.
        let mut told = wait(&mut state, 1);
        ask(&mut state, "a", &[1], Some(&[]));
        assert!(told.try_recv().is_err(), "it is asked for again");
        ask(&mut state, "a", &[1], Some(&[]));
        assert_eq!(told.try_recv(), Ok(Verdict::Unknown));

        // It has one of two.
        let (mut kept, mut lost) = (wait(&mut state, 2), wait(&mut state, 3));
        ask(&mut state, "a", &[2, 3], Some(&[2]));
        assert_eq!(kept.try_recv(), Ok(Verdict::Stored));
        // No answer is no news, and neither is that of a Store that keeps nothing.
        ask(&mut state, "b", &[3], Some(&[]));
        assert_eq!(lost.try_recv(), Ok(Verdict::Lost));
        let mut late = wait(&mut state, 4);
        ask(&mut state, "a", &[4], Some(&[]));
        ask(&mut state, "a", &[4], Some(&[4]));
        assert_eq!(late.try_recv(), Ok(Verdict::Stored));
        let mut silent = wait(&mut state, 5);
        ask(&mut state, "a", &[5], None);
        ask(&mut state, "a", &[5], None);
        assert_eq!(silent.try_recv(), Ok(Verdict::Unknown));

        // What others publish, and it has, is no excuse for ever.
        let verdicts: Vec<_> = (0..MAX_MISSED + 1)
            .map(|n| {
                let mut told = wait(&mut state, 100 + n);
                ask(&mut state, "a", &[100 + n], Some(&[7]));
                ask(&mut state, "a", &[100 + n], Some(&[7]));
                told.try_recv().expect("it is decided")
            })
            .collect();
        let (last, lost) = verdicts.split_last().expect("some");
        assert!(lost.iter().all(|verdict| *verdict == Verdict::Lost));
        assert_eq!(*last, Verdict::Unknown);
        // Until it has one of ours again.
        let (_kept, mut lost) = (wait(&mut state, 8), wait(&mut state, 9));
        ask(&mut state, "a", &[8, 9], Some(&[8]));
        ask(&mut state, "a", &[9], Some(&[]));
        assert_eq!(lost.try_recv(), Ok(Verdict::Lost));
    }

    #[test]
    fn an_answer_that_is_cut_short_denies_nothing() {
        let mut state = State::default();
        state.stores.insert("a".to_owned(), Standing::default());
        let mut told = wait(&mut state, 1);
        for _ in 0..2 {
            let found = Found { hashes: HashSet::from([hash(2)]), complete: false };
            state.settle("a", &[hash(1)], Some(found), 2, |_| Instant::now());
        }
        assert_eq!(told.try_recv(), Ok(Verdict::Unknown));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_asked_and_memory_is_bounded() {
        let confirmer = Confirmer::new(Confirmation::default());
        let told: Vec<_> = {
            let mut state = lock(&confirmer.state);
            (0..MAX_WAITING as u32).map(|n| wait(&mut state, n)).collect()
        };
        assert_eq!(confirmer.verdict(hash(u32::MAX), 1).await, Verdict::Unknown);
        assert!(lock(&confirmer.state).next_due().is_some());
        drop(told);
        let mut state = lock(&confirmer.state);
        assert_eq!(state.next_due(), None);
        assert!(state.waiting.is_empty());
    }

    #[test]
    fn time_is_bounded() {
        let longest = Confirmation::default().longest();
        assert_eq!(longest, Duration::from_millis(200 * 63) + PATIENCE);
        let odd = Confirmation { tries: 40, ..Confirmation::default() };
        assert!(odd.longest() > longest);
    }
}
