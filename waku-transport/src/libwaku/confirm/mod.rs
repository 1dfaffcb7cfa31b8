//! Whether a published message has arrived: a Store is asked.
//!
//! The library accepts more than it can carry, and reports success all the same. A connected Store
//! knows better. One task asks for all messages in question together, a few times each; memory is
//! bounded, and so is the time.
//!
//! A message that a Store does not have is not lost for certain. The Store may not keep this shard,
//! or its clock may differ. So its answers count only once it was seen to keep a message, and no
//! longer when it has missed too many messages in a row.
//!
//! - `options`: how a Store is asked.
//! - `ledger`: the messages in question, and the conclusions from answers.

mod ledger;
mod options;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use waku_sys::MAX_PAGE;

use super::stores::{Store, Stores};
use crate::error::HistoryError;
use crate::hub::Hub;
use crate::message::MessageHash;
use crate::sync::lock;
use ledger::Ledger;
use options::PATIENCE;

pub(super) use ledger::Verdict;
pub use options::{Confirmation, Lookup};

/// Most messages in one query by time. A query by hash takes [`MAX_PAGE`].
const MAX_ASKED: usize = 1024;

/// Most pages of hashes that are fetched for one query by time: 2,000 hashes.
const MAX_PAGES: usize = 20;

/// Longest pause between queries to Stores that do not answer.
const MAX_GAP: Duration = Duration::from_secs(5);

/// Asks Stores for published messages.
pub(super) struct Confirmer {
    options: Confirmation,
    ledger: Mutex<Ledger>,
    changed: Notify,
}

impl Confirmer {
    pub(super) fn new(options: Confirmation) -> Self {
        Self { options, ledger: Mutex::default(), changed: Notify::new() }
    }

    /// Waits for the verdict on a message that was just published.
    pub(super) async fn verdict(&self, hash: MessageHash, timestamp_ns: i64) -> Verdict {
        if self.options.tries == 0 {
            return Verdict::Unknown;
        }
        let now = Instant::now();
        let due = now + self.options.after(0);
        let told = lock(&self.ledger).wait(hash, timestamp_ns, now, due);
        let Some(told) = told else { return Verdict::Unknown };
        self.changed.notify_one();
        match timeout(self.options.longest(), told).await {
            Ok(Ok(verdict)) => verdict,
            // A Store does not answer, or no Store is asked any more.
            Err(_) | Ok(Err(_)) => Verdict::Unknown,
        }
    }

    /// Asks until the hub is closed.
    pub(super) async fn run(self: Arc<Self>, stores: Arc<Stores>, hub: Arc<Hub>) {
        tokio::select! {
            () = self.work(&stores) => {}
            () = hub.closed() => {}
        }
        lock(&self.ledger).clear();
    }

    async fn work(&self, stores: &Stores) {
        let least = self.options.first / 2;
        let (mut gap, mut rounds) = (least, 0_usize);
        loop {
            let (due, there) = {
                let mut ledger = lock(&self.ledger);
                (ledger.next_due(), ledger.store_there(Instant::now()))
            };
            match due {
                None => self.changed.notified().await,
                // Where there is no Store, no caller has to wait for the first query.
                Some(_) if there.is_none() => drop(self.stores(stores).await),
                Some(due) if Instant::now() < due => tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                Some(_) => {
                    let answered = self.round(stores, rounds).await;
                    rounds = rounds.wrapping_add(1);
                    // A Store that refuses queries or is silent is asked less often.
                    gap = if answered { least } else { (gap * 2).min(MAX_GAP) };
                    tokio::time::sleep(gap).await;
                }
            }
        }
    }

    /// The connected Stores. If there is none, no caller waits any longer.
    async fn stores(&self, stores: &Stores) -> Vec<Store> {
        let connected = stores.connected().await.unwrap_or_default();
        lock(&self.ledger).store_checked(!connected.is_empty(), Instant::now());
        connected
    }

    /// Asks one of the Stores for the messages that are due. Returns whether it answered.
    async fn round(&self, stores: &Stores, rounds: usize) -> bool {
        let most = match self.options.lookup {
            Lookup::Time => MAX_ASKED,
            Lookup::Hash => MAX_PAGE as usize,
        };
        let asked = lock(&self.ledger).take_due(Instant::now() + self.options.first / 2, most);
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
            tracing::debug!(store = store.id, %error, "no message was confirmed");
        });
        let answered = found.is_ok();
        let next = |tries| Instant::now() + self.options.after(tries);
        lock(&self.ledger).settle(&store.id, &hashes, found.ok(), self.options.tries, next);
        answered
    }
}
