//! What the rule is for, case by case.

use chat_core::convergence::{Admin, CommitNode, choose, judge, would_lose};

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
    let demotion = ranked(
        CommitNode {
            demoted: vec![Admin { account: account(1), number: 1 }],
            ..commit(0, None, 0)
        },
        Some(0),
        0,
    );
    for thief in [2, 3] {
        let branch = ranked(removing(commit(1, None, thief), &[0]), Some(1), 0);
        let more = commit(2, Some(&branch), thief);
        assert_eq!(agreed(&[demotion.clone(), branch, more]), demotion.epoch);
    }
    // Who was not demoted is not struck, nor is what the account does once it is an admin again.
    for other in [ranked(commit(1, None, 4), Some(1), 0), ranked(commit(1, None, 2), Some(2), 0)] {
        agreed(&[demotion.clone(), other.clone()]);
        assert!(judge(&tree_of(&[demotion.clone(), other])).struck.is_empty());
    }
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
    let won = if choose(&tree, &NETWORK) == a.epoch { a.clone() } else { b.clone() };
    let added = commit(2, Some(&won), 0);
    let later = back(commit(3, Some(&added), 4), added.epoch);
    assert_eq!(agreed(&[a.clone(), b.clone(), added.clone(), later.clone()]), later.epoch);
}

#[test]
fn a_removal_that_hits_an_accepted_one_is_struck_with_all_on_it() {
    let strong = ranked(removing(commit(0, None, 0), &[4]), Some(0), 0);
    let weak = ranked(removing(commit(1, None, 2), &[0]), Some(1), 0);
    let more = commit(2, Some(&weak), 6);
    let nodes = [strong.clone(), weak.clone(), more.clone()];
    assert_eq!(agreed(&nodes), strong.epoch);
    let choice = judge(&tree_of(&nodes));
    assert_eq!(choice.accepted, [strong.id].into());
    assert_eq!(choice.struck, [weak.id, more.id].into_iter().collect());
    assert!(would_lose(&tree_of(&nodes[..1]), weak, &NETWORK));
}

#[test]
fn a_struck_commit_does_not_drag_its_parent_down() {
    // 5 was removed beside the branch of the best admin and commits on it: that branch stays, without it.
    let one = ranked(commit(0, None, 0), Some(0), 0);
    let removal = ranked(removing(commit(2, None, 4), &[5]), Some(1), 0);
    let struck = commit(3, Some(&one), 5);
    let nodes = [one.clone(), removal, struck.clone()];
    assert_eq!(agreed(&nodes[..2]), one.epoch);
    assert_eq!(judge(&tree_of(&nodes)).struck, [struck.id].into());
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
fn a_removal_that_lost_still_binds_elsewhere() {
    // 2 removed 4, which has a long branch of its own. Who removes 2 on the winner strikes that removal,
    // and does not bring the long branch back by it.
    let winner = ranked(commit(0, None, 0), Some(0), 0);
    let removal = ranked(removing(commit(2, None, 2), &[4]), Some(1), 0);
    let mut nodes = vec![winner.clone(), removal.clone(), commit(3, None, 4)];
    for at in 4..8 {
        let parent = nodes.last().cloned().unwrap();
        nodes.push(commit(at, Some(&parent), 4));
    }
    assert_eq!(agreed(&nodes), winner.epoch);
    let alone = ranked(removing(commit(8, Some(&winner), 0), &[2]), Some(0), 0);
    assert!(!would_lose(&tree_of(&nodes), alone.clone(), &NETWORK));
    nodes.push(alone.clone());
    assert_eq!(agreed(&nodes), alone.epoch);
    let struck = judge(&tree_of(&nodes)).struck;
    assert!(struck.contains(&removal.id) && struck.contains(&nodes[2].id));
}

/// Review scenario 4: one account revokes its own device on the state before its rename, twenty commits
/// back; and 20: others built on that rename.
#[test]
fn an_ordinary_account_undoes_no_work_of_others() {
    for authors in [[(0, Some(0)); 2], [(4, None), (6, None)]] {
        let mut nodes = vec![commit(0, None, 3)];
        for at in 1..20 {
            let parent = nodes.last().cloned().unwrap();
            let (author, admin) = authors[at % 2];
            nodes.push(ranked(commit(at, Some(&parent), author), admin, 0));
        }
        let last = nodes.last().unwrap().epoch;
        let revocation = removing(commit(20, None, 2), &[3]);
        assert!(would_lose(&tree_of(&nodes), revocation.clone(), &NETWORK));
        nodes.push(revocation);
        assert_eq!(agreed(&nodes), last);
    }
    // What one account alone built on the rename does not hold it.
    let rename = commit(0, None, 3);
    let on_it = commit(1, Some(&rename), 4);
    let revocation = removing(commit(2, None, 2), &[3]);
    assert_eq!(agreed(&[rename, on_it, revocation.clone()]), revocation.epoch);
}

/// Review scenario 19: a member adds accounts of its own, and all of them commit beside an admin's
/// removal.
#[test]
fn accounts_of_ones_own_do_not_outweigh_an_admin() {
    let removal = ranked(removing(commit(0, None, 0), &[10]), Some(0), 0);
    let mut nodes = vec![removal.clone()];
    for at in 1..30 {
        let parent = nodes.last().cloned().unwrap();
        nodes.push(commit(at, Some(&parent), 4 + 2 * (at as u32 % 2)));
    }
    let last = nodes.last().unwrap().epoch;
    let mut branch = vec![CommitNode { joined: vec![account(200)], ..commit(30, None, 8) }];
    for at in 31..80 {
        let parent = branch.last().cloned().unwrap();
        branch.push(commit(at, Some(&parent), 100 + at as u32 % 40));
    }
    nodes.extend(branch);
    assert_eq!(agreed(&nodes), last);
}

/// Accounts count where they are members at the parting; those that came in on a branch do not.
#[test]
fn who_came_in_on_a_branch_does_not_speak_for_it() {
    let ours = commit(0, None, 0);
    let both = commit(1, Some(&ours), 2);
    let theirs = CommitNode { joined: vec![account(200), account(201)], ..commit(2, None, 4) };
    let came = CommitNode { author_account: account(200), ..commit(3, Some(&theirs), 6) };
    let more = CommitNode { author_account: account(201), ..commit(4, Some(&came), 8) };
    assert_eq!(agreed(&[ours, both.clone(), theirs, came, more]), both.epoch);
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
    // The deepest commit of the second branch has the most authority and strikes all of the first.
    assert_eq!(choose(&tree, &NETWORK), nodes[999].epoch);
    assert_eq!(judge(&tree).struck.len(), 500);
}
