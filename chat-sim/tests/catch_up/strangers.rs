//! People who do not know one another yet, and time in which others talk.

use std::time::Duration;

use chat_core::ids::{GroupId, RequestId};
use chat_core::machine::Event;
use chat_core::params::NetworkParams;
use chat_sim::world::World;

use crate::common::*;

/// 0 knows 1, who does not know 0; and 2 and 3 chat with one another, so that time goes on.
pub(crate) fn strangers(seed: u64) -> (World, GroupId) {
    let mut world = World::new(NetworkParams::fast(), seed);
    for _ in 0..4 {
        world.add_device();
    }
    let link = world.by(1).contact_link().unwrap();
    world.by(0).add_contact(&link, None).unwrap();
    world.befriend(2, 3);
    let members = vec![world.account(3)];
    let others = create(&mut world, 2, "others", members);
    settle(&mut world);
    (world, others)
}

/// Time passes, in which others talk, and device 1 catches up.
pub(crate) fn pass(world: &mut World, time: Duration, others: GroupId) {
    world.run_for(time);
    say(world, 2, others, "time goes on");
    settle(world);
    world.set_online(1, false);
    world.set_online(1, true);
    settle(world);
}

/// The one request that a device has.
pub(crate) fn request(world: &World, device: usize) -> RequestId {
    let requests = world.machine(device).requests().unwrap();
    assert_eq!(requests.len(), 1);
    requests[0].id
}

pub(crate) fn gave_up(world: &World, device: usize) -> bool {
    events(world, device).iter().any(|event| matches!(event, Event::RequestFailed { .. }))
}
