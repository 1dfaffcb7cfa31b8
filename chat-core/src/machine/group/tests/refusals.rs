//! A plan that is refused, or dropped, leaves the group as it was.

use super::member::Member;
use super::world::{group_of, second_of};
use crate::ids::{AccountId, InstallationId};
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::CommandError;
use crate::machine::api::event::Event;
use crate::machine::effect::Effect;
use crate::machine::group::intent::Intent;
use crate::machine::testing::{done, effects, refusal};
use crate::params::MAX_NAME;

/// Wants something at once that is refused; sees to it that nothing was written or posted, and that
/// the group can be used as before. Why it was refused.
fn refused(member: &mut Member, other: &mut Member, intent: Intent) -> CommandError {
    let (before, drafts) = (member.state(), member.group().drafts());
    member.cx.db.watch_writes();
    let now = member
        .with(|group, cx, who, book| group.prepare(cx, who, book, intent.clone(), true).map(drop));
    let later =
        member.with(|group, cx, who, book| group.prepare(cx, who, book, intent, false).map(drop));
    let why = refusal(now);
    if why != CommandError::WouldLose && !matches!(why, CommandError::NotAllowed { .. }) {
        // Found before anything is made, too.
        assert_eq!(refusal(later), why);
    }
    assert!(!member.cx.db.has_written(), "{why} was written");
    let posted = effects(&mut member.cx).into_iter().any(|it| matches!(it, Effect::Post(..)));
    assert!(!posted, "{why} was posted");
    assert!(member.cx.out.is_empty());
    assert_eq!(member.state(), before);
    assert_eq!(member.group().drafts(), drafts);
    assert_eq!(member.group().open_intents().count(), 0);
    let (_, envelope) = member.send("as before");
    assert!(matches!(other.take(&envelope), Disposition::Message(_)));
    why
}

#[test]
fn only_admins_remove_and_name_admins() {
    let [mut alice, mut bob, carol] = group_of();
    let removal = bob.removal_of(carol.account());
    assert_eq!(refused(&mut bob, &mut alice, removal), CommandError::NotAdmin);
    let promotion = Intent::Admin { account: carol.account(), admin: true };
    assert_eq!(refused(&mut bob, &mut alice, promotion), CommandError::NotAdmin);
}

#[test]
fn what_is_so_already_is_nothing_to_do() {
    let [mut alice, mut bob] = group_of();
    let same = alice.renaming("The group");
    let outdated = Intent::Describe {
        name: Some(("Another old name".into(), "New".into())),
        description: None,
    };
    let there = Intent::Add(vec![bob.account()]);
    let admin = Intent::Admin { account: alice.account(), admin: true };
    let gone = Intent::Remove(vec![(InstallationId([9; 32]), alice.tip())]);
    for intent in [same, outdated, there, admin, gone, Intent::Rotate] {
        let why = refused(&mut alice, &mut bob, intent.clone());
        assert_eq!(why, CommandError::NothingToDo, "{intent:?}");
    }
}

#[test]
fn a_contact_without_a_card_is_waited_for() {
    let [mut alice, mut bob] = group_of();
    let account = AccountId([7; 32]);
    let why = refused(&mut alice, &mut bob, Intent::Add(vec![account]));
    assert_eq!(why, CommandError::ContactPending { account });
    let intent = Intent::Add(vec![account]);
    let result = alice.with(|group, cx, who, book| group.prepare(cx, who, book, intent, true));
    refusal(result);
    let asked = effects(&mut alice.cx);
    assert!(matches!(asked[..], [Effect::WantCard(wanted)] if wanted == account));
}

#[test]
fn the_last_admin_stays_and_only_members_become_admins() {
    let [mut alice, mut bob] = group_of();
    let resign = Intent::Admin { account: alice.account(), admin: false };
    assert_eq!(refused(&mut alice, &mut bob, resign), CommandError::LastAdmin);
    let account = AccountId([7; 32]);
    let stranger = Intent::Admin { account, admin: true };
    let why = refused(&mut alice, &mut bob, stranger);
    assert_eq!(why, CommandError::NotAMember { account });
}

#[test]
fn an_installation_without_a_key_package_is_not_added() {
    let [mut alice, mut bob] = group_of();
    let installation = InstallationId([7; 32]);
    let why = refused(&mut alice, &mut bob, Intent::Enrol(vec![installation]));
    assert_eq!(why, CommandError::BadKeyPackage { installation });
}

#[test]
fn a_policy_that_others_would_refuse_is_not_made() {
    let [mut alice, mut bob] = group_of();
    let long = alice.renaming(&"x".repeat(MAX_NAME + 1));
    let why = refused(&mut alice, &mut bob, long);
    assert!(matches!(why, CommandError::NotAllowed { .. }), "{why:?}");
}

#[test]
fn a_removal_on_the_tip_holds_though_one_of_more_authority_lost_beside_it() {
    let [mut alice, mut bob, mut carol] = group_of();
    let mut second = second_of(&mut alice, [&mut bob, &mut carol]);
    let promotion = Intent::Admin { account: bob.account(), admin: true };
    let out = alice.change(promotion);
    for member in [&mut second, &mut bob, &mut carol] {
        member.take_all(&out);
    }
    // Alice removes Carol; beside that her second installation and Bob go on.
    let removal = alice.removal_of(carol.account());
    let removed = alice.change(removal);
    let renaming = second.renaming("First");
    let renamed = second.change(renaming);
    bob.take_all(&renamed);
    let renaming = bob.renaming("Second");
    let said = bob.change(renaming);
    let tip = bob.tip();
    bob.take_all(&removed);
    assert_eq!(bob.tip(), tip);
    // Bob removes Alice on the tip: the removal that lost is in nobody's way.
    let removal = bob.removal_of(alice.account());
    let out = bob.change(removal);
    assert_ne!(bob.tip(), tip);
    carol.take_all(&removed);
    for out in [&renamed, &said, &out] {
        carol.take_all(out);
        alice.take_all(out);
    }
    assert_eq!(carol.state(), bob.state());
    assert!(!alice.group().is_member());
}

#[test]
fn a_plan_that_is_dropped_leaves_the_group_as_it_was() {
    let [mut alice, mut bob] = group_of();
    let mut carol = Member::new(3);
    let card = carol.card();
    alice.know(&card);
    let before = alice.state();
    for intent in [alice.renaming("Dropped"), Intent::Update, Intent::Add(vec![card.account])] {
        alice.cx.db.watch_writes();
        let plan = done(alice.plan(&intent));
        assert!(plan.is_some());
        drop(plan);
        assert!(!alice.cx.db.has_written());
        assert_eq!(alice.state(), before);
        assert!(effects(&mut alice.cx).is_empty());
    }
    let (_, envelope) = bob.send("still readable");
    assert!(matches!(alice.take(&envelope), Disposition::Message(_)));
    let (_, envelope) = alice.send("still writable");
    assert!(matches!(bob.take(&envelope), Disposition::Message(_)));
    // And what was planned can be made after all.
    let out = alice.change(Intent::Add(vec![card.account]));
    bob.take_all(&out);
    assert!(carol.join(alice.account(), &out.invitations[0]));
    assert_eq!(alice.state(), carol.state());
    assert_eq!(bob.state(), carol.state());
}

#[test]
fn an_intent_that_is_refused_for_good_when_it_is_due_is_told() {
    let [mut alice, mut bob, carol] = group_of();
    let promotion = Intent::Admin { account: bob.account(), admin: true };
    let out = alice.change(promotion);
    bob.take_all(&out);
    // Bob, offline, wants Carol removed; meanwhile he is no admin any more.
    let removal = bob.removal_of(carol.account());
    bob.with(|group, cx, who, book| {
        let prepared = done(group.prepare(cx, who, book, removal, false));
        group.go_ahead(cx, who, prepared).unwrap();
    });
    let demotion = Intent::Admin { account: bob.account(), admin: false };
    let out = alice.change(demotion);
    bob.take_all(&out);
    bob.events();
    effects(&mut bob.cx);
    let out = bob.commit_due();
    assert!(out.group.is_empty());
    assert!(matches!(bob.events()[..], [Event::ChangeFailed { .. }]));
    assert_eq!(bob.group().open_intents().count(), 0);
    assert_eq!(alice.state(), bob.state());
}
