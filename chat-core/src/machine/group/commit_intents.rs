//! Intents are committed when they go out: once connected and caught up, or at once where the user
//! has just asked and nothing speaks against it.

use super::conversation::Conversation;
use super::directory::Directory;
use super::intent::{Intent, IntentRecord};
use super::plan::Plan;
use crate::ids::IntentId;
use crate::machine::api::done::{Done, Fail};
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::people::logs::Who;

/// What the user asked for and nothing speaks against.
pub(in crate::machine) struct Prepared {
    record: IntentRecord,
    /// The commit, where it can go out at once.
    plan: Option<Box<Plan>>,
}

impl Conversation {
    /// Commits what is due. The caller sees to it that this device is connected and has caught up:
    /// it might be done already.
    pub(in crate::machine) fn commit_due(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        directory: &dyn Directory,
    ) -> Result<(), StepError> {
        let is_due = |record: &IntentRecord| record.done_by.is_none() && record.due_at <= cx.now;
        let due: Vec<IntentRecord> = self.in_order(is_due).into_iter().cloned().collect();
        for record in due {
            match self.commit_intent(cx, who, directory, record.clone()) {
                Ok(true) => {}
                Ok(false) => self.end_idle(cx, &record)?,
                Err(Fail::Refused(reason)) => self.postpone(cx, record, reason)?,
                Err(Fail::Step(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the user has just asked for, made ready. `now`: it can go out at once, so that every
    /// refusal is told here; otherwise only what is refused already. Writes nothing.
    pub(in crate::machine) fn prepare(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        directory: &dyn Directory,
        intent: Intent,
        now: bool,
    ) -> Done<Prepared> {
        let record = self.new_intent(cx, intent, cx.now);
        let prepared = match now {
            true => self
                .plan(cx, who, directory, &record.intent, record.id)
                .and_then(|plan| plan.ok_or(CommandError::NothingToDo.into()))
                .map(|plan| Some(Box::new(plan))),
            false => self.check_intent(cx, who, directory, &record.intent).map(|()| None),
        };
        if let Err(Fail::Refused(CommandError::ContactPending { account })) = &prepared {
            cx.ask(Effect::WantCard(*account));
        }
        Ok(Prepared { record, plan: prepared? })
    }

    /// Commits what is ready, or keeps it until it can go out. Its id.
    pub(in crate::machine) fn go_ahead(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        prepared: Prepared,
    ) -> Result<IntentId, StepError> {
        let Prepared { record, plan } = prepared;
        let id = record.id;
        match plan {
            Some(plan) => self.commit(cx, who, *plan, Some(record))?,
            None => self.save_intent(cx, record)?,
        }
        Ok(id)
    }

    /// Commits an intent; false: there is nothing to do any more. Where it refuses, nothing was
    /// written.
    fn commit_intent(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        directory: &dyn Directory,
        record: IntentRecord,
    ) -> Done<bool> {
        // A device that is leaving has said its last word: commits of its own would come after it.
        if !self.is_active() {
            return Ok(false);
        }
        let Some(plan) = self.plan(cx, who, directory, &record.intent, record.id)? else {
            return Ok(false);
        };
        self.commit(cx, who, plan, Some(record))?;
        Ok(true)
    }
}
