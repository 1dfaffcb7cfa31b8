//! What a device asks a Store for, and what it does where the answer does not come.

use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::params::{CATCH_UP_MARGIN, HISTORY_PAGE, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_sim::world::{ByHand, World};

use crate::common::*;
use crate::kit::{network, noise, roots, sealed};

/// What is in an envelope of a group, as device 1 opens it.
fn opened(world: &World, envelope: &chat_sim::world::Observed, group: GroupId) -> Vec<u8> {
    use chat_core::wire::envelope::{EnvelopeKey, open};
    use chat_core::wire::topic::ContentTopic;
    let sent = Timestamp(u64::try_from(envelope.timestamp_ns).unwrap() / 1_000_000);
    let roots = world.machine(1).insider_roots(&group, sent).unwrap();
    let key = EnvelopeKey::derive(&roots.seal, &network(world));
    let topic = ContentTopic::parse(&envelope.topic).unwrap();
    open(&key, &topic, &envelope.payload).unwrap().to_vec()
}

#[test]
fn what_was_said_under_new_roots_before_the_rotation_came_is_read() {
    let mut world = world(4, 21);
    let group = group(&mut world, "hikers");
    let members = vec![world.account(2)];
    let others = create(&mut world, 0, "others", members);
    settle(&mut world);
    world.set_online(1, false);
    world.run_for(Duration::from_secs(20));
    let before = world.network.observed.len();
    let out = vec![world.account(3)];
    world.by(0).remove_members(group, out).unwrap();
    // The removal reaches Store much later than what is said after it, and is the last thing there.
    let mut late = world.network.observed.split_off(before);
    assert_eq!(late.len(), 1);
    world.run_for(Duration::from_secs(10));
    say(&mut world, 0, group, "she is gone");
    world.run_for(Duration::from_secs(40));
    say(&mut world, 0, others, "time goes on");
    settle(&mut world);
    let mut commit = late.remove(0);
    let topics_now = roots(&world, 1, group);
    let roots = topics_now.at(Slot::at(world.now(), world.params.slot_secs), &network(&world));
    let frame = opened(&world, &commit, group);
    commit = sealed(&mut world, &roots.unwrap(), &frame, 0);
    world.inject(commit);
    world.run_for(Duration::from_secs(1));
    say(&mut world, 0, others, "time goes on");
    world.set_online(1, true);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["she is gone"]);
    assert_agreed(&world, &[0, 1], group);
}

#[test]
fn a_query_for_something_else_hides_nothing_that_relay_lost() {
    let mut world = world(3, 24);
    let group = group(&mut world, "hikers");
    world.network.faults.drop = 1000;
    say(&mut world, 0, group, "lost on the way");
    world.network.faults.drop = 0;
    world.run_for(Duration::from_secs(50));
    // Something to fetch history for, from now on only.
    let members = vec![world.account(1)];
    create(&mut world, 2, "others", members);
    settle(&mut world);
    // The next synchronisation finds what is older.
    world.set_online(1, false);
    world.set_online(1, true);
    settle(&mut world);
    assert_eq!(texts(&world, 1, group), ["lost on the way"]);
    assert_no_failures(&world);
}

#[test]
fn a_page_whose_step_failed_is_fetched_again() {
    // Wherever in the step: at any write, and where all is to be committed.
    let mut writes = 0;
    loop {
        // Slots so long that nothing is fetched only because a day is over.
        let params = NetworkParams { slot_secs: 600, ..NetworkParams::fast() };
        let mut world = World::new(params, 25);
        world.add_device();
        world.add_device();
        world.befriend(0, 1);
        let group = group(&mut world, "hikers");
        world.set_online(1, false);
        for text in ["one", "two", "three"] {
            say(&mut world, 0, group, text);
            world.run_for(Duration::from_secs(60));
        }
        world.set_online(1, true);
        world.machine(1).store().inject_fault_after(Some(writes));
        world.run_for(Duration::from_millis(2));
        world.machine(1).store().inject_fault_after(None);
        let failed = world.devices[1].failures.len();
        // The machine tells when it wants to go on; nobody asked it in the step that failed.
        for _ in 0..2 {
            world.run_for(Duration::from_secs(1));
            world.tick(1);
        }
        settle(&mut world);
        let mut found = texts(&world, 1, group);
        found.sort();
        assert_eq!(found, ["one", "three", "two"], "{writes} writes");
        if failed == 0 {
            break;
        }
        writes += 1;
    }
    assert!(writes > 5, "only {writes} writes");
}

#[test]
fn before_anything_was_seen_history_begins_with_the_account() {
    let mut world = World::new(NetworkParams::fast(), 26);
    world.add_device();
    let created = world.now();
    let mut it = ByHand::from_world(&mut world, 0);
    for _ in 0..3 {
        it.now = it.now + Duration::from_secs(3600);
        it.connect(true);
        let asked = it.asked().unwrap();
        assert_eq!(asked.start, created - CATCH_UP_MARGIN);
        it.page(asked.id, &[], None);
        it.connect(false);
    }
}

#[test]
fn a_slot_is_asked_for_again_where_some_of_its_topics_failed() {
    let params = NetworkParams { slot_secs: 3600, ..NetworkParams::fast() };
    let mut world = World::new(params, 27);
    for _ in 0..2 {
        world.add_device();
    }
    world.befriend(0, 1);
    for name in ["a", "b", "c"] {
        let members = vec![world.account(1)];
        create(&mut world, 0, name, members);
        settle(&mut world);
    }
    let mut it = ByHand::from_world(&mut world, 1);
    it.now = it.now + Duration::from_secs(6 * 3600);
    it.connect(true);
    // More than the budget, without end: it asks by topic from there.
    let mut asked = it.asked().unwrap();
    let mut pages = 0u8;
    while asked.topics.is_empty() {
        pages += 1;
        let at = asked.start + CATCH_UP_MARGIN + Duration::from_secs(60);
        let messages = vec![noise(at, 128 * 1024); HISTORY_PAGE as usize];
        it.page(asked.id, &messages, Some([pages; 32]));
        asked = it.asked().unwrap();
    }
    let next = asked.start + CATCH_UP_MARGIN + Duration::from_secs(3600);
    it.page(asked.id, &[], None);
    // The first topics of a slot have something at its end, and the others fail.
    let first = it.asked().unwrap();
    let (first, slot) = match first.start + CATCH_UP_MARGIN == next {
        true => (first, next),
        false => {
            it.page(first.id, &[], None);
            (it.asked().unwrap(), next)
        }
    };
    assert_eq!(first.start + CATCH_UP_MARGIN, slot);
    it.page(first.id, &[noise(slot + Duration::from_secs(3500), 512)], None);
    let second = it.asked().unwrap();
    assert_eq!(second.start, first.start);
    assert!(second.topics.iter().all(|topic| !first.topics.contains(topic)));
    it.fail_query(second.id, "gone", false);
    it.now = it.now + Duration::from_secs(60);
    it.tick();
    let again = it.asked().unwrap();
    assert!(again.start <= slot, "{:?} is left out", slot);
}
