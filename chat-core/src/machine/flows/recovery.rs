//! Recovering an account with its phrase alone, when all its installations are lost.
//!
//! The phrase gives the account key and the card secret. With the secret the account's newest card is
//! found in a Store, and with it the log; with the key all installations but this one are revoked.
//! The account's next card, published by schedule, tells its contacts: they take it into their groups
//! again. What was on the lost devices only (contacts, messages, the list of groups) does not come
//! back.

use crate::machine::api::command::Answer;
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::event::Event;
use crate::machine::assembly::Machine;
use crate::machine::flows::revoke::revoke_all_but;
use crate::params::CARD_REACH;

impl Machine {
    /// Whether the account is being recovered: its log is not known here yet.
    pub fn is_recovering(&self) -> bool {
        self.recovery.is_under_way()
    }

    /// Looks for the account's card, and does what follows from it.
    pub(in crate::machine) fn drive_recovery(&mut self) -> Result<(), StepError> {
        if !self.recovery.is_under_way() || !self.history.may_send() {
            return Ok(());
        }
        if self.me.log().len() > 1 {
            return self.finish_recovery();
        }
        if self.recovery.begins_to_look(&self.cx) {
            self.cards.seek_own(&self.cx, &self.me, CARD_REACH);
            return Ok(());
        }
        if !self.recovery.is_looking() || self.cards.is_own_sought(&self.me) {
            return Ok(());
        }
        if self.recovery.missed(&self.cx)? {
            let reason = "no Store that can be reached has a card of this account".into();
            self.cx.tell(Event::RecoveryPending { reason })?;
        }
        Ok(())
    }

    fn finish_recovery(&mut self) -> Result<(), StepError> {
        let Some(key) = self.recovery.key() else { return Ok(()) };
        let mut log = self.me.log().clone();
        let revoked = revoke_all_but(&mut log, &key, &self.me.id(), self.cx.now)
            .map_err(|error| StepError::State(format!("the recovered log: {error}")))?;
        self.learn_log(&log)?;
        self.recovery.end(&self.cx)?;
        self.own_card.forget_plan();
        self.cx.tell(Event::Recovered { revoked })
    }

    /// Goes on without the account's card: contacts who know the lost installations take what this
    /// one says for an attempt to have them forgotten, until they get a new link.
    pub(in crate::machine) fn end_recovery(&mut self) -> Done<Answer> {
        if !self.recovery.is_under_way() {
            return Err(CommandError::NothingToDo.into());
        }
        self.finish_recovery()?;
        Ok(Answer::Done)
    }
}
