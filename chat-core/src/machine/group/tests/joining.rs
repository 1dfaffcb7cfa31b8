//! Groups are founded, and entered with an invitation.

use super::member::Member;
use super::world::group_of;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::event::Event;
use crate::machine::api::view::Membership;
use crate::machine::effect::Effect;
use crate::machine::group::intent::Intent;
use crate::machine::testing::effects;

#[test]
fn a_founder_is_alone_and_an_admin_with_a_group_that_can_be_loaded() {
    let mut alice = Member::new(1);
    alice.found();
    let view = alice.with(|group, _, who, _| group.view(&who.me.account)).unwrap();
    assert_eq!((view.accounts, view.installations, view.admin), (1, 1, true));
    let state = alice.state();
    alice.reload();
    assert_eq!(alice.state(), state);
}

#[test]
fn a_planned_add_lets_the_added_one_enter_the_epoch_that_its_author_follows() {
    let (mut alice, mut bob) = (Member::new(1), Member::new(2));
    alice.found();
    let before = alice.state();
    let card = bob.card();
    alice.know(&card);
    let out = alice.change(Intent::Add(vec![bob.account()]));

    assert_eq!((out.group.len(), out.invitations.len(), out.doorbells), (1, 1, 1));
    assert!(bob.join(alice.account(), &out.invitations[0]));
    assert_ne!(alice.state().0, before.0);
    assert_eq!(alice.state(), bob.state());
    assert!(bob.with(|group, _, who, _| group.has(&who.me.id())));
    assert_eq!(bob.group().let_in_by(), Some(alice.account()));
    assert!(bob.group().is_untouched());
    // Both look for the group's envelopes on the same topics.
    let topics = |member: &mut Member| {
        let roots = member.with(|group, cx, _, _| group.topic_roots(cx.slot(), &cx.network));
        roots.into_iter().map(|root| *root.expose()).collect::<Vec<_>>()
    };
    assert!(topics(&mut alice).contains(&topics(&mut bob)[0]));
}

#[test]
fn a_member_that_joins_wants_what_was_said_since_the_invitation_was_made() {
    let (mut alice, mut bob) = (Member::new(1), Member::new(2));
    alice.found();
    let card = bob.card();
    alice.know(&card);
    let out = alice.change(Intent::Add(vec![bob.account()]));
    effects(&mut bob.cx);
    bob.join(alice.account(), &out.invitations[0]);
    let from = alice.cx.slot().start(alice.cx.params.slot_secs);
    let asked = effects(&mut bob.cx);
    assert!(asked.iter().any(|it| matches!(it, Effect::Fetch { from: at, .. } if *at == from)));
}

#[test]
fn an_invitation_is_good_once() {
    let (mut alice, mut bob) = (Member::new(1), Member::new(2));
    alice.found();
    let card = bob.card();
    alice.know(&card);
    let out = alice.change(Intent::Add(vec![bob.account()]));
    assert!(bob.join(alice.account(), &out.invitations[0]));
    let state = bob.state();
    assert!(!bob.join(alice.account(), &out.invitations[0]));
    assert_eq!(bob.state(), state);
}

#[test]
fn a_member_that_was_there_before_learns_of_an_add_from_its_commit() {
    let [mut alice, mut bob] = group_of();
    let mut carol = Member::new(3);
    let card = carol.card();
    bob.know(&card);
    let out = bob.change(Intent::Add(vec![carol.account()]));
    assert!(matches!(alice.take(&out.group[0]), Disposition::Commit(_)));
    assert!(carol.join(bob.account(), &out.invitations[0]));
    assert_eq!(alice.state(), bob.state());
    assert_eq!(alice.state(), carol.state());
    let added = alice.events().into_iter().find_map(|event| match event {
        Event::MembersAdded { by, accounts, .. } => Some((by, accounts)),
        _ => None,
    });
    assert_eq!(added, Some((bob.account(), vec![carol.account()])));
}

#[test]
fn a_removed_member_is_out_and_cannot_follow() {
    let [mut alice, mut bob, mut carol] = group_of();
    let removal = alice.removal_of(carol.account());
    let out = alice.change(removal);
    bob.take_all(&out);
    carol.take_all(&out);
    assert_eq!(alice.state(), bob.state());
    assert!(!carol.group().is_member());
    let view = carol.with(|group, _, who, _| group.view(&who.me.account)).unwrap();
    assert_eq!(view.membership, Membership::Removed);
    assert!(matches!(carol.events()[..], [Event::GroupLeft { removed: true, .. }]));

    let (_, said) = alice.send("without carol");
    assert!(matches!(bob.take(&said), Disposition::Message(_)));
    assert!(!matches!(carol.take(&said), Disposition::Message(_)));
    assert!(carol.texts().is_empty());
}

#[test]
fn one_that_was_removed_and_comes_back_goes_on_counting() {
    let [mut alice, mut bob] = group_of();
    let (_, first) = bob.send("one");
    alice.take(&first);
    let removal = alice.removal_of(bob.account());
    let out = alice.change(removal);
    bob.take_all(&out);
    let out = alice.change(Intent::Add(vec![bob.account()]));
    assert!(bob.join(alice.account(), &out.invitations[0]));
    assert_eq!(alice.state(), bob.state());
    let (_, second) = bob.send("two");
    assert!(matches!(alice.take(&second), Disposition::Message(_)));
    let seqs: Vec<_> = alice.history().iter().map(|message| message.seq).collect();
    assert_eq!(seqs, [Some(1), Some(2)]);
    assert!(alice.group().missing().is_empty());
}

#[test]
fn who_leaves_is_removed_by_another_and_was_not_thrown_out() {
    let [mut alice, mut bob] = group_of();
    bob.with(|group, cx, _, _| group.leave(cx)).unwrap();
    let wish = bob.flush();
    alice.take_all(&wish);
    let due = alice.group().next_intent_due().unwrap();
    alice.cx.now = due;
    let out = alice.commit_due();
    assert_eq!(out.group.len(), 1);
    bob.cx.now = due;
    bob.take_all(&out);
    let view = bob.with(|group, _, who, _| group.view(&who.me.account)).unwrap();
    assert_eq!(view.membership, Membership::Left);
    assert!(!alice.group().current().unwrap().has_account(&bob.account()));
}
