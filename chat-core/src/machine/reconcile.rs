//! What groups should look like, by what the logs say, and what is yet to be done for it: every
//! active installation of this account is in every group of it, and no revoked installation of
//! anybody is in any.
//!
//! Nothing here is remembered but the intents that follow: what is missing is seen from the groups
//! and the logs, so an interruption at any point is made up for. Commits to many groups that have
//! one cause are spread over time, or whoever listens would see the account's topics together.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Machine;
use super::error::StepError;
use super::intents::{Intent, IntentRecord};
use super::logs::is_revoked;
use super::own::OwnRecord;
use super::view::Membership;
use crate::group::epoch::EpochInfo;
use crate::identity::log::Author;
use crate::ids::{AccountId, GroupId, InstallationId, IntentId};
use crate::params::{COMMIT_PACE, ENROL_SPREAD, EVICT_SPREAD};
use crate::time::Timestamp;

impl Machine {
    /// Makes the intents that are missing.
    pub(super) fn reconcile(&mut self) -> Result<(), StepError> {
        if !self.reconcile_due || !self.connected || !self.may_send() {
            return Ok(());
        }
        self.reconcile_due = false;
        if !self.is_active() {
            return Ok(());
        }
        let groups: Vec<GroupId> = self
            .groups
            .values()
            .filter(|group| group.record.membership == Membership::Active)
            .map(|group| group.record.id)
            .collect();
        let active = &self.me.log.state().active;
        let others: Vec<OwnRecord> = self
            .own_records()?
            .into_iter()
            .filter(|it| active.contains_key(&it.id) && it.usable_until > Some(self.now))
            .collect();
        for group in &groups {
            self.plan_evictions(group, groups.len())?;
            for other in &others {
                self.plan_enrolment(group, other, groups.len())?;
            }
        }
        Ok(())
    }

    fn plan_enrolment(
        &mut self,
        id: &GroupId,
        other: &OwnRecord,
        groups: usize,
    ) -> Result<(), StepError> {
        let Some(group) = self.groups.get(id) else { return Ok(()) };
        let state = group.current()?;
        let planned = |intent: &Intent| matches!(intent, Intent::Enrol(planned) if planned.contains(&other.id));
        if state.leaf_of(&other.id).is_some() || self.is_planned(id, planned) {
            return Ok(());
        }
        let rank = self.own_rank(state.leaves_of(&self.me.account).map(|leaf| leaf.installation));
        let unit = Duration::from_millis(self.params.rank_delay_ms);
        let known_since = other.known_since.unwrap_or(self.now);
        let delay = if !self.is_visible(id) || group.record.joined_at > known_since {
            // Only this group changed: nothing is told by its being now.
            unit.saturating_mul(rank)
        } else {
            let info = self.me.log.state().active.get(&other.id).map(|info| info.added_by);
            let first = match info {
                Some(Author::Installation(by)) => by == self.me.key.id(),
                _ => rank == 0,
            };
            let spread = self.spread(ENROL_SPREAD, groups);
            // Whoever linked it begins; the others see to what is left over.
            let wait = if first { Duration::ZERO } else { spread + unit.saturating_mul(rank + 1) };
            wait + self.within(spread)
        };
        self.plan(*id, Intent::Enrol(vec![other.id]), delay)
    }

    fn plan_evictions(&mut self, id: &GroupId, groups: usize) -> Result<(), StepError> {
        let mut gone = self.revoked_leaves(id)?;
        let planned: BTreeSet<InstallationId> = self
            .intents
            .values()
            .filter(|record| record.group == *id && record.done_by.is_none())
            .filter_map(|record| match &record.intent {
                Intent::Evict(gone) => Some(gone.iter().map(|(installation, _)| *installation)),
                _ => None,
            })
            .flatten()
            .collect();
        gone.retain(|(installation, _)| !planned.contains(installation));
        let Some(group) = self.groups.get(id).filter(|_| !gone.is_empty()) else {
            return Ok(());
        };
        let state = group.current()?.clone();
        // An account that lost all of them comes in with new ones first: so it stays what it is here.
        let accounts: BTreeSet<AccountId> = gone
            .iter()
            .filter_map(|(it, _)| state.leaf_of(it).map(|leaf| leaf.account))
            .filter(|account| self.needs_readmission(&state, account))
            .collect();
        for account in &accounts {
            let planned = |intent: &Intent| matches!(intent, Intent::Readmit(it) if it == account);
            if !self.is_planned(id, planned) {
                let rank = self.own_rank(state.leaves.iter().map(|leaf| leaf.installation));
                let delay = Duration::from_millis(self.params.rank_delay_ms).saturating_mul(rank);
                self.plan(*id, Intent::Readmit(*account), delay)?;
            }
        }
        gone.retain(|(it, _)| {
            state.leaf_of(it).is_some_and(|leaf| !accounts.contains(&leaf.account))
        });
        if gone.is_empty() {
            return Ok(());
        }
        let out: BTreeSet<InstallationId> = gone.iter().map(|(it, _)| *it).collect();
        let ours = gone
            .iter()
            .any(|(it, _)| state.leaf_of(it).is_some_and(|leaf| leaf.account == self.me.account));
        let staying = state.leaves.iter().filter(|leaf| {
            (!ours || leaf.account == self.me.account) && !out.contains(&leaf.installation)
        });
        let rank = self.own_rank(staying.map(|leaf| leaf.installation));
        let unit = Duration::from_millis(self.params.rank_delay_ms);
        let spread = self.spread(EVICT_SPREAD, groups);
        let delay = if !self.is_visible(id) {
            unit.saturating_mul(rank)
        } else if ours {
            let wait = if rank == 0 { Duration::ZERO } else { spread + unit.saturating_mul(rank) };
            wait + self.within(spread)
        } else {
            // Its own account is the one to do it, unless nobody of it is there any more.
            let anybody = state.leaves.iter().any(|leaf| {
                !out.contains(&leaf.installation)
                    && gone.iter().any(|(it, _)| {
                        state.leaf_of(it).is_some_and(|away| away.account == leaf.account)
                    })
            });
            // Whoever does not hold its link leaves the first move to those who do.
            let wait = if anybody { spread.saturating_mul(2) } else { spread };
            wait + unit.saturating_mul(rank + 1)
        };
        self.plan(*id, Intent::Evict(gone), delay)
    }

    /// Whether an account is in a group with revoked installations only, and has others with which it
    /// can be added, by a card that is known.
    pub(super) fn needs_readmission(&self, state: &EpochInfo, account: &AccountId) -> bool {
        let Some(log) = self.logs.get(account) else { return false };
        let mut leaves = state.leaves_of(account).peekable();
        if leaves.peek().is_none() || leaves.any(|leaf| !is_revoked(log, leaf)) {
            return false;
        }
        let contact = self.contact(account).ok().flatten();
        let card = contact.filter(|it| it.secret.is_some()).and_then(|it| it.card(&self.network));
        card.is_some_and(|card| {
            let active = &log.state().active;
            card.content().inbox.usable_until > self.now
                && card.key_packages_at(self.now).any(|it| active.contains_key(&it.installation))
        })
    }

    /// Over how long the commits to many groups are spread: at least `share` of a slot, given in
    /// thousandths, and as long as the pace asks for.
    fn spread(&self, share: u64, groups: usize) -> Duration {
        let slot = Duration::from_secs(self.params.slot_secs);
        let part = |thousandths: u64| slot.saturating_mul(thousandths as u32) / 1000;
        part(share).max(part(COMMIT_PACE).saturating_mul(groups as u32))
    }

    fn within(&self, spread: Duration) -> Duration {
        let most = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.rng.below(most.max(1)))
    }

    /// The place of this installation among others, first come first.
    fn own_rank(&self, mut among: impl Iterator<Item = InstallationId>) -> u32 {
        let own = self.me.key.id();
        among.position(|it| it == own).unwrap_or(0).try_into().unwrap_or(u32::MAX)
    }

    fn is_planned(&self, group: &GroupId, is_it: impl Fn(&Intent) -> bool) -> bool {
        self.intents.values().any(|record| {
            record.group == *group && record.done_by.is_none() && is_it(&record.intent)
        })
    }

    fn plan(&mut self, group: GroupId, intent: Intent, delay: Duration) -> Result<(), StepError> {
        self.save_intent(IntentRecord {
            id: IntentId(self.rng.bytes()),
            group,
            intent,
            done_by: None,
            due_at: self.now + delay,
            attempts: 0,
            welcome: None,
        })
    }

    /// Does at once what was to be spread over time: at the price that an observer sees it together.
    pub(super) fn hurry(&mut self) -> Result<usize, StepError> {
        let waiting: Vec<IntentRecord> = self
            .intents
            .values()
            .filter(|record| record.done_by.is_none() && record.due_at > self.now)
            .filter(|record| matches!(record.intent, Intent::Enrol(_) | Intent::Evict(_)))
            .cloned()
            .collect();
        let count = waiting.len();
        let due_at: Timestamp = self.now;
        for record in waiting {
            self.save_intent(IntentRecord { due_at, ..record })?;
        }
        Ok(count)
    }
}
