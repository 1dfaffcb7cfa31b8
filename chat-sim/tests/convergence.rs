//! `choose` against its second implementation, and against what the rule is for.

// A test may fail by a panic.
#![allow(clippy::unwrap_used)]

use chat_core::convergence::{CommitNode, CommitTree, Membership, choose, would_lose};
use chat_core::ids::{AccountId, CommitId, EpochId, InstallationId};
use chat_core::params::NetworkId;
use chat_sim::reference::choose::{self as reference, Commit, Outcome};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const NETWORK: NetworkId = NetworkId([42; 32]);
const ROOT: EpochId = EpochId([0; 32]);
const ROOT_DEPTH: u64 = 3;

/// Two installations of one account each time: 0 and 1 are account 0's, 2 and 3 are account 1's.
fn installation(n: u32) -> InstallationId {
    InstallationId([n as u8 + 1; 32])
}

fn account(n: u32) -> AccountId {
    AccountId([n as u8 + 1; 32])
}

fn account_of(n: u32) -> AccountId {
    account(n / 2)
}

fn id(n: usize, salt: u8) -> [u8; 32] {
    let mut out = [salt; 32];
    // Scrambled, so that the order of ids is not the order of insertion.
    out[..8].copy_from_slice(&(n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    out[8..16].copy_from_slice(&(n as u64).to_be_bytes());
    out
}

/// A plain commit; its state has the id's bytes.
fn commit(n: usize, parent: Option<&CommitNode>, author: u32) -> CommitNode {
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
        demoted: vec![],
        depth: parent.map_or(ROOT_DEPTH, |p| p.depth) + 1,
    }
}

fn removing(mut node: CommitNode, whom: &[u32]) -> CommitNode {
    node.removed = whom.iter().map(|n| member(*n, ROOT)).collect();
    node
}

fn member(n: u32, since: EpochId) -> Membership {
    Membership { installation: installation(n), since }
}

/// The same commit, made in a membership that began later.
fn back(mut node: CommitNode, since: EpochId) -> CommitNode {
    node.author_since = since;
    node
}

fn ranked(mut node: CommitNode, admin: Option<u32>, seniority: u32) -> CommitNode {
    node.author_admin = admin;
    node.author_seniority = seniority;
    node
}

fn tree_of(nodes: &[CommitNode]) -> CommitTree {
    let mut tree = CommitTree::new(ROOT, ROOT_DEPTH);
    for node in nodes {
        tree.insert(node.clone()).unwrap();
    }
    tree
}

fn refer(nodes: &[CommitNode]) -> Outcome {
    let commits: Vec<Commit> = nodes
        .iter()
        .map(|n| Commit {
            id: n.id,
            state: n.epoch,
            parent: n.parent,
            author: n.author,
            account: n.author_account,
            admin: n.author_admin,
            seniority: n.author_seniority,
            since: n.author_since,
            removes: n.removed.iter().map(|m| (m.installation, m.since)).collect(),
            demotes: n.demoted.clone(),
            depth: n.depth,
        })
        .collect();
    reference::choose(ROOT, &commits, &NETWORK)
}

/// Both implementations agree; the tip is given.
fn agreed(nodes: &[CommitNode]) -> EpochId {
    let (ours, theirs) = (choose(&tree_of(nodes), &NETWORK), refer(nodes));
    assert_eq!(ours.tip, theirs.tip, "{nodes:#?}");
    assert_eq!(ours.struck.into_iter().collect::<Vec<_>>(), theirs.struck, "{nodes:#?}");
    ours.tip
}

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
            3 => node.demoted = vec![account_of(draw.second % members)],
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
    let choice = choose(&tree, &NETWORK);
    assert_eq!(agreed(nodes), choice.tip);

    // The order in which one heard of the commits does not matter.
    assert_eq!(choose(&tree_of(&reordered(nodes, rng)), &NETWORK), choice);

    // The winner is live and nothing live is deeper.
    let winning = tree.path(&ROOT, &choice.tip).unwrap();
    assert!(winning.iter().all(|id| !choice.struck.contains(id)));
    let depth = tree.depth(&choice.tip).unwrap();
    assert!(tree.nodes().all(|n| n.depth <= depth || choice.struck.contains(&n.id)));

    // Nobody who was removed by a removal that stands has a commit beside it on the winner.
    for r in choice.accepted.iter().filter(|r| !choice.struck.contains(r)) {
        let r = tree.get(r).unwrap();
        for c in winning.iter().filter_map(|c| tree.get(c)) {
            let beside =
                !tree.is_ancestor(&r.epoch, &c.epoch) && !tree.is_ancestor(&c.epoch, &r.epoch);
            let taken =
                r.removed.contains(&c.membership()) || r.demoted.contains(&c.author_account);
            assert!(!(beside && taken), "{r:?} is undone by {c:?}");
        }
    }

    // The removal with the most authority always stands.
    if let Some(first) = tree
        .nodes()
        .filter(|n| n.removes())
        .min_by_key(|n| (n.author_admin.unwrap_or(u32::MAX), n.author_seniority, n.depth, n.id))
    {
        assert!(choice.accepted.contains(&first.id));
    }

    // What is committed on the winner stays the winner: a commit that takes nothing away, always;
    // one that does, unless `would_lose` says so, and then it is not made.
    let on = tree.by_epoch(&choice.tip);
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
        let choice = choose(&tree_of(&nodes), &NETWORK);
        let by = |n: u32| nodes.iter().find(|c| c.author == installation(2 * n)).unwrap();
        prop_assert!(choice.accepted.contains(&by(0).id));
        prop_assert!(choice.struck.contains(&by(1).id));
        prop_assert!(!choice.struck.contains(&by(0).id));
        prop_assert!(tip != by(1).epoch);
    }
}

#[test]
fn of_two_that_remove_one_another_the_senior_stays() {
    // By admin number; by seniority within an account; and one without a number comes last. The
    // junior's branch is longer each time.
    for (senior, junior) in
        [((Some(0), 9), (Some(1), 0)), ((Some(1), 0), (Some(1), 1)), ((Some(7), 9), (None, 0))]
    {
        let strong = ranked(removing(commit(0, None, 0), &[1]), senior.0, senior.1);
        let weak = ranked(removing(commit(1, None, 1), &[0]), junior.0, junior.1);
        let more = commit(2, Some(&weak), 4);
        assert_eq!(agreed(&[strong.clone(), weak.clone(), more.clone()]), strong.epoch);
        assert_eq!(agreed(&[weak, more, strong.clone()]), strong.epoch);
    }
}

#[test]
fn a_junior_cannot_block_its_removal() {
    // The thief holds installation 1, junior to 0 of the same account. It removes 0 first, and all
    // sorts of others, and builds on that before 0 is heard of.
    let mut nodes = vec![ranked(removing(commit(0, None, 1), &[0, 2, 3, 4]), Some(0), 1)];
    for at in 1..20 {
        let parent = nodes.last().cloned().unwrap();
        nodes.push(ranked(removing(commit(at, Some(&parent), 1), &[5]), Some(0), 1));
    }
    let revocation = ranked(removing(commit(20, None, 0), &[1]), Some(0), 0);
    assert!(!would_lose(&tree_of(&nodes), revocation.clone(), &NETWORK));
    nodes.push(revocation.clone());
    assert_eq!(agreed(&nodes), revocation.epoch);
}

#[test]
fn a_demotion_strikes_all_installations_of_the_account() {
    let demotion =
        ranked(CommitNode { demoted: vec![account(1)], ..commit(0, None, 0) }, Some(0), 0);
    for thief in [2, 3] {
        let branch = ranked(removing(commit(1, None, thief), &[0]), Some(1), 0);
        let more = commit(2, Some(&branch), thief);
        assert_eq!(agreed(&[demotion.clone(), branch, more]), demotion.epoch);
    }
    // Who was not demoted is not struck.
    let branch = commit(1, None, 4);
    let more = commit(2, Some(&branch), 4);
    assert_eq!(agreed(&[demotion, branch, more.clone()]), more.epoch);
}

#[test]
fn a_removal_strikes_nothing_on_its_own_line() {
    // 2 committed before it was removed, and was added again later: both stay.
    let before = commit(0, None, 2);
    let removal = ranked(removing(commit(1, Some(&before), 0), &[2]), Some(0), 0);
    let after = commit(2, Some(&removal), 2);
    assert_eq!(agreed(&[before, removal, after.clone()]), after.epoch);
}

#[test]
fn a_removal_that_lost_says_nothing_of_a_later_membership() {
    // Two members remove 4 at once, as two may who heard of its wish to leave; one commit wins. 4
    // comes back on that branch and commits: the removal that lost must not strike that.
    let (a, b) = (removing(commit(0, None, 0), &[4]), removing(commit(1, None, 2), &[4]));
    let tree = tree_of(&[a.clone(), b.clone()]);
    let won = if choose(&tree, &NETWORK).tip == a.epoch { a.clone() } else { b.clone() };
    let added = commit(2, Some(&won), 0);
    let later = back(commit(3, Some(&added), 4), added.epoch);
    assert_eq!(agreed(&[a.clone(), b.clone(), added.clone(), later.clone()]), later.epoch);
    // In the membership that was ended it is struck, as ever.
    let stale = commit(3, Some(&added), 4);
    assert_eq!(agreed(&[a, b, added.clone(), stale]), added.epoch);
}

#[test]
fn a_removal_that_hits_an_accepted_one_is_struck_with_all_on_it() {
    let strong = ranked(removing(commit(0, None, 0), &[4]), Some(0), 0);
    let weak = ranked(removing(commit(1, None, 2), &[0]), Some(1), 0);
    let more = commit(2, Some(&weak), 6);
    let nodes = [strong.clone(), weak.clone(), more.clone()];
    assert_eq!(agreed(&nodes), strong.epoch);
    let choice = choose(&tree_of(&nodes), &NETWORK);
    assert_eq!(choice.accepted, [strong.id]);
    assert_eq!(choice.struck, [weak.id, more.id].into_iter().collect());
    assert!(would_lose(&tree_of(&nodes[..1]), weak, &NETWORK));
}

#[test]
fn a_struck_commit_does_not_drag_its_parent_down() {
    // 5 was removed on a shorter branch and commits on the winner: the winner stays, without it.
    let one = commit(0, None, 0);
    let two = commit(1, Some(&one), 0);
    let removal = ranked(removing(commit(2, None, 0), &[5]), Some(0), 0);
    let struck = commit(3, Some(&two), 5);
    let nodes = [one, two.clone(), removal, struck.clone()];
    assert_eq!(agreed(&nodes), two.epoch);
    assert_eq!(choose(&tree_of(&nodes), &NETWORK).struck, [struck.id].into_iter().collect());
}

#[test]
fn without_a_live_commit_the_root_is_followed() {
    assert_eq!(agreed(&[]), ROOT);
}

#[test]
fn ties_fall_to_the_lower_draw_then_to_the_lower_id() {
    let nodes: Vec<CommitNode> = (0..6).map(|n| commit(n, None, n as u32)).collect();
    let drawn = |n: &CommitNode| {
        use chat_core::wire::labels::{Label, hash};
        hash(Label::ChooseTie, &NETWORK, &[n.parent.as_bytes(), n.author.as_bytes()])
    };
    let lowest = nodes.iter().min_by_key(|n| drawn(n)).unwrap();
    assert_eq!(agreed(&nodes), lowest.epoch);
    // One installation that makes two commits on one state draws the same: the id decides.
    let twice: Vec<CommitNode> = (0..6).map(|n| commit(n, None, 3)).collect();
    assert_eq!(agreed(&twice), twice.iter().min_by_key(|n| n.id).unwrap().epoch);
    // A removal goes before both.
    let mut all = nodes.clone();
    let highest = nodes.iter().max_by_key(|n| drawn(n)).unwrap();
    let removal = removing(CommitNode { author: highest.author, ..commit(9, None, 0) }, &[200]);
    all.push(removal.clone());
    assert_eq!(agreed(&all), removal.epoch);
}

#[test]
fn a_removal_that_would_free_a_longer_branch_is_not_published() {
    // 4 has a long branch that is struck because 2 removed 4. Who now removes 2 on the winner would
    // strike 2's removal and so bring the long branch back: it has to remove both at once.
    let winner = commit(0, None, 6);
    let longer = commit(1, Some(&winner), 6);
    let removal = ranked(removing(commit(2, None, 2), &[4]), Some(1), 0);
    let mut nodes = vec![winner, longer.clone(), removal, commit(3, None, 4)];
    for at in 4..8 {
        let parent = nodes.last().cloned().unwrap();
        nodes.push(commit(at, Some(&parent), 4));
    }
    assert_eq!(agreed(&nodes), longer.epoch);
    let tree = tree_of(&nodes);
    let alone = ranked(removing(commit(8, Some(&longer), 0), &[2]), Some(0), 0);
    assert!(would_lose(&tree, alone, &NETWORK));
    let both = ranked(removing(commit(9, Some(&longer), 0), &[2, 4]), Some(0), 0);
    assert!(!would_lose(&tree, both, &NETWORK));
}

#[test]
fn what_does_not_fit_would_lose() {
    let one = commit(0, None, 0);
    let tree = tree_of(std::slice::from_ref(&one));
    let orphan = commit(2, Some(&commit(1, None, 0)), 0);
    assert!(would_lose(&tree, orphan, &NETWORK));
    assert!(would_lose(&tree, CommitNode { depth: 9, ..commit(2, Some(&one), 0) }, &NETWORK));
}

#[test]
fn the_largest_tree_is_chosen_from_in_time() {
    // A thousand commits, two branches of removals by and of everybody: the worst that is kept.
    let mut nodes: Vec<CommitNode> = Vec::new();
    for branch in 0..2u32 {
        let mut parent: Option<CommitNode> = None;
        for at in 0..500 {
            let n = (branch as usize) * 500 + at;
            let author = (n % 100) as u32;
            let whom: Vec<u32> = (0..100).filter(|m| *m != author).collect();
            let node = ranked(
                removing(commit(n, parent.as_ref(), author), &whom),
                Some(1000 - n as u32),
                0,
            );
            parent = Some(node.clone());
            nodes.push(node);
        }
    }
    let tree = tree_of(&nodes);
    let choice = choose(&tree, &NETWORK);
    // The deepest commit of the second branch has the most authority and strikes all of the first.
    assert_eq!(choice.tip, nodes[999].epoch);
    assert_eq!(choice.struck.len(), 500);
}
