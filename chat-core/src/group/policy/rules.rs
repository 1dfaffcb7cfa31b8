//! The rules that make a commit valid.
//!
//! Whether a commit is valid is a function of its parent epoch and its bytes: no clock, and
//! nothing else that a member happens to know. Every member adds members and renames; admins remove
//! others and name admins; an installation of one's own account goes only with a warrant. A warrant
//! (a wish to leave, or a Revoke of the account's log) lets every member remove exactly the
//! installation that it names.

use std::collections::{BTreeMap, BTreeSet};

use crate::group::policy::GroupPolicy;
use crate::ids::{AccountId, InstallationId};
use crate::params::{
    MAX_ADMINS, MAX_DESCRIPTION, MAX_INSTALLATIONS, MAX_NAME, MAX_PROPOSALS, MAX_SLOT_ADVANCE,
    MAX_WARRANTS,
};
use crate::time::Slot;

/// A member of the parent epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView {
    /// Leaf index in the ratchet tree.
    pub leaf: u32,
    /// The account of the leaf.
    pub account: AccountId,
    /// The installation of the leaf.
    pub installation: InstallationId,
    /// Its seniority in the account's log; lower is more senior.
    pub seniority: u32,
}

/// An installation that a commit adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedView {
    /// The account of the leaf.
    pub account: AccountId,
    /// The installation of the leaf.
    pub installation: InstallationId,
    /// Its seniority in the account's log; lower is more senior.
    pub seniority: u32,
}

/// The epoch that a commit was made on.
#[derive(Debug, Clone, Copy)]
pub struct ParentView<'a> {
    /// The policy of the parent epoch.
    pub policy: &'a GroupPolicy,
    /// Its members; a leaf and an installation each at most once.
    pub members: &'a [MemberView],
    /// The slot of the commit that led to it.
    pub slot: Slot,
}

/// A verified wish to leave this group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaveFact {
    /// The installation that signed it.
    pub installation: InstallationId,
    /// The last number that it sent.
    pub last_seq: u64,
}

/// A Revoke that holds in its account's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokeFact {
    /// The installation that was revoked.
    pub installation: InstallationId,
    /// The account whose log says so.
    pub account: AccountId,
}

/// What a commit does and carries. Signatures, warrants and path are verified before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitFacts {
    /// Leaf of its author.
    pub author_leaf: u32,
    /// What its Add proposals add.
    pub added: Vec<AddedView>,
    /// Leaves that its Remove proposals name.
    pub removed: Vec<u32>,
    /// The policy that it sets, if it sets one.
    pub policy_after: Option<GroupPolicy>,
    /// The slot that the commit names.
    pub slot: Slot,
    /// Whether new roots are exported from the epoch that it leads to.
    pub rotate: bool,
    /// Wishes to leave that it carries.
    pub leave_warrants: Vec<LeaveFact>,
    /// Revokes that it carries.
    pub revoke_warrants: Vec<RevokeFact>,
    /// Cuts: the last number that counts of each installation that it removes.
    pub cuts: Vec<(InstallationId, u64)>,
    /// Whether it has an update path.
    pub has_update_path: bool,
}

/// Why a commit is not valid. The list is closed; codes never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The author, or a leaf that is to be removed, is not in the parent epoch.
    #[error("a leaf is not in the group")]
    UnknownLeaf,
    /// There are more proposals, warrants or cuts than one commit may carry.
    #[error("the commit carries more than one may")]
    TooMany,
    /// It proposes nothing and updates nothing.
    #[error("the commit does nothing")]
    EmptyCommit,
    /// Its slot is before its parent's, or too far after it.
    #[error("the slot is out of range")]
    SlotOutOfRange,
    /// One leaf is removed twice.
    #[error("a leaf is removed twice")]
    DuplicateRemove,
    /// The author removes itself.
    #[error("nobody can remove themselves in a commit")]
    SelfRemoval,
    /// A removed leaf has no cut.
    #[error("a removal carries no cut")]
    MissingCut,
    /// A cut belongs to no removal, or a removal has two.
    #[error("a cut belongs to no removal")]
    ExtraCut,
    /// A cut is not the last number that the wish to leave names.
    #[error("the cut is not what the leaver signed")]
    CutMismatch,
    /// A member is removed without new roots.
    #[error("a removal must rotate")]
    RotateMismatch,
    /// Roots are to be renewed, but the commit has no path to renew them with.
    #[error("a rotation needs an update path")]
    MissingPath,
    /// Only an admin may do this.
    #[error("only an admin may do this")]
    NotAdmin,
    /// An installation of the author's own account is removed without a warrant.
    #[error("removing an installation of the own account needs a warrant")]
    MissingWarrant,
    /// An installation would be a member twice.
    #[error("an installation is a member already")]
    DuplicateInstallation,
    /// An account would have more than [`MAX_INSTALLATIONS`] members.
    #[error("an account has too many installations in the group")]
    TooManyInstallations,
    /// Network or version of the policy would change.
    #[error("this part of the policy cannot be changed")]
    PolicyFieldForbidden,
    /// The name is too long.
    #[error("the name is too long")]
    NameTooLong,
    /// The description is too long.
    #[error("the description is too long")]
    DescriptionTooLong,
    /// An account that is no longer a member would stay admin, or its successor is not named.
    #[error("the admins do not follow from who left")]
    AdminsOutdated,
    /// An admin's number would change, or is not the next one that is free.
    #[error("an admin's number is not the next free one")]
    AdminNumberReused,
    /// An account that is not a member would become admin.
    #[error("an admin must be a member")]
    AdminNotMember,
    /// There would be more than [`MAX_ADMINS`] admins.
    #[error("there are too many admins")]
    TooManyAdmins,
    /// There would be no admin.
    #[error("a group must have an admin")]
    LastAdmin,
}

impl Refusal {
    /// The stable code, for logs, bindings and tests of other implementations.
    pub const fn code(self) -> &'static str {
        match self {
            Refusal::UnknownLeaf => "unknown-leaf",
            Refusal::TooMany => "too-many",
            Refusal::EmptyCommit => "empty-commit",
            Refusal::SlotOutOfRange => "slot-out-of-range",
            Refusal::DuplicateRemove => "duplicate-remove",
            Refusal::SelfRemoval => "self-removal",
            Refusal::MissingCut => "missing-cut",
            Refusal::ExtraCut => "extra-cut",
            Refusal::CutMismatch => "cut-mismatch",
            Refusal::RotateMismatch => "rotate-mismatch",
            Refusal::MissingPath => "missing-path",
            Refusal::NotAdmin => "not-admin",
            Refusal::MissingWarrant => "missing-warrant",
            Refusal::DuplicateInstallation => "duplicate-installation",
            Refusal::TooManyInstallations => "too-many-installations",
            Refusal::PolicyFieldForbidden => "policy-field-forbidden",
            Refusal::NameTooLong => "name-too-long",
            Refusal::DescriptionTooLong => "description-too-long",
            Refusal::AdminsOutdated => "admins-outdated",
            Refusal::AdminNumberReused => "admin-number-reused",
            Refusal::AdminNotMember => "admin-not-member",
            Refusal::TooManyAdmins => "too-many-admins",
            Refusal::LastAdmin => "last-admin",
        }
    }
}

/// What a valid commit changes: what the commit tree needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The author, as a member of the parent epoch.
    pub author: MemberView,
    /// Admin number of the author's account in the parent epoch.
    pub author_admin: Option<u32>,
    /// Installations that were members before and are not after.
    pub removed: Vec<InstallationId>,
    /// Installations that were taken out and put in again: no removal.
    pub resynced: Vec<InstallationId>,
    /// Installations that are new members.
    pub added: Vec<AddedView>,
    /// Accounts that were admins before and are not after.
    pub demoted: Vec<AccountId>,
    /// Accounts that are admins now and were not before.
    pub promoted: Vec<AccountId>,
}

/// The admins that follow by themselves from removing leaves, and the number that the next admin
/// gets then: an account without a member left is no longer an admin, and when no admin is left,
/// the account with the lowest leaf becomes one. Leaves that are added in the same commit do not
/// count.
pub fn admins_after(
    parent: &ParentView<'_>,
    removed: &BTreeSet<u32>,
) -> (BTreeMap<AccountId, u32>, u32) {
    let staying = || parent.members.iter().filter(|m| !removed.contains(&m.leaf));
    let accounts: BTreeSet<AccountId> = staying().map(|m| m.account).collect();
    let mut admins = parent.policy.admins.clone();
    admins.retain(|account, _| accounts.contains(account));
    let mut next = parent.policy.next_admin;
    if admins.is_empty()
        && let Some(heir) = staying().min_by_key(|m| m.leaf)
    {
        admins.insert(heir.account, next);
        next = next.saturating_add(1);
    }
    (admins, next)
}

/// Checks a commit against the epoch that it was made on.
///
/// # Errors
/// The first rule that it breaks, in the order of [`Refusal`]'s list.
pub fn check(parent: &ParentView<'_>, facts: &CommitFacts) -> Result<Effect, Refusal> {
    let by_leaf: BTreeMap<u32, &MemberView> = parent.members.iter().map(|m| (m.leaf, m)).collect();
    let author = **by_leaf.get(&facts.author_leaf).ok_or(Refusal::UnknownLeaf)?;
    let targets: Vec<&MemberView> = facts
        .removed
        .iter()
        .map(|leaf| by_leaf.get(leaf).copied().ok_or(Refusal::UnknownLeaf))
        .collect::<Result<_, _>>()?;
    check_frame(parent, facts)?;
    check_targets(&author, &targets, facts)?;

    // A membership that ends and begins again in one commit is a resync.
    let readded: BTreeSet<(AccountId, InstallationId)> =
        facts.added.iter().map(|a| (a.account, a.installation)).collect();
    let (resynced, gone): (Vec<&MemberView>, Vec<&MemberView>) =
        targets.iter().partition(|m| readded.contains(&(m.account, m.installation)));
    if !gone.is_empty() && !facts.rotate {
        return Err(Refusal::RotateMismatch);
    }
    if facts.rotate && !facts.has_update_path {
        return Err(Refusal::MissingPath);
    }
    check_authority(parent, &author, &targets, facts)?;
    let members_after = check_members(parent, &targets, facts)?;

    let gone_leaves: BTreeSet<u32> = gone.iter().map(|m| m.leaf).collect();
    let admins = check_policy(parent, &author, &gone_leaves, &members_after, facts)?;
    let before = &parent.policy.admins;
    let resynced: Vec<InstallationId> = resynced.iter().map(|m| m.installation).collect();
    Ok(Effect {
        author_admin: before.get(&author.account).copied(),
        author,
        removed: gone.iter().map(|m| m.installation).collect(),
        added: facts
            .added
            .iter()
            .filter(|a| !resynced.contains(&a.installation))
            .copied()
            .collect(),
        resynced,
        demoted: before.keys().filter(|a| !admins.contains_key(a)).copied().collect(),
        promoted: admins.keys().filter(|a| !before.contains_key(a)).copied().collect(),
    })
}

/// Sizes, and the slot.
fn check_frame(parent: &ParentView<'_>, facts: &CommitFacts) -> Result<(), Refusal> {
    let proposals = facts.added.len() + facts.removed.len();
    let warrants = facts.leave_warrants.len() + facts.revoke_warrants.len();
    if proposals > MAX_PROPOSALS || warrants > MAX_WARRANTS || facts.cuts.len() > MAX_WARRANTS {
        return Err(Refusal::TooMany);
    }
    if proposals == 0 && facts.policy_after.is_none() && !facts.has_update_path {
        return Err(Refusal::EmptyCommit);
    }
    let last = parent.slot.0.saturating_add(MAX_SLOT_ADVANCE);
    if !(parent.slot.0..=last).contains(&facts.slot.0) {
        return Err(Refusal::SlotOutOfRange);
    }
    Ok(())
}

/// Which leaves are removed, and that each has its cut.
fn check_targets(
    author: &MemberView,
    targets: &[&MemberView],
    facts: &CommitFacts,
) -> Result<(), Refusal> {
    let removed: BTreeSet<InstallationId> = targets.iter().map(|m| m.installation).collect();
    if removed.len() != targets.len() {
        return Err(Refusal::DuplicateRemove);
    }
    if removed.contains(&author.installation) {
        return Err(Refusal::SelfRemoval);
    }
    let cuts: BTreeMap<InstallationId, u64> = facts.cuts.iter().copied().collect();
    if removed.iter().any(|i| !cuts.contains_key(i)) {
        return Err(Refusal::MissingCut);
    }
    if facts.cuts.len() != removed.len() {
        return Err(Refusal::ExtraCut);
    }
    // The leaving installation says how far its messages count; the committer cannot shorten that.
    if facts
        .leave_warrants
        .iter()
        .any(|wish| cuts.get(&wish.installation).is_some_and(|cut| *cut != wish.last_seq))
    {
        return Err(Refusal::CutMismatch);
    }
    Ok(())
}

/// Whether the author may take out each leaf. A resync takes a leaf out too, and without a request
/// no member should be thrown back to another epoch for it: it needs the same authority.
fn check_authority(
    parent: &ParentView<'_>,
    author: &MemberView,
    targets: &[&MemberView],
    facts: &CommitFacts,
) -> Result<(), Refusal> {
    let leaving: BTreeSet<InstallationId> =
        facts.leave_warrants.iter().map(|w| w.installation).collect();
    let revoked: BTreeSet<(AccountId, InstallationId)> =
        facts.revoke_warrants.iter().map(|w| (w.account, w.installation)).collect();
    for target in targets {
        let warranted = leaving.contains(&target.installation)
            || revoked.contains(&(target.account, target.installation));
        if warranted {
            continue;
        }
        if target.account == author.account {
            return Err(Refusal::MissingWarrant);
        }
        if !parent.policy.is_admin(&author.account) {
            return Err(Refusal::NotAdmin);
        }
    }
    Ok(())
}

/// Whether each installation is a member once, and no account has too many. Gives the accounts that
/// are members after the commit.
fn check_members(
    parent: &ParentView<'_>,
    targets: &[&MemberView],
    facts: &CommitFacts,
) -> Result<BTreeSet<AccountId>, Refusal> {
    let removed: BTreeSet<u32> = targets.iter().map(|m| m.leaf).collect();
    let mut installations: BTreeSet<InstallationId> = BTreeSet::new();
    let mut count: BTreeMap<AccountId, usize> = BTreeMap::new();
    for member in parent.members.iter().filter(|m| !removed.contains(&m.leaf)) {
        installations.insert(member.installation);
        *count.entry(member.account).or_default() += 1;
    }
    for added in &facts.added {
        // An installation belongs to one account for good, so it cannot come back under another.
        let moved = targets
            .iter()
            .any(|m| m.installation == added.installation && m.account != added.account);
        if moved || !installations.insert(added.installation) {
            return Err(Refusal::DuplicateInstallation);
        }
        let have = count.entry(added.account).or_default();
        *have += 1;
        if *have > MAX_INSTALLATIONS {
            return Err(Refusal::TooManyInstallations);
        }
    }
    Ok(count.into_keys().collect())
}

/// Whether the policy may become what the commit makes of it. Gives the admins after the commit.
fn check_policy(
    parent: &ParentView<'_>,
    author: &MemberView,
    gone: &BTreeSet<u32>,
    members_after: &BTreeSet<AccountId>,
    facts: &CommitFacts,
) -> Result<BTreeMap<AccountId, u32>, Refusal> {
    let before = parent.policy;
    let after = facts.policy_after.as_ref().unwrap_or(before);
    if after.network != before.network || after.version != before.version {
        return Err(Refusal::PolicyFieldForbidden);
    }
    if after.name.len() > MAX_NAME {
        return Err(Refusal::NameTooLong);
    }
    if after.description.len() > MAX_DESCRIPTION {
        return Err(Refusal::DescriptionTooLong);
    }
    let (due, next) = admins_after(parent, gone);
    if (&after.admins, after.next_admin) == (&due, next) {
        return Ok(due);
    }
    if !before.is_admin(&author.account) {
        // Only what follows by itself is open to everyone; who did not touch the list forgot it.
        let untouched = (&after.admins, after.next_admin) == (&before.admins, before.next_admin);
        return Err(if untouched { Refusal::AdminsOutdated } else { Refusal::NotAdmin });
    }
    check_admin_list(before, after, members_after)?;
    Ok(after.admins.clone())
}

/// Whether an admin may set this list of admins.
fn check_admin_list(
    before: &GroupPolicy,
    after: &GroupPolicy,
    members_after: &BTreeSet<AccountId>,
) -> Result<(), Refusal> {
    for (account, number) in &after.admins {
        let old = before.admins.get(account);
        if !members_after.contains(account) {
            let left =
                if old.is_some() { Refusal::AdminsOutdated } else { Refusal::AdminNotMember };
            return Err(left);
        }
        if old.is_some_and(|old| old != number) {
            return Err(Refusal::AdminNumberReused);
        }
    }
    // The new ones get the next free numbers, without a hole.
    let mut new: Vec<u32> = after
        .admins
        .iter()
        .filter(|(account, _)| !before.admins.contains_key(account))
        .map(|(_, number)| *number)
        .collect();
    new.sort_unstable();
    let mut expected = before.next_admin;
    for number in new {
        let next = expected.checked_add(1).ok_or(Refusal::TooManyAdmins)?;
        if number != expected {
            return Err(Refusal::AdminNumberReused);
        }
        expected = next;
    }
    if after.next_admin != expected {
        return Err(Refusal::AdminNumberReused);
    }
    match after.admins.len() {
        0 => Err(Refusal::LastAdmin),
        n if n > MAX_ADMINS => Err(Refusal::TooManyAdmins),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
