//! Whether a published message has arrived: a Store is asked.
//!
//! A peer that was given a message may still lose it. A Store that has it shows that it arrived. One
//! task asks for all messages in question together, a few times each; memory is bounded, and so is
//! the time.
//!
//! A message that a Store does not have is not lost for certain. The Store may not keep this shard,
//! or its clock may differ, or it may lie. So a message goes unconfirmed, and whoever published it sends it
//! again; and a Store that has missed too many messages in a row is not believed any more.
//!
//! - `options`: how a Store is asked, and when.
//! - `witness`: what a backend provides.
//! - `ledger`: the messages in question, and the conclusions from answers.

mod ledger;
mod options;
mod witness;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::error::HistoryError;
use crate::hub::Hub;
use crate::message::MessageHash;
use crate::sync::lock;
use ledger::{FoundHashes, Ledger};

pub(crate) use ledger::Verdict;
pub use options::{Confirmation, MAX_WAIT};
pub(crate) use witness::{HashPage, Witnesses};

/// Most messages in one question.
const MAX_ASKED: usize = 1024;

/// Most pages of hashes that are fetched for one question: 10,000 hashes. Where a range has more,
/// messages may go unconfirmed.
const MAX_PAGES: usize = 100;

/// Longest pause between queries to Stores that do not answer.
const MAX_GAP: Duration = Duration::from_secs(5);

/// Asks Stores for published messages.
pub(crate) struct Confirmer<W> {
    options: Confirmation,
    witnesses: W,
    hub: Arc<Hub>,
    ledger: Mutex<Ledger>,
    changed: Notify,
    running: AtomicBool,
}

impl<W: Witnesses> Confirmer<W> {
    pub(crate) fn new(options: Confirmation, witnesses: W, hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            options,
            witnesses,
            hub,
            ledger: Mutex::default(),
            changed: Notify::new(),
            running: AtomicBool::new(false),
        })
    }

    /// Waits for the verdict on a message that was just published.
    pub(crate) async fn verdict(self: &Arc<Self>, hash: MessageHash, timestamp_ns: i64) -> Verdict {
        if self.options.tries == 0 {
            return Verdict::Unknown;
        }
        let now = Instant::now();
        let due = now + self.options.after(0);
        let told = lock(&self.ledger).wait(hash, timestamp_ns, now, due);
        let Some(told) = told else { return Verdict::Unknown };
        if !self.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(Arc::clone(self).run());
        }
        self.changed.notify_one();
        match timeout(self.options.longest(), told).await {
            Ok(Ok(verdict)) => verdict,
            // A Store does not answer, or no Store is asked any more.
            Err(_) | Ok(Err(_)) => Verdict::Unknown,
        }
    }

    /// Asks until the hub is closed.
    async fn run(self: Arc<Self>) {
        tokio::select! {
            () = self.work() => {}
            () = self.hub.closed() => {}
        }
        lock(&self.ledger).clear();
    }

    async fn work(&self) {
        let least = self.options.merge;
        let (mut gap, mut rounds) = (least, 0_usize);
        loop {
            let (due, there) = {
                let mut ledger = lock(&self.ledger);
                (ledger.next_due(), ledger.store_there(Instant::now()))
            };
            match due {
                None => self.changed.notified().await,
                // Where there is no Store, no caller has to wait for the first query.
                Some(_) if there.is_none() => drop(self.stores().await),
                Some(due) if Instant::now() < due => tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                Some(_) => {
                    let answered = self.round(rounds).await;
                    rounds = rounds.wrapping_add(1);
                    // A Store that refuses queries or is silent is asked less often.
                    gap = if answered { least } else { (gap * 2).min(MAX_GAP) };
                    tokio::time::sleep(gap).await;
                }
            }
        }
    }

    /// The connected Stores. If there is none, no caller waits any longer.
    async fn stores(&self) -> Vec<(String, W::Store)> {
        let connected = self.witnesses.stores().await;
        lock(&self.ledger).store_checked(!connected.is_empty(), Instant::now());
        connected
    }

    /// Asks one of the Stores for the messages that are due. Returns whether it answered.
    async fn round(&self, rounds: usize) -> bool {
        let connected = self.stores().await;
        let Some((id, store)) = connected.get(rounds % connected.len().max(1)) else { return true };
        let by = Instant::now() + self.options.merge;
        let asked = lock(&self.ledger).take_due(by, MAX_ASKED);
        let times = asked.iter().map(|(_, at)| *at);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return true };
        let asking = self.hashes(store, self.options.range(first, last));
        let found = timeout(self.options.patience, asking).await;
        let found = found.unwrap_or(Err(HistoryError::Timeout)).inspect_err(|error| {
            tracing::debug!(store = id, %error, "no message was confirmed");
        });
        let answered = found.is_ok();
        let asked: Vec<_> = asked.iter().map(|(hash, _)| *hash).collect();
        let next = |tries| Instant::now() + self.options.after(tries);
        lock(&self.ledger).settle(id, &asked, found.ok(), self.options.tries, next);
        answered
    }

    /// All hashes that a Store has from a range of time. To the end, even if those that count are found
    /// sooner: where it stops would show a Store which they are.
    async fn hashes(
        &self,
        store: &W::Store,
        range: (i64, i64),
    ) -> Result<FoundHashes, HistoryError> {
        let mut found = HashSet::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = self.witnesses.page(store, range, cursor).await?;
            let empty = page.hashes.is_empty();
            found.extend(page.hashes);
            match page.cursor {
                None => return Ok(FoundHashes { hashes: found, complete: true }),
                Some(_) if empty || page.cursor == cursor => {
                    return Err(HistoryError::Malformed("a cursor that leads nowhere"));
                }
                next => cursor = next,
            }
        }
        Ok(FoundHashes { hashes: found, complete: false })
    }
}
