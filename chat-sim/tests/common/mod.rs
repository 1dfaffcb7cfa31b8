//! What the simulations have in common.

#![allow(dead_code)]

use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::machine::{Event, GroupView};
use chat_core::params::NetworkParams;
use chat_sim::world::World;

/// A world of `count` devices, each a contact of all others.
pub(crate) fn world(count: usize, seed: u64) -> World {
    world_on(NetworkParams::fast(), count, seed)
}

/// The same on a network with other parameters.
pub(crate) fn world_on(params: NetworkParams, count: usize, seed: u64) -> World {
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

/// Device 0 makes a group with all others in it.
pub(crate) fn group(world: &mut World, name: &str) -> GroupId {
    let members = (1..world.devices.len()).map(|at| world.account(at)).collect();
    let id = create(world, 0, name, members);
    settle(world);
    id
}

pub(crate) fn create(
    world: &mut World,
    by: usize,
    name: &str,
    members: Vec<chat_core::ids::AccountId>,
) -> GroupId {
    world.by(by).create_group(name, members).unwrap()
}

/// Some slots: everything that was under way has come.
pub(crate) fn settle(world: &mut World) {
    world.run_for(Duration::from_secs(12));
}

pub(crate) fn say(world: &mut World, by: usize, group: GroupId, text: &str) {
    world.by(by).send(group, text).unwrap();
}

/// The texts that a device has of a group, in its order.
pub(crate) fn texts(world: &World, device: usize, group: GroupId) -> Vec<String> {
    world
        .machine(device)
        .history(&group, None, 10_000)
        .unwrap()
        .into_iter()
        .filter_map(|message| message.text)
        .collect()
}

pub(crate) fn view(world: &World, device: usize, group: GroupId) -> GroupView {
    world.machine(device).group(&group).unwrap().unwrap()
}

/// All these devices are in the same state of the group: the same epoch id, which is a hash of the
/// epoch authenticator.
pub(crate) fn assert_agreed(world: &World, devices: &[usize], group: GroupId) {
    let first = view(world, devices[0], group);
    for device in devices {
        let it = view(world, *device, group);
        assert_eq!(it.epoch_id, first.epoch_id, "device {device} is elsewhere");
        assert_eq!(it.name, first.name);
    }
}

pub(crate) fn events(world: &World, device: usize) -> Vec<&Event> {
    world.devices[device].events.values().collect()
}

pub(crate) fn assert_no_failures(world: &World) {
    for (at, device) in world.devices.iter().enumerate() {
        assert!(device.failures.is_empty(), "device {at}: {:?}", device.failures);
    }
}

/// Everybody accepts what waits for an answer.
pub(crate) fn accept_requests(world: &mut World) {
    world.accept_requests();
}

/// How many seeds a test goes through: `WAKU_CHAT_SEEDS` if it is set.
pub(crate) fn seeds(default: u64) -> u64 {
    match std::env::var("WAKU_CHAT_SEEDS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}
