//! Processes that die while a card is published or looked for: it is published, or found, all the same.

use chat_core::params::{CARD_LATE_DELAY, NetworkParams};
use chat_sim::crash::{Crash, CrashPoint, Tally};
use chat_sim::world::World;

use crate::kit::*;

/// Writes of the steps in question, and some more.
const WRITES: u64 = 14;

fn points() -> impl Iterator<Item = CrashPoint> {
    (0..WRITES)
        .map(|writes| CrashPoint::InTransaction { step: 0, writes })
        .chain([CrashPoint::BeforeOutputs { telling: 0 }])
        .chain((0..2).map(|more| CrashPoint::AfterPublishing { publishing: 0, more }))
}

/// Two devices, the first with its database in a file.
fn two(dir: &std::path::Path, seed: u64) -> World {
    let mut world = World::new(NetworkParams::public(), seed);
    world.add_device_in(dir);
    world.add_device();
    world
}

fn plan(world: &mut World, point: CrashPoint) {
    world.devices[0].tally = Tally::default();
    world.crash = Some(Crash { device: 0, point });
}

#[test]
fn a_card_whose_publisher_dies_goes_out_and_keys_in_it_are_kept() {
    let mut died = 0;
    for (seed, point) in points().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let mut world = two(dir.path(), 200 + seed as u64);
        let secret = secret(&mut world, 0);
        let next = before_next(&mut world, &secret, HOUR / 2);
        plan(&mut world, point);
        world.run_for(HOUR);
        world.crash = None;
        if !world.is_up(0) {
            died += 1;
            world.start(0);
        }
        world.run_for(CARD_LATE_DELAY * 2);
        let cards = on_topic(&world, &secret, next).len();
        // One that was published, and of which nobody was told, goes again.
        assert!((1..=2).contains(&cards), "{point:?}: {cards} cards");
        let short = link(&mut world, 0, true);
        take(&mut world, 1, &short);
        world.run_for(HOUR / 60);
        assert!(is_usable(&world, 1, 0), "{point:?}");
        // Whatever card it was: its private keys are still there.
        assert_talk(&mut world, 1, 0);
    }
    println!("{died} deaths");
    assert!(died >= 6, "only {died} of them died");
}

#[test]
fn a_card_that_was_looked_for_by_a_process_that_died_is_found() {
    let mut died = 0;
    for (seed, point) in points().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let mut world = two(dir.path(), 300 + seed as u64);
        world.run_for(days(1));
        let link = link(&mut world, 1, true);
        plan(&mut world, point);
        let answer = world.by(0).at_once().add_contact(&link, None);
        if answer.is_err() && !world.is_up(0) {
            died += 1;
            world.start(0);
            let _ = world.by(0).at_once().add_contact(&link, None);
        }
        world.run_for(HOUR / 60);
        if !world.is_up(0) {
            died += 1;
            world.crash = None;
            world.start(0);
            // The process died while it answered, or before: the user gives the link again.
            if world.machine(0).contacts().unwrap().is_empty() {
                world.by(0).add_contact(&link, None).unwrap();
            }
        }
        world.crash = None;
        world.run_for(HOUR / 60);
        assert!(is_usable(&world, 0, 1), "{point:?}");
        let account = world.account(1);
        assert_eq!(ready(&world, 0, account), 1, "{point:?}");
        assert_talk(&mut world, 0, 1);
    }
    println!("{died} deaths");
    assert!(died >= 5, "only {died} of them died");
}
