//! Two commits on one parent.

use super::member::{Member, Outgoing};
use super::world::group_of;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::event::Event;
use crate::machine::effect::Effect;
use crate::machine::testing::effects;

/// What came of two members who changed the group at once, one its name and one its description.
struct Race {
    winner: Member,
    won: Outgoing,
    loser: Member,
    lost: Outgoing,
    /// One that has heard of neither commit.
    bystander: Member,
}

fn race() -> Race {
    let [mut alice, mut bob, bystander, mut witness] = group_of();
    let naming = alice.renaming("A new name");
    let from_alice = alice.change(naming);
    let describing = bob.describing("A new description");
    let from_bob = bob.change(describing);
    assert_ne!(alice.tip(), bob.tip());
    witness.take_all(&from_alice);
    witness.take_all(&from_bob);
    let mut both = [(alice, from_alice), (bob, from_bob)];
    if witness.tip() != both[0].0.tip() {
        both.reverse();
    }
    let [(winner, won), (loser, lost)] = both;
    Race { winner, won, loser, lost, bystander }
}

#[test]
fn both_members_end_on_the_same_epoch() {
    let Race { mut winner, won, mut loser, lost, bystander: mut carol } = race();
    winner.take_all(&lost);
    loser.take_all(&won);
    assert_eq!(winner.state(), loser.state());
    // A bystander comes to the same end, in whatever order it hears of them.
    carol.take_all(&lost);
    carol.take_all(&won);
    assert_eq!(carol.state(), winner.state());
}

#[test]
fn the_losers_intent_comes_up_again_and_is_committed_on_the_winner() {
    let Race { mut winner, won, mut loser, lost, .. } = race();
    winner.take_all(&lost);
    assert_eq!(loser.group().open_intents().count(), 0);
    loser.take_all(&won);
    assert_eq!(loser.group().open_intents().count(), 1);
    let undone = |event: &Event| matches!(event, Event::BranchChanged { undone: 1, .. });
    assert!(loser.events().iter().any(undone));
    assert_eq!(winner.group().open_intents().count(), 0);

    effects(&mut loser.cx);
    let due = loser.group().next_intent_due().unwrap();
    loser.cx.now = due;
    let again = loser.commit_due();
    assert_eq!(again.group.len(), 1);
    winner.cx.now = due;
    winner.take_all(&again);
    assert_eq!(winner.state(), loser.state());
    let (_, name, description, _) = winner.state();
    assert_eq!((name.as_str(), description.as_str()), ("A new name", "A new description"));
    assert_eq!(loser.group().open_intents().count(), 0);
}

#[test]
fn an_intent_survives_a_restart_between_losing_and_the_second_try() {
    let Race { won, mut loser, .. } = race();
    loser.take_all(&won);
    effects(&mut loser.cx);
    loser.reload();
    assert_eq!(loser.group().open_intents().count(), 1);
    loser.cx.now = loser.group().next_intent_due().unwrap();
    assert_eq!(loser.commit_due().group.len(), 1);
    let (_, name, description, _) = loser.state();
    assert_eq!((name.as_str(), description.as_str()), ("A new name", "A new description"));
}

#[test]
fn an_intent_that_the_winner_made_needless_is_dropped() {
    let [mut alice, mut bob] = group_of();
    let (for_alice, for_bob) = (alice.renaming("The same"), bob.renaming("The same"));
    let from_alice = alice.change(for_alice);
    let from_bob = bob.change(for_bob);
    alice.take_all(&from_bob);
    bob.take_all(&from_alice);
    assert_eq!(alice.state(), bob.state());
    for member in [&mut alice, &mut bob] {
        effects(&mut member.cx);
        if let Some(due) = member.group().next_intent_due() {
            member.cx.now = due;
        }
        assert!(member.commit_due().group.is_empty());
        assert_eq!(member.group().open_intents().count(), 0);
    }
    assert_eq!(alice.state(), bob.state());
}

#[test]
fn what_was_said_on_the_losing_branch_is_read() {
    let Race { mut winner, won, mut loser, lost, bystander: mut carol } = race();
    let (id, said) = loser.send("said on a branch that loses");
    loser.take_all(&won);
    winner.take_all(&lost);
    assert!(matches!(winner.take(&said), Disposition::Message(_)));
    assert_eq!(winner.history()[0].message, id);
    assert!(!winner.history()[0].flagged);
    // The message first, then the winner, then the branch that it belongs to.
    carol.take(&said);
    carol.take_all(&won);
    carol.take_all(&lost);
    carol.reopen();
    assert_eq!(carol.texts(), ["said on a branch that loses"]);
    // Its author goes on counting on the winning branch.
    let (_, next) = loser.send("and on the other");
    winner.take(&next);
    carol.take(&next);
    assert_eq!(winner.texts(), carol.texts());
    assert!(winner.group().missing().is_empty() && carol.group().missing().is_empty());
}

#[test]
fn a_longer_branch_wins_over_the_one_that_was_followed_where_authority_is_equal() {
    let [_alice, mut bob, mut carol] = group_of();
    let naming = bob.renaming("One");
    let short = bob.change(naming);
    let mut long = Vec::new();
    for text in ["first", "second"] {
        let describing = carol.describing(text);
        long.push(carol.change(describing));
    }
    let tip = carol.tip();
    carol.take_all(&short);
    assert_eq!(carol.tip(), tip);
    long.iter().for_each(|out| bob.take_all(out));
    assert_eq!(bob.state(), carol.state());
    assert_eq!(bob.tip(), tip);
}

#[test]
fn an_admins_branch_wins_over_a_longer_one() {
    let [mut alice, mut bob] = group_of();
    let naming = alice.renaming("One");
    let short = alice.change(naming);
    let tip = alice.tip();
    let mut long = Vec::new();
    for text in ["first", "second"] {
        let describing = bob.describing(text);
        long.push(bob.change(describing));
    }
    bob.take_all(&short);
    long.iter().for_each(|out| alice.take_all(out));
    assert_eq!(alice.state(), bob.state());
    assert_eq!(bob.tip(), tip);
}

#[test]
fn commits_that_come_in_the_wrong_order_lead_to_the_same_epoch() {
    let [mut alice, mut bob] = group_of();
    let mut sent = Vec::new();
    for name in ["One", "Two", "Three"] {
        let renaming = alice.renaming(name);
        sent.push(alice.change(renaming));
    }
    sent.iter().rev().for_each(|out| bob.take_all(out));
    while bob.reopen().iter().any(|it| matches!(it, Disposition::Commit(_))) {}
    assert_eq!(alice.state(), bob.state());
}

#[test]
fn a_removal_holds_against_a_longer_branch_of_the_removed() {
    let [mut alice, mut bob, mut carol] = group_of();
    let removal = alice.removal_of(bob.account());
    let removed = alice.change(removal);
    let mut long = Vec::new();
    for name in ["One", "Two", "Three"] {
        let renaming = bob.renaming(name);
        long.push(bob.change(renaming));
    }
    for out in &long {
        carol.take_all(out);
        alice.take_all(out);
    }
    carol.take_all(&removed);
    assert_eq!(carol.state(), alice.state());
    assert!(!carol.group().current().unwrap().has_account(&bob.account()));
    bob.take_all(&removed);
    assert!(!bob.group().is_member());
}

#[test]
fn the_epoch_of_the_loser_stays_until_the_group_is_pruned() {
    let Race { won, mut loser, .. } = race();
    let (group, left) = (loser.group().id(), loser.tip());
    effects(&mut loser.cx);
    loser.take_all(&won);
    let asked = effects(&mut loser.cx);
    assert!(asked.iter().any(|it| matches!(it, Effect::Prune(of) if *of == group)));
    assert!(loser.group().epochs().any(|state| state.epoch == left));
}
