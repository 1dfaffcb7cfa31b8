//! Cutting the tree of commits back without changing which tip is followed.

use super::state_error;
use crate::convergence::choose::choose;
use crate::convergence::tree::{CommitNode, CommitTree};
use crate::ids::{CommitId, EpochId};
use crate::machine::api::error::StepError;
use crate::params::NetworkId;

/// Cuts a tree back to at most `most` commits without changing which tip is followed; what went.
/// First to a later root, from which half of that leads to the tip; then branches beside, from their
/// ends.
pub(super) fn trim(
    tree: &mut CommitTree,
    tip: &EpochId,
    network: &NetworkId,
    most: usize,
) -> Result<Vec<CommitNode>, StepError> {
    let mut gone = cut_root(tree, tip, network, most / 2)?;
    while tree.len() > most {
        let Some(node) = drop_leaf(tree, tip, network) else {
            tracing::warn!("every commit that is known decides what is followed");
            break;
        };
        gone.push(node);
    }
    Ok(gone)
}

/// Makes a later state of the branch that is followed the root; what went. Nothing, where that
/// branch is short, or where what would go decides which branch is followed.
fn cut_root(
    tree: &mut CommitTree,
    tip: &EpochId,
    network: &NetworkId,
    kept: usize,
) -> Result<Vec<CommitNode>, StepError> {
    let path = tree.path(&tree.root(), tip).unwrap_or_default();
    let Some(root) =
        path.len().checked_sub(kept).and_then(|at| tree.get(path.get(at)?)).map(|node| node.epoch)
    else {
        return Ok(Vec::new());
    };
    let mut cut = tree.clone();
    let gone = cut.prune_to(&root).map_err(state_error)?;
    if choose(&cut, network) != *tip {
        return Ok(Vec::new());
    }
    *tree = cut;
    Ok(gone)
}

/// Takes out the lowest commit that nothing was built on and that decides nothing; which.
///
/// Commits decide by more than their length: a removal may strike or bind, and the work of others may
/// shield from one. So each is tried, those that are no removals first.
fn drop_leaf(tree: &mut CommitTree, tip: &EpochId, network: &NetworkId) -> Option<CommitNode> {
    let mut leaves: Vec<(bool, u64, CommitId)> = tree
        .tips()
        .iter()
        .filter(|epoch| *epoch != tip)
        .filter_map(|epoch| tree.by_epoch(epoch))
        .map(|node| (node.removes(), node.depth, node.id))
        .collect();
    leaves.sort_unstable();
    for (_, _, id) in leaves {
        let node = tree.remove_tip(&id)?;
        if choose(tree, network) == *tip {
            return Some(node);
        }
        // It decides something: it goes back to where it was.
        if let Err(error) = tree.insert(node) {
            tracing::error!(%error, "a commit does not fit where it came from");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::convergence::tree::{Membership, TreeRoot};
    use crate::ids::{AccountId, InstallationId};

    const NETWORK: NetworkId = NetworkId([7; 32]);
    const ROOT: EpochId = EpochId([0; 32]);

    fn id(n: usize) -> [u8; 32] {
        let mut id = [1; 32];
        id[24..].copy_from_slice(&(n as u64 + 1).to_be_bytes());
        id
    }

    /// From draws of (parent, author, whom it removes): installations are accounts, and the lower
    /// the number the more authority.
    fn grow(draws: &[(usize, u8, Option<u8>)]) -> CommitTree {
        let mut tree = CommitTree::new(TreeRoot {
            epoch: ROOT,
            depth: 5,
            accounts: (0..10).map(|n| AccountId([n; 32])).collect(),
        });
        for (n, (back, author, removes)) in draws.iter().enumerate() {
            let parent = n.checked_sub(1 + back).map_or(ROOT, |at| EpochId(id(at)));
            tree.insert(CommitNode {
                id: CommitId(id(n)),
                epoch: EpochId(id(n)),
                parent,
                author: InstallationId([*author; 32]),
                author_since: ROOT,
                author_account: AccountId([*author; 32]),
                author_admin: Some(u32::from(*author)),
                author_seniority: 0,
                removed: removes
                    .iter()
                    .filter(|whom| *whom != author)
                    .map(|whom| Membership {
                        installation: InstallationId([*whom; 32]),
                        since: ROOT,
                    })
                    .collect(),
                removed_from: removes.iter().map(|whom| AccountId([*whom; 32])).collect(),
                demoted: vec![],
                joined: vec![],
                gone: vec![],
                depth: tree.depth(&parent).unwrap() + 1,
            })
            .unwrap();
        }
        tree
    }

    #[test]
    fn branches_of_a_flood_go_and_the_branch_that_is_followed_stays() {
        // One member makes 300 siblings of one commit; the others go on, ten commits long.
        let mut draws: Vec<(usize, u8, Option<u8>)> = (0..10).map(|_| (0, 1, None)).collect();
        draws.extend((0..300).map(|n| (n + 1, 9, None)));
        let mut tree = grow(&draws);
        let tip = choose(&tree, &NETWORK);
        let gone = trim(&mut tree, &tip, &NETWORK, 50).unwrap();
        assert_eq!((tree.len(), gone.len()), (50, 260));
        assert_eq!(choose(&tree, &NETWORK), tip);
        assert_eq!(tree.depth(&tip), Some(15));
    }

    #[test]
    fn a_long_branch_is_cut_back_with_all_that_hangs_on_its_beginning() {
        // A side branch at the beginning is deeper than the later root.
        let mut draws: Vec<(usize, u8, Option<u8>)> = (0..100).map(|_| (0, 1, None)).collect();
        draws.push((99, 2, None));
        draws.extend((0..80).map(|_| (0, 2, None)));
        let mut tree = grow(&draws);
        let tip = choose(&tree, &NETWORK);
        let before = tree.clone();
        let gone = trim(&mut tree, &tip, &NETWORK, 60).unwrap();
        assert_eq!(choose(&tree, &NETWORK), tip);
        assert_eq!(tree.root_depth(), before.depth(&tip).unwrap() - 29);
        assert_eq!(gone.len() + tree.len(), before.len());
        assert!(gone.iter().any(|node| node.depth > tree.root_depth() + 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn cutting_back_never_changes_what_is_followed(
            draws in prop::collection::vec(
                (0usize..6, 0u8..6, prop::option::weighted(0.4, 0u8..6)), 1..80,
            ),
            most in 1usize..40,
        ) {
            let mut tree = grow(&draws);
            let before = tree.clone();
            let tip = choose(&tree, &NETWORK);
            let gone = trim(&mut tree, &tip, &NETWORK, most).unwrap();
            prop_assert_eq!(choose(&tree, &NETWORK), tip);
            prop_assert_eq!(gone.len() + tree.len(), before.len());
            prop_assert!(gone.iter().all(|node| tree.get(&node.id).is_none()));
            // What is left beyond the limit leads to the tip, or decides.
            let path = tree.path(&tree.root(), &tip).unwrap().len();
            prop_assert!(tree.len() <= most.max(path) || drop_leaf(&mut tree, &tip, &NETWORK).is_none());
        }
    }
}
