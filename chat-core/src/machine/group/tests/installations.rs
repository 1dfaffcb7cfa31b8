//! Several installations of one account in a group, and those that were revoked.

use super::member::Member;
use super::world::group_of;
use crate::ids::EpochId;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::error::CommandError;
use crate::machine::api::event::Event;
use crate::machine::group::intent::Intent;
use crate::machine::testing::{done, refusal};

/// Alice with a second installation, and Bob.
fn family() -> [Member; 3] {
    let [mut alice, mut bob] = group_of();
    let mut second = alice.second(9);
    let card = second.card();
    alice.know(&card);
    let out = alice.change(Intent::Enrol(vec![card.installation]));
    // It is told in the account's own group, and no doorbell rings.
    assert_eq!((out.group.len(), out.invitations.len(), out.doorbells), (1, 0, 0));
    assert!(second.join(alice.account(), &out.own_invitations[0]));
    bob.take_all(&out);
    [alice, second, bob]
}

/// The membership of an installation.
fn eviction(member: &mut Member, of: &Member) -> Intent {
    let id = of.me.id();
    let since = member.group().current().unwrap().leaf_of(&id).unwrap().since.unwrap();
    Intent::Evict(vec![(id, since)])
}

#[test]
fn another_installation_of_the_account_enters_and_nobody_is_told_of_a_new_member() {
    let [mut alice, mut second, mut bob] = family();
    assert_eq!(alice.state(), second.state());
    assert_eq!(alice.state(), bob.state());
    assert!(!bob.events().iter().any(|event| matches!(event, Event::MembersAdded { .. })));
    let (_, said) = second.send("from my phone");
    assert!(matches!(bob.take(&said), Disposition::Message(_)));
    assert!(matches!(alice.take(&said), Disposition::Message(_)));
    assert_eq!(bob.history()[0].sender, alice.account());
    assert!(alice.history()[0].own);
}

#[test]
fn anybody_may_remove_an_installation_that_was_revoked_and_nobody_one_that_was_not() {
    let [mut alice, mut second, mut bob] = family();
    let intent = eviction(&mut bob, &second);
    assert!(done(bob.plan(&intent)).is_none());
    let prepared = bob
        .with(|group, cx, who, book| group.prepare(cx, who, book, intent.clone(), true).map(drop));
    assert_eq!(refusal(prepared), CommandError::NothingToDo);
    let log = alice.revoke(second.me.id());
    bob.learn(&log);
    let out = bob.change(intent);
    assert!(matches!(alice.take(&out.group[0]), Disposition::Commit(_)));
    assert_eq!(alice.state(), bob.state());
    second.take_all(&out);
    assert!(!second.group().is_member());
    // The account is a member still.
    assert!(bob.group().has(&alice.me.id()));
    assert!(!bob.events().iter().any(|event| matches!(event, Event::MembersRemoved { .. })));
}

#[test]
fn what_a_revoked_installation_says_does_not_count_from_when_that_is_known() {
    let [mut alice, mut second, mut bob] = family();
    let (_, before) = second.send("before");
    bob.take(&before);
    alice.take(&before);
    let log = alice.revoke(second.me.id());
    bob.learn(&log);
    alice.learn(&log);
    let (_, after) = second.send("after");
    bob.take(&after);
    let intent = eviction(&mut bob, &second);
    let out = bob.change(intent);
    alice.take_all(&out);
    alice.take(&after);
    for member in [&mut alice, &mut bob] {
        let flags: Vec<bool> = member.history().iter().map(|message| message.flagged).collect();
        assert_eq!(flags, [false, true]);
    }
}

#[test]
fn a_warrant_counts_only_against_the_membership_that_it_is_for() {
    let [mut alice, second, mut bob] = family();
    let log = alice.revoke(second.me.id());
    bob.learn(&log);
    // The first installation is not revoked by the same log.
    let intent = eviction(&mut bob, &alice);
    assert!(done(bob.plan(&intent)).is_none());
    // Nor is a membership of the second that began in another epoch.
    let gone = Intent::Evict(vec![(second.me.id(), EpochId([7; 32]))]);
    assert!(done(bob.plan(&gone)).is_none());
}

#[test]
fn a_message_under_the_leaf_of_another_installation_is_not_a_copy_of_ones_own() {
    let [mut alice, mut second, _] = family();
    let (_, said) = second.send("by the other");
    assert_ne!(alice.take(&said), Disposition::Refused(Refused::Authentication));
    assert!(!alice.events().iter().any(|event| matches!(event, Event::CloneAlarm { .. })));
}
