//! What groups should look like, by what the logs say, and what is yet to be done for it: every
//! active installation of this account is in every group of it, and no revoked installation of
//! anybody is in any.
//!
//! Nothing here is remembered but the intents that follow: what is missing is seen from the groups
//! and the logs, so an interruption at any point is made up for. Commits to many groups that have
//! one cause are spread over time, or an observer would see the account's topics together.

use std::collections::BTreeSet;
use std::time::Duration;

use super::directory::Known;
use crate::group::epoch::{EpochInfo, Leaf};
use crate::identity::log::Author;
use crate::ids::{AccountId, EpochId, GroupId, InstallationId};
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::error::StepError;
use crate::machine::assembly::Machine;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::directory::Directory as _;
use crate::machine::group::intent::Intent;
use crate::machine::net::scheduler::{place, spread};
use crate::params::{ENROL_SPREAD, EVICT_SPREAD};

impl Machine {
    /// Makes the intents that are missing.
    pub(in crate::machine) fn reconcile(&mut self) -> Result<(), StepError> {
        if !self.reconcile_due || !self.history.may_send() {
            return Ok(());
        }
        self.reconcile_due = false;
        if !self.me.is_active() {
            return Ok(());
        }
        let groups: Vec<GroupId> =
            self.groups.values().filter(|group| group.is_active()).map(Conversation::id).collect();
        let active = &self.me.log().state().active;
        let others: Vec<OwnInstallation> = OwnInstallation::others(&self.cx, &self.me)?
            .into_iter()
            .filter(|it| active.contains_key(&it.id) && it.usable_until > Some(self.cx.now))
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
        other: &OwnInstallation,
        groups: usize,
    ) -> Result<(), StepError> {
        let Some(group) = self.groups.get(id) else { return Ok(()) };
        let state = group.current()?;
        let planned =
            |intent: &Intent| matches!(intent, Intent::Enrol(it) if it.contains(&other.id));
        if state.leaf_of(&other.id).is_some() || group.open_intents().any(planned) {
            return Ok(());
        }
        let rank = self.own_rank(state.leaves_of(&self.me.account));
        let unit = Duration::from_millis(self.cx.params.rank_delay_ms);
        let known_since = other.known_since.unwrap_or(self.cx.now);
        let delay = if !self.cx.is_visible(id) || group.joined_at() > known_since {
            // Only this group changed: nothing is told by its being now.
            unit.saturating_mul(rank)
        } else {
            let added_by = self.me.log().state().active.get(&other.id).map(|info| info.added_by);
            let first = match added_by {
                Some(Author::Installation(by)) => by == self.me.id(),
                _ => rank == 0,
            };
            let spread = spread(&self.cx, ENROL_SPREAD, groups);
            // The installation that linked it begins; the others see to what is left over.
            let wait = if first { Duration::ZERO } else { spread + unit.saturating_mul(rank + 1) };
            wait + self.cx.within(spread)
        };
        self.intend_after(id, Intent::Enrol(vec![other.id]), delay)
    }

    fn plan_evictions(&mut self, id: &GroupId, groups: usize) -> Result<(), StepError> {
        let Some(group) = self.groups.get(id) else { return Ok(()) };
        let mut gone = group.revoked_leaves(self.who())?;
        let planned: BTreeSet<InstallationId> = group
            .open_intents()
            .filter_map(|intent| match intent {
                Intent::Evict(gone) => Some(gone.iter().map(|(installation, _)| *installation)),
                _ => None,
            })
            .flatten()
            .collect();
        gone.retain(|(installation, _)| !planned.contains(installation));
        if gone.is_empty() {
            return Ok(());
        }
        let state = group.current()?.clone();
        // An account that lost all of them comes in with new ones first: so it stays what it is here.
        let readmitted = self.plan_readmissions(id, &state, &gone, groups)?;
        let account_of = |it: &InstallationId| state.leaf_of(it).map(|leaf| leaf.account);
        gone.retain(|(it, _)| account_of(it).is_some_and(|account| !readmitted.contains(&account)));
        if gone.is_empty() {
            return Ok(());
        }
        let delay = self.eviction_delay(id, &state, &gone, groups);
        self.intend_after(id, Intent::Evict(gone), delay)
    }

    /// Plans to take in anew the accounts that have only revoked installations here and others that
    /// can be added. Says which accounts those are.
    fn plan_readmissions(
        &mut self,
        id: &GroupId,
        state: &EpochInfo,
        gone: &[(InstallationId, EpochId)],
        groups: usize,
    ) -> Result<BTreeSet<AccountId>, StepError> {
        let known = Known { who: self.who(), cards: &self.cards };
        let accounts: BTreeSet<AccountId> = gone
            .iter()
            .filter_map(|(it, _)| state.leaf_of(it).map(|leaf| leaf.account))
            .filter(|account| known.needs_readmission(&self.cx, state, account))
            .collect();
        for account in &accounts {
            let planned = |intent: &Intent| matches!(intent, Intent::Readmit(it) if it == account);
            if !self.groups.get(id).is_some_and(|group| group.open_intents().any(planned)) {
                let rank = self.own_rank(state.leaves.iter());
                let unit = Duration::from_millis(self.cx.params.rank_delay_ms);
                let place = place(&state.epoch, spread(&self.cx, ENROL_SPREAD, groups));
                let delay = place + unit.saturating_mul(rank);
                self.intend_after(id, Intent::Readmit(*account), delay)?;
            }
        }
        Ok(accounts)
    }

    /// How long this installation waits before it removes revoked installations from a group.
    fn eviction_delay(
        &self,
        id: &GroupId,
        state: &EpochInfo,
        gone: &[(InstallationId, EpochId)],
        groups: usize,
    ) -> Duration {
        let out: BTreeSet<InstallationId> = gone.iter().map(|(it, _)| *it).collect();
        let accounts: BTreeSet<AccountId> =
            out.iter().filter_map(|it| state.leaf_of(it)).map(|leaf| leaf.account).collect();
        let ours = accounts.contains(&self.me.account);
        let staying = state.leaves.iter().filter(|leaf| {
            (!ours || leaf.account == self.me.account) && !out.contains(&leaf.installation)
        });
        let rank = self.own_rank(staying);
        let unit = Duration::from_millis(self.cx.params.rank_delay_ms);
        let spread = spread(&self.cx, EVICT_SPREAD, groups);
        if !self.cx.is_visible(id) {
            return unit.saturating_mul(rank);
        }
        if ours {
            let wait = if rank == 0 { Duration::ZERO } else { spread + unit.saturating_mul(rank) };
            return wait + self.cx.within(spread);
        }
        // Its own account is the one to do it, unless nobody of it is there any more.
        let anybody = state
            .leaves
            .iter()
            .any(|leaf| !out.contains(&leaf.installation) && accounts.contains(&leaf.account));
        // A member that does not hold its link leaves the first move to those who do. Each group has a
        // time of its own, or an observer would see all that this device shares with the revoked one.
        let wait = if anybody {
            spread + place(&state.epoch, spread)
        } else {
            spread / 2 + place(&state.epoch, spread / 2)
        };
        wait + unit.saturating_mul(rank + 1)
    }

    /// The place of this installation among others, first come first.
    fn own_rank<'a>(&self, mut among: impl Iterator<Item = &'a Leaf>) -> u32 {
        let own = self.me.id();
        let place = among.position(|leaf| leaf.installation == own).unwrap_or(0);
        place.try_into().unwrap_or(u32::MAX)
    }

    fn intend_after(
        &mut self,
        group: &GroupId,
        intent: Intent,
        delay: Duration,
    ) -> Result<(), StepError> {
        if let Some(group) = self.groups.get_mut(group) {
            group.intend(&self.cx, intent, delay)?;
        }
        Ok(())
    }

    /// Does at once what was to be spread over time: at the price that an observer sees it together.
    pub(in crate::machine) fn hurry(&mut self) -> Result<(), StepError> {
        let spread = |intent: &Intent| matches!(intent, Intent::Enrol(_) | Intent::Evict(_));
        for group in self.groups.values_mut() {
            group.hurry(&self.cx, spread)?;
        }
        Ok(())
    }
}
