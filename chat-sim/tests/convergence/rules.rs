//! What the rule is for, case by case.

use chat_core::convergence::{CommitNode, choose, would_lose};

use crate::trees::*;

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
