//! Processes that die while a device is linked, comes into its account's groups, and another one is
//! revoked: each of these is done afterwards, or was never begun.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

#[path = "device_crash/story.rs"]
mod story;

use chat_core::params::NetworkParams;
use chat_sim::campaign::{on_all_cores, seeds};
use chat_sim::crash::{Crash, CrashPoint, Tally};
use chat_sim::world::World;
use story::{DEVICES, FRIEND, LAPTOP, PHONE, Story, TABLET};

/// Crash points, if `WAKU_CHAT_SEEDS` does not say how many: what takes less than a minute.
const SEEDS: u64 = 40;
/// Different stories in which the points lie.
const STORIES: u64 = 4;
/// Of so many users, one does not try again what a death got in the way of.
const IMPATIENT: u64 = 4;
/// Of so many processes that die, one is down for longer than a code lasts.
const LONG_DOWN: u64 = 6;

/// A directory for a database: in memory where the system has such a place, since a process that
/// dies leaves the same there, and waiting for a disk is all that takes time here.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// One crash point. What went wrong.
fn crash(seed: u64, lengths: &[[Tally; DEVICES]]) -> Vec<String> {
    let story = seed % STORIES;
    let mut world = World::new(NetworkParams::fast(), 0xdec_0000 + seed);
    // The two that are linked have the most to lose.
    let device = [PHONE, TABLET, PHONE, TABLET, LAPTOP, FRIEND][world.below(6) as usize];
    let length = lengths[story as usize][device];
    let (patient, down_for_long) = (world.below(IMPATIENT) > 0, world.below(LONG_DOWN) == 0);
    let mut point = match seed % 3 {
        0 => CrashPoint::InTransaction {
            step: world.below(length.steps),
            // Early writes and late ones.
            writes: match world.below(2) {
                0 => world.below(6),
                _ => world.below(60),
            },
        },
        1 => CrashPoint::BeforeOutputs { telling: world.below(length.telling) },
        _ => CrashPoint::AfterPublishing {
            publishing: world.below(length.publishing),
            more: world.below(3),
        },
    };
    loop {
        let dir = directory();
        let mut it = Story::new(story, device, dir.path());
        (it.patient, it.down_for_long) = (patient, down_for_long);
        it.world.crash = Some(Crash { device, point });
        it.run();
        it.finish();
        if it.deaths == 0 {
            // The choice of the database that is a file changes the dice, and so the length; or no
            // step from there on writes as much.
            match &mut point {
                CrashPoint::InTransaction { step, writes } => {
                    (*step, *writes) = (*step * 3 / 4, *writes / 2)
                }
                CrashPoint::AfterStep { step } => *step /= 2,
                CrashPoint::BeforeOutputs { telling } => *telling /= 2,
                CrashPoint::AfterPublishing { publishing, .. } => *publishing /= 2,
            }
            continue;
        }
        let mut faults = it.faults();
        if it.deaths != 1 {
            faults.push(format!("{} deaths", it.deaths));
        }
        if it.world.keys.used() < it.ledger.len() {
            faults.push("the watch on keys does not see what is sent".into());
        }
        if !faults.is_empty() {
            faults.insert(
                0,
                format!(
                    "seed {seed}: device {device} dies at {point:?}, patient: {patient}, \
                     down for long: {down_for_long}"
                ),
            );
        }
        return faults;
    }
}

/// How long the stories are where nobody dies.
fn lengths() -> Vec<[Tally; DEVICES]> {
    (0..STORIES)
        .map(|seed| {
            let dir = directory();
            let mut it = Story::new(seed, PHONE, dir.path());
            it.run();
            let tallies = [PHONE, FRIEND, LAPTOP, TABLET].map(|at| it.world.devices[at].tally);
            it.finish();
            assert_eq!(it.faults(), Vec::<String>::new(), "story {seed}, nobody dies");
            assert!(it.is_linked() && !it.members().contains(&LAPTOP));
            tallies
        })
        .collect()
}

#[test]
fn a_death_leaves_nothing_half_done() {
    let lengths = lengths();
    let faults = on_all_cores(0..seeds(SEEDS), |seed| crash(seed, &lengths));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
