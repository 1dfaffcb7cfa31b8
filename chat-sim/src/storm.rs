//! A storm: everything at once, in the weather that is asked for. In the end, with the network good
//! again and time passed, all is where it belongs.
//!
//! What today's protocol does not survive is not in the default weather:
//! - Members who are added while others commit ([`Kind::Additions`]): an account that is invited on a
//!   branch that loses has to be invited again, which nobody does yet. Without this weather members
//!   are added in the pauses only.
//! - Members who come back ([`Kind::Returns`]): a removal that lost to another one of the same member
//!   still strikes what that member commits after it came back, and those who met it only then do
//!   not know of the removal, so that they choose another branch; and an installation that joined
//!   while a member was away takes the numbers of that member's first membership for missing.
//! - Partitions that outlast [`CATCH_UP_MARGIN`](chat_core::params::CATCH_UP_MARGIN)
//!   ([`Kind::LongPartition`]): what the other side said longer ago than that, before a query of
//!   history in between, only repair by other members brings. It is seen to be missing.
//! - A network without a Store ([`Kind::NoStore`]), for the same reason.
//! - Processes that die in the middle of a step ([`Kind::Crash`]), while commits may meet: in some
//!   seeds of a hundred one installation ends up outside of the group while the others count it as a
//!   member. (`tests/crash.rs` has the case without commits that meet, which is survived.)

use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::machine::{CommandError, Membership};
use chat_core::params::NetworkParams;

use crate::crash::{Crash, CrashPoint};
use crate::ledger::{Ledger, disagreements};
use crate::weather::{Kind, Weather};
use crate::world::{Faults, Hand, Unanswered, World};

/// Storms in a run, with pauses between.
const STORMS: usize = 3;
/// Members from the start; the others come in the pauses.
const STARTERS: usize = 3;
/// What is done in one storm.
const ACTIONS: usize = 30;

/// One run of a seed.
struct Storm<'w> {
    weather: &'w Weather,
    world: World,
    ledger: Ledger,
    group: GroupId,
    count: usize,
    /// Those that were never in the group.
    strangers: Vec<usize>,
    /// What went wrong on the way.
    faults: Vec<String>,
}

/// Runs a seed through storms of this weather. Gives what went wrong.
pub fn run(weather: &Weather, seed: u64) -> Vec<String> {
    let mut storm = Storm::new(weather, seed);
    for _ in 0..STORMS {
        storm.begin();
        for _ in 0..ACTIONS {
            storm.act();
        }
        storm.pause();
        let faults = storm.faults();
        if !faults.is_empty() {
            let mut all = vec![format!("{} devices:", storm.count)];
            all.extend(faults);
            return all;
        }
        storm.add_in_a_pause();
    }
    if storm.ledger.len() <= STORMS * ACTIONS / 4 {
        storm.faults.push(format!("only {} texts were said", storm.ledger.len()));
    }
    storm.faults
}

impl<'w> Storm<'w> {
    #[allow(clippy::expect_used)]
    fn new(weather: &'w Weather, seed: u64) -> Self {
        let mut world = World::new(NetworkParams::fast(), 0x570_0000 + seed);
        world.network.has_store = !weather.has(Kind::NoStore);
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
        let group = world.by(0).create_group("hikers", members).expect("a group is created");
        let strangers = (STARTERS..count).collect();
        let (ledger, faults) = (Ledger::default(), Vec::new());
        let mut storm = Self { weather, world, ledger, group, count, strangers, faults };
        storm.pause();
        storm
    }

    fn is_member(&self, device: usize) -> bool {
        let machine = self.world.devices[device].machine.as_ref();
        let view = machine.and_then(|machine| machine.group(&self.group).ok().flatten());
        view.is_some_and(|view| view.membership == Membership::Active)
    }

    fn members(&self) -> Vec<usize> {
        (0..self.count).filter(|device| self.is_member(*device)).collect()
    }

    fn any(&mut self) -> usize {
        self.world.below(self.count as u64) as usize
    }

    /// Gives a command, which may be refused: things change while it is given.
    fn ask<T>(&mut self, device: usize, command: impl FnOnce(Hand<'_>) -> Result<T, Unanswered>) {
        if !self.world.is_up(device) {
            return;
        }
        match command(self.world.by(device).at_once()) {
            Ok(_)
            | Err(Unanswered::Refused(
                CommandError::NotAdmin
                | CommandError::NotMember
                | CommandError::NothingToDo
                | CommandError::LastAdmin
                | CommandError::NotAMember { .. }
                | CommandError::AlreadyMember { .. }
                | CommandError::WouldLose
                | CommandError::UnknownGroup { .. },
            )) => {}
            Err(Unanswered::Died) if !self.world.is_up(device) => {}
            Err(other) => self.faults.push(format!("device {device} is {other}")),
        }
    }

    fn say(&mut self, by: usize) {
        if !self.world.is_up(by) {
            return;
        }
        match self.ledger.say(&mut self.world, by, self.group) {
            None | Some(CommandError::NotMember | CommandError::UnknownGroup { .. }) => {}
            Some(other) => self.faults.push(format!("device {by} may not speak: {other}")),
        }
    }

    fn start_all(&mut self) {
        for device in 0..self.count {
            if !self.world.is_up(device) {
                self.world.start(device);
            }
        }
    }

    /// The network is good, everybody is there, and has time.
    fn pause(&mut self) {
        self.world.network.faults = Faults::default();
        self.world.crash = None;
        self.world.heal();
        self.start_all();
        for device in 0..self.count {
            self.world.set_online(device, true);
        }
        // What the protocol is known not to survive gets twice the time.
        let patient = Kind::ALL.iter().any(|kind| self.weather.has(*kind) && !kind.is_survived());
        for _ in 0..if patient { 6 } else { 3 } {
            // Longer than it takes until history is fetched again.
            self.world.run_for(Duration::from_secs(65));
            self.world.accept_requests();
        }
    }

    /// A member invites a stranger, who accepts once the invitation has come.
    fn invite(&mut self) -> Option<usize> {
        let members = self.members();
        let by = *members.get(self.world.below(members.len() as u64) as usize)?;
        let stranger = self.strangers.pop()?;
        let (group, accounts) = (self.group, vec![self.world.account(stranger)]);
        self.ask(by, |hand| hand.add_members(group, accounts));
        Some(stranger)
    }

    fn add_in_a_pause(&mut self) {
        let Some(stranger) = self.invite() else { return };
        for _ in 0..2 {
            self.world.run_for(Duration::from_secs(10));
            self.world.accept_requests();
        }
        if !self.is_member(stranger) {
            self.faults.push(format!("device {stranger} was invited and did not come"));
        }
    }

    /// A share of 1,000 below `most` where the weather is such.
    fn share(&mut self, kind: Kind, most: u64) -> u64 {
        let share = self.world.below(most);
        if self.weather.has(kind) { share } else { 0 }
    }

    fn begin(&mut self) {
        self.world.network.faults = Faults {
            drop: self.share(Kind::Loss, 300),
            duplicate: self.share(Kind::Duplicates, 300),
            false_failure: self.share(Kind::FalseFailures, 300),
            delay_ms: self.share(Kind::Delay, 6_000),
        };
        for device in 0..self.count {
            // Up to two seconds off, either way.
            let ahead = self.share(Kind::Clocks, 4_001) as i64;
            let wrong = self.weather.has(Kind::Clocks);
            self.world.devices[device].clock_ahead_ms = if wrong { ahead - 2_000 } else { 0 };
        }
    }

    fn act(&mut self) {
        let (device, other) = (self.any(), self.any());
        if self.world.is_up(other) {
            self.act_by(device, other);
        }
        let pause = self.world.below(3_000);
        self.world.run_for(Duration::from_millis(pause));
        self.blow();
    }

    /// What people do, and what happens to their devices.
    fn act_by(&mut self, device: usize, other: usize) {
        let group = self.group;
        match self.world.below(100) {
            0..50 => self.say(if self.is_member(device) { device } else { other }),
            50..60 => {
                let name = format!("name {}", self.world.below(1000));
                self.ask(device, |hand| hand.rename(group, &name));
            }
            60..64 => {
                let description = format!("about {}", self.world.below(1000));
                self.ask(device, |hand| hand.describe(group, None, Some(&description)));
            }
            64..69 => {
                let (account, admin) = (self.world.account(other), self.world.below(3) > 0);
                self.ask(device, |hand| hand.set_admin(group, account, admin));
            }
            69..72 if device != other && self.members().len() > 2 => {
                let accounts = vec![self.world.account(other)];
                self.ask(device, |hand| hand.remove_members(group, accounts));
            }
            72..74 if self.members().len() > 2 => self.ask(device, |hand| hand.leave(group)),
            74..84 if self.weather.has(Kind::Offline) => {
                let online = self.world.is_online(device);
                if self.world.is_up(device) {
                    self.world.set_online(device, !online);
                }
            }
            84..90 if self.weather.has(Kind::Restart) => {
                self.world.stop(device);
                self.world.start(device);
            }
            90..93 => self.part(),
            _ => {
                if let Some(cursor) = self.world.devices[device].events.keys().next_back() {
                    let cursor = *cursor;
                    self.ask(device, |hand| hand.acknowledge(cursor));
                }
            }
        }
    }

    /// What the weather does beside the actions of people: its dice are cast only where it is asked
    /// for, so that other weather has the same runs with it or without.
    fn blow(&mut self) {
        let dead: Vec<usize> = (0..self.count).filter(|at| !self.world.is_up(*at)).collect();
        for device in dead {
            if self.world.below(2) == 0 {
                self.world.start(device);
            }
        }
        if self.weather.has(Kind::Crash) && self.world.below(8) == 0 {
            self.plan_a_death();
        }
        if self.weather.has(Kind::Additions) && self.world.below(10) == 0 {
            self.invite();
        }
        if self.weather.has(Kind::Returns) && self.world.below(10) == 0 {
            self.bring_back();
        }
        if self.weather.has(Kind::Additions) || self.weather.has(Kind::Returns) {
            self.world.accept_requests();
        }
    }

    fn plan_a_death(&mut self) {
        let device = self.any();
        let tally = self.world.devices[device].tally;
        let soon = self.world.below(5);
        let point = match self.world.below(3) {
            0 => {
                CrashPoint::InTransaction { step: tally.steps + soon, writes: self.world.below(20) }
            }
            1 => CrashPoint::BeforeOutputs { telling: tally.telling + soon },
            _ => CrashPoint::AfterPublishing {
                publishing: tally.publishing + soon,
                more: self.world.below(3),
            },
        };
        self.world.crash = Some(Crash { device, point });
    }

    /// A member invites one who was a member before.
    fn bring_back(&mut self) {
        let members = self.members();
        let gone = |at: &usize| {
            self.world.is_up(*at) && !self.strangers.contains(at) && !members.contains(at)
        };
        let gone: Vec<usize> = (0..self.count).filter(gone).collect();
        let Some(who) = gone.get(self.world.below(gone.len() as u64) as usize) else { return };
        let Some(by) = members.get(self.world.below(members.len() as u64) as usize) else { return };
        let (group, accounts) = (self.group, vec![self.world.account(*who)]);
        self.ask(*by, |hand| hand.add_members(group, accounts));
    }

    /// The network falls in two for a while; both sides go on.
    fn part(&mut self) {
        let rounds =
            match (self.weather.has(Kind::LongPartition), self.weather.has(Kind::Partition)) {
                (true, _) => 30,
                (false, true) => 4,
                (false, false) => return,
            };
        for device in 0..self.count {
            let side = self.world.below(2) as u32;
            self.world.part(device, side);
        }
        for round in 0..rounds {
            // As much is said and done in a long partition as in a short one.
            if round % (rounds / 4) == 0 {
                for by in 0..self.count {
                    if self.world.below(3) == 0 {
                        self.say(by);
                    }
                }
                if self.world.below(2) == 0 {
                    let (by, group) = (self.any(), self.group);
                    let name = format!("parted {}", self.world.below(1000));
                    self.ask(by, |hand| hand.rename(group, &name));
                }
            }
            self.world.run_for(Duration::from_secs(5));
        }
        self.world.heal();
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        faults.extend(self.ledger.faults(&self.world));
        faults.extend(disagreements(&self.world, &self.group, None));
        for (at, device) in self.world.devices.iter().enumerate() {
            if !device.failures.is_empty() {
                faults.push(format!("device {at} failed: {:?}", device.failures));
            }
            if device.outbox() > 0 {
                faults.push(format!("device {at} has something in its outbox still"));
            }
        }
        if self.world.keys.reused() > 0 {
            faults.push("a generation was used twice".into());
        }
        faults
    }
}
