//! The step of a new device.

use std::time::Duration;

use super::state::Newcomer;
use crate::identity::linking::EndCode;
use crate::machine::api::command::{Answer, Command};
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::io::{Input, Output};
use crate::params::RETRY_MIN;
use crate::random::Entropy;
use crate::time::{Slot, Timestamp};

impl Newcomer {
    /// Takes one input, as [`Machine::step`](crate::machine::Machine::step) does.
    ///
    /// Of commands it knows [`Command::CancelLinking`] and [`Command::AcknowledgeEvents`].
    ///
    /// # Errors
    /// [`StepError`]: the database failed.
    pub fn step(
        &mut self,
        now: Timestamp,
        entropy: Entropy,
        input: Input,
    ) -> Result<Vec<Output>, StepError> {
        self.step_all(now, entropy, vec![input])
    }

    /// Takes several inputs in one transaction, as [`Machine::step_all`](crate::machine::Machine::step_all) does.
    ///
    /// # Errors
    /// See [`Newcomer::step`].
    pub fn step_all(
        &mut self,
        now: Timestamp,
        entropy: Entropy,
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StepError> {
        let rng = self.cx.rng.clone();
        rng.renewed(&entropy, || self.take_all(now, inputs))
    }

    fn take_all(&mut self, now: Timestamp, inputs: Vec<Input>) -> Result<Vec<Output>, StepError> {
        self.cx.now = now;
        self.cx.out.clear();
        if !self.loaded {
            self.load()?;
        }
        self.cx.db.begin()?;
        let mut inputs = inputs.into_iter();
        let done = inputs.try_for_each(|input| self.dispatch(input));
        let done = done.and_then(|()| self.housekeeping());
        match done.and_then(|()| Ok(self.cx.db.commit()?)) {
            Ok(()) => {
                if let Some(watched) = self.next_watched.take() {
                    self.watched = watched;
                }
                Ok(std::mem::take(&mut self.cx.out))
            }
            Err(error) => {
                self.outbox.take_back(&self.cx.out);
                self.cx.out.clear();
                self.next_watched = None;
                self.cx.db.rollback();
                self.cx.db.inject_fault_after(None);
                // What a page held will not come again: it is asked for anew.
                self.history.run = None;
                self.history.wanted = self.connected;
                self.history.not_before = now + RETRY_MIN;
                self.load()?;
                Err(error)
            }
        }
    }

    fn dispatch(&mut self, input: Input) -> Result<(), StepError> {
        match input {
            Input::Command(id, command) => {
                let answer = match command {
                    Command::AcknowledgeEvents { cursor } => {
                        self.cx.db.delete_events(cursor)?;
                        Ok(Answer::Done)
                    }
                    Command::CancelLinking { id } if id == self.record.id => self.cancel()?,
                    Command::CancelLinking { .. } => Err(CommandError::UnknownLinking),
                    _ => Err(CommandError::NotLinked),
                };
                self.cx.out.push(Output::Answer(id, answer));
            }
            Input::Envelope(inbound) => self.receive(inbound, true)?,
            Input::HistoryPage { query, messages, cursor } => {
                self.on_page(query, messages, cursor)?;
            }
            Input::HistoryFailed { query, no_store, .. } => self.on_history_failed(query, no_store),
            Input::Sent { outbox } => self.outbox.on_sent(&mut self.cx, outbox)?,
            Input::Published { outbox, failure } => {
                self.outbox.on_published(&mut self.cx, outbox, failure)?;
            }
            Input::Connection { connected } => self.on_connection(connected),
            Input::Missed => self.history.wanted = true,
            Input::ObservedTime { .. } | Input::Tick => {}
        }
        Ok(())
    }

    /// When [`Input::Tick`] is due, if nothing else comes before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let end = (!self.record.is_over()).then_some(self.record.until);
        let mut due = vec![end];
        if self.connected {
            let slot = Slot::at(self.cx.now, self.cx.params.slot_secs).next();
            due.push((!self.record.is_over()).then(|| slot.start(self.cx.params.slot_secs)));
            due.push(self.late_at().filter(|at| self.cx.now < *at));
            due.push(
                (self.history.wanted && self.history.run.is_none())
                    .then_some(self.history.not_before),
            );
            if self.history.attempted {
                due.push(self.outbox.next_due());
                due.push(self.repeat_due());
            }
        }
        due.into_iter().flatten().min().map(|at| at.max(self.cx.now + Duration::from_millis(1)))
    }

    fn cancel(&mut self) -> Result<Result<Answer, CommandError>, StepError> {
        if self.record.is_over() || self.is_linked() {
            return Ok(Err(CommandError::NothingToDo));
        }
        self.end(EndCode::Cancelled, false, None)?;
        Ok(Ok(Answer::Done))
    }

    fn housekeeping(&mut self) -> Result<(), StepError> {
        if !self.record.is_over() && !self.is_linked() {
            let late = self.late_at();
            if self.cx.now >= self.record.until
                || late.is_some_and(|at| self.history.complete_to >= at)
            {
                self.end(EndCode::Expired, false, None)?;
            } else if late.is_some_and(|at| self.cx.now >= at) {
                // The last word may lie in a Store.
                self.history.wanted = true;
            }
        }
        if self.history.attempted && self.repeat_due().is_some_and(|at| at <= self.cx.now) {
            self.record.say_again(self.cx.now);
            self.post_said()?;
            self.save()?;
        }
        self.refresh_watch();
        self.fetch();
        self.flush()
    }
}
