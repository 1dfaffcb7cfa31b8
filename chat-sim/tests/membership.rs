//! Coming, going and coming back: who may put whom where.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

use std::time::Duration;

use chat_core::machine::{Event, Membership};
use chat_core::params::{NetworkParams, ROOT_MAX_AGE};
use chat_sim::scenario::{GroupHandle, Person, Scenario};

/// Three friends in a group that the first of them made.
fn hikers_on(params: NetworkParams, seed: u64) -> (Scenario, [Person; 3], GroupHandle) {
    let scenario = Scenario::on(params, seed);
    let people = scenario.friends(["alice", "bob", "carol"]);
    let [alice, bob, carol] = &people;
    let hikers = alice.phone.create_group("hikers", &[bob, carol]);
    scenario.settle();
    hikers.assert_agreed(&[alice, bob, carol]);
    (scenario, people, hikers)
}

fn hikers(seed: u64) -> (Scenario, [Person; 3], GroupHandle) {
    hikers_on(NetworkParams::fast(), seed)
}

#[test]
fn two_who_leave_at_once_are_both_out() {
    for seed in 0..5 {
        let scenario = Scenario::new(200 + seed);
        let [alice, bob, carol, dan] = scenario.friends(["alice", "bob", "carol", "dan"]);
        let hikers = alice.phone.create_group("hikers", &[&bob, &carol, &dan]);
        scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol, &dan]));
        bob.phone.offline();
        carol.phone.offline();
        bob.phone.leave(&hikers);
        carol.phone.leave(&hikers);
        bob.phone.online();
        carol.phone.online();
        scenario.pass(Duration::from_secs(40));
        hikers.assert_agreed(&[&alice, &dan]);
        assert_eq!(alice.phone.view(&hikers).accounts, 2, "seed {seed}");
        for gone in [&bob, &carol] {
            assert_eq!(gone.phone.view(&hikers).membership, Membership::Left, "seed {seed}");
        }
        alice.phone.send(&hikers, "quiet");
        scenario.settle_until(|| dan.phone.history(&hikers) == ["quiet"]);
        scenario.assert_no_failures();
    }
}

#[test]
fn the_last_two_can_both_leave() {
    let scenario = Scenario::new(210);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    let pair = alice.phone.create_group("pair", &[&bob]);
    scenario.settle_until(|| pair.is_agreed(&[&alice, &bob]));
    for person in [&alice, &bob] {
        person.phone.offline();
        person.phone.leave(&pair);
    }
    for person in [&alice, &bob] {
        person.phone.online();
    }
    scenario.pass(Duration::from_secs(40));
    for person in [&alice, &bob] {
        assert_eq!(person.phone.view(&pair).membership, Membership::Left);
    }
    scenario.assert_no_failures();
}

#[test]
fn a_removed_member_can_come_back_and_is_asked() {
    let (scenario, [alice, bob, carol], hikers) = hikers(211);
    alice.phone.remove(&hikers, &[&bob]);
    scenario.settle_until(|| bob.phone.view(&hikers).membership == Membership::Removed);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &carol]));
    alice.phone.add(&hikers, &[&bob]);
    scenario.settle();
    assert_eq!(bob.phone.view(&hikers).membership, Membership::Removed);
    bob.phone.accept_requests();
    scenario.settle_until(|| bob.phone.is_member(&hikers));
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
    bob.phone.send(&hikers, "back");
    scenario.settle();
    hikers.assert_read(&[&carol], &["back"]);
    assert!(carol.phone.missing(&hikers).is_empty());
    scenario.assert_no_failures();
}

#[test]
fn a_removal_that_lost_does_not_hit_a_later_membership() {
    let (scenario, [alice, bob, carol], hikers) = hikers(212);
    alice.phone.remove(&hikers, &[&carol]);
    scenario.settle();
    bob.phone.add(&hikers, &[&carol]);
    scenario.settle();
    carol.phone.accept_requests();
    scenario.pass(Duration::from_secs(60));
    hikers.assert_agreed(&[&alice, &bob, &carol]);
    assert_eq!(alice.phone.view(&hikers).accounts, 3);
}

#[test]
fn old_roots_are_renewed_by_one_member() {
    // Slots of an hour, or a week of them would be many.
    let params = NetworkParams { slot_secs: 3600, ..NetworkParams::fast() };
    let (scenario, [alice, bob, carol], hikers) = hikers_on(params, 213);
    let before = alice.phone.view(&hikers).epoch;
    let published = scenario.world().network.observed.len();
    scenario.pass(ROOT_MAX_AGE + Duration::from_secs(2 * 3600));
    hikers.assert_agreed(&[&alice, &bob, &carol]);
    assert_eq!(alice.phone.view(&hikers).epoch, before + 1);
    assert_eq!(scenario.world().no_cards_since(published).len(), 1);
    carol.phone.send(&hikers, "on new roots");
    scenario.settle_until(|| alice.phone.history(&hikers) == ["on new roots"]);
    scenario.assert_no_failures();
}

#[test]
fn a_change_that_lost_for_good_is_told() {
    let (scenario, [alice, bob, carol], hikers) = hikers(214);
    alice.phone.promote(&hikers, &bob);
    scenario.settle();
    // Bob renames alone while Alice removes him: the rename is struck.
    scenario.partition(&[&bob]);
    bob.phone.rename(&hikers, "mine");
    alice.phone.remove(&hikers, &[&bob]);
    scenario.heal_and_reconnect();
    scenario.pass(Duration::from_secs(60));
    hikers.assert_agreed(&[&alice, &carol]);
    assert_eq!(alice.phone.view(&hikers).name, "hikers");
    assert_eq!(bob.phone.view(&hikers).membership, Membership::Removed);
    let branch = |event: &Event| matches!(event, Event::BranchChanged { .. });
    assert_eq!(bob.phone.count_events(branch), 1);
    assert!(alice.phone.members(&hikers).contains(&carol.phone.id()));
    scenario.assert_no_failures();
}
