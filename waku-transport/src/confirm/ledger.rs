//! The messages in question, and the conclusions from what Stores answer. No I/O happens here.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::message::MessageHash;

/// Most messages that wait at once. Further ones are not confirmed.
const MAX_WAITING: usize = 8192;

/// How many messages in a row a Store may miss before its answers no longer count. By then the cause
/// is the Store or a clock, and publishing the same messages again without end would not help. A message
/// that is sent again counts again, so a single one ends too.
const MAX_MISSED: u32 = 16;

/// Most Stores whose record is kept.
const MAX_STORES: usize = 64;

/// For how long a check whether a Store is connected holds.
const STORE_CHECK_LIFETIME: Duration = Duration::from_secs(1);

/// What a Store answered.
#[derive(Debug, Default)]
pub(super) struct FoundHashes {
    /// Hashes that the Store has, asked for or not.
    pub(super) hashes: HashSet<MessageHash>,
    /// Whether the Store has none of the others that were asked for.
    pub(super) complete: bool,
}

/// What became of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A Store has it.
    Stored,
    /// A Store answers, and does not have it.
    Missing,
    /// No Store can be asked, or none whose answer counts.
    Unknown,
}

/// The messages in question, and what the Stores said so far.
#[derive(Default)]
pub(super) struct Ledger {
    waiting: HashMap<MessageHash, Waiting>,
    stores: HashMap<String, Standing>,
    /// Whether a Store was connected at the last check, and the time of the check.
    store_check: Option<(bool, Instant)>,
}

struct Waiting {
    timestamp_ns: i64,
    tries: u32,
    due: Instant,
    /// Whether a Store whose answer counts does not have it.
    missed: bool,
    tell: Vec<oneshot::Sender<Verdict>>,
}

/// The record of a Store. It begins with its first answer.
#[derive(Debug, Default)]
struct Standing {
    missed: u32,
}

impl Standing {
    fn counts(&self) -> bool {
        self.missed < MAX_MISSED
    }
}

impl Ledger {
    /// Adds a message in question, to be asked for at `due`, and returns where its verdict will
    /// come. `None` if there is no use in waiting: no Store is connected, or too many messages wait.
    pub(super) fn wait(
        &mut self,
        hash: MessageHash,
        timestamp_ns: i64,
        now: Instant,
        due: Instant,
    ) -> Option<oneshot::Receiver<Verdict>> {
        if self.store_there(now) == Some(false) || self.waiting.len() >= MAX_WAITING {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let waiting = self.waiting.entry(hash).or_insert_with(|| Waiting {
            timestamp_ns,
            tries: 0,
            due,
            missed: false,
            tell: Vec::new(),
        });
        waiting.tell.push(tell);
        Some(told)
    }

    /// Forgets all messages in question.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// When the next message is due.
    pub(super) fn next_due(&mut self) -> Option<Instant> {
        // Callers that have stopped waiting need no answer.
        self.waiting.retain(|_, w| {
            w.tell.retain(|tell| !tell.is_closed());
            !w.tell.is_empty()
        });
        self.waiting.values().map(|w| w.due).min()
    }

    /// The messages that are due by a time, the earliest first, with their timestamps.
    pub(super) fn take_due(&self, by: Instant, most: usize) -> Vec<(MessageHash, i64)> {
        let due = self.waiting.iter().filter(|(_, w)| w.due <= by);
        let mut due: Vec<_> = due.map(|(hash, w)| (w.due, *hash, w.timestamp_ns)).collect();
        due.sort_unstable();
        due.truncate(most);
        due.into_iter().map(|(_, hash, at)| (hash, at)).collect()
    }

    /// Whether a Store is connected; `None` if that has to be checked again.
    pub(super) fn store_there(&self, now: Instant) -> Option<bool> {
        let fresh = |(_, at): &(bool, Instant)| now.duration_since(*at) < STORE_CHECK_LIFETIME;
        self.store_check.filter(fresh).map(|(there, _)| there)
    }

    /// Notes whether a Store is connected. If none is, no caller has to wait any longer.
    pub(super) fn store_checked(&mut self, there: bool, now: Instant) {
        self.store_check = Some((there, now));
        if there {
            return;
        }
        for (_, waiting) in self.waiting.drain() {
            waiting.resolve(Verdict::Unknown);
        }
    }

    /// Draws the conclusions from the answer of a Store, or from its silence.
    pub(super) fn settle(
        &mut self,
        store: &str,
        asked: &[MessageHash],
        found: Option<FoundHashes>,
        max_tries: u32,
        next: impl Fn(u32) -> Instant,
    ) {
        let found = found.unwrap_or_default();
        if self.stores.len() > MAX_STORES {
            self.stores.clear();
        }
        let standing = self.stores.entry(store.to_owned()).or_default();
        // Also those that are not due yet: nobody has to ask for them again.
        let kept: Vec<_> =
            self.waiting.keys().filter(|hash| found.hashes.contains(*hash)).copied().collect();
        for hash in kept {
            standing.missed = 0;
            if let Some(waiting) = self.waiting.remove(&hash) {
                waiting.resolve(Verdict::Stored);
            }
        }
        for hash in asked {
            let Some(mut waiting) = self.waiting.remove(hash) else { continue };
            waiting.missed |= found.complete && standing.counts();
            waiting.tries += 1;
            if waiting.tries < max_tries {
                waiting.due = next(waiting.tries);
                self.waiting.insert(*hash, waiting);
                continue;
            }
            if !waiting.missed {
                waiting.resolve(Verdict::Unknown);
                continue;
            }
            standing.missed = standing.missed.saturating_add(1);
            if standing.missed == MAX_MISSED {
                tracing::warn!(store, "this Store misses all messages that are published here");
            }
            waiting.resolve(Verdict::Missing);
        }
    }
}

impl Waiting {
    fn resolve(self, verdict: Verdict) {
        for tell in self.tell {
            // The caller may have stopped waiting.
            let _ = tell.send(verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(n: u32) -> MessageHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        MessageHash(hash)
    }

    fn wait(ledger: &mut Ledger, n: u32) -> oneshot::Receiver<Verdict> {
        let now = Instant::now();
        ledger.wait(hash(n), 1, now, now).expect("there is room")
    }

    /// One query of two that are allowed; `has` is `None` if there was no answer.
    fn ask(ledger: &mut Ledger, store: &str, asked: &[u32], has: Option<&[u32]>) {
        let asked: Vec<_> = asked.iter().map(|n| hash(*n)).collect();
        let found = has.map(|has| FoundHashes {
            hashes: has.iter().map(|n| hash(*n)).collect(),
            complete: true,
        });
        ledger.settle(store, &asked, found, 2, |_| Instant::now());
    }

    #[test]
    fn a_store_is_believed_until_it_misses_too_much() {
        let mut ledger = Ledger::default();
        let mut told = wait(&mut ledger, 1);
        ask(&mut ledger, "a", &[1], Some(&[]));
        assert!(told.try_recv().is_err(), "it is asked for again");
        ask(&mut ledger, "a", &[1], Some(&[]));
        assert_eq!(told.try_recv(), Ok(Verdict::Missing));

        // It has one of two.
        let (mut kept, mut lost) = (wait(&mut ledger, 2), wait(&mut ledger, 3));
        let mut early = wait(&mut ledger, 6);
        ask(&mut ledger, "a", &[2, 3], Some(&[2, 6]));
        assert_eq!(kept.try_recv(), Ok(Verdict::Stored));
        assert_eq!(early.try_recv(), Ok(Verdict::Stored), "though it was not its turn");
        // Silence says nothing.
        ask(&mut ledger, "b", &[3], None);
        assert_eq!(lost.try_recv(), Ok(Verdict::Missing));
        let mut late = wait(&mut ledger, 4);
        ask(&mut ledger, "a", &[4], Some(&[]));
        ask(&mut ledger, "a", &[4], Some(&[4]));
        assert_eq!(late.try_recv(), Ok(Verdict::Stored));
        let mut silent = wait(&mut ledger, 5);
        ask(&mut ledger, "a", &[5], None);
        ask(&mut ledger, "a", &[5], None);
        assert_eq!(silent.try_recv(), Ok(Verdict::Unknown));

        // That it has the messages of others is not enough in the long run.
        let verdicts: Vec<_> = (0..MAX_MISSED + 1)
            .map(|n| {
                let mut told = wait(&mut ledger, 100 + n);
                ask(&mut ledger, "a", &[100 + n], Some(&[7]));
                ask(&mut ledger, "a", &[100 + n], Some(&[7]));
                told.try_recv().expect("it is decided")
            })
            .collect();
        let (last, lost) = verdicts.split_last().expect("some");
        assert!(lost.iter().all(|verdict| *verdict == Verdict::Missing));
        assert_eq!(*last, Verdict::Unknown);
        // Until it has one of ours again.
        let (_kept, mut lost) = (wait(&mut ledger, 8), wait(&mut ledger, 9));
        ask(&mut ledger, "a", &[8, 9], Some(&[8]));
        ask(&mut ledger, "a", &[9], Some(&[]));
        assert_eq!(lost.try_recv(), Ok(Verdict::Missing));
    }

    #[test]
    fn an_answer_that_is_cut_short_denies_nothing() {
        let mut ledger = Ledger::default();
        let mut told = wait(&mut ledger, 1);
        for _ in 0..2 {
            let found = FoundHashes { hashes: HashSet::from([hash(2)]), complete: false };
            ledger.settle("a", &[hash(1)], Some(found), 2, |_| Instant::now());
        }
        assert_eq!(told.try_recv(), Ok(Verdict::Unknown));
    }

    #[test]
    fn what_nobody_waits_for_is_not_asked_and_memory_is_bounded() {
        let mut ledger = Ledger::default();
        let told: Vec<_> = (0..MAX_WAITING as u32).map(|n| wait(&mut ledger, n)).collect();
        let now = Instant::now();
        assert!(ledger.wait(hash(u32::MAX), 1, now, now).is_none());
        assert!(ledger.next_due().is_some());
        drop(told);
        assert_eq!(ledger.next_due(), None);
        assert!(ledger.waiting.is_empty());
    }

    #[test]
    fn without_a_store_nobody_waits() {
        let mut ledger = Ledger::default();
        let mut told = wait(&mut ledger, 1);
        let now = Instant::now();
        ledger.store_checked(false, now);
        assert_eq!(told.try_recv(), Ok(Verdict::Unknown));
        assert!(ledger.wait(hash(2), 1, now, now).is_none());
        // A check holds for a while only.
        assert!(ledger.wait(hash(2), 1, now + STORE_CHECK_LIFETIME, now).is_some());
    }
}
