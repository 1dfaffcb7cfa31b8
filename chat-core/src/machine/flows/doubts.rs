//! Doubts are looked into: the groups say what they do not understand, and a Store is asked for it.

use crate::ids::GroupId;
use crate::machine::api::disposition::{Deferred, Disposition};
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::effect::Why;
use crate::machine::net::doubts::Unexplained;

impl Machine {
    /// Takes note of what became of an envelope of a group.
    pub(in crate::machine) fn note_disposed(
        &mut self,
        group: GroupId,
        disposition: &Disposition,
    ) -> Result<(), StepError> {
        match disposition {
            Disposition::Deferred(Deferred::UnknownEpoch | Deferred::UnknownRoot) => {
                self.doubts.note(&self.cx, group);
                Ok(())
            }
            Disposition::Message(_) | Disposition::Commit(_) if self.doubts.heard(&group) => {
                self.review_doubt(&group).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Asks a Store where a doubt has lasted, and writes down how far it is.
    pub(in crate::machine) fn drive_doubts(&mut self) -> Result<(), StepError> {
        let Self { cx, doubts, groups, .. } = self;
        doubts.bound_pauses(cx);
        doubts.retain(|id| groups.get(id).is_some_and(|group| group.is_member()));
        if self.history.may_send() {
            for group in self.doubts.due(self.cx.now) {
                let unexplained = self.review_doubt(&group)?;
                if unexplained != Unexplained::Nothing
                    && let Some(from) = self.doubts.ask(&self.cx, &group, unexplained)
                {
                    self.history.backfill(&self.cx, from, Why::Caused);
                }
            }
        }
        self.doubts.save(&self.cx.db)
    }

    /// What was to be fetched was, or cannot be.
    pub(in crate::machine) fn conclude_doubts(&mut self) -> Result<(), StepError> {
        for group in self.doubts.asked() {
            self.doubts.answered(&self.cx, &group);
            self.review_doubt(&group)?;
        }
        Ok(())
    }

    fn review_doubt(&mut self, id: &GroupId) -> Result<Unexplained, StepError> {
        let Some(group) = self.groups.get(id) else { return Ok(Unexplained::Nothing) };
        let unexplained = group.unexplained(&self.cx)?;
        if let Some(event) = self.doubts.review(id, unexplained) {
            self.cx.tell(event)?;
        }
        Ok(unexplained)
    }
}
