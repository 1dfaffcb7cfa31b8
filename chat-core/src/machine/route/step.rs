//! The step: what has come is taken in within one transaction; and what time brings.

use std::time::Duration;

use crate::machine::api::done::Fail;
use crate::machine::api::error::StepError;
use crate::machine::api::io::{Input, Output};
use crate::machine::assembly::Machine;
use crate::store::Store;
use crate::time::Timestamp;

impl Machine {
    /// Takes one input: see [`Machine::step_all`].
    ///
    /// # Errors
    /// [`StepError`]: the database or state in it failed.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Output>, StepError> {
        self.step_all(now, vec![input])
    }

    /// Takes everything that has come, in order, within one transaction. Either all that follows from
    /// it is in the database, and the outputs are to be carried out; or nothing has changed, and the
    /// inputs are to be given again.
    ///
    /// What others send never makes an error: each envelope gets a
    /// [`Disposition`](crate::machine::Disposition). Where several inputs were given and some cannot
    /// be taken in on their own, the others are: an envelope that is not is fetched again from
    /// history, a command is answered with [`CommandError::Failed`](crate::machine::CommandError).
    ///
    /// # Errors
    /// [`StepError`]: the database or state in it failed.
    pub fn step_all(
        &mut self,
        now: Timestamp,
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StepError> {
        self.cx.now = now;
        self.cx.out.clear();
        if !self.loaded {
            self.load()?;
        }
        let several = (inputs.len() > 1).then(|| inputs.clone());
        match (self.try_together(inputs), several) {
            (Ok(()), _) => {}
            (Err(error), Some(inputs)) if !error.is_retryable() => {
                tracing::warn!(%error, "a batch failed: its inputs are taken in one by one");
                self.try_apart(inputs)?;
            }
            (Err(error), _) => return Err(error),
        }
        self.watch.commit();
        Ok(std::mem::take(&mut self.cx.out))
    }

    fn try_together(&mut self, inputs: Vec<Input>) -> Result<(), StepError> {
        self.cx.db.begin()?;
        let attempted = self.history.attempted();
        let mut done = Ok(());
        for input in inputs {
            done = done.and_then(|()| self.dispatch(input));
        }
        let done = done.and_then(|()| self.housekeeping());
        let done = done.and_then(|()| Ok(self.cx.db.commit()?));
        done.or_else(|error| {
            self.cx.db.rollback();
            self.take_back(0, attempted)?;
            Err(error)
        })
    }

    /// Takes in what can be on its own. Where that is nothing, the step has failed.
    fn try_apart(&mut self, inputs: Vec<Input>) -> Result<(), StepError> {
        self.cx.db.begin()?;
        let (mut taken, mut last) = (false, None);
        for input in inputs {
            self.cx.db.savepoint()?;
            let (told, attempted) = (self.cx.out.len(), self.history.attempted());
            match self.dispatch(input.clone()) {
                Ok(()) => {
                    self.cx.db.release()?;
                    taken = true;
                }
                Err(error) => {
                    self.cx.db.rollback_to_savepoint()?;
                    self.take_back(told, attempted)?;
                    tracing::error!(%error, "an input cannot be taken in");
                    self.leave_out(input);
                    last = Some(error);
                }
            }
        }
        let attempted = self.history.attempted();
        let done = match last {
            Some(error) if !taken => Err(error),
            _ => self.housekeeping(),
        };
        done.and_then(|()| Ok(self.cx.db.commit()?)).or_else(|error| {
            self.cx.db.rollback();
            self.take_back(0, attempted)?;
            Err(error)
        })
    }

    /// What becomes of an input that cannot be taken in.
    fn leave_out(&mut self, input: Input) {
        match input {
            Input::Command(id, _) => {
                let failed = Err(crate::machine::api::error::CommandError::Failed);
                self.cx.out.push(Output::Answer(id, failed));
            }
            Input::Envelope(inbound) => {
                let sent_at = u64::try_from(inbound.timestamp_ns).unwrap_or(0) / 1_000_000;
                self.history.backfill(&self.cx, Timestamp(sent_at).min(self.cx.now));
            }
            _ => {}
        }
    }

    /// Goes back to what the database says. The outputs from `told` on reach nobody: what was to be
    /// published, watched or fetched is asked for again.
    fn take_back(&mut self, told: usize, attempted: bool) -> Result<(), StepError> {
        self.cx.db.inject_fault_after(None);
        self.cx.forget_effects();
        let lost = self.cx.out.split_off(told);
        self.outbox.take_back(&lost);
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
            Input::Published { outbox, failure } => {
                self.outbox.on_published(&mut self.cx, outbox, failure)
            }
            Input::Connection { connected } => {
                if self.history.on_connection(&self.cx, connected) {
                    self.watch.reset();
                    self.outbox.reset();
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
        self.drive_history()?;
        self.run_effects()?;
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
        let who = crate::machine::people::logs::Who { me, logs };
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
            let groups = self.groups.values();
            timers.extend(groups.map(|group| group.next_intent_due()));
            timers.extend(self.groups.values().map(|group| group.next_draft_due()));
            timers.push(self.outbox.next_due());
            timers.push(self.linkings.next_repeat(|frame| self.outbox.holds(frame)));
            timers.push(self.next_card_due());
            timers.push(self.recovery.next_due());
        }
        // Never in the past by much: a caller that sleeps until then must not spin.
        timers.into_iter().flatten().min().map(|at| at.max(soon))
    }

    /// The database, for tests that inject faults.
    pub fn store(&self) -> &Store {
        &self.cx.db
    }

    /// The database, taken out: what is left when a process ends.
    pub fn into_store(self) -> Store {
        self.cx.db
    }
}
