//! Processes that die at any point: nothing that was acknowledged is lost, nothing is there twice,
//! and no key is used twice.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

use std::path::Path;
use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::machine::{GroupView, Membership};
use chat_core::params::NetworkParams;
use chat_sim::campaign::{on_all_cores, seeds};
use chat_sim::crash::{Crash, CrashPoint, Tally};
use chat_sim::ledger::{Ledger, disagreements};
use chat_sim::world::{Hand, Unanswered, World};

/// Crash points, if `WAKU_CHAT_SEEDS` does not say how many.
const SEEDS: u64 = 100;
/// Different conversations in which the points lie.
const CONVERSATIONS: u64 = 6;
/// Devices.
const DEVICES: usize = 3;
/// How often something is tried that the death of the process got in the way of.
const ATTEMPTS: u32 = 5;

/// A conversation of three devices.
struct Conversation {
    world: World,
    ledger: Ledger,
    group: Option<GroupId>,
    deaths: u32,
}

impl Conversation {
    /// Three devices that know one another. The database of `on_disk` is a file.
    fn new(seed: u64, on_disk: usize, dir: &Path) -> Self {
        let mut world = World::new(NetworkParams::fast(), seed);
        for device in 0..DEVICES {
            match device == on_disk {
                true => world.add_device_in(dir),
                false => world.add_device(),
            };
        }
        for a in 0..DEVICES {
            for b in a + 1..DEVICES {
                world.befriend(a, b);
            }
        }
        for device in &mut world.devices {
            device.tally = Tally::default();
        }
        Self { world, ledger: Ledger::default(), group: None, deaths: 0 }
    }

    /// Lets time pass; processes that died are started again after a while.
    fn pass(&mut self, at_most_ms: u64) {
        let time = self.world.below(at_most_ms) + 1;
        self.world.run_for(Duration::from_millis(time));
        for device in 0..DEVICES {
            if !self.world.is_up(device) {
                self.deaths += 1;
                let down = self.world.below(20_000);
                self.world.run_for(Duration::from_millis(down));
                self.world.start(device);
            }
        }
        // A member who comes back to a group is asked first, also where a contact invites.
        self.world.accept_requests();
    }

    fn view(&self, device: usize) -> Option<GroupView> {
        self.world.machine(device).group(&self.group?).unwrap()
    }

    /// Gives a command until what it is for is there. A user who gets no answer looks, and asks again.
    /// What was answered must be there at once, and after any number of deaths.
    fn achieve<T>(
        &mut self,
        by: usize,
        command: impl Fn(Hand<'_>) -> Result<T, Unanswered>,
        there: impl Fn(&Self) -> bool,
    ) {
        for _ in 0..ATTEMPTS {
            let answer = command(self.world.by(by).at_once());
            self.pass(50);
            // A user who created a group and was not told finds it in the list.
            if self.group.is_none() {
                let groups = self.world.machine(by).groups().unwrap();
                self.group = groups.first().map(|group| group.id);
            }
            match answer {
                Ok(_) => {}
                Err(Unanswered::Refused(why)) => panic!("refused: {why}"),
                Err(Unanswered::Died) if !there(self) => continue,
                Err(Unanswered::Died) => {}
            }
            self.pass(1);
            assert!(there(self), "what was acknowledged is not there");
            self.settle();
            return;
        }
        panic!("it does not succeed");
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            self.world.run_for(Duration::from_secs(4));
            self.pass(2_000);
        }
    }

    /// Everybody says something; one may be offline meanwhile, and events are acknowledged.
    fn talk(&mut self, members: &[usize]) {
        let group = self.group.unwrap();
        let away = self.world.below(DEVICES as u64 * 2) as usize;
        if away < DEVICES && self.world.is_up(away) {
            self.world.set_online(away, false);
        }
        for _ in 0..2 {
            for by in members {
                // Up to two at once, from one device.
                for _ in 0..=self.world.below(2) {
                    if self.world.is_up(*by) {
                        assert_eq!(self.ledger.say(&mut self.world, *by, group), None);
                    }
                }
                self.pass(2_000);
            }
            for device in 0..DEVICES {
                let last = self.world.devices[device].events.keys().next_back().copied();
                if let Some(cursor) = last.filter(|_| self.world.below(2) == 0) {
                    let _ = self.world.by(device).at_once().acknowledge(cursor);
                    self.pass(100);
                }
            }
        }
        if away < DEVICES && self.world.is_up(away) {
            self.world.set_online(away, true);
        }
        self.settle();
    }

    /// Created, joined, talked in, renamed, removed from, added to, left, added to, talked in.
    fn run(&mut self) {
        let accounts: Vec<_> = (0..DEVICES).map(|device| self.world.account(device)).collect();
        let create = |hand: Hand<'_>| hand.create_group("hikers", accounts[1..].to_vec());
        self.achieve(0, create, |it| it.view(0).is_some_and(|view| view.accounts == 3));
        let group = self.group.unwrap();
        self.talk(&[0, 1, 2]);

        let describe = |hand: Hand<'_>| hand.describe(group, Some("walkers"), Some("on Sundays"));
        self.achieve(1, describe, |it| it.view(1).is_some_and(|view| view.name == "walkers"));
        self.talk(&[0, 1, 2]);

        let out = vec![accounts[2]];
        let remove = |hand: Hand<'_>| hand.remove_members(group, out.clone());
        self.achieve(0, remove, |it| it.view(0).is_some_and(|view| view.accounts == 2));
        self.talk(&[0, 1]);

        let add = |hand: Hand<'_>| hand.add_members(group, out.clone());
        self.achieve(1, add, |it| it.view(1).is_some_and(|view| view.accounts == 3));
        self.talk(&[0, 1, 2]);

        self.achieve(
            2,
            |hand| hand.leave(group),
            |it| it.view(2).is_some_and(|view| view.membership != Membership::Active),
        );
        self.talk(&[0, 1]);

        self.achieve(0, add, |it| it.view(0).is_some_and(|view| view.accounts == 3));
        self.talk(&[2, 1, 0]);
    }

    /// Everybody is online and has fetched what there is.
    fn finish(&mut self) {
        self.deaths += self.world.come_to_rest(0..DEVICES);
    }

    fn faults(&self) -> Vec<String> {
        let group = self.group.unwrap();
        let mut faults = self.ledger.faults(&self.world);
        faults.extend(disagreements(&self.world, &group, Some(&[0, 1, 2])));
        if self.view(0).unwrap().name != "walkers" {
            faults.push("the name is not the last one".into());
        }
        for (at, device) in self.world.devices.iter().enumerate() {
            if !device.failures.is_empty() {
                faults.push(format!("device {at} failed: {:?}", device.failures));
            }
            if self.world.machine(at).identity().unwrap().outbox > 0 {
                faults.push(format!("device {at} has something in its outbox still"));
            }
        }
        match self.world.keys.reused() {
            0 => {}
            reused => faults.push(format!("{reused} generations were used twice")),
        }
        faults
    }
}

/// A directory for a database: in memory where the system has such a place, since a process that
/// dies leaves the same there, and waiting for a disk is all that takes time here.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// One crash point. What went wrong.
fn crash(seed: u64, lengths: &[[Tally; DEVICES]]) -> Vec<String> {
    let conversation = seed % CONVERSATIONS;
    let mut world = World::new(NetworkParams::fast(), 0x5eed_0000 + seed);
    let device = world.below(DEVICES as u64) as usize;
    let length = lengths[conversation as usize][device];
    let mut point = match seed % 3 {
        0 => CrashPoint::InTransaction {
            step: world.below(length.steps),
            // Early writes and late ones: short steps have three, commits some forty.
            writes: match world.below(2) {
                0 => world.below(6),
                _ => world.below(40),
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
        let mut it = Conversation::new(conversation, device, dir.path());
        it.world.crash = Some(Crash { device, point });
        it.run();
        it.finish();
        if let (0, CrashPoint::InTransaction { writes, .. }) = (it.deaths, &mut point) {
            // No later step writes as much.
            *writes /= 2;
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
            faults.insert(0, format!("seed {seed}: device {device} dies at {point:?}"));
        }
        return faults;
    }
}

/// How long the conversations are where nobody dies.
fn lengths() -> Vec<[Tally; DEVICES]> {
    (0..CONVERSATIONS)
        .map(|seed| {
            let dir = directory();
            let mut it = Conversation::new(seed, 0, dir.path());
            it.run();
            let tallies = [0, 1, 2].map(|device| it.world.devices[device].tally);
            it.finish();
            assert_eq!(it.faults(), Vec::<String>::new(), "conversation {seed}, nobody dies");
            tallies
        })
        .collect()
}

#[test]
fn a_death_loses_and_repeats_nothing() {
    let lengths = lengths();
    let faults = on_all_cores(0..seeds(SEEDS), |seed| crash(seed, &lengths));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The watch is worth something only if it sees what it is there for.
#[test]
fn a_key_that_is_used_twice_is_seen() {
    let dir = directory();
    let mut it = Conversation::new(1, 0, dir.path());
    let members = (1..DEVICES).map(|device| it.world.account(device)).collect();
    let group = it.world.by(0).create_group("hikers", members).unwrap();
    it.settle();
    assert_eq!(it.ledger.say(&mut it.world, 0, group), None);
    it.settle();
    it.world.kill(0);
    it.world.start(0);
    // Nothing tells the device that it was put back.
    it.world.network.has_store = false;
    assert_eq!(it.ledger.say(&mut it.world, 0, group), None);
    // It is encrypted when it goes out: once the device has tried to catch up.
    it.settle();
    assert_eq!(it.world.keys.reused(), 0);
    it.world.roll_back(0);
    it.world.start(0);
    assert_eq!(it.ledger.say(&mut it.world, 0, group), None);
    it.settle();
    assert_eq!(it.world.keys.reused(), 1);
}
