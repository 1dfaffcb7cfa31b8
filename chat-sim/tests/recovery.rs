//! All devices are lost, and the phrase is there.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use chat_core::identity::RecoveryPhrase;
use chat_core::ids::GroupId;
use chat_core::machine::{CommandError, Event};
use chat_core::params::NetworkParams;
use chat_core::store::Store;
use chat_sim::world::World;
use common::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Slots of an hour: days pass quickly then.
fn params() -> NetworkParams {
    NetworkParams { slot_secs: 3600, ..NetworkParams::fast() }
}

/// Account A (device 0), its friends (1, 2) and a group of all that A made. The friends hold A's link.
fn stage(seed: u64) -> (World, GroupId, RecoveryPhrase) {
    let mut world = World::new(params(), seed);
    let phrase = RecoveryPhrase::generate(world.rng());
    world.add_device_of(&phrase, Store::in_memory().unwrap());
    world.add_device();
    world.add_device();
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        world.befriend(a, b);
    }
    let group = group(&mut world, "Hikers");
    assert_agreed(&world, &[0, 1, 2], group);
    (world, group, phrase)
}

fn days(world: &mut World, count: u32) {
    world.run_for(DAY * count);
    settle(world);
}

#[test]
fn the_phrase_alone_brings_the_account_back_into_its_groups() {
    let (mut world, group, phrase) = stage(1);
    let (account, lost) = (world.account(0), world.machine(0).identity().unwrap().installation);
    say(&mut world, 0, group, "before");
    days(&mut world, 1);
    world.set_online(0, false);

    let new = world.recover(&phrase);
    settle(&mut world);
    assert_eq!(world.account(new), account);
    assert!(!world.machine(new).is_recovering());
    let recovered =
        |event: &&Event| matches!(event, Event::Recovered { revoked } if *revoked == [lost]);
    assert!(events(&world, new).iter().any(recovered));

    // The card comes by schedule, and the friends fetch it by theirs.
    days(&mut world, 3);
    for request in world.machine(new).requests().unwrap() {
        world.by(new).accept(request.id).unwrap();
    }
    days(&mut world, 1);
    assert_agreed(&world, &[1, 2, new], group);
    let state = world.machine(1).insider_state(&group).unwrap();
    assert!(state.leaf_of(&lost).is_none());
    assert_eq!(view(&world, 1, group).accounts, 3);
    // It is what it was: the admin of its group.
    assert!(view(&world, new, group).admin);
    say(&mut world, new, group, "I am back");
    say(&mut world, 1, group, "welcome");
    settle(&mut world);
    assert!(texts(&world, 2, group).ends_with(&["I am back".into(), "welcome".into()]));
    assert_eq!(texts(&world, new, group), ["I am back", "welcome"]);

    // Whoever found the phone comes too late, with all that it knows.
    world.set_online(0, true);
    let _ = world.by(0).at_once().send(group, "it is me");
    days(&mut world, 1);
    for device in [1, 2, new] {
        let history = world.machine(device).history(&group, None, 100).unwrap();
        let late = history.iter().filter(|it| it.installation == lost && !it.flagged);
        assert!(late.map(|it| it.text.as_deref()).all(|text| text == Some("before")), "{device}");
    }
    assert_eq!(world.by(0).send(group, "still me"), Err(CommandError::Revoked.into()));
    assert_agreed(&world, &[1, 2, new], group);
    assert_no_failures(&world);
}

#[test]
fn a_stolen_only_device_loses_to_the_phrase() {
    let (mut world, group, phrase) = stage(2);
    days(&mut world, 1);
    // The thief adds a device of his own, and revokes what he can.
    let planted = world.add_installation(0);
    settle(&mut world);
    let new = world.recover(&phrase);
    // The card of the day is the thief's last; what he adds later is void all the same.
    days(&mut world, 3);
    for request in world.machine(new).requests().unwrap() {
        world.by(new).accept(request.id).unwrap();
    }
    days(&mut world, 2);
    assert_agreed(&world, &[1, 2, new], group);
    let state = world.machine(1).insider_state(&group).unwrap();
    for device in [0, planted] {
        let id = world.machine(device).identity().unwrap().installation;
        assert!(state.leaf_of(&id).is_none(), "device {device}");
    }
    assert_no_failures(&world);
}

#[test]
fn without_a_card_it_is_said_and_the_user_decides() {
    let (mut world, _, phrase) = stage(3);
    world.set_online(0, false);
    world.network.has_store = false;
    let new = world.recover(&phrase);
    settle(&mut world);
    assert!(world.machine(new).is_recovering());
    days(&mut world, 1);
    let pending = |event: &&Event| matches!(event, Event::RecoveryPending { .. });
    assert_eq!(events(&world, new).into_iter().filter(pending).count(), 1);
    // It goes on after a restart, and publishes no card that forgets anybody.
    world.stop(new);
    world.start(new);
    days(&mut world, 1);
    assert!(world.machine(new).is_recovering());
    assert!(!world.network.observed.iter().any(|it| it.by == new));
    world.by(new).end_recovery().unwrap();
    assert!(!world.machine(new).is_recovering());
    assert_eq!(world.by(new).end_recovery(), Err(CommandError::NothingToDo.into()));
    days(&mut world, 1);
    assert!(world.network.observed.iter().any(|it| it.by == new), "its card");
    assert_no_failures(&world);
}

#[test]
fn a_store_that_comes_later_is_enough() {
    let (mut world, _, phrase) = stage(4);
    days(&mut world, 1);
    world.set_online(0, false);
    world.network.has_store = false;
    let new = world.recover(&phrase);
    settle(&mut world);
    assert!(world.machine(new).is_recovering());
    world.network.has_store = true;
    days(&mut world, 1);
    assert!(!world.machine(new).is_recovering());
    assert_no_failures(&world);
}
