//! What a commit claims, carries and changes: what the group's rules and `choose` judge it by.

use std::collections::BTreeSet;

use crate::convergence::tree::{Admin, CommitNode, Membership, TreeRoot};
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::policy::{
    AddedView, CommitFacts, Effect as RuleEffect, GroupPolicy, LeaveFact, RevokeFact,
};
use crate::identity::leave::LeaveWish;
use crate::identity::log::Log;
use crate::ids::{AccountId, CommitId, EpochId, GroupId, InstallationId};
use crate::machine::api::disposition::Refused;
use crate::machine::people::logs::is_revoked;
use crate::params::NetworkId;
use crate::wire::header::{CommitHeader, Warrant};

/// The place in the tree of an epoch that this device cannot follow, since it was removed there.
pub(super) fn unfollowed(commit: &CommitId) -> EpochId {
    EpochId(commit.0)
}

/// What a commit claims and carries, with its warrants verified against the parent.
pub(super) fn facts(
    group: &GroupId,
    parent: &EpochInfo,
    author_leaf: u32,
    header: &CommitHeader,
    network: &NetworkId,
) -> Result<CommitFacts, Refused> {
    let mut leave_warrants = Vec::new();
    let mut revoke_warrants = Vec::new();
    for warrant in &header.warrants {
        match warrant {
            Warrant::Leave(bytes) => {
                leave_warrants.push(leave_fact(group, parent, bytes, network)?)
            }
            Warrant::Revoke(bytes) => {
                let facts = revoke_facts(parent, bytes, network)?;
                if facts.is_empty() {
                    return Err(Refused::Replay);
                }
                revoke_warrants.extend(facts);
            }
        }
    }
    Ok(CommitFacts {
        author_leaf,
        slot: header.slot,
        rotate: header.rotate,
        leave_warrants,
        revoke_warrants,
        cuts: header.cuts.iter().map(|cut| (cut.installation, cut.seq)).collect(),
        ..CommitFacts::default()
    })
}

fn leave_fact(
    group: &GroupId,
    parent: &EpochInfo,
    bytes: &[u8],
    network: &NetworkId,
) -> Result<LeaveFact, Refused> {
    let wish = LeaveWish::decode_and_verify(bytes, network).map_err(|_| Refused::Authentication)?;
    let leaf = parent.leaf_of(&wish.installation).ok_or(Refused::Policy)?;
    if wish.group != *group || leaf.since != Some(wish.membership_start) {
        return Err(Refused::Replay);
    }
    Ok(LeaveFact { installation: wish.installation, last_seq: wish.last_seq })
}

fn revoke_facts(
    parent: &EpochInfo,
    bytes: &[u8],
    network: &NetworkId,
) -> Result<Vec<RevokeFact>, Refused> {
    let log = Log::decode(bytes, network).map_err(|_| Refused::Authentication)?;
    let account = log.account();
    let gone = parent.leaves_of(&account).filter(|leaf| is_revoked(&log, leaf));
    Ok(gone.map(|leaf| RevokeFact { installation: leaf.installation, account }).collect())
}

/// The leaves that a commit adds, as the rules see them.
pub(super) fn added_views<'a>(added: impl IntoIterator<Item = &'a Leaf>) -> Vec<AddedView> {
    let view = |leaf: &Leaf| AddedView {
        account: leaf.account,
        installation: leaf.installation,
        seniority: leaf.seniority,
    };
    added.into_iter().map(view).collect()
}

/// A tree of commits that begins with an epoch.
pub(super) fn tree_root(state: &EpochInfo) -> TreeRoot {
    TreeRoot {
        epoch: state.epoch,
        depth: state.number,
        accounts: state.accounts().into_iter().collect(),
    }
}

/// What `choose` has to know of a commit.
pub(super) fn node(
    id: CommitId,
    epoch: EpochId,
    parent: &EpochInfo,
    before: &GroupPolicy,
    effect: &RuleEffect,
) -> CommitNode {
    let since = |installation: &InstallationId| {
        parent.leaf_of(installation).and_then(|leaf| leaf.since).unwrap_or(parent.epoch)
    };
    let is_removed = |leaf: &&Leaf| effect.removed.contains(&leaf.installation);
    let removed_from: BTreeSet<AccountId> =
        parent.leaves.iter().filter(is_removed).map(|leaf| leaf.account).collect();
    let accounts: BTreeSet<AccountId> = parent.leaves.iter().map(|leaf| leaf.account).collect();
    let staying = parent.leaves.iter().filter(|leaf| !is_removed(leaf)).map(|leaf| leaf.account);
    let after: BTreeSet<AccountId> =
        staying.chain(effect.added.iter().map(|leaf| leaf.account)).collect();
    CommitNode {
        id,
        epoch,
        parent: parent.epoch,
        author: effect.author.installation,
        author_since: since(&effect.author.installation),
        author_account: effect.author.account,
        author_admin: effect.author_admin,
        author_seniority: effect.author.seniority,
        removed: effect
            .removed
            .iter()
            .map(|gone| Membership { installation: *gone, since: since(gone) })
            .collect(),
        removed_from: removed_from.into_iter().collect(),
        demoted: effect
            .demoted
            .iter()
            .filter_map(|account| Some((*account, *before.admins.get(account)?)))
            .map(|(account, number)| Admin { account, number })
            .collect(),
        joined: after.difference(&accounts).copied().collect(),
        gone: accounts.difference(&after).copied().collect(),
        depth: parent.number.saturating_add(1),
    }
}
