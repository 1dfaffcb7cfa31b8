//! Intents are kept until they cannot be undone: when a commit's branch loses, its intent comes up
//! again, is checked anew against the winner and committed again.

use std::time::Duration;

use super::change::described;
use super::conversation::Conversation;
use super::intent::{Intent, IntentRecord};
use crate::group::policy::GroupPolicy;
use crate::ids::IntentId;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::net::backoff::Backoff;
use crate::machine::net::scheduler::{place, spread};
use crate::machine::people::logs::Who;
use crate::params::{HORIZON_COMMITS, RENEW_SPREAD, RETRY_MAX, RETRY_MIN, ROOT_MAX_AGE};
use crate::time::Timestamp;

/// Attempts to commit an intent that would lose, after which it is given up: whatever it loses to
/// does not go away.
const MAX_ATTEMPTS: u32 = 8;
/// Pauses between attempts to commit an intent that cannot be committed now.
const RETRY: Backoff = Backoff::new(RETRY_MIN, RETRY_MAX);

impl Conversation {
    /// Wants something of the group, after a delay.
    pub(in crate::machine) fn intend(
        &mut self,
        cx: &Cx,
        intent: Intent,
        delay: Duration,
    ) -> Result<IntentId, StepError> {
        let record = self.new_intent(cx, intent, cx.now + delay);
        let id = record.id;
        self.save_intent(cx, record)?;
        Ok(id)
    }

    pub(super) fn new_intent(&self, cx: &Cx, intent: Intent, due_at: Timestamp) -> IntentRecord {
        let last = self.intents.values().map(|record| record.number).max();
        let number = last.map_or(0, |last| last.saturating_add(1));
        IntentRecord::new(cx, self.record.id, number, intent, due_at)
    }

    pub(super) fn save_intent(&mut self, cx: &Cx, record: IntentRecord) -> Result<(), StepError> {
        cx.db.set_intent(record.id.as_bytes(), &record.group, record.due_at, &record)?;
        self.intents.insert(record.id, record);
        Ok(())
    }

    pub(super) fn drop_intent(&mut self, cx: &Cx, id: &IntentId) -> Result<(), StepError> {
        self.intents.remove(id);
        Ok(cx.db.delete_intent(id.as_bytes())?)
    }

    /// Intents that no commit does yet.
    pub(in crate::machine) fn open_intents(&self) -> impl Iterator<Item = &Intent> {
        self.intents.values().filter(|record| record.done_by.is_none()).map(|record| &record.intent)
    }

    /// The group's policy once the descriptions that wait are committed, in their order.
    pub(in crate::machine) fn policy_to_be(&self) -> Result<GroupPolicy, StepError> {
        let mut policy = self.current()?.policy()?;
        for record in self.in_order(|record| record.done_by.is_none()) {
            if let Some(next) = described(&policy, &record.intent) {
                policy = next;
            }
        }
        Ok(policy)
    }

    /// Whether an intent changes what the group's name or description will be by then.
    pub(super) fn describes_anew(&self, intent: &Intent) -> Result<bool, StepError> {
        Ok(described(&self.policy_to_be()?, intent).is_some())
    }

    /// Intents in the order in which they were made.
    pub(super) fn in_order(&self, which: impl Fn(&IntentRecord) -> bool) -> Vec<&IntentRecord> {
        let mut records: Vec<_> = self.intents.values().filter(|record| which(record)).collect();
        records.sort_by_key(|record| record.number);
        records
    }

    /// How many changes the application asked for that no commit makes yet.
    pub(in crate::machine) fn changes(&self) -> usize {
        self.open_intents().filter(|intent| intent.is_asked_for()).count()
    }

    /// When an intent is to be committed next.
    pub(in crate::machine) fn next_intent_due(&self) -> Option<Timestamp> {
        self.intents.values().filter(|it| it.done_by.is_none()).map(|it| it.due_at).min()
    }

    /// Brings forward what was to be spread over time.
    pub(in crate::machine) fn hurry(
        &mut self,
        cx: &Cx,
        which: impl Fn(&Intent) -> bool,
    ) -> Result<(), StepError> {
        let waiting: Vec<IntentRecord> = self
            .intents
            .values()
            .filter(|it| it.done_by.is_none() && it.due_at > cx.now && which(&it.intent))
            .cloned()
            .collect();
        for record in waiting {
            self.save_intent(cx, IntentRecord { due_at: cx.now, ..record })?;
        }
        Ok(())
    }

    /// After the tip moved: intents whose commit lost come up again; those that are out of reach of
    /// any branch are forgotten, and those of an account that is not a member any more are void.
    pub(super) fn review_intents(&mut self, cx: &mut Cx) -> Result<(), StepError> {
        let tip = self.record.tip;
        let depth = self.tree.depth(&tip).unwrap_or(0);
        let mut lost = Vec::new();
        let mut settled = Vec::new();
        let mut void = Vec::new();
        for record in self.intents.values() {
            let in_force =
                record.done_by.is_some_and(|(_, epoch)| self.tree.is_ancestor(&epoch, &tip));
            if !self.is_member() {
                if in_force {
                    settled.push(record.id)
                } else {
                    void.push(record.clone())
                }
                continue;
            }
            let Some((_, epoch)) = record.done_by else {
                continue;
            };
            if !in_force {
                lost.push(record.clone());
            } else if self.tree.depth(&epoch).unwrap_or(0) + HORIZON_COMMITS < depth {
                settled.push(record.id);
            }
        }
        for id in settled {
            self.drop_intent(cx, &id)?;
        }
        for record in void {
            self.end_void(cx, &record, CommandError::NotMember.to_string())?;
        }
        // A random pause, or two that met would meet again. One for all, which stay in their order.
        let pause = match lost.is_empty() {
            true => 0,
            false => cx.rng.below(cx.params.rank_delay_ms.saturating_add(1)),
        };
        let due_at = cx.now + Duration::from_millis(pause);
        for record in lost {
            let lost = IntentRecord { done_by: None, due_at, attempts: 0, welcome: None, ..record };
            self.save_intent(cx, lost)?;
        }
        Ok(())
    }

    /// An intent is refused now: it is tried again later, or given up and told.
    pub(super) fn postpone(
        &mut self,
        cx: &mut Cx,
        record: IntentRecord,
        reason: CommandError,
    ) -> Result<(), StepError> {
        if let CommandError::ContactPending { account } = reason {
            cx.ask(Effect::WantCard(account));
        }
        let attempts = record.attempts.saturating_add(1);
        if reason.is_retryable() && attempts < MAX_ATTEMPTS {
            let due_at = cx.now + RETRY.pause(attempts);
            return self.save_intent(cx, IntentRecord { due_at, attempts, ..record });
        }
        self.end_void(cx, &record, reason.to_string())
    }

    /// An intent has nothing to do any more. Either it is done, perhaps by others, or it is void, and
    /// then that is told.
    pub(super) fn end_idle(&mut self, cx: &mut Cx, record: &IntentRecord) -> Result<(), StepError> {
        if !self.is_active() {
            return self.end_void(cx, record, CommandError::NotMember.to_string());
        }
        match self.is_as_described(&record.intent)? {
            true => self.drop_intent(cx, &record.id),
            false => {
                let reason = "another member changed the same meanwhile".to_owned();
                self.end_void(cx, record, reason)
            }
        }
    }

    /// Whether nothing is left of an intent to describe the group; true for all other intents.
    fn is_as_described(&self, intent: &Intent) -> Result<bool, StepError> {
        let Intent::Describe { name, description } = intent else { return Ok(true) };
        let policy = self.current()?.policy()?;
        let is = |wanted: &Option<(String, String)>, now: &str| {
            wanted.as_ref().is_none_or(|(_, wanted)| wanted == now)
        };
        Ok(is(name, &policy.name) && is(description, &policy.description))
    }

    /// An intent can never be done. What the application did not ask for, it is not told of.
    fn end_void(
        &mut self,
        cx: &mut Cx,
        record: &IntentRecord,
        reason: String,
    ) -> Result<(), StepError> {
        self.drop_intent(cx, &record.id)?;
        if !record.intent.is_asked_for() {
            return Ok(());
        }
        tracing::info!(%reason, "a change is void now");
        cx.tell(Event::ChangeFailed { group: self.record.id, intent: record.id, reason })
    }

    /// Roots that are old are renewed by the member that is first in rank, so that a copy of a
    /// device's database is worth little a week later.
    pub(in crate::machine) fn renew_roots(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
    ) -> Result<(), StepError> {
        let state = self.current()?;
        let old = cx.now.since(state.rooted_at) >= ROOT_MAX_AGE;
        if !self.is_active() || !old || state.leaves.len() < 2 {
            return Ok(());
        }
        if self.open_intents().any(|intent| *intent == Intent::Rotate) {
            return Ok(());
        }
        let leaves = state.leaves.iter().map(|leaf| leaf.installation);
        let rank = u64::from(Self::rank(leaves, &who.me.id()));
        // All groups made in one slot come of age at one boundary: each has a time of its own in the
        // slot, the same for all members, so that their ranks keep them apart still.
        let place = place(&state.epoch, spread(cx, RENEW_SPREAD, 1));
        let pause = Duration::from_millis(cx.params.rank_delay_ms.saturating_mul(rank));
        self.intend(cx, Intent::Rotate, place + pause)?;
        Ok(())
    }
}
