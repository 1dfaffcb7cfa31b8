//! Trees of commits, and what both implementations say of them.

use chat_core::convergence::{CommitNode, CommitTree, Membership, TreeRoot, choose, judge};
use chat_core::ids::{AccountId, CommitId, EpochId, InstallationId};
use chat_core::params::NetworkId;
use chat_sim::reference::choose::{self as reference, Commit, Known};

pub(crate) const NETWORK: NetworkId = NetworkId([42; 32]);
pub(crate) const ROOT: EpochId = EpochId([0; 32]);
pub(crate) const ROOT_DEPTH: u64 = 3;

/// Two installations of one account each time: 0 and 1 are account 0's, 2 and 3 are account 1's.
pub(crate) fn installation(n: u32) -> InstallationId {
    InstallationId([n as u8 + 1; 32])
}

pub(crate) fn account(n: u32) -> AccountId {
    AccountId([n as u8 + 1; 32])
}

pub(crate) fn account_of(n: u32) -> AccountId {
    account(n / 2)
}

pub(crate) fn id(n: usize, salt: u8) -> [u8; 32] {
    let mut out = [salt; 32];
    // Scrambled, so that the order of ids is not the order of insertion.
    out[..8].copy_from_slice(&(n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    out[8..16].copy_from_slice(&(n as u64).to_be_bytes());
    out
}

/// A plain commit; its state has the id's bytes.
pub(crate) fn commit(n: usize, parent: Option<&CommitNode>, author: u32) -> CommitNode {
    CommitNode {
        id: CommitId(id(n, 1)),
        epoch: EpochId(id(n, 2)),
        parent: parent.map_or(ROOT, |p| p.epoch),
        author: installation(author),
        author_since: ROOT,
        author_account: account_of(author),
        author_admin: None,
        author_seniority: 0,
        removed: vec![],
        removed_from: vec![],
        demoted: vec![],
        joined: vec![],
        gone: vec![],
        depth: parent.map_or(ROOT_DEPTH, |p| p.depth) + 1,
    }
}

pub(crate) fn removing(mut node: CommitNode, whom: &[u32]) -> CommitNode {
    node.removed = whom.iter().map(|n| member(*n, ROOT)).collect();
    node.removed_from = whom.iter().map(|n| account_of(*n)).collect();
    node
}

pub(crate) fn member(n: u32, since: EpochId) -> Membership {
    Membership { installation: installation(n), since }
}

/// The same commit, made in a membership that began later.
pub(crate) fn back(mut node: CommitNode, since: EpochId) -> CommitNode {
    node.author_since = since;
    node
}

pub(crate) fn ranked(mut node: CommitNode, admin: Option<u32>, seniority: u32) -> CommitNode {
    node.author_admin = admin;
    node.author_seniority = seniority;
    node
}

pub(crate) fn tree_of(nodes: &[CommitNode]) -> CommitTree {
    let accounts = accounts().into_iter().collect();
    let mut tree = CommitTree::new(TreeRoot { epoch: ROOT, depth: ROOT_DEPTH, accounts });
    for node in nodes {
        tree.insert(node.clone()).unwrap();
    }
    tree
}

/// The accounts in the root's epoch.
fn accounts() -> Vec<AccountId> {
    (0..127).map(account).collect()
}

fn for_reference(n: &CommitNode) -> Commit {
    Commit {
        id: n.id,
        epoch: n.epoch,
        parent: n.parent,
        author: n.author,
        account: n.author_account,
        admin: n.author_admin,
        seniority: n.author_seniority,
        since: n.author_since,
        removes: n.removed.iter().map(|m| (m.installation, m.since)).collect(),
        removes_from: n.removed_from.clone(),
        demotes: n.demoted.iter().map(|admin| (admin.account, admin.number)).collect(),
        joins: n.joined.clone(),
        goes: n.gone.clone(),
        depth: n.depth,
    }
}

/// Both implementations agree; the tip is given.
pub(crate) fn agreed(nodes: &[CommitNode]) -> EpochId {
    let tree = tree_of(nodes);
    let commits: Vec<Commit> = nodes.iter().map(for_reference).collect();
    let known = Known { root: ROOT, accounts: accounts(), commits: &commits };
    let tip = choose(&tree, &NETWORK);
    assert_eq!(tip, reference::choose(&known, &NETWORK), "{nodes:#?}");
    let live = reference::live(&known, ROOT);
    let struck = nodes.iter().map(|n| n.id).filter(|id| !live.contains(id)).collect();
    assert_eq!(judge(&tree).struck, struck, "{nodes:#?}");
    tip
}
