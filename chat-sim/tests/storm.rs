//! A soak: everything at once, on a network that loses, repeats, delays and parts. In the end, with
//! the network good again and time passed, all is where it belongs.
//!
//! Kept out, since later issues bring what it takes:
//! - Nobody is added while commits may meet: whoever is invited on a branch that loses has to be
//!   invited again, which is not there yet. So there are adds in the pauses of the storm only.
//! - Nobody comes back who was removed or left: a removal that lost to another one of the same member
//!   still strikes what that member commits after it came back, and those who met it only then do
//!   not know of the removal, so that they choose another branch; and whoever joined while it was
//!   away takes the numbers of its first membership for missing. (`tests/crash.rs` has the case
//!   without commits that meet.)
//! - Partitions end sooner than [`CATCH_UP_MARGIN`](chat_core::params::CATCH_UP_MARGIN): what another
//!   side said longer ago than that, before a query of history in between, only repair by other
//!   members brings. (It is seen to be missing.)

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

mod common;

use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::machine::{Command, CommandError, Membership};
use chat_core::params::NetworkParams;
use chat_sim::ledger::{Ledger, disagreements};
use chat_sim::world::{Faults, World};
use common::{accept_requests, create, on_all_cores, seeds};

/// Runs, if `WAKU_CHAT_SEEDS` does not say how many.
const SEEDS: u64 = 20;
/// Storms in a run, with pauses between.
const STORMS: usize = 3;
/// Members from the start; the others come in the pauses.
const STARTERS: usize = 3;
/// What is done in one storm.
const ACTIONS: usize = 30;

struct Storm {
    world: World,
    ledger: Ledger,
    group: GroupId,
    count: usize,
    /// Those that were never in the group.
    strangers: Vec<usize>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut world = World::new(NetworkParams::fast(), 0x570_0000 + seed);
        let count = 4 + world.below(3) as usize;
        for _ in 0..count {
            world.add_device();
        }
        for a in 0..count {
            for b in a + 1..count {
                world.befriend(a, b);
            }
        }
        // Not everybody is in from the start.
        let members = (1..STARTERS).map(|at| world.account(at)).collect();
        let group = create(&mut world, 0, "hikers", members);
        let strangers = (STARTERS..count).collect();
        let mut storm = Self { world, ledger: Ledger::default(), group, count, strangers };
        storm.pause();
        storm
    }

    fn is_member(&self, device: usize) -> bool {
        let view = self.world.machine(device).group(&self.group).unwrap();
        view.is_some_and(|view| view.membership == Membership::Active)
    }

    fn members(&self) -> Vec<usize> {
        (0..self.count).filter(|device| self.is_member(*device)).collect()
    }

    fn any(&mut self) -> usize {
        self.world.below(self.count as u64) as usize
    }

    /// Gives a command, which may be refused: things change under those who ask.
    fn ask(&mut self, device: usize, command: Command) {
        let shown = format!("{command:?}");
        match self.world.ask(device, command) {
            Some(Ok(_)) => {}
            Some(Err(
                CommandError::NotAdmin
                | CommandError::NotMember
                | CommandError::NothingToDo
                | CommandError::LastAdmin
                | CommandError::NotAMember { .. }
                | CommandError::AlreadyMember { .. }
                | CommandError::WouldLose
                | CommandError::UnknownGroup { .. },
            )) => {}
            other => panic!("{shown}: {other:?}"),
        }
    }

    /// The network is good, everybody is there, and has time.
    fn pause(&mut self) {
        self.world.faults = Faults::default();
        for device in 0..self.count {
            self.world.devices[device].partition = 0;
            self.world.set_online(device, true);
        }
        for _ in 0..3 {
            // Longer than it takes until history is fetched again.
            self.world.run_for(Duration::from_secs(65));
            accept_requests(&mut self.world);
        }
    }

    /// A stranger is asked to come.
    fn add_somebody(&mut self) {
        let (members, group) = (self.members(), self.group);
        let Some(device) = self.strangers.pop() else { return };
        let by = members[self.world.below(members.len() as u64) as usize];
        let accounts = vec![self.world.account(device)];
        self.ask(by, Command::AddMembers { group, accounts });
        for _ in 0..2 {
            self.world.run_for(Duration::from_secs(10));
            accept_requests(&mut self.world);
        }
        assert!(self.is_member(device), "device {device} was invited and did not come");
    }

    fn weather(&mut self) {
        self.world.faults = Faults {
            drop: self.world.below(300),
            duplicate: self.world.below(300),
            false_failure: self.world.below(300),
            delay_ms: self.world.below(6_000),
        };
        for device in 0..self.count {
            // Up to three seconds off, either way.
            let ahead = self.world.below(6_001) as i64 - 3_000;
            self.world.devices[device].clock_ahead_ms = ahead;
        }
    }

    fn act(&mut self) {
        let (device, other, group) = (self.any(), self.any(), self.group);
        match self.world.below(100) {
            0..50 => {
                let by = if self.is_member(device) { device } else { other };
                let refused = self.ledger.say(&mut self.world, by, group);
                assert!(
                    matches!(
                        refused,
                        None | Some(CommandError::NotMember | CommandError::UnknownGroup { .. })
                    ),
                    "{refused:?}"
                );
            }
            50..60 => {
                let name = Some(format!("name {}", self.world.below(1000)));
                self.ask(device, Command::DescribeGroup { group, name, description: None });
            }
            60..64 => {
                let description = Some(format!("about {}", self.world.below(1000)));
                self.ask(device, Command::DescribeGroup { group, name: None, description });
            }
            64..69 => {
                let (account, admin) = (self.world.account(other), self.world.below(3) > 0);
                self.ask(device, Command::SetAdmin { group, account, admin });
            }
            69..72 if device != other && self.members().len() > 2 => {
                let accounts = vec![self.world.account(other)];
                self.ask(device, Command::RemoveMembers { group, accounts });
            }
            72..74 if self.members().len() > 2 => self.ask(device, Command::LeaveGroup { group }),
            74..84 => {
                let online = self.world.devices[device].online;
                self.world.set_online(device, !online);
            }
            84..90 => {
                self.world.stop(device);
                self.world.start(device);
            }
            90..93 => self.part(),
            _ => {
                if let Some(cursor) = self.world.devices[device].events.keys().next_back() {
                    let cursor = *cursor;
                    self.ask(device, Command::AcknowledgeEvents { cursor });
                }
            }
        }
        let pause = self.world.below(3_000);
        self.world.run_for(Duration::from_millis(pause));
    }

    /// The network falls in two for a while; both sides go on.
    fn part(&mut self) {
        for device in 0..self.count {
            self.world.devices[device].partition = self.world.below(2) as u32;
        }
        for _ in 0..4 {
            for by in 0..self.count {
                if self.world.below(3) == 0 {
                    let _ = self.ledger.say(&mut self.world, by, self.group);
                }
            }
            if self.world.below(2) == 0 {
                let (by, group) = (self.any(), self.group);
                let name = Some(format!("parted {}", self.world.below(1000)));
                self.ask(by, Command::DescribeGroup { group, name, description: None });
            }
            self.world.run_for(Duration::from_secs(5));
        }
        for device in &mut self.world.devices {
            device.partition = 0;
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.ledger.faults(&self.world);
        faults.extend(disagreements(&self.world, &self.group, None));
        for (at, device) in self.world.devices.iter().enumerate() {
            if !device.failures.is_empty() {
                faults.push(format!("device {at} failed: {:?}", device.failures));
            }
            if self.world.machine(at).identity().unwrap().outbox > 0 {
                faults.push(format!("device {at} has something in its outbox still"));
            }
        }
        if self.world.keys.reused() > 0 {
            faults.push("a generation was used twice".into());
        }
        faults
    }
}

fn storm(seed: u64) -> Vec<String> {
    let mut storm = Storm::new(seed);
    for _ in 0..STORMS {
        storm.weather();
        for _ in 0..ACTIONS {
            storm.act();
        }
        storm.pause();
        let faults = storm.faults();
        if !faults.is_empty() {
            let mut all = vec![format!("seed {seed}, {} devices:", storm.count)];
            all.extend(faults);
            return all;
        }
        storm.add_somebody();
    }
    assert!(storm.ledger.len() > STORMS * ACTIONS / 4, "too little was said");
    Vec::new()
}

#[test]
fn after_the_storm_all_is_where_it_belongs() {
    let faults = on_all_cores(seeds(SEEDS), storm);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
