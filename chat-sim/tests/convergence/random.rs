//! What holds for any tree of commits.

use chat_core::convergence::{Admin, CommitNode, choose, judge, would_lose};
use chat_core::ids::EpochId;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::trees::*;

/// What a random commit is made from.
#[derive(Debug, Clone, Copy)]
struct Draw {
    parent: u32,
    author: u32,
    admin: u32,
    kind: u32,
    target: u32,
    second: u32,
}

/// A tree from random numbers. Depth, seniority and admin numbers are as consistent as the rule
/// needs: seniority belongs to the installation, a number mostly to the account.
fn grow(draws: &[Draw], members: u32, bushy: u32) -> Vec<CommitNode> {
    let mut nodes: Vec<CommitNode> = Vec::new();
    for draw in draws {
        let back = (draw.parent % bushy) as usize;
        let parent = nodes.len().checked_sub(1 + back).map(|at| nodes[at].clone());
        let author = draw.author % members;
        let mut node = commit(nodes.len(), parent.as_ref(), author);
        node.author_seniority = author % 2;
        node.author_admin = match draw.admin % 4 {
            0 => None,
            1 => Some(draw.target % 3),
            _ => Some(author / 2),
        };
        let other = |n: u32| (author + 1 + n % (members - 1)) % members;
        match draw.kind % 8 {
            0 | 1 => node = removing(node, &[other(draw.target)]),
            2 => node = removing(node, &[other(draw.target), other(draw.second)]),
            3 => {
                let account = account_of(draw.second % members);
                node.demoted = vec![Admin { account, number: draw.parent % 3 }];
            }
            4 => node.joined = vec![account(100 + draw.target % 3)],
            5 => node.gone = vec![account_of(draw.second % members)],
            _ => {}
        }
        // Some commits, and some removals, are of a later membership of the same installation.
        const LATER: EpochId = EpochId([0xee; 32]);
        if draw.second % 5 == 0 {
            node.author_since = LATER;
        }
        if draw.target % 5 == 0 {
            node.removed.iter_mut().for_each(|gone| gone.since = LATER);
        }
        nodes.push(node);
    }
    nodes
}

fn draw_from(rng: &mut ChaCha8Rng) -> Draw {
    Draw {
        parent: rng.next_u32(),
        author: rng.next_u32(),
        admin: rng.next_u32(),
        kind: rng.next_u32(),
        target: rng.next_u32(),
        second: rng.next_u32(),
    }
}

fn random_tree(rng: &mut ChaCha8Rng) -> Vec<CommitNode> {
    let size = 1 + rng.next_u32() % 24;
    let members = 2 + rng.next_u32() % 6;
    let bushy = 1 + rng.next_u32() % 8;
    let draws: Vec<Draw> = (0..size).map(|_| draw_from(rng)).collect();
    grow(&draws, members, bushy)
}

/// Puts the nodes into another order in which parents still come first.
fn reordered(nodes: &[CommitNode], rng: &mut ChaCha8Rng) -> Vec<CommitNode> {
    let mut left = nodes.to_vec();
    let mut out: Vec<CommitNode> = Vec::new();
    while !left.is_empty() {
        let ready: Vec<usize> = (0..left.len())
            .filter(|at| {
                let parent = left[*at].parent;
                parent == ROOT || out.iter().any(|n| n.epoch == parent)
            })
            .collect();
        let at = ready[rng.next_u32() as usize % ready.len()];
        out.push(left.swap_remove(at));
    }
    out
}

/// Everything that holds for any tree.
fn check_tree(nodes: &[CommitNode], rng: &mut ChaCha8Rng) {
    let tree = tree_of(nodes);
    let tip = agreed(nodes);
    let judgement = judge(&tree);

    // The order in which one heard of the commits does not matter.
    let other = tree_of(&reordered(nodes, rng));
    assert_eq!((choose(&other, &NETWORK), judge(&other)), (tip, judgement.clone()));

    // What is struck is struck with all that was built on it, and the winner is live.
    let is_struck = |epoch| tree.by_epoch(epoch).is_some_and(|n| judgement.struck.contains(&n.id));
    assert!(tree.nodes().all(|n| judgement.struck.contains(&n.id) || !is_struck(&n.parent)));
    let winning = tree.path(&ROOT, &tip).unwrap();
    assert!(winning.first().is_none_or(|id| !judgement.struck.contains(id)));

    // A later root on the way to the winner changes nothing.
    for id in &winning {
        let mut later = tree.clone();
        later.prune_to(&tree.get(id).unwrap().epoch).unwrap();
        assert_eq!(choose(&later, &NETWORK), tip);
    }

    // What is committed on the winner stays the winner: a commit that takes nothing away, always;
    // one that does, unless `would_lose` says so, and then it is not made.
    let on = tree.by_epoch(&tip);
    let plain = commit(nodes.len(), on, 250);
    assert!(!would_lose(&tree, plain.clone(), &NETWORK));
    let mut with = nodes.to_vec();
    with.push(plain.clone());
    assert_eq!(agreed(&with), plain.epoch);
    let author = rng.next_u32() % 8;
    let removal = ranked(
        removing(commit(nodes.len(), on, author), &[(author + 1 + rng.next_u32() % 7) % 8]),
        Some(rng.next_u32() % 4),
        author % 2,
    );
    let loses = would_lose(&tree, removal.clone(), &NETWORK);
    with.pop();
    with.push(removal.clone());
    assert_eq!(loses, agreed(&with) != removal.epoch);
}

#[test]
fn thousands_of_random_trees() {
    let mut rng = ChaCha8Rng::seed_from_u64(0x77_61_6b_75);
    for _ in 0..4000 {
        let nodes = random_tree(&mut rng);
        check_tree(&nodes, &mut rng);
    }
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>())
        .prop_map(|(parent, author, admin, kind, target, second)| Draw {
            parent,
            author,
            admin,
            kind,
            target,
            second,
        });
    prop::collection::vec(draw, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_tree(draws in draws(), members in 2u32..7, bushy in 1u32..8, seed: u64) {
        check_tree(&grow(&draws, members, bushy), &mut ChaCha8Rng::seed_from_u64(seed));
    }

    #[test]
    fn no_length_of_branch_undoes_a_removal(
        length in 1usize..60, accomplices in prop::collection::vec(0u32..3, 60)
    ) {
        // Account 0 removes installation 4; on the same state 4 begins a branch on which its
        // accomplices (of no rank) go on.
        let removal = ranked(removing(commit(0, None, 0), &[4]), Some(0), 0);
        let mut nodes = vec![removal.clone(), commit(1, None, 4)];
        for (at, accomplice) in accomplices.iter().enumerate().take(length) {
            let parent = nodes.last().cloned().unwrap();
            nodes.push(commit(at + 2, Some(&parent), 4 + accomplice));
        }
        prop_assert_eq!(agreed(&nodes), removal.epoch);
    }

    #[test]
    fn of_a_circle_the_senior_stays(count in 2u32..8, shift in 1u32..7) {
        // Each removes the one after it. Number 0 has the most authority and cannot be removed by
        // the last.
        let nodes: Vec<CommitNode> = (0..count)
            .map(|at| {
                let n = (at + shift) % count;
                let removal = removing(commit(at as usize, None, 2 * n), &[2 * ((n + 1) % count)]);
                ranked(removal, Some(n), 0)
            })
            .collect();
        let tip = agreed(&nodes);
        let choice = judge(&tree_of(&nodes));
        let by = |n: u32| nodes.iter().find(|c| c.author == installation(2 * n)).unwrap();
        prop_assert!(choice.accepted.contains(&by(0).id));
        prop_assert!(choice.struck.contains(&by(1).id));
        prop_assert!(!choice.struck.contains(&by(0).id));
        prop_assert!(tip != by(1).epoch);
    }
}
