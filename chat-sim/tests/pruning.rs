//! What is forgotten, and when: keys beyond the horizon, groups that were left, branches without
//! end.

// A test may fail by a panic.
#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code)]
#[path = "bad_input/kit.rs"]
mod kit;

use std::time::Duration;

use chat_core::group::commit::CommitPlan;
use chat_core::ids::{GroupId, IntentId};
use chat_core::machine::Membership;
use chat_core::params::NetworkParams;
use chat_core::time::Slot;
use chat_core::wire::frame::Frame;
use chat_core::wire::header::CommitHeader;
use chat_sim::world::World;

use common::*;
use kit::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// As [`world`], with slots of an hour: weeks pass in no time.
fn slow_world(count: usize, seed: u64) -> World {
    let params = NetworkParams { slot_secs: 3600, ..NetworkParams::fast() };
    let mut world = World::new(params, seed);
    for _ in 0..count {
        world.add_device();
    }
    for a in 0..count {
        for b in a + 1..count {
            world.befriend(a, b);
        }
    }
    world
}

/// States; those with keys; roots; states that are watched.
fn kept(world: &World, device: usize, group: GroupId) -> [usize; 4] {
    world.machine(device).insider_kept(&group).unwrap()
}

/// Days pass, in which `by` says something in a group every day: others confirm the time.
fn days(world: &mut World, count: usize, by: usize, group: GroupId) {
    for day in 0..count {
        world.run_for(DAY / 2);
        say(world, by, group, &format!("day {day} of {count}"));
        world.run_for(DAY / 2);
    }
}

fn describe(world: &mut World, by: usize, group: GroupId, text: &str) {
    world.by(by).describe(group, None, Some(text)).unwrap();
}

#[test]
fn in_a_group_where_nothing_happens_keys_go_after_a_week() {
    let mut world = slow_world(2, 1);
    let busy = group(&mut world, "busy");
    let quiet = create(&mut world, 0, "quiet", vec![]);
    describe(&mut world, 0, quiet, "one");
    assert_eq!(kept(&world, 0, quiet)[1], 2);
    days(&mut world, 6, 1, busy);
    assert_eq!(kept(&world, 0, quiet)[1], 2);
    days(&mut world, 3, 1, busy);
    // Only the state that is followed is left, though no commit came.
    assert_eq!(kept(&world, 0, quiet)[..2], [1, 1]);
    // The week begins when something follows on a state, however old it is then.
    describe(&mut world, 0, quiet, "two");
    days(&mut world, 6, 1, busy);
    assert_eq!(kept(&world, 0, quiet)[1], 2);
    world.stop(0);
    world.start(0);
    days(&mut world, 3, 1, busy);
    assert_eq!(kept(&world, 0, quiet)[..2], [1, 1]);
    assert_works(&mut world, &[0, 1], busy);
}

#[test]
fn a_week_counts_only_once_others_confirm_it() {
    let mut world = slow_world(2, 2);
    let group = group(&mut world, "hikers");
    describe(&mut world, 0, group, "one");
    say(&mut world, 0, group, "in the new state");
    settle(&mut world);
    let before = kept(&world, 1, group)[1];
    assert!(before > 1);
    // Device 1 is away for a month: what was sent meanwhile may need every key that it has.
    world.set_online(1, false);
    world.run_for(30 * DAY);
    world.tick(1);
    assert_eq!(kept(&world, 1, group)[1], before);
}

#[test]
fn who_was_removed_keeps_the_history_and_no_key() {
    let mut world = slow_world(3, 3);
    let left = group(&mut world, "hikers");
    let other = vec![world.account(1)];
    let other = create(&mut world, 0, "others", other);
    settle(&mut world);
    say(&mut world, 0, left, "before");
    settle(&mut world);
    let out = vec![world.account(1)];
    world.by(0).remove_members(left, out.clone()).unwrap();
    world.by(2).leave(left).unwrap();
    settle(&mut world);
    assert_eq!(view(&world, 1, left).membership, Membership::Removed);
    assert_eq!(view(&world, 2, left).membership, Membership::Left);
    days(&mut world, 6, 0, other);
    // The removal may lose yet.
    assert!(kept(&world, 1, left).iter().all(|count| *count > 0));
    days(&mut world, 3, 0, other);
    for device in 0..3 {
        // Once more from what is stored.
        world.stop(device);
        world.start(device);
        settle(&mut world);
    }
    assert_eq!(kept(&world, 1, left), [1, 0, 0, 0]);
    assert_eq!(texts(&world, 1, left), ["before"]);
    let gone = view(&world, 1, left);
    assert_eq!((gone.membership, gone.name.as_str()), (Membership::Removed, "hikers"));
    assert_eq!(world.machine(1).groups().unwrap().len(), 2);
    assert_works(&mut world, &[0, 1], other);
    // It can be asked in again.
    world.befriend(0, 1);
    world.by(0).add_members(left, out).unwrap();
    settle(&mut world);
    for request in world.machine(1).requests().unwrap() {
        world.by(1).accept(request.id).unwrap();
    }
    settle(&mut world);
    assert_eq!(view(&world, 1, left).membership, Membership::Active);
    assert_works(&mut world, &[0, 1], other);
    say(&mut world, 0, left, "welcome back");
    settle(&mut world);
    assert_eq!(texts(&world, 1, left), ["before", "welcome back"]);
}

/// A self-update on the present state, by a member that does not follow it.
fn update(world: &mut World, by: usize, group: GroupId) -> Vec<u8> {
    let machine = world.machine(by);
    let parent = machine.insider_state(&group).unwrap();
    let header = CommitHeader {
        chain: machine.insider_link(&group).unwrap(),
        slot: Slot::at(world.now(), world.params.slot_secs).max(parent.slot),
        intents: vec![IntentId([1; 16])],
        ..CommitHeader::default()
    };
    let plan = CommitPlan { self_update: true, header: header.encode(), ..CommitPlan::default() };
    let message = hostile(world, by).insider_commit(&group, plan).unwrap().message;
    Frame::commit(parent.epoch.prefix(), message).encode()
}

#[test]
fn a_member_cannot_fill_a_disk_with_branches() {
    let mut world = slow_world(3, 4);
    let group = group(&mut world, "hikers");
    let frames: Vec<Vec<u8>> = (0..100).map(|_| update(&mut world, 2, group)).collect();
    let roots = roots(&world, 2, group);
    // The branch that is followed is deeper than all that comes.
    for text in ["one", "two"] {
        describe(&mut world, 0, group, text);
        settle(&mut world);
    }
    let before = rows(&world, 1, "mls_row");
    for frame in &frames {
        let message = sealed(&mut world, &roots, frame, 2);
        world.inject(message);
        world.run_for(Duration::from_millis(20));
    }
    let [states, keys, ..] = kept(&world, 1, group);
    assert_eq!((states, keys), (64, 64));
    println!("{before} pages of MLS state before, {} after", rows(&world, 1, "mls_row"));
    assert_eq!(rows(&world, 1, "state"), 64);
    // A week later they are gone.
    days(&mut world, 9, 0, group);
    assert!(kept(&world, 1, group)[0] <= 3);
    assert_works(&mut world, &[0, 1, 2], group);
}

#[test]
fn numbers_and_heads_survive_a_restart() {
    let mut world = world(3, 5);
    let group = group(&mut world, "hikers");
    for round in 0..3 {
        for by in 0..3 {
            say(&mut world, by, group, &format!("{by} in round {round}"));
            settle(&mut world);
        }
        let heads = rows(&world, 1, "head");
        world.stop(1);
        world.start(1);
        settle(&mut world);
        assert_eq!(heads, rows(&world, 1, "head"));
    }
    let gone = vec![world.account(2)];
    world.by(0).remove_members(group, gone).unwrap();
    settle(&mut world);
    // Each commit is an item too, and says what was heard. Far enough on, who is gone is forgotten.
    for at in 0..40 {
        describe(&mut world, at % 2, group, &format!("{at}"));
        world.run_for(Duration::from_secs(1));
    }
    settle(&mut world);
    assert_eq!(rows(&world, 1, "head"), 1);
    let numbers: Vec<u64> = world
        .machine(0)
        .history(&group, None, 100)
        .unwrap()
        .into_iter()
        .filter(|message| message.sender == world.account(1))
        .map(|message| message.seq)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(world.machine(0).missing(&group).unwrap().is_empty());
    assert_works(&mut world, &[0, 1], group);
}

/// The texts that a device has, sorted, and whether they were sent above a cut.
fn flags(world: &World, device: usize, group: GroupId) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = world
        .machine(device)
        .history(&group, None, 100)
        .unwrap()
        .into_iter()
        .filter_map(|message| Some((message.text?, message.flagged)))
        .collect();
    found.sort();
    found
}

fn reconnect(world: &mut World, devices: &[usize]) {
    for device in devices {
        world.part(*device, 0);
        world.set_online(*device, false);
        world.set_online(*device, true);
    }
    settle(world);
}

fn told(list: &[(&str, bool)]) -> Vec<(String, bool)> {
    list.iter().map(|(text, flagged)| (text.to_string(), *flagged)).collect()
}

/// Device 1 speaks where nobody hears it, and is removed meanwhile.
fn removed_unheard(seed: u64) -> (World, GroupId) {
    let mut world = world(3, seed);
    let group = group(&mut world, "hikers");
    world.part(1, 1);
    say(&mut world, 1, group, "a: unheard");
    let out = vec![world.account(1)];
    world.by(0).remove_members(group, out).unwrap();
    settle(&mut world);
    reconnect(&mut world, &[0, 1, 2]);
    (world, group)
}

#[test]
fn what_comes_late_from_a_removed_member_is_flagged_also_if_nothing_was_heard_of_it() {
    let (mut world, group) = removed_unheard(6);
    for device in [0, 2] {
        assert_eq!(flags(&world, device, group), told(&[("a: unheard", true)]), "at {device}");
        world.stop(device);
        world.start(device);
        settle(&mut world);
        assert_eq!(flags(&world, device, group), told(&[("a: unheard", true)]), "at {device}");
        assert!(world.machine(device).missing(&group).unwrap().is_empty());
    }
    assert_works(&mut world, &[0, 2], group);
}

#[test]
fn a_removal_that_is_undone_takes_back_its_own_flags_only() {
    let (mut world, group) = removed_unheard(7);
    let one = vec![world.account(1)];
    world.by(0).add_members(group, one.clone()).unwrap();
    settle(&mut world);
    for request in world.machine(1).requests().unwrap() {
        world.by(1).accept(request.id).unwrap();
    }
    settle(&mut world);
    say(&mut world, 1, group, "b: back again");
    settle(&mut world);
    let expected = told(&[("a: unheard", true), ("b: back again", false)]);
    for device in [0, 2] {
        assert_eq!(flags(&world, device, group), expected, "at {device}");
    }
    // It is removed once more, on a branch that loses at first.
    world.part(0, 1);
    world.by(0).remove_members(group, one).unwrap();
    for text in ["one", "two"] {
        describe(&mut world, 2, group, text);
    }
    say(&mut world, 1, group, "c: beside the removal");
    world.run_for(Duration::from_secs(5));
    reconnect(&mut world, &[0, 1, 2]);
    let undone = |event: &&chat_core::machine::Event| {
        matches!(event, chat_core::machine::Event::BranchChanged { .. })
    };
    assert!(events(&world, 0).into_iter().any(|event| undone(&event)));
    for device in [0, 2] {
        assert_eq!(flags(&world, device, group)[..2], expected, "at {device}");
    }
    // Above the cut or not: all say the same.
    assert_eq!(flags(&world, 0, group), flags(&world, 2, group));
    assert_works(&mut world, &[0, 2], group);
}
