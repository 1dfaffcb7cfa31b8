//! What goes out is built when it goes out: commits are made and messages encrypted.

use crate::ids::GroupId;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::flows::directory::Known;
use crate::machine::group::conversation::Conversation;
use crate::machine::people::logs::Who;

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
            let due = |group: &Conversation| {
                let next = group.next_intent_due().into_iter().chain(group.next_draft_due()).min();
                next.is_some_and(|at| at <= now)
            };
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

    /// Writes what waits to be encrypted.
    pub(in crate::machine) fn save_drafts(&mut self) -> Result<(), StepError> {
        let Self { cx, me, logs, groups, .. } = self;
        groups.values_mut().try_for_each(|group| group.save_drafts(cx, Who { me, logs }))
    }
}
