//! A small group and the tree of what was committed in it.

use std::collections::BTreeSet;
use std::fmt;

use chat_core::convergence::{CommitNode, CommitTree, Membership, TreeRoot, choose};
use chat_core::ids::{AccountId, CommitId, EpochId, InstallationId};
use chat_core::params::NetworkId;

/// Accounts of the group. Installation `n` is the more (0) or the less senior (1) one of account `n / 2`.
pub(super) const ACCOUNTS: u8 = 3;
/// Installations of the group.
pub(super) const INSTALLATIONS: u8 = 2 * ACCOUNTS;

const NETWORK: NetworkId = NetworkId([6; 32]);
const ROOT: EpochId = EpochId([0; 32]);

/// Which of the accounts are admins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The first is.
    OneAdmin,
    /// The first is, and the second with less authority.
    TwoAdmins,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::OneAdmin, Self::TwoAdmins];

    fn number(self, account: u8) -> Option<u32> {
        let admins = if self == Self::OneAdmin { 1 } else { 2 };
        (account < admins).then(|| u32::from(account))
    }
}

/// A commit, as the search makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Action {
    /// The epoch that it is made on: 0 is the root, `n` the one after the n-th commit.
    pub on: usize,
    /// The installation that makes it.
    pub by: u8,
    /// The installation that it removes.
    pub removes: Option<u8>,
}

/// A group and its commits.
pub struct Group {
    layout: Layout,
    actions: Vec<Action>,
    nodes: Vec<CommitNode>,
    /// The installations in each epoch, a bit for each.
    members: Vec<u8>,
    tree: CommitTree,
}

impl Group {
    /// A group in which nothing was committed yet.
    pub fn new(layout: Layout) -> Self {
        let accounts = (0..ACCOUNTS).map(account_id).collect();
        let tree = CommitTree::new(TreeRoot { epoch: ROOT, depth: 0, accounts });
        let members = vec![(1 << INSTALLATIONS) - 1];
        Self { layout, actions: Vec::new(), nodes: Vec::new(), members, tree }
    }

    /// How many epochs there are, the root included.
    pub(super) fn epochs(&self) -> usize {
        self.members.len()
    }

    pub(super) fn action(&self, commit: usize) -> Action {
        self.actions[commit - 1]
    }

    pub(super) fn last(&self) -> Option<Action> {
        self.actions.last().copied()
    }

    /// Whether every commit was made on the one before it.
    pub(super) fn is_chain(&self) -> bool {
        self.actions.iter().enumerate().all(|(at, action)| action.on == at)
    }

    pub(super) fn is_member(&self, installation: u8, epoch: usize) -> bool {
        self.members[epoch] >> installation & 1 == 1
    }

    /// Authority of an installation; less is more.
    pub(super) fn rank(&self, installation: u8) -> (u32, u8) {
        (self.authority(installation / 2), installation % 2)
    }

    /// Authority of an account; less is more.
    pub(super) fn authority(&self, account: u8) -> u32 {
        self.layout.number(account).unwrap_or(u32::MAX)
    }

    /// All that may be committed on an epoch.
    pub(super) fn possible(&self, on: usize) -> Vec<Action> {
        let members: Vec<u8> = (0..INSTALLATIONS).filter(|it| self.is_member(*it, on)).collect();
        let by = |by: u8| {
            let others = members.iter().copied().filter(move |it| *it != by).map(Some);
            std::iter::once(None).chain(others).map(move |removes| Action { on, by, removes })
        };
        members.iter().copied().flat_map(by).collect()
    }

    pub(super) fn push(&mut self, action: Action) {
        let Action { on, by, removes } = action;
        let parent = on.checked_sub(1).map(|at| &self.nodes[at]);
        let (parent, depth) = parent.map_or((ROOT, 0), |node| (node.epoch, node.depth));
        let same = self.actions.iter().filter(|it| **it == action).count();
        let id = id_of(parent, action, same);
        let mask = self.members[on] & !removes.map_or(0, |it| 1 << it);
        let leaves_none = |it: &u8| mask >> (2 * (it / 2)) & 3 == 0;
        self.nodes.push(CommitNode {
            id: CommitId(id),
            epoch: EpochId(id),
            parent,
            author: installation_id(by),
            author_since: ROOT,
            author_account: account_id(by / 2),
            author_admin: self.layout.number(by / 2),
            author_seniority: u32::from(by % 2),
            removed: removes
                .map(|it| Membership { installation: installation_id(it), since: ROOT })
                .into_iter()
                .collect(),
            removed_from: removes.map(|it| account_id(it / 2)).into_iter().collect(),
            demoted: Vec::new(),
            joined: Vec::new(),
            gone: removes.filter(leaves_none).map(|it| account_id(it / 2)).into_iter().collect(),
            depth: depth + 1,
        });
        let node = self.nodes.last().cloned();
        self.actions.push(action);
        self.members.push(mask);
        let inserted = node.map(|node| self.tree.insert(node));
        debug_assert!(matches!(inserted, Some(Ok(()))), "{inserted:?}");
    }

    pub(super) fn pop(&mut self) {
        if let Some(node) = self.nodes.pop() {
            self.tree.remove_tip(&node.id);
            self.actions.pop();
            self.members.pop();
        }
    }

    /// The epoch that is followed.
    pub(super) fn winner(&self) -> usize {
        self.place(choose(&self.tree, &NETWORK))
    }

    /// The epoch that is followed by those who know the group from a later epoch on.
    pub(super) fn winner_from(&self, epoch: usize) -> usize {
        let mut later = self.tree.clone();
        let pruned = epoch.checked_sub(1).map(|at| later.prune_to(&self.nodes[at].epoch));
        debug_assert!(!matches!(pruned, Some(Err(_))), "{pruned:?}");
        self.place(choose(&later, &NETWORK))
    }

    fn place(&self, epoch: EpochId) -> usize {
        self.nodes.iter().position(|node| node.epoch == epoch).map_or(0, |at| at + 1)
    }

    /// The commits that lead to an epoch, the last first.
    pub(super) fn path(&self, to: usize) -> BTreeSet<usize> {
        let up = |at: &usize| Some(self.action(*at).on);
        std::iter::successors(Some(to).filter(|it| *it > 0), |at| up(at).filter(|it| *it > 0))
            .collect()
    }
}

fn account_id(n: u8) -> AccountId {
    AccountId([n + 1; 32])
}

fn installation_id(n: u8) -> InstallationId {
    InstallationId([n + 1; 32])
}

/// An id that depends on the commit alone, and in no order of its parts.
fn id_of(parent: EpochId, action: Action, same: usize) -> [u8; 32] {
    let mut head = [0; 8];
    head.copy_from_slice(&parent.as_bytes()[..8]);
    let parts = [u64::from(action.by), action.removes.map_or(9, u64::from), same as u64];
    let mut mixed = u64::from_be_bytes(head);
    for part in parts {
        // The finisher of splitmix64.
        mixed = (mixed ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    let mut id = [1; 32];
    id[..8].copy_from_slice(&mixed.to_be_bytes());
    id
}

/// `A1` is the senior installation of the first account. `2 < 1: B1 removes C2` is the second commit, made
/// on the first.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |n: u8| format!("{}{}", char::from(b'A' + n / 2), n % 2 + 1);
        write!(f, "{:?}", self.layout)?;
        for (at, Action { on, by, removes }) in self.actions.iter().enumerate() {
            write!(f, "; {} < {on}: {}", at + 1, name(*by))?;
            if let Some(removes) = removes {
                write!(f, " removes {}", name(*removes))?;
            }
        }
        Ok(())
    }
}
