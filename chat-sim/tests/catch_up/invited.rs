//! Invitations: what was sent before an invitation was known or accepted is fetched, once it is.

use std::time::Duration;

use chat_core::machine::RequestState;
use chat_core::params::{CATCH_UP_MARGIN, NetworkParams};
use chat_core::time::Slot;
use chat_core::wire::roots::inbox_roots;
use chat_sim::world::{ByHand, World};

use crate::common::*;
use crate::kit::{network, topics};
use crate::strangers::*;

#[test]
fn what_was_said_before_the_invitation_came_is_read() {
    // The invitation goes out up to half a minute after the group was made, and everybody talks.
    let params = NetworkParams { invitation_delay_ms: 30_000, ..NetworkParams::fast() };
    let mut world = World::new(params, 20);
    for _ in 0..3 {
        world.add_device();
    }
    world.befriend(0, 1);
    world.befriend(0, 2);
    let members = vec![world.account(2)];
    let others = create(&mut world, 0, "others", members);
    settle(&mut world);
    world.set_online(1, false);
    world.run_for(Duration::from_secs(60));
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    say(&mut world, 0, group, "hello Bob");
    world.run_for(Duration::from_secs(60));
    say(&mut world, 0, others, "time goes on");
    settle(&mut world);
    world.set_online(1, true);
    settle(&mut world);
    assert_agreed(&world, &[0, 1], group);
    assert_eq!(texts(&world, 1, group), ["hello Bob"]);
    assert_no_failures(&world);
}

#[test]
fn who_says_yes_and_is_gone_at_once_joins_at_the_next_start() {
    for killed in [true, false] {
        let (mut world, others) = strangers(22);
        let members = vec![world.account(1)];
        let group = create(&mut world, 0, "hikers", members);
        say(&mut world, 0, group, "are you there?");
        pass(&mut world, Duration::from_secs(60), others);
        let request = request(&world, 1);
        world.by(1).at_once().accept(request).unwrap();
        if killed {
            world.stop(1);
            world.start(1);
        } else {
            world.set_online(1, false);
            world.set_online(1, true);
        }
        settle(&mut world);
        assert_eq!(texts(&world, 1, group), ["are you there?"], "killed: {killed}");
        assert_no_failures(&world);
    }
}

#[test]
fn who_joins_and_is_killed_at_once_reads_what_was_said_before() {
    let params = NetworkParams { invitation_delay_ms: 30_000, ..NetworkParams::fast() };
    let mut world = World::new(params, 23);
    for _ in 0..2 {
        world.add_device();
    }
    world.befriend(0, 1);
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    say(&mut world, 0, group, "hello Bob");
    let joined = |world: &World| world.machine(1).group(&group).unwrap().is_some();
    let mut waited = 0;
    while !joined(&world) {
        world.run_for(Duration::from_millis(1));
        waited += 1;
        assert!(waited < 100_000, "it never joins");
    }
    assert!(waited > 15_000, "the invitation came late enough: {waited} ms");
    // The answer of the Store is under way.
    assert!(texts(&world, 1, group).is_empty());
    world.stop(1);
    world.run_for(Duration::from_secs(30));
    world.start(1);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["hello Bob"]);
    assert_no_failures(&world);
}

#[test]
fn a_late_yes_is_looked_for_in_its_own_time_only() {
    let (mut world, others) = strangers(32);
    let members = vec![world.account(1)];
    let offered = world.now();
    create(&mut world, 0, "hikers", members);
    pass(&mut world, Duration::from_secs(3600), others);
    let request = request(&world, 1);
    let mut it = ByHand::from_world(&mut world, 1);
    it.connect(true);
    let asked = it.asked().unwrap();
    it.page(asked.id, &[], None);
    it.user().accept(request).unwrap();
    let asked = it.asked().unwrap();
    let slots = Duration::from_secs(50 * world.params.slot_secs) + 2 * CATCH_UP_MARGIN;
    assert!(asked.start <= offered && asked.end <= offered + slots, "{asked:?}");
    // Once.
    it.page(asked.id, &[], None);
    it.tick();
    assert_eq!(it.asked(), None);
}

#[test]
fn a_late_yes_joins_and_reads_everything() {
    for killed in [false, true] {
        let (mut world, others) = strangers(33);
        let members = vec![world.account(1)];
        let group = create(&mut world, 0, "hikers", members);
        say(&mut world, 0, group, "are you there?");
        pass(&mut world, Duration::from_secs(1800), others);
        say(&mut world, 0, group, "still?");
        pass(&mut world, Duration::from_secs(1800), others);
        let request = request(&world, 1);
        world.by(1).at_once().accept(request).unwrap();
        if killed {
            world.stop(1);
            world.start(1);
        }
        settle(&mut world);
        assert_eq!(texts(&world, 1, group), ["are you there?", "still?"], "killed: {killed}");
        assert_no_failures(&world);
    }
}

#[test]
fn an_invitation_is_not_given_up_while_no_store_answers() {
    let (mut world, others) = strangers(34);
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    pass(&mut world, Duration::from_secs(600), others);
    world.network.has_store = false;
    let request = request(&world, 1);
    world.by(1).accept(request).unwrap();
    world.run_for(Duration::from_secs(300));
    assert_eq!(world.machine(1).requests().unwrap()[0].state, RequestState::Accepted);
    assert!(!gave_up(&world, 1));
    world.network.has_store = true;
    world.run_for(Duration::from_secs(90));
    assert_agreed(&world, &[0, 1], group);
    assert_no_failures(&world);
}

#[test]
fn an_invitation_that_never_came_is_given_up() {
    for late in [false, true] {
        let (mut world, others) = strangers(35);
        let before = world.network.observed.len();
        let members = vec![world.account(1)];
        create(&mut world, 0, "hikers", members);
        settle(&mut world);
        // The doorbell went out, the invitation was lost.
        let sent = world.network.observed.split_off(before);
        for message in sent {
            let slot = Slot(u64::try_from(message.timestamp_ns).unwrap() / 5_000_000_000);
            let inbox = topics(&world, &inbox_roots(&network(&world), slot));
            if inbox.contains(&message.topic) {
                world.network.observed.push(message);
            }
        }
        if late {
            pass(&mut world, Duration::from_secs(600), others);
        }
        let request = request(&world, 1);
        world.by(1).accept(request).unwrap();
        if !late {
            pass(&mut world, Duration::from_secs(100), others);
            assert!(!gave_up(&world, 1), "its time is not over");
            pass(&mut world, Duration::from_secs(300), others);
        }
        settle(&mut world);
        assert!(gave_up(&world, 1), "late: {late}");
        assert!(world.machine(1).requests().unwrap().is_empty());
        assert_no_failures(&world);
    }
}
