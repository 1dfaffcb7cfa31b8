//! One group message is one Waku message, and so is one commit, whatever the group's size (P1).

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

mod common;

use chat_core::ids::GroupId;
use chat_core::machine::Command;
use chat_core::params::{DOORBELL_WRAPS, NetworkParams};
use chat_sim::observer::is_doorbell;
use chat_sim::world::World;
use common::*;

/// A group of so many installations, all of them contacts of the first.
fn group_of(count: usize) -> (World, GroupId) {
    let mut world = World::new(NetworkParams::fast(), count as u64);
    for _ in 0..count {
        world.add_device();
    }
    for device in 1..count {
        world.befriend(0, device);
    }
    assert!(world.no_cards_since(0).is_empty(), "who is not in a group sends nothing but a card");
    let id = group(&mut world, "hikers");
    let bells = world.observed.iter().filter(|m| is_doorbell(m, &world.params)).count();
    assert_eq!(bells, (count - 1).div_ceil(DOORBELL_WRAPS), "doorbells");
    // The commit that adds everybody, and the invitation for everybody.
    assert_eq!(world.no_cards_since(0).len() - bells, 2, "what is no doorbell");
    for device in 0..count {
        assert_eq!(view(&world, device, id).installations, count);
    }
    assert_agreed(&world, &(0..count).collect::<Vec<_>>(), id);
    (world, id)
}

/// How many Waku messages something takes, with all that follows from it.
fn cost(world: &mut World, act: impl FnOnce(&mut World)) -> usize {
    let before = world.observed.len();
    act(world);
    settle(world);
    world.no_cards_since(before).len()
}

fn one_each(count: usize) {
    let (mut world, id) = group_of(count);
    let senders = [0, count / 2, count - 1];
    for by in senders {
        assert_eq!(cost(&mut world, |world| say(world, by, id, &format!("by {by}"))), 1);
    }
    let name =
        Command::DescribeGroup { group: id, name: Some("walkers".into()), description: None };
    assert_eq!(cost(&mut world, |world| drop(world.command(count - 1, name).unwrap())), 1);
    assert_eq!(cost(&mut world, |world| say(world, 0, id, "renamed")), 1);
    for device in 0..count {
        assert_eq!(texts(&world, device, id).len(), 4, "device {device}");
        assert_eq!(view(&world, device, id).name, "walkers");
    }
    let accounts = vec![world.account(1)];
    let remove = Command::RemoveMembers { group: id, accounts };
    assert_eq!(cost(&mut world, |world| drop(world.command(0, remove).unwrap())), 1);
    assert_eq!(view(&world, 0, id).installations, count - 1);
    assert_no_failures(&world);
}

#[test]
fn in_a_group_of_two() {
    one_each(2);
}

#[test]
fn in_a_group_of_ten() {
    one_each(10);
}

#[test]
fn in_a_group_of_a_hundred() {
    one_each(100);
}

#[test]
fn a_message_with_eight_heads_is_512_bytes() {
    let (mut world, id) = group_of(20);
    say(&mut world, 0, id, "before");
    settle(&mut world);
    for by in 1..9 {
        say(&mut world, by, id, &format!("by {by}"));
    }
    settle(&mut world);
    let text = "x".repeat(100);
    assert_eq!(cost(&mut world, |world| say(world, 0, id, &text)), 1);
    assert_eq!(world.observed.last().unwrap().payload.len(), 512);
    for device in 0..20 {
        assert_eq!(texts(&world, device, id).len(), 10, "device {device}");
    }
}
