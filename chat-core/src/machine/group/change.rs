//! What an intent comes to on an epoch: who is added and removed, and the policy afterwards. Writes
//! nothing.

use openmls::key_packages::KeyPackage;

use super::conversation::Conversation;
use super::directory::Directory;
use super::intent::Intent;
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::policy::{GroupPolicy, ParentView, admins_after};
use crate::identity::leave::LeaveWish;
use crate::ids::{AccountId, EpochId, InstallationId, ItemHash};
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::cx::Cx;
use crate::machine::people::logs::Who;
use crate::params::ROOT_MAX_AGE;
use crate::wire::header::Warrant;

/// What a commit is to change.
#[derive(Debug, Default)]
pub(in crate::machine) struct Change {
    pub(in crate::machine) adds: Vec<(KeyPackage, Leaf)>,
    /// Inbox keys that the doorbells go to.
    pub(in crate::machine) inboxes: Vec<[u8; 32]>,
    pub(in crate::machine) removes: Vec<Leaf>,
    pub(in crate::machine) policy: Option<GroupPolicy>,
    pub(in crate::machine) wish: Option<(Vec<u8>, LeaveWish, ItemHash)>,
    /// Why installations may be removed that were revoked.
    pub(in crate::machine) warrants: Vec<Warrant>,
    /// Installations of this account among those that are added.
    pub(in crate::machine) own: Vec<InstallationId>,
    pub(in crate::machine) self_update: bool,
    pub(in crate::machine) rotate: bool,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.adds.is_empty()
            && self.removes.is_empty()
            && self.policy.is_none()
            && !self.self_update
    }

    pub(in crate::machine) fn has_path(&self) -> bool {
        self.self_update || !self.removes.is_empty() || self.policy.is_some()
    }
}

impl Conversation {
    /// What has to change in the epoch that is followed for an intent; none: nothing.
    pub(super) fn change_for(
        &self,
        cx: &Cx,
        who: Who<'_>,
        directory: &dyn Directory,
        intent: &Intent,
    ) -> Done<Option<Change>> {
        let state = self.current()?;
        let mut change = Change::default();
        match intent {
            Intent::Add(accounts) => {
                for account in accounts.iter().filter(|account| !state.has_account(account)) {
                    let reachable = directory.contact(cx, account)?;
                    change.adds.extend(reachable.packages);
                    change.inboxes.push(reachable.inbox);
                }
            }
            Intent::Enrol(installations) => {
                for installation in installations {
                    if state.leaf_of(installation).is_none() {
                        change.adds.push(directory.installation(cx, installation)?);
                        change.own.push(*installation);
                    }
                }
            }
            Intent::Readmit(account) => {
                if directory.needs_readmission(cx, state, account) {
                    let reachable = directory.contact(cx, account)?;
                    change.adds.extend(reachable.packages);
                    change.inboxes.push(reachable.inbox);
                }
                // Those that are there already are not added twice.
                change.adds.retain(|(_, leaf)| state.leaf_of(&leaf.installation).is_none());
            }
            Intent::Remove(memberships) => {
                change.removes = leaves_of(state, memberships);
                if !change.removes.is_empty() && !state.policy()?.is_admin(&who.me.account) {
                    return Err(CommandError::NotAdmin.into());
                }
            }
            Intent::Evict(memberships) => {
                for leaf in leaves_of(state, memberships) {
                    // None where the account key enrolled it again meanwhile.
                    if let Some(warrant) = who.revoke_warrant(&leaf) {
                        change.removes.push(leaf);
                        if !change.warrants.contains(&warrant) {
                            change.warrants.push(warrant);
                        }
                    }
                }
            }
            Intent::Leave { wish, hash } => leave(cx, who, state, wish, *hash, &mut change)?,
            Intent::Describe { .. } => change.policy = described(&state.policy()?, intent),
            Intent::Admin { account, admin } => {
                change.policy = with_admin(state, who, account, *admin)?;
            }
            Intent::Update => change.self_update = true,
            Intent::Rotate => {
                change.rotate = cx.now.since(state.rooted_at) >= ROOT_MAX_AGE;
                change.self_update = change.rotate;
            }
        }
        if !change.removes.is_empty() {
            replace_admins(state, &mut change)?;
        }
        Ok((!change.is_empty()).then_some(change))
    }
}

/// The leaves of memberships that have not ended.
fn leaves_of(state: &EpochInfo, memberships: &[(InstallationId, EpochId)]) -> Vec<Leaf> {
    let leaf = |(installation, since): &(InstallationId, EpochId)| {
        state.leaf_of(installation).filter(|leaf| leaf.since == Some(*since)).cloned()
    };
    memberships.iter().filter_map(leaf).collect()
}

fn leave(
    cx: &Cx,
    who: Who<'_>,
    state: &EpochInfo,
    wish: &[u8],
    hash: ItemHash,
    change: &mut Change,
) -> Result<(), StepError> {
    let verified = LeaveWish::decode_and_verify(wish, &cx.network)
        .map_err(|error| StepError::State(error.to_string()))?;
    let membership = (verified.installation, verified.membership_start);
    change.removes = leaves_of(state, &[membership]);
    change.removes.retain(|leaf| leaf.installation != who.me.id());
    if !change.removes.is_empty() {
        change.wish = Some((wish.to_vec(), verified, hash));
    }
    Ok(())
}

/// The policy with another name or description. What was changed by others meanwhile stays as they
/// want it.
pub(super) fn described(policy: &GroupPolicy, intent: &Intent) -> Option<GroupPolicy> {
    let Intent::Describe { name, description } = intent else { return None };
    let mut policy = policy.clone();
    let mut changed = false;
    let fields = [(name, &mut policy.name), (description, &mut policy.description)];
    for (wanted, field) in fields {
        if let Some((old, new)) = wanted
            && field == old
            && new != old
        {
            field.clone_from(new);
            changed = true;
        }
    }
    changed.then_some(policy)
}

fn with_admin(
    state: &EpochInfo,
    who: Who<'_>,
    account: &AccountId,
    admin: bool,
) -> Done<Option<GroupPolicy>> {
    let mut policy = state.policy()?;
    if policy.is_admin(account) == admin {
        return Ok(None);
    }
    if !policy.is_admin(&who.me.account) {
        return Err(CommandError::NotAdmin.into());
    }
    if admin {
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
    Ok(Some(policy))
}

/// An account that is gone is not an admin, and somebody always is: the rules want it in the commit.
fn replace_admins(state: &EpochInfo, change: &mut Change) -> Result<(), StepError> {
    let members = state.members();
    let before = state.policy()?;
    let parent = ParentView { policy: &before, members: &members, slot: state.slot };
    let removed = change.removes.iter().map(|leaf| leaf.leaf).collect();
    let (admins, next_admin) = admins_after(&parent, &removed);
    if admins != before.admins {
        change.policy = Some(GroupPolicy { admins, next_admin, ..before });
    }
    Ok(())
}
