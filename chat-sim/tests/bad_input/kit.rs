//! Tools of an attacker, and what must hold after each attack.

use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::machine::{Disposition, Machine, Refused};
use chat_core::params::NetworkId;
use chat_core::time::Timestamp;
use chat_core::wire::envelope::{SizeClass, seal};
use chat_core::wire::roots::Roots;
use chat_core::wire::topic::lanes;
pub(crate) use chat_sim::scenario::{NOBODY, noise};
use chat_sim::world::{Observed, World};

use crate::common::*;

pub(crate) fn network(world: &World) -> NetworkId {
    world.params.id()
}

pub(crate) fn ns(at: Timestamp) -> i64 {
    i64::try_from(at.secs()).unwrap() * 1_000_000_000
}

/// The machine of a device that does not keep to the rules.
pub(crate) fn hostile(world: &mut World, device: usize) -> &mut Machine {
    world.devices[device].machine.as_mut().unwrap()
}

/// Any frame, sealed properly under any roots.
pub(crate) fn sealed(world: &mut World, roots: &Roots, frame: &[u8], by: usize) -> Observed {
    sealed_as(world, roots, frame, by, SizeClass::Fit)
}

pub(crate) fn sealed_as(
    world: &mut World,
    roots: &Roots,
    frame: &[u8],
    by: usize,
    class: SizeClass,
) -> Observed {
    let (now, params) = (world.now(), world.params.clone());
    let lane = u8::try_from(world.below(4)).unwrap();
    let envelope = seal(world.rng(), roots, lane, frame, class, now, &params).unwrap();
    Observed {
        topic: envelope.topic.to_string(),
        payload: envelope.payload,
        timestamp_ns: ns(envelope.timestamp),
        seen_at: now,
        by,
    }
}

/// The group's roots, as one of its members has them.
pub(crate) fn roots(world: &World, member: usize, group: GroupId) -> Roots {
    world.machine(member).insider_roots(&group, world.now()).unwrap()
}

/// The topics of some roots.
pub(crate) fn topics(world: &World, roots: &Roots) -> Vec<String> {
    lanes(&roots.topic, &network(world)).iter().map(ToString::to_string).collect()
}

/// Publishes a message and gives what became of it at a device, before that asks Store for more.
pub(crate) fn deliver(world: &mut World, message: Observed, to: usize) -> Vec<Disposition> {
    let before = world.devices[to].dispositions.len();
    world.inject(message);
    world.run_for(Duration::from_millis(2));
    let found = world.devices[to].dispositions[before..].to_vec();
    world.run_for(Duration::from_millis(18));
    found
}

/// A member's frame in the group, sealed as it should be: what becomes of it at a device.
pub(crate) fn inside(
    world: &mut World,
    by: usize,
    group: GroupId,
    frame: &[u8],
    to: usize,
) -> Vec<Disposition> {
    let roots = roots(world, by, group);
    let message = sealed(world, &roots, frame, by);
    deliver(world, message, to)
}

pub(crate) fn refused(why: Refused) -> Vec<Disposition> {
    vec![Disposition::Refused(why)]
}

pub(crate) fn bytes(world: &mut World, len: usize) -> Vec<u8> {
    use rand_core::Rng as _;
    let mut out = vec![0; len];
    world.rng().fill_bytes(&mut out);
    out
}

/// The group of these devices still does its work, and nothing has failed at any of them.
pub(crate) fn assert_works(world: &mut World, members: &[usize], group: GroupId) {
    settle(world);
    assert_agreed(world, members, group);
    let texts_before = texts(world, members[0], group).len();
    for by in members {
        say(world, *by, group, &format!("{by} still speaks at {}", world.now().secs()));
    }
    settle(world);
    let mut first = texts(world, members[0], group);
    first.sort();
    assert_eq!(first.len(), texts_before + members.len());
    for device in members {
        let mut found = texts(world, *device, group);
        found.sort();
        assert_eq!(found, first, "device {device}");
    }
    assert_no_failures(world);
}

/// Rows of a table at a device.
pub(crate) fn rows(world: &World, device: usize, table: &str) -> u64 {
    world.machine(device).store().rows().unwrap()[table]
}
