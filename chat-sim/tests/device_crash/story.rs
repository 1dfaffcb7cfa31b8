//! The story in which processes die: an account with a phone and a laptop, to which a tablet is linked.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chat_core::ids::{GroupId, InstallationId};
use chat_core::machine::{CommandError, Event, LinkingState, NewcomerState};
use chat_core::params::{LINKING_CODE, NetworkParams};
use chat_sim::crash::Tally;
use chat_sim::ledger::{Ledger, disagreements};
use chat_sim::world::{Unanswered, World};

/// Seconds in which a linking ends in any case, deaths included.
const PATIENCE: u64 = 180;
/// What was under way has come then: more than two slots.
const SETTLED: Duration = Duration::from_secs(12);

pub(crate) const PHONE: usize = 0;
pub(crate) const FRIEND: usize = 1;
pub(crate) const LAPTOP: usize = 2;
pub(crate) const TABLET: usize = 3;
pub(crate) const DEVICES: usize = 4;

/// An account with a phone and a laptop, to which a tablet is linked, and whose laptop is revoked.
pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) ledger: Ledger,
    groups: Vec<GroupId>,
    pub(crate) deaths: u32,
    pub(crate) patient: bool,
    pub(crate) down_for_long: bool,
}

impl Story {
    /// The database of `on_disk` is a file.
    pub(crate) fn new(seed: u64, on_disk: usize, dir: &Path) -> Self {
        let mut world = World::new(NetworkParams::fast(), seed);
        for device in [PHONE, FRIEND] {
            match device == on_disk {
                true => world.add_device_in(dir),
                false => world.add_device(),
            };
        }
        world.befriend(PHONE, FRIEND);
        let accounts = [FRIEND, PHONE].map(|device| world.account(device));
        let mut groups: Vec<GroupId> = [(PHONE, "Hikers"), (FRIEND, "Sailors"), (PHONE, "Cooks")]
            .into_iter()
            .map(|(by, name)| world.by(by).create_group(name, vec![accounts[by]]).unwrap())
            .collect();
        world.run_for(SETTLED);
        match on_disk == LAPTOP {
            true => world.add_installation_in(PHONE, dir),
            false => world.add_installation(PHONE),
        };
        world.run_for(SETTLED);
        groups.push(world.by(LAPTOP).create_group("Readers", vec![accounts[0]]).unwrap());
        world.run_for(SETTLED);
        match on_disk == TABLET {
            true => world.add_newcomer_in("tablet", dir),
            false => world.add_newcomer("tablet"),
        };
        for device in &mut world.devices {
            device.tally = Tally::default();
        }
        let ledger = Ledger::default();
        Self { world, ledger, groups, deaths: 0, patient: true, down_for_long: false }
    }

    /// Lets time pass; processes that died are started again after a while. True: one died.
    fn pass(&mut self, at_most_ms: u64) -> bool {
        let time = self.world.below(at_most_ms) + 1;
        self.world.run_for(Duration::from_millis(time));
        let mut died = false;
        for device in 0..self.world.devices.len() {
            if !self.world.is_up(device) {
                self.deaths += 1;
                died = true;
                if self.down_for_long {
                    self.world.run_for(LINKING_CODE + Duration::from_secs(60));
                }
                let down = self.world.below(20_000);
                self.world.run_for(Duration::from_millis(down));
                self.world.start(device);
            }
        }
        died
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            self.pass(2_000);
            self.world.run_for(Duration::from_secs(4));
        }
        self.pass(1);
    }

    fn id(&self, device: usize) -> InstallationId {
        self.world.machine(device).identity().unwrap().installation
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.world.devices[TABLET].machine.is_some()
    }

    /// Those that should be in every group.
    pub(crate) fn members(&self) -> Vec<usize> {
        let active = |device: &usize| {
            let is_it = self.world.machine(PHONE).installations().unwrap();
            let id = self.id(*device);
            *device == FRIEND
                || is_it.iter().any(|it| it.installation == id && it.revoked.is_none())
        };
        (0..self.world.devices.len())
            .filter(|device| self.world.devices[*device].machine.is_some())
            .filter(active)
            .collect()
    }

    /// Some member says something in one of the groups.
    fn chat(&mut self, by: usize) {
        let group = self.groups[self.world.below(self.groups.len() as u64) as usize];
        if self.world.is_up(by) {
            assert_eq!(self.ledger.say(&mut self.world, by, group), None);
        }
    }

    fn talk(&mut self) {
        for by in self.members() {
            for group in self.groups.clone() {
                if self.world.is_up(by) {
                    assert_eq!(self.ledger.say(&mut self.world, by, group), None);
                }
            }
            self.pass(1_000);
        }
        self.settle();
    }

    /// The tablet shows a code, and a user sees to it that it is linked.
    fn link(&mut self) {
        for second in 0..PATIENCE {
            if self.world.attend(PHONE, TABLET) {
                break;
            }
            if self.pass(1_500) && !self.patient {
                // Whatever is under way goes on or ends without anybody.
                self.world.run_for(LINKING_CODE + Duration::from_secs(60));
                break;
            }
            if second % 4 == 0 {
                self.chat([PHONE, FRIEND, LAPTOP][second as usize / 4 % 3]);
            }
            let view = self.world.linking(TABLET);
            if matches!(view.map(|view| view.state), Some(NewcomerState::Ended { .. })) {
                self.clean_up();
                self.world.begin_again(TABLET, "tablet");
            }
        }
        self.settle();
        self.clean_up();
        self.settle();
    }

    /// A user who is told that an installation was added, but not let in, revokes it.
    fn clean_up(&mut self) {
        let added = self.world.devices[PHONE].events.values().filter_map(|event| match event {
            Event::LinkingFailed { added, .. } => *added,
            _ => None,
        });
        let added: Vec<InstallationId> = added.collect();
        self.revoke(&added);
    }

    fn revoke(&mut self, whom: &[InstallationId]) {
        for id in whom {
            for _ in 0..3 {
                let answer = self.world.by(PHONE).at_once().revoke(vec![*id], None);
                let died = self.pass(50);
                match answer {
                    Ok(()) | Err(Unanswered::Refused(CommandError::NothingToDo)) => break,
                    Err(Unanswered::Died) if !self.patient => break,
                    Err(Unanswered::Died) => assert!(died, "no answer, and nobody died"),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    pub(crate) fn run(&mut self) {
        self.link();
        self.talk();
        let laptop = self.id(LAPTOP);
        self.revoke(&[laptop]);
        self.chat(FRIEND);
        self.settle();
        self.talk();
    }

    /// Everybody is online and has fetched what there is.
    pub(crate) fn finish(&mut self) {
        self.deaths += self.world.come_to_rest(0..DEVICES);
        // Everybody reads what is said afterwards.
        self.talk();
    }

    pub(crate) fn faults(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        let members = self.members();
        if !self.is_linked() {
            let view = self.world.linking(TABLET);
            let over = view.as_ref().is_some_and(|view| {
                matches!(view.state, NewcomerState::Ended { .. } | NewcomerState::Waiting)
            });
            if !over {
                faults.push(format!("the tablet is neither linked nor not: {view:?}"));
            }
            if self.patient {
                faults.push("the tablet was not linked".into());
            }
            self.world.devices.truncate(TABLET);
        } else if !members.contains(&TABLET) {
            faults.push("the tablet has an account that does not have it".into());
        }
        faults.extend(self.ledger.faults(&self.world));
        for group in &self.groups {
            faults.extend(disagreements(&self.world, group, Some(&members)));
        }
        for link in self.world.machine(PHONE).linkings() {
            if !matches!(link.state, LinkingState::Done | LinkingState::Ended { .. }) {
                faults.push(format!("a linking is under way still: {link:?}"));
            }
        }
        // The account's devices agree on which there are, and each is everywhere or nowhere.
        let own: Vec<usize> = members.iter().copied().filter(|it| *it != FRIEND).collect();
        let wanted: BTreeSet<InstallationId> = own.iter().map(|it| self.id(*it)).collect();
        for device in &own {
            let all = self.world.machine(*device).installations().unwrap();
            let active = all.iter().filter(|it| it.revoked.is_none());
            let ids: BTreeSet<InstallationId> = active.clone().map(|it| it.installation).collect();
            if ids != wanted {
                faults.push(format!("device {device} knows {ids:?} as active, not {wanted:?}"));
            }
            if active.clone().any(|it| it.groups_without > 0) {
                faults.push(format!("device {device} sees some that are not everywhere"));
            }
            if all.iter().any(|it| it.revoked.is_some() && it.groups > 0) {
                faults.push(format!("device {device} sees a revoked one in a group"));
            }
        }
        for (at, device) in self.world.devices.iter().enumerate() {
            if !device.failures.is_empty() {
                faults.push(format!("device {at} failed: {:?}", device.failures));
            }
            if self.world.machine(at).identity().unwrap().outbox > 0 {
                faults.push(format!("device {at} has something in its outbox still"));
            }
        }
        faults.extend(self.unsynced(&own));
        match self.world.keys.reused() {
            0 => {}
            reused => faults.push(format!("{reused} generations were used twice")),
        }
        faults
    }

    /// Where something that one device of the account learns does not come to the others.
    fn unsynced(&mut self, own: &[usize]) -> Vec<String> {
        let mut faults = Vec::new();
        for by in own {
            let name = format!("named by {by}");
            let installation = self.id(PHONE);
            self.world.by(*by).name_installation(installation, &name).unwrap();
            self.world.run_for(Duration::from_secs(5));
            for device in own {
                let all = self.world.machine(*device).installations().unwrap();
                let known = all.into_iter().find(|it| it.installation == installation);
                if known.and_then(|it| it.name).as_ref() != Some(&name) {
                    faults.push(format!("device {device} does not hear what device {by} says"));
                }
            }
        }
        faults
    }
}
