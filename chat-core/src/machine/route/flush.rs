//! What goes out is built when it goes out: commits are made and messages encrypted.

use crate::ids::GroupId;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::flows::directory::Known;
use crate::machine::group::conversation::Conversation;
use crate::machine::people::logs::Who;
use crate::time::Timestamp;

/// Rounds over the groups in one step; what is left is done in the next.
const MAX_ROUNDS: usize = 8;

impl Machine {
    /// Commits what is due and encrypts what waits, in every group. Commits come first: what is said
    /// after a removal is not for those who are removed.
    pub(in crate::machine) fn flush_groups(&mut self) -> Result<(), StepError> {
        if !self.history.may_send() {
            return Ok(());
        }
        // What one group does may give another something to say.
        for _ in 0..MAX_ROUNDS {
            let now = self.cx.now;
            let due = |group: &Conversation| self.next_flush_due(group).is_some_and(|at| at <= now);
            let ids: Vec<GroupId> =
                self.groups.values().filter(|group| due(group)).map(Conversation::id).collect();
            if ids.is_empty() {
                break;
            }
            for id in ids {
                let Self { cx, me, logs, cards, groups, .. } = self;
                let Some(group) = groups.get_mut(&id) else { continue };
                let who = Who { me, logs };
                let known = Known { who, cards };
                group.commit_due(cx, who, &known)?;
                group.flush(cx, who, &known)?;
                self.run_effects()?;
            }
        }
        Ok(())
    }

    /// When something of a group is to be committed or encrypted next.
    pub(in crate::machine) fn next_flush_due(&self, group: &Conversation) -> Option<Timestamp> {
        let next = group.next_intent_due().into_iter().chain(group.next_draft_due()).min()?;
        let held_until = self.scheduler.held_until(&self.cx, &group.id());
        Some(held_until.map_or(next, |until| next.max(until)))
    }

    /// After a connection came, what waited for it goes out in each group at a time of its own.
    pub(in crate::machine) fn hold_queues(&mut self) {
        if !self.scheduler.is_new() || !self.history.may_send() {
            return;
        }
        let Self { cx, groups, outbox, scheduler, .. } = self;
        let waits = |group: &&Conversation| {
            let next = group.next_intent_due().into_iter().chain(group.next_draft_due()).min();
            next.is_some_and(|at| at <= cx.now) || outbox.has_of(&group.id())
        };
        let waiting: Vec<GroupId> = groups.values().filter(waits).map(Conversation::id).collect();
        scheduler.hold(cx, waiting.into_iter());
        outbox.spread(cx);
    }

    /// The user does something in a group, or with none of them.
    pub(in crate::machine) fn note_typed(&mut self, group: Option<GroupId>) {
        let released = match (group, self.cx.own_group) {
            (Some(group), _) => self.scheduler.typed(&self.cx, group).then_some(group),
            (None, Some(own)) => self.scheduler.release(&own).then_some(own),
            (None, None) => None,
        };
        if let Some(group) = released {
            self.outbox.hurry(&self.cx, &group);
        }
    }

    /// Writes what waits to be encrypted.
    pub(in crate::machine) fn save_drafts(&mut self) -> Result<(), StepError> {
        let Self { cx, me, logs, groups, .. } = self;
        groups.values_mut().try_for_each(|group| group.save_drafts(cx, Who { me, logs }))
    }
}
