//! Clocks that are off: a warning where it can be known, and nothing lost once they are right.

use std::time::Duration;

use chat_core::machine::Event;
use chat_core::params::NetworkParams;
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario, Who};

use crate::works::assert_works;

const HOURS: i64 = 3 * 3_600_000;

fn skews(device: &Installation) -> Vec<i64> {
    let skew = |event: Event| match event {
        Event::ClockSkew { ahead_ms } => Some(ahead_ms),
        _ => None,
    };
    device.events().into_iter().filter_map(skew).collect()
}

/// Sets a device's clock, as its user does.
fn set_clock(scenario: &Scenario, device: &Installation, ahead_ms: i64) {
    device.offline();
    device.set_clock_ahead(ahead_ms);
    scenario.world().tick(device.number());
    device.online();
}

/// Slots of an hour, as in public: three hours are three slots then.
fn slow(seed: u64) -> Scenario {
    Scenario::on(NetworkParams { slot_secs: 3600, ..NetworkParams::fast() }, seed)
}

/// A group of all of these, made by the first.
fn hikers(scenario: &Scenario, people: &[Person]) -> GroupHandle {
    let all: Vec<&dyn Who> = people.iter().map(|person| person as &dyn Who).collect();
    let hikers = people[0].phone.create_group("hikers", &all[1..]);
    scenario.settle();
    hikers.assert_agreed(&all);
    hikers
}

#[test]
fn a_clock_that_is_hours_behind_is_told_by_store() {
    let scenario = slow(60);
    let people = scenario.friends(["alice", "bob"]);
    let hikers = hikers(&scenario, &people);
    let [alice, bob] = &people;
    bob.phone.offline();
    for at in 0..6 {
        alice.phone.send(&hikers, &format!("message {at}"));
    }
    scenario.pass(Duration::from_secs(60));
    set_clock(&scenario, &bob.phone, -HOURS);
    scenario.settle();
    let told = skews(&bob.phone);
    assert_eq!(told.len(), 1, "told once");
    assert!((told[0] + HOURS).abs() < 120_000, "{told:?}");
    // It is put right, and nothing is missing.
    set_clock(&scenario, &bob.phone, 0);
    scenario.settle();
    assert_eq!(bob.phone.history(&hikers).len(), 6);
    assert!(skews(&alice.phone).is_empty());
    assert_works(&scenario, &hikers, &[alice, bob]);
}

#[test]
fn a_clock_that_is_hours_off_is_told_by_what_the_shard_carries() {
    for ahead in [HOURS, -HOURS] {
        let scenario = slow(61);
        let [_, bob] = scenario.friends(["alice", "bob"]);
        set_clock(&scenario, &bob.phone, ahead);
        scenario.settle();
        // The node sees every timestamp of the shard, whatever its topic.
        for _ in 0..6 {
            let now = i64::try_from(scenario.now().secs()).unwrap() * 1_000_000_000;
            scenario.world().show_time(bob.phone.number(), now);
            scenario.pass(Duration::from_secs(1));
        }
        let told = skews(&bob.phone);
        assert_eq!(told.len(), 1);
        assert!((told[0] - ahead).abs() < 20_000, "{told:?}");
        scenario.assert_no_failures();
    }
}

#[test]
fn old_history_is_no_sign_of_a_wrong_clock() {
    let scenario = slow(62);
    let people = scenario.friends(["alice", "bob"]);
    let hikers = hikers(&scenario, &people);
    let [alice, bob] = &people;
    bob.phone.offline();
    for at in 0..20 {
        alice.phone.send(&hikers, &format!("message {at}"));
    }
    scenario.pass(Duration::from_secs(2 * 24 * 3600));
    bob.phone.online();
    scenario.settle();
    assert_eq!(bob.phone.history(&hikers).len(), 20);
    assert!(skews(&bob.phone).is_empty());
}

#[test]
fn what_was_sent_while_a_clock_was_ahead_is_fetched_once_it_is_right() {
    let scenario = slow(63);
    let people = scenario.friends(["alice", "bob", "carol"]);
    let hikers = hikers(&scenario, &people);
    let [alice, bob, carol] = &people;
    alice.phone.send(&hikers, "before");
    scenario.settle();
    set_clock(&scenario, &bob.phone, HOURS);
    scenario.settle();
    // By its clock it has caught up to a time that is still to come.
    scenario.pass(Duration::from_secs(600));
    bob.phone.offline();
    alice.phone.send(&hikers, "while it was away");
    carol.phone.send(&hikers, "me too");
    scenario.pass(Duration::from_secs(1800));
    set_clock(&scenario, &bob.phone, 0);
    scenario.settle();
    // The last two were sent in one second: either may come first.
    hikers.assert_read(&[bob], &["before", "while it was away", "me too"]);
    assert_eq!(bob.phone.history(&hikers)[0], "before");
    assert_works(&scenario, &hikers, &[alice, bob, carol]);
    // And after a restart it is not taken for granted either.
    set_clock(&scenario, &bob.phone, HOURS);
    scenario.settle();
    bob.phone.stop();
    alice.phone.send(&hikers, "again");
    scenario.pass(Duration::from_secs(60));
    bob.phone.set_clock_ahead(0);
    bob.phone.start();
    assert_works(&scenario, &hikers, &[alice, bob, carol]);
}

/// Lets time pass until so many slots have begun, and some milliseconds more, or less.
fn pass_to_slot(scenario: &Scenario, slots: u64, offset_ms: i64) {
    let length = scenario.world().params.slot_secs * 1000;
    let rest = slots * length - scenario.now().millis() % length;
    scenario.pass(Duration::from_millis(rest.saturating_add_signed(offset_ms)));
}

#[test]
fn who_is_a_slot_behind_loses_nothing_after_a_removal() {
    let scenario = Scenario::new(64);
    let people = scenario.friends(["alice", "bob", "carol"]);
    let hikers = hikers(&scenario, &people);
    let [alice, bob, carol] = &people;
    // Alice is at the beginning of a slot, Bob still in the one before.
    bob.phone.set_clock_ahead(-1500);
    pass_to_slot(&scenario, 1, 300);
    alice.phone.remove(&hikers, &[carol]);
    bob.phone.send(&hikers, "still in the slot before");
    scenario.settle();
    assert_eq!(alice.phone.history(&hikers), ["still in the slot before"]);
    assert_eq!(bob.phone.outbox(), 0);
    assert!(carol.phone.history(&hikers).is_empty());
    assert_works(&scenario, &hikers, &[alice, bob]);
}

#[test]
fn who_is_invited_by_a_clock_that_is_ahead_speaks_once_the_slot_is_there() {
    let scenario = Scenario::new(65);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    alice.phone.set_clock_ahead(2000);
    pass_to_slot(&scenario, 2, -1500);
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    scenario.pass(Duration::from_millis(200));
    if bob.phone.group(&hikers).is_some() {
        bob.phone.send(&hikers, "too early for you");
        assert_eq!(bob.phone.outbox(), 1, "it waits");
    } else {
        scenario.settle();
        bob.phone.send(&hikers, "too early for you");
    }
    scenario.settle();
    assert_eq!(alice.phone.history(&hikers), ["too early for you"]);
    assert_works(&scenario, &hikers, &[&alice, &bob]);
}

#[test]
fn a_clock_weeks_ahead_for_a_moment_takes_no_keys_away() {
    let scenario = Scenario::new(66);
    let people = scenario.friends(["alice", "bob"]);
    let [alice, bob] = &people;
    let keys = || {
        let rows = bob.phone.machine(|machine| machine.database().rows()).unwrap();
        (rows["key_package"], rows["inbox_key"])
    };
    let before = keys();
    assert!(before.0 > 0 && before.1 > 0);
    set_clock(&scenario, &bob.phone, 60 * 24 * 3_600_000);
    scenario.settle();
    set_clock(&scenario, &bob.phone, 0);
    scenario.settle();
    // A card of that time has keys of its own; those from before are there still, and serve below.
    let after = keys();
    assert!(after.0 >= before.0 && after.1 >= before.1);
    let hikers = hikers(&scenario, &people);
    assert_works(&scenario, &hikers, &[alice, bob]);
}
