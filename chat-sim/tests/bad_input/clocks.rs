//! Clocks that are off: a warning where it can be known, and nothing lost once they are right.

use std::time::Duration;

use chat_core::machine::Event;
use chat_core::params::NetworkParams;
use chat_sim::world::World;

use crate::common::*;
use crate::kit::*;

const HOURS: i64 = 3 * 3_600_000;

fn skews(world: &World, device: usize) -> Vec<i64> {
    events(world, device)
        .into_iter()
        .filter_map(|event| match event {
            Event::ClockSkew { ahead_ms } => Some(*ahead_ms),
            _ => None,
        })
        .collect()
}

/// Sets a device's clock, as its user does.
fn set_clock(world: &mut World, device: usize, ahead_ms: i64) {
    world.set_online(device, false);
    world.devices[device].clock_ahead_ms = ahead_ms;
    world.tick(device);
    world.set_online(device, true);
}

fn slow_world(count: usize, seed: u64) -> World {
    // Slots of an hour, as in public: three hours are three slots then.
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

#[test]
fn a_clock_that_is_hours_behind_is_told_by_store() {
    let mut world = slow_world(2, 60);
    let group = group(&mut world, "hikers");
    world.set_online(1, false);
    for at in 0..6 {
        say(&mut world, 0, group, &format!("message {at}"));
    }
    world.run_for(Duration::from_secs(60));
    set_clock(&mut world, 1, -HOURS);
    settle(&mut world);
    let told = skews(&world, 1);
    assert_eq!(told.len(), 1, "told once");
    assert!((told[0] + HOURS).abs() < 120_000, "{told:?}");
    // It is put right, and nothing is missing.
    set_clock(&mut world, 1, 0);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group).len(), 6);
    assert!(skews(&world, 0).is_empty());
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn a_clock_that_is_hours_off_is_told_by_what_the_shard_carries() {
    for ahead in [HOURS, -HOURS] {
        let mut world = slow_world(2, 61);
        set_clock(&mut world, 1, ahead);
        settle(&mut world);
        // The node sees every timestamp of the shard, whosever topics they are on.
        for _ in 0..6 {
            let timestamp_ns = ns(world.now());
            world.show_time(1, timestamp_ns);
            world.run_for(Duration::from_secs(1));
        }
        let told = skews(&world, 1);
        assert_eq!(told.len(), 1);
        assert!((told[0] - ahead).abs() < 20_000, "{told:?}");
        assert_no_failures(&world);
    }
}

#[test]
fn old_history_is_no_sign_of_a_wrong_clock() {
    let mut world = slow_world(2, 62);
    let group = group(&mut world, "hikers");
    world.set_online(1, false);
    for at in 0..20 {
        say(&mut world, 0, group, &format!("message {at}"));
    }
    world.run_for(Duration::from_secs(2 * 24 * 3600));
    world.set_online(1, true);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group).len(), 20);
    assert!(skews(&world, 1).is_empty());
}

#[test]
fn what_was_sent_while_a_clock_was_ahead_is_fetched_once_it_is_right() {
    let mut world = slow_world(3, 63);
    let group = group(&mut world, "hikers");
    say(&mut world, 0, group, "before");
    settle(&mut world);
    set_clock(&mut world, 1, HOURS);
    settle(&mut world);
    // By its clock it has caught up to a time that is still to come.
    world.run_for(Duration::from_secs(600));
    world.set_online(1, false);
    say(&mut world, 0, group, "while it was away");
    say(&mut world, 2, group, "me too");
    world.run_for(Duration::from_secs(1800));
    set_clock(&mut world, 1, 0);
    settle(&mut world);
    // The two were sent in one second: either may come first.
    let found = texts(&world, 1, group);
    assert_eq!((found.len(), found[0].as_str()), (3, "before"));
    for text in ["while it was away", "me too"] {
        assert!(found.iter().any(|found| found == text), "{found:?}");
    }
    assert_works(&mut world, &[0, 1, 2], group);
    // And after a restart it is not taken for granted either.
    set_clock(&mut world, 1, HOURS);
    settle(&mut world);
    world.stop(1);
    say(&mut world, 0, group, "again");
    world.run_for(Duration::from_secs(60));
    world.devices[1].clock_ahead_ms = 0;
    world.start(1);
    assert_works(&mut world, &[0, 1, 2], group);
}

#[test]
fn who_is_a_slot_behind_loses_nothing_after_a_removal() {
    let mut world = world(3, 64);
    let group = group(&mut world, "hikers");
    let length = world.params.slot_secs * 1000;
    // The remover is at the beginning of a slot, device 1 still in the one before.
    world.devices[1].clock_ahead_ms = -1500;
    world.run_for(Duration::from_millis(length - world.now().millis() % length + 300));
    let out = vec![world.account(2)];
    world.by(0).remove_members(group, out).unwrap();
    say(&mut world, 1, group, "still in the slot before");
    settle(&mut world);
    assert_eq!(texts(&world, 0, group), ["still in the slot before"]);
    assert_eq!(world.machine(1).identity().unwrap().outbox, 0);
    assert!(texts(&world, 2, group).is_empty());
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn who_is_invited_by_a_clock_that_is_ahead_speaks_once_the_slot_is_there() {
    let mut world = world(2, 65);
    let length = world.params.slot_secs * 1000;
    world.devices[0].clock_ahead_ms = 2000;
    world.run_for(Duration::from_millis(2 * length - world.now().millis() % length - 1500));
    let invited = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", invited);
    world.run_for(Duration::from_millis(200));
    if world.machine(1).group(&group).unwrap().is_some() {
        say(&mut world, 1, group, "too early for you");
        assert_eq!(world.machine(1).identity().unwrap().outbox, 1, "it waits");
    } else {
        settle(&mut world);
        say(&mut world, 1, group, "too early for you");
    }
    settle(&mut world);
    assert_eq!(texts(&world, 0, group), ["too early for you"]);
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn a_clock_weeks_ahead_for_a_moment_takes_no_keys_away() {
    let mut world = world(2, 66);
    let before = (rows(&world, 1, "key_package"), rows(&world, 1, "inbox_key"));
    assert!(before.0 > 0 && before.1 > 0);
    set_clock(&mut world, 1, 60 * 24 * 3_600_000);
    settle(&mut world);
    set_clock(&mut world, 1, 0);
    settle(&mut world);
    // A card of that time has keys of its own; those from before are there still, and serve below.
    assert!(rows(&world, 1, "key_package") >= before.0 && rows(&world, 1, "inbox_key") >= before.1);
    let group = group(&mut world, "hikers");
    assert_works(&mut world, &[0, 1], group);
}
