//! An account of many installations in many groups, and what a relay sees of it when one more is
//! linked and one is revoked.

use std::collections::BTreeMap;
use std::time::Duration;

use chat_core::ids::{GroupId, InstallationId};
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;

use crate::world::{Observed, World};

/// Parts of a window in which commits are counted.
pub const PARTS: usize = 20;
/// Members of each group besides the account.
const FRIENDS: usize = 3;
/// Groups in which messages are sent.
const BUSY: usize = 3;

/// The account, whose devices come first, and its friends.
#[derive(Debug)]
pub struct Fleet {
    /// The network.
    pub world: World,
    groups: Vec<GroupId>,
}

/// What something took at the relay.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Waku messages by size, in bytes.
    pub sizes: BTreeMap<usize, usize>,
    /// Until it was done in all groups.
    pub took: Duration,
    /// When each message was seen, since it began, and in which order.
    pub times: Vec<Duration>,
    /// Messages that were seen at the same instant as another one on another topic, though nothing
    /// but their cause ties them together.
    pub together: usize,
}

impl Cost {
    fn of(observed: &[Observed], began: Timestamp, took: Duration) -> Self {
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        let mut instants: BTreeMap<Timestamp, usize> = BTreeMap::new();
        for message in observed {
            *sizes.entry(message.payload.len()).or_default() += 1;
            *instants.entry(message.seen_at).or_default() += 1;
        }
        let times = observed.iter().map(|message| message.seen_at.since(began)).collect();
        let together = instants.values().filter(|count| **count > 1).sum();
        Self { sizes, took, times, together }
    }

    /// Waku messages.
    pub fn messages(&self) -> usize {
        self.times.len()
    }

    /// Bytes of payload.
    pub fn bytes(&self) -> usize {
        self.sizes.iter().map(|(size, count)| size * count).sum()
    }

    /// The most messages that lie in any [`PARTS`]th of a window, wherever it begins.
    pub fn densest(&self, window: Duration) -> usize {
        let part = window / PARTS as u32;
        let within = |from: &Duration| {
            self.times.iter().filter(|at| (*from..*from + part).contains(at)).count()
        };
        self.times.iter().map(within).max().unwrap_or(0)
    }
}

impl Fleet {
    /// An account with so many installations in so many groups with three friends, and `said`
    /// messages in each of a few of them.
    ///
    /// # Errors
    /// Where a command is refused.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn new(
        installations: usize,
        groups: usize,
        said: usize,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut world = World::new(NetworkParams::public(), 0xf1ee_7000);
        world.add_device();
        for _ in 1..installations {
            world.add_installation(0);
            world.run_for(Duration::from_secs(90));
        }
        let first = world.devices.len();
        for _ in 0..FRIENDS {
            world.add_device();
        }
        for friend in first..first + FRIENDS {
            world.befriend(0, friend);
            for other in friend + 1..first + FRIENDS {
                world.befriend(friend, other);
            }
        }
        let members: Vec<_> =
            [0, first + 1, first + 2].iter().map(|device| world.account(*device)).collect();
        let mut ids = Vec::new();
        for at in 0..groups {
            ids.push(world.by(first).create_group(&format!("group {at}"), members.clone())?);
            world.run_for(Duration::from_secs(90));
        }
        for at in 0..said {
            for group in ids.iter().take(BUSY) {
                let text = format!("text {at}");
                world.by(first + at % FRIENDS).send(*group, &text)?;
                world.run_for(Duration::from_secs(2));
            }
        }
        // Both runs go on from the same place in a slot.
        let slot = world.params.slot_secs * 1000;
        let rest = slot - world.now().0 % slot;
        world.run_for(Duration::from_millis(rest + slot / 2));
        Ok(Self { world, groups: ids })
    }

    fn groups_of(&self, by: usize, id: &InstallationId) -> Option<usize> {
        let all = self.world.machine(by).installations().ok()?;
        all.into_iter().find(|it| it.installation == *id).map(|it| it.groups)
    }

    fn until(
        &mut self,
        from: usize,
        began: Timestamp,
        done: impl Fn(&Self) -> bool,
    ) -> Result<Cost, Box<dyn std::error::Error>> {
        for _ in 0..6 * 60 * 4 {
            if done(self) {
                let took = self.world.now().since(began);
                // What belongs to it still.
                self.world.run_for(Duration::from_secs(60));
                return Ok(Cost::of(&self.world.network.observed[from..], began, took));
            }
            self.world.run_for(Duration::from_secs(10));
        }
        Err("it is never done".into())
    }

    /// Links one more installation, until it is in all groups: what the linking took, and then what
    /// coming into the groups took.
    ///
    /// # Errors
    /// Where that is not so within hours.
    ///
    /// # Panics
    /// As [`World::link`].
    pub fn link(&mut self) -> Result<(Cost, Cost), Box<dyn std::error::Error>> {
        let (from, began) = (self.world.network.observed.len(), self.world.now());
        let new = self.world.link(0, "one more");
        let linked = self.world.network.observed.len();
        let took = self.world.now().since(began);
        let linking = Cost::of(&self.world.network.observed[from..linked], began, took);
        let id = self.world.machine(new).identity()?.installation;
        let all = Some(self.groups.len());
        let joined = |it: &Self| it.groups_of(0, &id) == all && it.groups_of(new, &id) == all;
        let enrolment = self.until(linked, self.world.now(), joined)?;
        Ok((linking, enrolment))
    }

    /// Revokes the second installation, until it is in no group: what that took.
    ///
    /// # Errors
    /// Where it is refused, or not done within hours.
    pub fn revoke(&mut self) -> Result<Cost, Box<dyn std::error::Error>> {
        let (from, began) = (self.world.network.observed.len(), self.world.now());
        let id = self.world.machine(1).identity()?.installation;
        self.world.by(0).revoke(vec![id], None)?;
        self.until(from, began, |it| it.groups_of(0, &id) == Some(0))
    }
}
