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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing::{context, found_account};

    fn begun(cx: &Cx) -> (Recovery, AccountKey) {
        let (_, account) = found_account(cx);
        Recovery::begin(&cx.db, &account).unwrap();
        let mut recovery = Recovery::default();
        recovery.load(&cx.db).unwrap();
        (recovery, account)
    }

    #[test]
    fn an_account_that_was_not_recovered_has_nothing_to_look_for() {
        let cx = context(1);
        let mut recovery = Recovery::default();
        recovery.load(&cx.db).unwrap();
        assert!(!recovery.is_under_way() && recovery.key().is_none());
        assert_eq!(recovery.next_due(), None);
        assert!(!recovery.begins_to_look(&cx));
        assert!(!recovery.missed(&cx).unwrap());
    }

    #[test]
    fn the_card_is_looked_for_at_once_and_by_one_search_at_a_time() {
        let cx = context(1);
        let (mut recovery, _) = begun(&cx);
        assert!(recovery.begins_to_look(&cx));
        assert!(recovery.is_looking());
        assert_eq!(recovery.next_due(), None);
        assert!(!recovery.begins_to_look(&cx));
    }

    #[test]
    fn a_card_that_is_not_found_is_told_once_and_looked_for_ever_more_seldom() {
        let mut cx = context(1);
        let (mut recovery, _) = begun(&cx);
        let (mut told, mut pauses) = (0, Vec::new());
        for _ in 0..15 {
            assert!(recovery.begins_to_look(&cx));
            told += usize::from(recovery.missed(&cx).unwrap());
            // Also where the process ends in between.
            recovery.load(&cx.db).unwrap();
            let due = recovery.next_due().unwrap();
            assert!(!recovery.begins_to_look(&cx));
            pauses.push(due.since(cx.now));
            cx.now = due;
        }
        assert_eq!(told, 1);
        assert_eq!((pauses[0], pauses[14]), (CARD_RETRY_MIN, CARD_PERIOD));
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn the_account_key_is_kept_until_it_is_over_and_not_longer() {
        let cx = context(1);
        let (mut recovery, account) = begun(&cx);
        assert_eq!(recovery.key().map(|key| key.id()), Some(account.id()));
        recovery.end(&cx).unwrap();
        assert!(recovery.key().is_none());
        recovery.load(&cx.db).unwrap();
        assert!(!recovery.is_under_way() && recovery.key().is_none());
    }
}
