//! What a commit is for, kept until it cannot be undone: when its branch loses, the intent is
//! checked anew against the winner and committed again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::disposition::Refused;
use super::error::{CommandError, StepError};
use super::event::Event;
use super::group::Group;
use super::outbound::Change;
use super::view::Membership;
use super::{Done, Fail, Machine};
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::policy::{ParentView, admins_after};
use crate::identity::leave::LeaveWish;
use crate::ids::{AccountId, CommitId, EpochId, GroupId, InstallationId, IntentId, ItemHash};
use crate::params::{HORIZON_COMMITS, RETRY_MAX, RETRY_MIN, ROOT_MAX_AGE};
use crate::time::Timestamp;

/// Attempts to commit an intent that would lose, after which it is given up: whatever it loses to
/// does not go away.
const MAX_ATTEMPTS: u32 = 8;

/// What somebody wants of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Intent {
    /// These accounts are to be members.
    Add(Vec<AccountId>),
    /// These memberships are to end: installations, and the states that they began in. Whoever was
    /// added anew meanwhile is not meant.
    Remove(Vec<(InstallationId, EpochId)>),
    /// The group is to be called so, if it is still called as it was.
    Describe { name: Option<(String, String)>, description: Option<(String, String)> },
    /// This account is to be an admin, or not.
    Admin { account: AccountId, admin: bool },
    /// An installation's signed wish to leave.
    Leave {
        #[serde(with = "serde_bytes")]
        wish: Vec<u8>,
        /// The message that carried it, which is the last one that counts.
        hash: ItemHash,
    },
    /// These installations of the own account are to be members.
    Enrol(Vec<InstallationId>),
    /// This contact, all of whose installations here were revoked, is to be a member with those that
    /// it has now.
    Readmit(AccountId),
    /// These memberships of revoked installations are to end: installations, and the states that
    /// they began in.
    Evict(Vec<(InstallationId, EpochId)>),
    /// A new path, since the state must not be used to send.
    Update,
    /// A new path and new roots, since the roots are old.
    Rotate,
}

/// An intent with what became of it so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct IntentRecord {
    pub(super) id: IntentId,
    pub(super) group: GroupId,
    pub(super) intent: Intent,
    /// The commit that does it, and the state that it leads to.
    pub(super) done_by: Option<(CommitId, EpochId)>,
    /// When it is to be committed, while nothing does it.
    pub(super) due_at: Timestamp,
    /// Attempts that came to nothing.
    #[serde(default)]
    pub(super) attempts: u32,
    /// The invitation that went out with the commit to installations of this account.
    #[serde(default)]
    pub(super) welcome: Option<OwnWelcome>,
}

/// An invitation for installations of this account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OwnWelcome(#[serde(with = "serde_bytes")] pub(super) Vec<u8>);

impl Machine {
    pub(super) fn save_intent(&mut self, record: IntentRecord) -> Result<(), StepError> {
        self.store.set_intent(record.id.as_bytes(), &record.group, record.due_at, &record)?;
        self.intents.insert(record.id, record);
        Ok(())
    }

    fn drop_intent(&mut self, id: &IntentId) -> Result<(), StepError> {
        self.intents.remove(id);
        Ok(self.store.delete_intent(id.as_bytes())?)
    }

    /// The installations whose wish to leave a group is known.
    pub(super) fn leaving(&self, group: &GroupId) -> BTreeSet<InstallationId> {
        self.intents
            .values()
            .filter(|record| record.group == *group)
            .filter_map(|record| match &record.intent {
                Intent::Leave { wish, .. } => {
                    LeaveWish::decode_and_verify(wish, &self.network).ok()
                }
                _ => None,
            })
            .map(|wish| wish.installation)
            .collect()
    }

    /// When an intent is to be committed next.
    pub(super) fn next_intent_due(&self) -> Option<Timestamp> {
        self.intents.values().filter(|i| i.done_by.is_none()).map(|i| i.due_at).min()
    }

    /// After the tip moved: intents whose commit lost come up again; those that are out of reach of
    /// any branch are forgotten.
    pub(super) fn review_intents(&mut self, group_id: GroupId) -> Result<(), StepError> {
        let Some(group) = self.groups.get(&group_id) else {
            return Ok(());
        };
        let tip = group.record.tip;
        let depth = group.tree.depth(&tip).unwrap_or(0);
        let mut lost = Vec::new();
        let mut settled = Vec::new();
        for record in self.intents.values().filter(|record| record.group == group_id) {
            if !group.is_member() {
                settled.push(record.id);
                continue;
            }
            let Some((_, epoch)) = record.done_by else {
                continue;
            };
            if !group.tree.is_ancestor(&epoch, &tip) {
                lost.push(record.clone());
            } else if group.tree.depth(&epoch).unwrap_or(0) + HORIZON_COMMITS < depth {
                settled.push(record.id);
            }
        }
        for id in settled {
            self.drop_intent(&id)?;
        }
        for record in lost {
            // A random pause, or two that met would meet again.
            let pause = self.rng.below(self.params.rank_delay_ms.saturating_add(1));
            let due_at = self.now + Duration::from_millis(pause);
            let lost = IntentRecord { done_by: None, due_at, attempts: 0, welcome: None, ..record };
            self.save_intent(lost)?;
        }
        Ok(())
    }

    /// Commits what is due. Not before catching up: it might be done already.
    pub(super) fn drive_intents(&mut self) -> Result<(), StepError> {
        if !self.connected || !self.may_send() {
            return Ok(());
        }
        let due: Vec<IntentRecord> = self
            .intents
            .values()
            .filter(|record| record.done_by.is_none() && record.due_at <= self.now)
            .cloned()
            .collect();
        for record in due {
            self.store.savepoint()?;
            let told = self.out.len();
            match self.pursue(record.clone()) {
                Ok(true) => self.store.release()?,
                Ok(false) => {
                    self.store.release()?;
                    self.drop_intent(&record.id)?;
                }
                Err(Fail::Refused(reason)) => {
                    // What was begun is taken back, here and in memory; the rest of the step stays.
                    self.store.rollback_to_savepoint()?;
                    self.out.truncate(told);
                    self.load()?;
                    let attempts = record.attempts.saturating_add(1);
                    if reason.is_retryable() && attempts < MAX_ATTEMPTS {
                        let pause = RETRY_MIN.saturating_mul(1 << attempts).min(RETRY_MAX);
                        let due_at = self.now + pause;
                        self.save_intent(IntentRecord { due_at, attempts, ..record })?;
                    } else {
                        tracing::info!(%reason, "an intent is void now");
                        self.drop_intent(&record.id)?;
                        let group = record.group;
                        self.tell(Event::ChangeFailed { group, reason: reason.to_string() })?;
                    }
                }
                Err(Fail::Step(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Commits an intent; false: there is nothing to do any more.
    pub(super) fn pursue(&mut self, record: IntentRecord) -> Done<bool> {
        let group = self.groups.get(&record.group);
        // Who is leaving has said its last word: commits of its own would come after it.
        let active = |group: &&Group| group.record.membership == Membership::Active;
        let Some(group) = group.filter(active) else {
            return Ok(false);
        };
        let state = group.current()?.clone();
        let Some(mut change) = self.change_for(&state, &record.group, &record.intent)? else {
            return Ok(false);
        };
        change.intent = record.id;
        let (done_by, welcome) = self.make_commit(record.group, &state, change)?;
        self.save_intent(IntentRecord { done_by: Some(done_by), welcome, ..record.clone() })?;
        // Only now may the branch be looked at: the intent knows its commit.
        self.settle(record.group)?;
        if matches!(record.intent, Intent::Enrol(_)) && !self.is_visible(&record.group) {
            self.introduce()?;
        }
        Ok(true)
    }

    /// What has to change in a state for an intent; none: nothing.
    fn change_for(
        &mut self,
        state: &EpochInfo,
        group: &GroupId,
        intent: &Intent,
    ) -> Done<Option<Change>> {
        let mut change = Change::default();
        let mut policy = state.policy()?;
        match intent {
            Intent::Add(accounts) => {
                for account in accounts {
                    if !state.has_account(account) {
                        self.plan_add(&mut change, group, &state.epoch, account)?;
                    }
                }
                if change.adds.is_empty() {
                    return Ok(None);
                }
            }
            Intent::Remove(memberships) => {
                let leaves: Vec<Leaf> = memberships
                    .iter()
                    .filter_map(|(installation, since)| {
                        state.leaf_of(installation).filter(|leaf| leaf.since == Some(*since))
                    })
                    .cloned()
                    .collect();
                if leaves.is_empty() {
                    return Ok(None);
                }
                if !policy.is_admin(&self.me.account) {
                    return Err(CommandError::NotAdmin.into());
                }
                change.removes = leaves;
            }
            Intent::Describe { name, description } => {
                let mut changed = false;
                let fields = [(name, &mut policy.name), (description, &mut policy.description)];
                for (wanted, field) in fields {
                    // Somebody who changed it meanwhile is not overruled.
                    if let Some((old, new)) = wanted
                        && field == old
                        && new != old
                    {
                        field.clone_from(new);
                        changed = true;
                    }
                }
                if !changed {
                    return Ok(None);
                }
                change.policy = Some(policy);
            }
            Intent::Admin { account, admin } => {
                if policy.is_admin(account) == *admin {
                    return Ok(None);
                }
                if !policy.is_admin(&self.me.account) {
                    return Err(CommandError::NotAdmin.into());
                }
                if *admin {
                    if !state.has_account(account) {
                        return Err(CommandError::NotAMember { account: *account }.into());
                    }
                    policy.admins.insert(*account, policy.next_admin);
                    policy.next_admin = policy.next_admin.saturating_add(1);
                } else {
                    policy.admins.remove(account);
                    if policy.admins.is_empty() {
                        return Err(CommandError::LastAdmin.into());
                    }
                }
                change.policy = Some(policy);
            }
            Intent::Leave { wish, hash } => {
                let verified = LeaveWish::decode_and_verify(wish, &self.network)
                    .map_err(|error| StepError::State(error.to_string()))?;
                let Some(leaf) = state.leaf_of(&verified.installation) else {
                    return Ok(None);
                };
                if leaf.since != Some(verified.membership_start)
                    || leaf.installation == self.me.key.id()
                {
                    return Ok(None);
                }
                change.removes = vec![leaf.clone()];
                change.wish = Some((wish.clone(), verified, *hash));
            }
            Intent::Enrol(installations) => {
                for installation in installations {
                    if state.leaf_of(installation).is_none() {
                        self.plan_own_add(&mut change, group, &state.epoch, installation)?;
                    }
                }
                if change.adds.is_empty() {
                    return Ok(None);
                }
            }
            Intent::Readmit(account) => {
                if self.needs_readmission(state, account) {
                    self.plan_add(&mut change, group, &state.epoch, account)?;
                }
                // Those that are there already are not added twice.
                let known = |leaf: &Leaf| state.leaf_of(&leaf.installation).is_some();
                change.adds.retain(|(_, leaf)| !known(leaf));
                if change.adds.is_empty() {
                    return Ok(None);
                }
            }
            Intent::Evict(memberships) => {
                for (installation, since) in memberships {
                    let leaf = state.leaf_of(installation);
                    let Some(leaf) = leaf.filter(|leaf| leaf.since == Some(*since)) else {
                        continue;
                    };
                    // None where the account key enrolled it again meanwhile.
                    if let Some(warrant) = self.revoke_warrant(leaf) {
                        change.removes.push(leaf.clone());
                        if !change.warrants.contains(&warrant) {
                            change.warrants.push(warrant);
                        }
                    }
                }
                if change.removes.is_empty() {
                    return Ok(None);
                }
            }
            Intent::Update => change.self_update = true,
            Intent::Rotate => {
                if self.now.since(state.rooted_at) < ROOT_MAX_AGE {
                    return Ok(None);
                }
                change.self_update = true;
                change.rotate = true;
            }
        }
        if !change.removes.is_empty() {
            // Whoever is gone is no admin, and somebody always is: the rules want it in the commit.
            let members = state.members();
            let before = state.policy()?;
            let parent = ParentView { policy: &before, members: &members, slot: state.slot };
            let removed = change.removes.iter().map(|leaf| leaf.leaf).collect();
            let (admins, next_admin) = admins_after(&parent, &removed);
            if admins != before.admins {
                change.policy = Some(crate::group::policy::GroupPolicy {
                    admins,
                    next_admin,
                    ..before.clone()
                });
            }
        }
        Ok(Some(change))
    }

    /// Roots that are old are renewed by whoever is first in rank, so that a copy of a device's
    /// database is worth little a week later.
    pub(super) fn renew_roots(&mut self) -> Result<(), StepError> {
        let own = self.me.key.id();
        let mut due = Vec::new();
        for group in self.groups.values() {
            let state = group.current()?;
            let old = self.now.since(state.rooted_at) >= ROOT_MAX_AGE;
            if group.record.membership != Membership::Active || !old || state.leaves.len() < 2 {
                continue;
            }
            let id = group.record.id;
            let known = |record: &IntentRecord| {
                record.group == id && record.intent == Intent::Rotate && record.done_by.is_none()
            };
            if !self.intents.values().any(known) {
                let rank = state.leaves.iter().position(|leaf| leaf.installation == own);
                due.push((id, rank.unwrap_or(0) as u64));
            }
        }
        for (group, rank) in due {
            let pause = self.params.rank_delay_ms.saturating_mul(rank);
            let record = IntentRecord {
                id: IntentId(self.rng.bytes()),
                group,
                intent: Intent::Rotate,
                done_by: None,
                due_at: self.now + Duration::from_millis(pause),
                attempts: 0,
                welcome: None,
            };
            self.save_intent(record)?;
        }
        Ok(())
    }

    /// Somebody wishes to leave: any member turns that into a Remove, the first in rank first.
    pub(super) fn on_leave_wish(
        &mut self,
        group_id: GroupId,
        author: &Leaf,
        wish: &[u8],
        seq: u64,
        hash: ItemHash,
    ) -> Result<(), StepError> {
        let verified = match LeaveWish::decode_and_verify(wish, &self.network) {
            Ok(verified)
                if verified.group == group_id
                    && verified.installation == author.installation
                    && author.since == Some(verified.membership_start)
                    // The wish is the last thing that its author says; its number is the cut.
                    && verified.last_seq == seq =>
            {
                verified
            }
            _ => {
                tracing::warn!("a wish to leave does not fit who sent it");
                self.counters.count(&super::Disposition::Refused(Refused::Content));
                return Ok(());
            }
        };
        let same = |intent: &Intent| {
            let Intent::Leave { wish, .. } = intent else { return false };
            LeaveWish::decode_and_verify(wish, &self.network).is_ok_and(|known| {
                known.installation == verified.installation
                    && known.membership_start == verified.membership_start
            })
        };
        if self.intents.values().any(|record| record.group == group_id && same(&record.intent)) {
            // Said once more: it changes nothing, and must not fill the list.
            return Ok(());
        }
        let Some(group) = self.groups.get(&group_id) else {
            return Ok(());
        };
        let own = self.me.key.id();
        let rank = group
            .current()?
            .leaves
            .iter()
            .filter(|leaf| leaf.installation != verified.installation)
            .position(|leaf| leaf.installation == own)
            .unwrap_or(0) as u64;
        let unit = self.params.rank_delay_ms;
        let pause = unit.saturating_mul(rank + 1).saturating_add(self.rng.below(unit / 4 + 1));
        self.save_intent(IntentRecord {
            id: IntentId(self.rng.bytes()),
            group: group_id,
            intent: Intent::Leave { wish: wish.to_vec(), hash },
            attempts: 0,
            welcome: None,
            done_by: None,
            due_at: self.now + Duration::from_millis(pause),
        })?;
        self.last_out(group_id)
    }
}
