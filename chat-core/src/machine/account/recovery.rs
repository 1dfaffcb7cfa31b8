//! A recovery of the account by its phrase that is under way: what is kept of it.
//!
//! Until the card was found the account key stays in the database, and no card is published: one that
//! forgets the lost installations would be refused by everybody who knows them.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::database::Database;
use crate::identity::account::AccountKey;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::net::backoff::Backoff;
use crate::params::{CARD_PERIOD, CARD_RETRY_MIN};
use crate::time::Timestamp;

/// Where it is in the database.
const RECOVERY: &str = "recovery";
/// Pauses between searches for the card.
const RETRY: Backoff = Backoff::new(CARD_RETRY_MIN, CARD_PERIOD);

/// A recovery that is under way, as stored.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    key: Zeroizing<[u8; 32]>,
    /// How often no card was found.
    misses: u32,
    /// When to look again.
    next_at: Timestamp,
}

/// Whether the account is being recovered, and how far that is.
#[derive(Default)]
pub(in crate::machine) struct Recovery {
    record: Option<Record>,
    /// Whether the account's own card is being looked for.
    sought: bool,
}

impl Recovery {
    pub(in crate::machine) fn load(&mut self, db: &Database) -> Result<(), StepError> {
        self.record = db.meta::<Option<Record>>(RECOVERY)?.flatten();
        self.sought = false;
        Ok(())
    }

    /// Begins one, in a database whose account was just made.
    pub(in crate::machine) fn begin(db: &Database, key: &AccountKey) -> Result<(), StepError> {
        let record = Record { key: key.to_bytes(), misses: 0, next_at: Timestamp(0) };
        Ok(db.set_meta(RECOVERY, &Some(record))?)
    }

    fn save(&mut self, cx: &Cx, record: Option<Record>) -> Result<(), StepError> {
        cx.db.set_meta(RECOVERY, &record)?;
        self.record = record;
        Ok(())
    }

    /// Whether the account's log is not known here yet.
    pub(in crate::machine) fn is_under_way(&self) -> bool {
        self.record.is_some()
    }

    /// The account key, for as long as it is needed.
    pub(in crate::machine) fn key(&self) -> Option<AccountKey> {
        Some(AccountKey::from_bytes(self.record.as_ref()?.key.clone()))
    }

    /// When the card is to be looked for again.
    pub(in crate::machine) fn next_due(&self) -> Option<Timestamp> {
        let record = self.record.as_ref()?;
        (!self.sought).then_some(record.next_at)
    }

    /// Whether the card is to be looked for now; then that is under way.
    pub(in crate::machine) fn begins_to_look(&mut self, cx: &Cx) -> bool {
        let due = self.next_due().is_some_and(|at| at <= cx.now);
        self.sought |= due;
        due
    }

    /// Whether the card is being looked for.
    pub(in crate::machine) fn is_looking(&self) -> bool {
        self.sought
    }

    /// No card was found. True the first time.
    pub(in crate::machine) fn missed(&mut self, cx: &Cx) -> Result<bool, StepError> {
        self.sought = false;
        let Some(record) = self.record.clone() else { return Ok(false) };
        let next_at = cx.now + RETRY.pause(record.misses);
        let misses = record.misses.saturating_add(1);
        self.save(cx, Some(Record { misses, next_at, ..record }))?;
        Ok(misses == 1)
    }

    /// It is over: the account key is forgotten.
    pub(in crate::machine) fn end(&mut self, cx: &Cx) -> Result<(), StepError> {
        self.save(cx, None)
    }
}
