//! Those who see topics and can publish, and hold no key.

use std::time::Duration;

use chat_core::contact::doorbell::DOORBELL_BODY_LEN;
use chat_core::machine::{Deferred, Disposition, Refused};
use chat_core::params::{DOORBELL_BURST, ENVELOPE_MAX, MAX_UNOPENED_PER_GROUP};
use chat_core::time::Slot;
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::roots::inbox_roots;
use chat_sim::world::Observed;

use crate::common::*;
use crate::kit::*;

const UNSEALED: [Disposition; 6] = [
    Disposition::Refused(Refused::Envelope),
    Disposition::Refused(Refused::Seal),
    Disposition::Deferred(Deferred::UnknownRoot),
    Disposition::Duplicate,
    Disposition::Stale,
    Disposition::NotForUs,
];

#[test]
fn any_bytes_on_any_topic_are_dropped() {
    let mut world = world(3, 40);
    let group = group(&mut world, "hikers");
    say(&mut world, 0, group, "a real one");
    let real = world.observed.last().unwrap().payload.clone();
    let slot = Slot::at(world.now, world.params.slot_secs);
    let of_group = topics(&world, &roots(&world, 1, group));
    let of_inbox = topics(&world, &inbox_roots(&network(&world), slot));
    let mut dispositions = Vec::new();
    for topic in [&of_group[0], &of_group[3], &of_inbox[1]] {
        for len in [0, 1, 15, 40, 511, 512, 513, 2048, ENVELOPE_MAX, ENVELOPE_MAX + 1, 300_000] {
            let mut payloads = vec![vec![0; len], bytes(&mut world, len)];
            if len < real.len() {
                payloads.push(real[..len].to_vec());
            }
            for payload in payloads {
                let topic = topic.clone();
                let timestamp_ns = ns(world.now);
                let seen_at = world.now;
                let message = Observed { topic, payload, timestamp_ns, seen_at, by: NOBODY };
                dispositions.extend(deliver(&mut world, message, 1));
            }
        }
    }
    assert!(dispositions.len() > 60);
    for disposition in &dispositions {
        assert!(UNSEALED.contains(disposition), "{disposition:?}");
    }
    let counted = world.machine(1).counters();
    assert!(counted.refused[&Refused::Envelope] > 0 && counted.refused[&Refused::Seal] > 0);
    assert_works(&mut world, &[0, 1, 2], group);
}

#[test]
fn topics_that_are_none_are_dropped() {
    let mut world = world(2, 41);
    let group = group(&mut world, "hikers");
    let long = "x".repeat(1 << 20);
    for topic in ["", "/", "/waku-chat/1//proto", "/waku/2/rs/1/0", "\u{0}", long.as_str()] {
        let message = chat_core::machine::Inbound {
            topic: topic.to_string(),
            payload: vec![1; 512].into(),
            timestamp_ns: ns(world.now),
        };
        world.step(1, chat_core::machine::Input::Envelope(message));
        assert_eq!(world.devices[1].dispositions.last(), Some(&Disposition::NotForUs));
    }
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn a_bit_of_an_envelope_or_of_its_frame_breaks_it() {
    let mut world = world(2, 42);
    let group = group(&mut world, "hikers");
    for bit in [0, 100, 24 * 8, 300 * 8, 511 * 8 + 7] {
        say(&mut world, 0, group, &format!("bit {bit}"));
        let mut message = world.observed.last().unwrap().clone();
        message.payload[bit / 8] ^= 1 << (bit % 8);
        let found = deliver(&mut world, message, 1);
        assert_eq!(found, [Disposition::Deferred(Deferred::UnknownRoot)], "bit {bit}");
    }
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn an_envelope_elsewhere_or_at_another_time_is_dropped_and_again_a_duplicate() {
    let mut world = world(2, 43);
    let group = group(&mut world, "hikers");
    // The middle of a slot, so that there is another second in it.
    let length = world.params.slot_secs * 1000;
    world.run_for(Duration::from_millis(length - world.now.millis() % length + 1200));
    say(&mut world, 0, group, "once");
    let real = world.observed.last().unwrap().clone();
    let second = 1_000_000_000;
    let with = |timestamp_ns| Observed { timestamp_ns, ..real.clone() };

    assert_eq!(deliver(&mut world, real.clone(), 1), [Disposition::Duplicate]);
    // The second is not sealed, the slot is: another one inside of it changes nothing.
    assert_eq!(deliver(&mut world, with(real.timestamp_ns + second), 1), [Disposition::Duplicate]);
    for at in [i64::MIN, -second, -1, 1, real.timestamp_ns + 1, i64::MAX] {
        assert_eq!(deliver(&mut world, with(at), 1), refused(Refused::Envelope), "{at}");
    }
    for slots in [-1, 1] {
        let at = real.timestamp_ns + slots * second * world.params.slot_secs as i64;
        let found = deliver(&mut world, with(at), 1);
        assert!(
            matches!(found[..], [Disposition::NotForUs | Disposition::Stale]),
            "{slots}: {found:?}"
        );
    }
    for at in [0, real.timestamp_ns + 3600 * second, real.timestamp_ns - 3600 * second] {
        assert_eq!(deliver(&mut world, with(at), 1), [Disposition::Stale], "{at}");
    }
    // The topic is part of what the seal covers, in the group's other lanes too.
    for topic in topics(&world, &roots(&world, 1, group)) {
        if topic != real.topic {
            let found = deliver(&mut world, Observed { topic, ..real.clone() }, 1);
            let unopened = [Disposition::Deferred(Deferred::UnknownRoot)];
            assert!(found == unopened || found == [Disposition::Duplicate], "{found:?}");
        }
    }
    assert_eq!(texts(&world, 1, group), ["once"]);
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn a_flood_on_a_groups_topic_takes_little_room_and_none_of_the_members() {
    let mut world = world(3, 44);
    let group = group(&mut world, "hikers");
    let topic = topics(&world, &roots(&world, 1, group))[0].clone();
    for _ in 0..2 * MAX_UNOPENED_PER_GROUP {
        let payload = bytes(&mut world, 512);
        let (timestamp_ns, seen_at) = (ns(world.now), world.now);
        let message = Observed { topic: topic.clone(), payload, timestamp_ns, seen_at, by: NOBODY };
        world.inject(message);
        world.run_for(Duration::from_millis(2));
    }
    world.run_for(Duration::from_millis(20));
    assert_eq!(rows(&world, 1, "deferred"), MAX_UNOPENED_PER_GROUP as u64);
    // What members send out of order still has its room: device 1 misses a commit.
    world.has_store = false;
    world.faults.drop = 1000;
    let name = Some("walkers".to_string());
    let rename = chat_core::machine::Command::DescribeGroup { group, name, description: None };
    world.command(0, rename).unwrap();
    let commit = world.observed.last().unwrap().clone();
    world.faults.drop = 0;
    say(&mut world, 0, group, "in the new state");
    world.inject(commit);
    world.run_for(Duration::from_millis(50));
    assert_eq!(texts(&world, 1, group), ["in the new state"]);
    world.has_store = true;
    assert_works(&mut world, &[0, 1, 2], group);
}

#[test]
fn a_flood_of_doorbells_is_cut_off_and_passes() {
    let mut world = world(2, 45);
    let mut dispositions = Vec::new();
    for _ in 0..DOORBELL_BURST + 300 {
        let slot = Slot::at(world.now, world.params.slot_secs);
        let roots = inbox_roots(&network(&world), slot);
        let body = bytes(&mut world, DOORBELL_BODY_LEN);
        let frame = Frame::new(FrameKind::Doorbell, body).encode();
        let message = sealed_as(&mut world, &roots, &frame, NOBODY, SizeClass::Doorbell);
        let before = world.devices[1].dispositions.len();
        world.inject(message);
        world.run_for(Duration::from_millis(2));
        dispositions.extend_from_slice(&world.devices[1].dispositions[before..]);
    }
    let count = |what: &Disposition| dispositions.iter().filter(|found| *found == what).count();
    assert!(count(&Disposition::NotForUs) >= DOORBELL_BURST as usize);
    assert!(count(&Disposition::Refused(Refused::Budget)) > 100);
    assert_eq!(rows(&world, 1, "used_package"), 0);
    world.run_for(Duration::from_secs(10));
    // A real invitation gets through then.
    let group = group(&mut world, "hikers");
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn a_clock_that_was_set_back_does_not_starve_doorbells() {
    let mut world = world(2, 46);
    world.devices[1].clock_ahead_ms = 6 * 3_600_000;
    world.step(1, chat_core::machine::Input::Tick);
    let slot = Slot::at(world.now, world.params.slot_secs);
    // Ring while the clock is wrong, so that the budget is counted at that time.
    let ahead = Slot(slot.0 + 6 * 3600 / world.params.slot_secs);
    let topic = topics(&world, &inbox_roots(&network(&world), ahead))[0].clone();
    let timestamp_ns = ns(world.now) + 6 * 3600 * 1_000_000_000;
    let inbound =
        chat_core::machine::Inbound { topic, payload: vec![0; 2048].into(), timestamp_ns };
    world.step(1, chat_core::machine::Input::Envelope(inbound));
    world.devices[1].clock_ahead_ms = 0;
    world.step(1, chat_core::machine::Input::Tick);
    for _ in 0..2 {
        for _ in 0..DOORBELL_BURST {
            let slot = Slot::at(world.now, world.params.slot_secs);
            let roots = inbox_roots(&network(&world), slot);
            let body = vec![0; DOORBELL_BODY_LEN];
            let frame = Frame::new(FrameKind::Doorbell, body).encode();
            let message = sealed_as(&mut world, &roots, &frame, NOBODY, SizeClass::Doorbell);
            world.inject(message);
            world.run_for(Duration::from_millis(1));
        }
        world.run_for(Duration::from_secs(20));
    }
    let group = group(&mut world, "hikers");
    assert_works(&mut world, &[0, 1], group);
}
