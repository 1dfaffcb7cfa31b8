//! The step: what has come is taken in within one transaction; and what time brings.

use std::time::Duration;

use crate::database::Database;
use crate::machine::api::done::Fail;
use crate::machine::api::error::StepError;
use crate::machine::api::io::{Input, Output};
use crate::machine::assembly::Machine;
use crate::machine::people::logs::Who;
use crate::random::Entropy;
use crate::time::Timestamp;

impl Machine {
    /// Takes one input: see [`Machine::step_all`].
    ///
    /// # Errors
    /// [`StepError`]: the database or state in it failed.
    pub fn step(
        &mut self,
        now: Timestamp,
        entropy: Entropy,
        input: Input,
    ) -> Result<Vec<Output>, StepError> {
        self.step_all(now, entropy, vec![input])
    }

    /// Takes everything that has come, in order, within one transaction. Either all that follows from
    /// it is in the database, and the outputs are to be carried out; or nothing has changed, and the
    /// inputs are to be given again: one by one, so that one that fails takes no other with it.
    ///
    /// `entropy` is fresh from the operating system: see [`random`](crate::random).
    ///
    /// What others send never makes an error: each envelope gets a
    /// [`Disposition`](crate::machine::Disposition).
    ///
    /// # Errors
    /// [`StepError`]: the database or state in it failed.
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
        let attempted = self.history.attempted();
        let mut inputs = inputs.into_iter();
        let done = inputs.try_for_each(|input| self.dispatch(input));
        let done = done.and_then(|()| self.housekeeping());
        match done.and_then(|()| Ok(self.cx.db.commit()?)) {
            Ok(()) => {
                self.watch.commit();
                Ok(std::mem::take(&mut self.cx.out))
            }
            Err(error) => self.take_back(attempted).and(Err(error)),
        }
    }

    /// Goes back to what the database says. The outputs reach nobody: what was to be published, watched
    /// or fetched is asked for again. `attempted` is whether this device had tried to catch up.
    fn take_back(&mut self, attempted: bool) -> Result<(), StepError> {
        self.cx.db.rollback();
        self.cx.db.inject_fault_after(None);
        self.cx.forget_effects();
        self.outbox.take_back(&self.cx.out);
        self.cx.out.clear();
        self.watch.take_back();
        let loaded = self.load();
        self.history.restart(&self.cx, attempted);
        loaded
    }

    fn dispatch(&mut self, input: Input) -> Result<(), StepError> {
        match input {
            Input::Command(id, command) => {
                self.cx.db.watch_writes();
                let answer = match self.run(command) {
                    Ok(answer) => Ok(answer),
                    Err(Fail::Step(error)) => return Err(error),
                    // A refusal comes before the first write.
                    Err(Fail::Refused(error)) if self.cx.db.has_written() => {
                        debug_assert!(false, "a command is refused after a write: {error}");
                        let why = format!("a command is refused after a write: {error}");
                        return Err(StepError::State(why));
                    }
                    Err(Fail::Refused(error)) => Err(error),
                };
                self.cx.out.push(Output::Answer(id, answer));
                self.run_effects()
            }
            Input::Envelope(inbound) => self.receive(inbound, true),
            Input::HistoryPage { query, messages, cursor } => self.on_page(query, messages, cursor),
            Input::HistoryFailed { query, reason, no_store } => {
                self.on_history_failed(query, reason, no_store)
            }
            Input::Sent { outbox } => self.outbox.on_sent(&mut self.cx, outbox),
            Input::Published { outbox, failure } => {
                self.outbox.on_published(&mut self.cx, outbox, failure)
            }
            Input::Connection { connected } => {
                if self.history.on_connection(&self.cx, connected) {
                    self.watch.reset();
                    self.outbox.reset();
                    self.scheduler.on_connection();
                    self.own_card.forget_plan();
                }
                Ok(())
            }
            Input::Missed => {
                self.history.on_missed(&self.cx);
                Ok(())
            }
            Input::ObservedTime { timestamp_ns } => match u64::try_from(timestamp_ns) {
                Ok(ns) => self.observe_time(Timestamp(ns / 1_000_000)),
                Err(_) => Ok(()),
            },
            Input::Tick => Ok(()),
        }
    }

    /// What time brings, and what the inputs made necessary.
    fn housekeeping(&mut self) -> Result<(), StepError> {
        if self.watch.enters(self.cx.slot()) {
            self.new_slot()?;
        }
        self.drive_recovery()?;
        self.drive_card()?;
        self.drive_doubts()?;
        self.drive_history()?;
        self.run_effects()?;
        self.hold_queues();
        self.reconcile()?;
        self.flush_groups()?;
        self.drive_linkings()?;
        self.drive_transfers()?;
        self.run_effects()?;
        // What those have to say goes out in the same step.
        self.flush_groups()?;
        self.save_drafts()?;
        self.refresh_watch();
        self.flush_outbox()
    }

    fn new_slot(&mut self) -> Result<(), StepError> {
        let complete_to = self.history.complete_to();
        self.keys.expire(&self.cx, complete_to)?;
        self.requests.expire(&mut self.cx, complete_to)?;
        self.run_effects()?;
        self.review_deferred()?;
        self.prune_all()?;
        self.renew_package()?;
        self.compact_log()?;
        self.reconcile_due = true;
        let Self { cx, me, logs, groups, .. } = self;
        let who = Who { me, logs };
        groups.values_mut().try_for_each(|group| group.renew_roots(cx, who))?;
        self.run_effects()
    }

    /// When [`Input::Tick`] is due, if nothing else comes before. None: never, while disconnected
    /// and with nothing that ends by itself.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let soon = self.cx.now + Duration::from_millis(1);
        if !self.history.connected() {
            return self.linkings.next_end().map(|at| at.max(soon));
        }
        let slot = self.cx.slot().next().start(self.cx.params.slot_secs);
        let always = [Some(slot), self.next_history_due(), self.linkings.next_end()];
        let mut timers: Vec<Option<Timestamp>> = always.into();
        if self.history.may_send() {
            timers.extend(self.groups.values().map(|group| self.next_flush_due(group)));
            timers.push(self.outbox.next_due());
            timers.push(self.linkings.next_repeat(|frame| self.outbox.holds(frame)));
            timers.push(self.next_card_due());
            timers.push(self.recovery.next_due());
            timers.push(self.doubts.next_due());
        }
        // Never in the past by much: a caller that sleeps until then must not spin.
        timers.into_iter().flatten().min().map(|at| at.max(soon))
    }

    /// The database, for tests that inject faults.
    pub fn database(&self) -> &Database {
        &self.cx.db
    }

    /// The database, taken out: what is left when a process ends.
    pub fn into_database(self) -> Database {
        self.cx.db
    }
}

#[cfg(test)]
#[path = "copied_state_tests.rs"]
mod tests;
