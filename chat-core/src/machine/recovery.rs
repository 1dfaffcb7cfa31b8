//! Recovering an account with its phrase alone, when all its installations are lost.
//!
//! The phrase gives the account key and the card secret. With the secret the account's newest card is
//! found in a Store, and with it the log; with the key all installations but this one are revoked.
//! The account's next card, published by schedule, tells its contacts: they take it into their groups
//! again. What was on the lost devices only (contacts, messages, the list of groups) does not come
//! back.
//!
//! Until the card was found the account key stays in the database, and no card is published: one that
//! forgets the lost installations would be refused by everybody who knows them.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::command::Answer;
use super::error::{CommandError, StepError};
use super::event::Event;
use super::own::revoke_all_but;
use super::{Done, Machine};
use crate::identity::account::AccountKey;
use crate::params::{CARD_PERIOD, CARD_REACH, CARD_RETRY_MIN};
use crate::time::Timestamp;

/// Where the state of a recovery is kept.
pub(super) const RECOVERY: &str = "recovery";

/// A recovery that is under way, as stored.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Recovery {
    pub(super) key: Zeroizing<[u8; 32]>,
    /// How often no card was found.
    misses: u32,
    /// When to look again.
    next_at: Timestamp,
}

impl Recovery {
    pub(super) fn new(key: &AccountKey) -> Self {
        Self { key: key.to_bytes(), misses: 0, next_at: Timestamp(0) }
    }
}

impl Machine {
    /// Reads from the database whether the account is being recovered.
    pub(super) fn load_recovery(&mut self) -> Result<(), StepError> {
        self.recovery = self.store.meta::<Option<Recovery>>(RECOVERY)?.flatten();
        self.recovery_sought = false;
        Ok(())
    }

    /// Whether the account is being recovered: its log is not known here yet.
    pub fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }

    fn save_recovery(&mut self, recovery: Option<Recovery>) -> Result<(), StepError> {
        self.store.set_meta(RECOVERY, &recovery)?;
        self.recovery = recovery;
        Ok(())
    }

    /// When the card is to be looked for again.
    pub(super) fn next_recovery_due(&self) -> Option<Timestamp> {
        let recovery = self.recovery.as_ref()?;
        (!self.recovery_sought).then_some(recovery.next_at)
    }

    /// Looks for the account's card, and does what follows from it.
    pub(super) fn drive_recovery(&mut self) -> Result<(), StepError> {
        let Some(recovery) = self.recovery.clone() else { return Ok(()) };
        if !self.connected || !self.may_send() {
            return Ok(());
        }
        if self.knows_others() {
            return self.finish_recovery(&recovery);
        }
        if !self.recovery_sought {
            if recovery.next_at <= self.now {
                self.recovery_sought = true;
                self.seek_own_card(CARD_REACH);
            }
            return Ok(());
        }
        if self.is_own_card_sought() {
            return Ok(());
        }
        self.recovery_sought = false;
        let pause = CARD_RETRY_MIN.saturating_mul(1 << recovery.misses.min(16)).min(CARD_PERIOD);
        let misses = recovery.misses.saturating_add(1);
        if misses == 1 {
            let reason = "no Store that can be reached has a card of this account".into();
            self.tell(Event::RecoveryPending { reason })?;
        }
        self.save_recovery(Some(Recovery { misses, next_at: self.now + pause, ..recovery }))
    }

    /// Whether the log has anybody but this installation.
    fn knows_others(&self) -> bool {
        self.me.log.len() > 1
    }

    fn finish_recovery(&mut self, recovery: &Recovery) -> Result<(), StepError> {
        let key = AccountKey::from_bytes(recovery.key.clone());
        let mut log = self.me.log.clone();
        let revoked = revoke_all_but(&mut log, &key, &self.me.key.id(), self.now)
            .map_err(|error| StepError::State(format!("the recovered log: {error}")))?;
        self.learn_log(&log)?;
        self.save_recovery(None)?;
        self.forget_card_plan();
        self.tell(Event::Recovered { revoked })
    }

    /// Goes on without the account's card: whoever knows the lost installations takes what this one
    /// says for an attempt to have them forgotten, until they get a new link.
    pub(super) fn end_recovery(&mut self) -> Done<Answer> {
        let Some(recovery) = self.recovery.clone() else {
            return Err(CommandError::NothingToDo.into());
        };
        self.finish_recovery(&recovery)?;
        Ok(Answer::Done)
    }
}
