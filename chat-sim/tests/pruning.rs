//! What is forgotten, and when: keys beyond the horizon, groups that were left, branches without
//! end.

// A test may fail by a panic.
#![allow(clippy::unwrap_used)]

mod works;

use std::time::Duration;

use chat_core::group::commit::CommitPlan;
use chat_core::ids::IntentId;
use chat_core::machine::{Event, Membership};
use chat_core::params::NetworkParams;
use chat_core::time::Slot;
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::Frame;
use chat_core::wire::header::CommitHeader;
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario, Who};
use works::assert_works;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Slots of an hour: weeks pass in no time.
fn slow(seed: u64) -> Scenario {
    Scenario::on(NetworkParams { slot_secs: 3600, ..NetworkParams::fast() }, seed)
}

/// A group of all of these, made by the first.
fn group(scenario: &Scenario, name: &str, people: &[Person]) -> GroupHandle {
    let all: Vec<&dyn Who> = people.iter().map(|person| person as &dyn Who).collect();
    let group = people[0].phone.create_group(name, &all[1..]);
    scenario.settle();
    group.assert_agreed(&all);
    group
}

/// Epochs; those with keys; roots; epochs that are watched.
fn kept(device: &Installation, group: &GroupHandle) -> [usize; 4] {
    device.machine(|machine| machine.insider_kept(&group.id())).unwrap()
}

/// Days pass, in which `by` says something in a group every day: others confirm the time.
fn days(scenario: &Scenario, count: usize, by: &Person, group: &GroupHandle) {
    for day in 0..count {
        scenario.pass(DAY / 2);
        by.phone.send(group, &format!("day {day} of {count}"));
        scenario.pass(DAY / 2);
    }
}

fn describe(by: &Person, group: &GroupHandle, text: &str) {
    by.phone.describe(group, None, Some(text));
}

/// Rows of a table at a device.
fn rows(device: &Installation, table: &str) -> u64 {
    device.machine(|machine| machine.database().rows()).unwrap()[table]
}

#[test]
fn in_a_group_where_nothing_happens_keys_go_after_a_week() {
    let scenario = slow(1);
    let people = scenario.friends(["alice", "bob"]);
    let busy = group(&scenario, "busy", &people);
    let [alice, bob] = &people;
    let quiet = alice.phone.create_group("quiet", &[]);
    describe(alice, &quiet, "one");
    assert_eq!(kept(&alice.phone, &quiet)[1], 2);
    days(&scenario, 6, bob, &busy);
    assert_eq!(kept(&alice.phone, &quiet)[1], 2);
    days(&scenario, 3, bob, &busy);
    // Only the epoch that is followed is left, though no commit came.
    assert_eq!(kept(&alice.phone, &quiet)[..2], [1, 1]);
    // The week begins when something follows on an epoch, however old it is then.
    describe(alice, &quiet, "two");
    days(&scenario, 6, bob, &busy);
    assert_eq!(kept(&alice.phone, &quiet)[1], 2);
    alice.phone.restart();
    days(&scenario, 3, bob, &busy);
    assert_eq!(kept(&alice.phone, &quiet)[..2], [1, 1]);
    assert_works(&scenario, &busy, &[alice, bob]);
}

#[test]
fn a_week_counts_only_once_others_confirm_it() {
    let scenario = slow(2);
    let people = scenario.friends(["alice", "bob"]);
    let hikers = group(&scenario, "hikers", &people);
    let [alice, bob] = &people;
    describe(alice, &hikers, "one");
    alice.phone.send(&hikers, "in the new epoch");
    scenario.settle();
    let before = kept(&bob.phone, &hikers)[1];
    assert!(before > 1);
    // Bob is away for a month: what was sent meanwhile may need every key that he has.
    bob.phone.offline();
    scenario.pass(30 * DAY);
    scenario.world().tick(bob.phone.number());
    assert_eq!(kept(&bob.phone, &hikers)[1], before);
}

#[test]
fn who_was_removed_keeps_the_history_and_no_key() {
    let scenario = slow(3);
    let people = scenario.friends(["alice", "bob", "carol"]);
    let left = group(&scenario, "hikers", &people);
    let [alice, bob, carol] = &people;
    let other = alice.phone.create_group("others", &[bob]);
    scenario.settle();
    alice.phone.send(&left, "before");
    scenario.settle();
    alice.phone.remove(&left, &[bob]);
    carol.phone.leave(&left);
    scenario.settle();
    assert_eq!(bob.phone.view(&left).membership, Membership::Removed);
    assert_eq!(carol.phone.view(&left).membership, Membership::Left);
    days(&scenario, 6, alice, &other);
    // The removal may lose yet.
    assert!(kept(&bob.phone, &left).iter().all(|count| *count > 0));
    days(&scenario, 3, alice, &other);
    for person in &people {
        // Once more from what is stored.
        person.phone.restart();
        scenario.settle();
    }
    assert_eq!(kept(&bob.phone, &left), [1, 0, 0, 0]);
    assert_eq!(bob.phone.history(&left), ["before"]);
    let gone = bob.phone.view(&left);
    assert_eq!((gone.membership, gone.name.as_str()), (Membership::Removed, "hikers"));
    assert_eq!(bob.phone.groups().len(), 2);
    assert_works(&scenario, &other, &[alice, bob]);
    // He can be asked in again.
    alice.phone.befriend(bob);
    alice.phone.add(&left, &[bob]);
    scenario.settle();
    bob.phone.accept_requests();
    scenario.settle();
    assert!(bob.phone.is_member(&left));
    assert_works(&scenario, &other, &[alice, bob]);
    alice.phone.send(&left, "welcome back");
    scenario.settle();
    assert_eq!(bob.phone.history(&left), ["before", "welcome back"]);
}

/// A self-update on the present epoch, by a member that does not follow it.
fn update(scenario: &Scenario, by: &Person, group: &GroupHandle) -> Vec<u8> {
    let id = group.id();
    let slot = Slot::at(scenario.now(), scenario.world().params.slot_secs);
    by.phone.break_rules(|machine| {
        let parent = machine.insider_state(&id).unwrap();
        let header = CommitHeader {
            chain: machine.insider_link(&id).unwrap(),
            slot: slot.max(parent.slot),
            intents: vec![IntentId([1; 16])],
            ..CommitHeader::default()
        };
        let plan =
            CommitPlan { self_update: true, header: header.encode(), ..CommitPlan::default() };
        let message = machine.insider_commit(&id, plan).unwrap().message;
        Frame::commit(parent.epoch.prefix(), message).encode()
    })
}

#[test]
fn a_member_cannot_fill_a_disk_with_branches() {
    let scenario = slow(4);
    let people = scenario.friends(["alice", "bob", "mallory"]);
    let hikers = group(&scenario, "hikers", &people);
    let [alice, bob, mallory] = &people;
    let frames: Vec<Vec<u8>> = (0..100).map(|_| update(&scenario, mallory, &hikers)).collect();
    let roots = mallory.phone.roots(&hikers);
    // The branch that is followed is deeper than all that comes.
    for text in ["one", "two"] {
        describe(alice, &hikers, text);
        scenario.settle();
    }
    let before = rows(&bob.phone, "mls_row");
    for frame in &frames {
        let message = scenario.sealed(&roots, frame, SizeClass::Fit);
        scenario.world().inject(message);
        scenario.pass(Duration::from_millis(20));
    }
    let [epochs, keys, ..] = kept(&bob.phone, &hikers);
    assert_eq!((epochs, keys), (64, 64));
    println!("{before} pages of MLS state before, {} after", rows(&bob.phone, "mls_row"));
    assert_eq!(rows(&bob.phone, "state"), 64);
    // A week later they are gone.
    days(&scenario, 9, alice, &hikers);
    assert!(kept(&bob.phone, &hikers)[0] <= 3);
    assert_works(&scenario, &hikers, &[alice, bob, mallory]);
}

#[test]
fn numbers_and_heads_survive_a_restart() {
    let scenario = Scenario::new(5);
    let people = scenario.friends(["alice", "bob", "carol"]);
    let hikers = group(&scenario, "hikers", &people);
    let [alice, bob, carol] = &people;
    for round in 0..3 {
        for by in &people {
            by.phone.send(&hikers, &format!("{} in round {round}", by.name));
            scenario.settle();
        }
        let heads = rows(&bob.phone, "head");
        bob.phone.restart();
        scenario.settle();
        assert_eq!(heads, rows(&bob.phone, "head"));
    }
    alice.phone.remove(&hikers, &[carol]);
    scenario.settle();
    // Each commit is an item too, and says what was heard. Far enough on, a member that is gone is
    // forgotten.
    for at in 0..40 {
        describe([alice, bob][at % 2], &hikers, &format!("{at}"));
        scenario.pass(Duration::from_secs(1));
    }
    scenario.settle();
    assert_eq!(rows(&bob.phone, "head"), 1);
    let bobs = bob.phone.account_id();
    let messages = alice.phone.messages(&hikers);
    let numbers: Vec<u64> =
        messages.iter().filter(|it| it.sender == bobs).filter_map(|message| message.seq).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(alice.phone.missing(&hikers).is_empty());
    assert_works(&scenario, &hikers, &[alice, bob]);
}

/// The texts that a device has, sorted, and whether they were sent above a cut.
fn flags(device: &Installation, group: &GroupHandle) -> Vec<(String, bool)> {
    let messages = device.messages(group).into_iter();
    let mut found: Vec<(String, bool)> =
        messages.filter_map(|message| Some((message.text?, message.flagged))).collect();
    found.sort();
    found
}

fn told(list: &[(&str, bool)]) -> Vec<(String, bool)> {
    list.iter().map(|(text, flagged)| (text.to_string(), *flagged)).collect()
}

/// Bob speaks where nobody hears him, and is removed meanwhile.
fn removed_unheard(seed: u64) -> (Scenario, [Person; 3], GroupHandle) {
    let scenario = Scenario::new(seed);
    let people = scenario.friends(["alice", "bob", "carol"]);
    let hikers = group(&scenario, "hikers", &people);
    let [alice, bob, _] = &people;
    scenario.partition(&[bob]);
    bob.phone.send(&hikers, "a: unheard");
    alice.phone.remove(&hikers, &[bob]);
    scenario.settle();
    scenario.heal_and_reconnect();
    scenario.settle();
    (scenario, people, hikers)
}

#[test]
fn what_comes_late_from_a_removed_member_is_flagged_also_if_nothing_was_heard_of_it() {
    let (scenario, [alice, _, carol], hikers) = removed_unheard(6);
    for device in [&alice.phone, &carol.phone] {
        assert_eq!(flags(device, &hikers), told(&[("a: unheard", true)]), "at {device:?}");
        device.restart();
        scenario.settle();
        assert_eq!(flags(device, &hikers), told(&[("a: unheard", true)]), "at {device:?}");
        assert!(device.missing(&hikers).is_empty());
    }
    assert_works(&scenario, &hikers, &[&alice, &carol]);
}

#[test]
fn a_removal_that_is_undone_takes_back_its_own_flags_only() {
    let (scenario, [alice, bob, carol], hikers) = removed_unheard(7);
    alice.phone.add(&hikers, &[&bob]);
    scenario.settle();
    bob.phone.accept_requests();
    scenario.settle();
    bob.phone.send(&hikers, "b: back again");
    scenario.settle();
    let expected = told(&[("a: unheard", true), ("b: back again", false)]);
    for device in [&alice.phone, &carol.phone] {
        assert_eq!(flags(device, &hikers), expected, "at {device:?}");
    }
    // He is removed once more, on a branch that loses at first: Alice has more authority than Carol.
    alice.phone.promote(&hikers, &carol);
    scenario.settle();
    scenario.partition(&[&carol]);
    carol.phone.remove(&hikers, &[&bob]);
    for text in ["one", "two"] {
        describe(&alice, &hikers, text);
    }
    bob.phone.send(&hikers, "c: beside the removal");
    scenario.pass(Duration::from_secs(5));
    scenario.heal_and_reconnect();
    scenario.settle();
    assert!(carol.phone.count_events(|event| matches!(event, Event::BranchChanged { .. })) > 0);
    for device in [&alice.phone, &carol.phone] {
        assert_eq!(flags(device, &hikers)[..2], expected, "at {device:?}");
    }
    // Above the cut or not: all say the same.
    assert_eq!(flags(&alice.phone, &hikers), flags(&carol.phone, &hikers));
    assert_works(&scenario, &hikers, &[&alice, &carol]);
}
