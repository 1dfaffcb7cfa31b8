//! Those who see topics and can publish, and hold no key.

use std::time::Duration;

use chat_core::contact::doorbell::DOORBELL_BODY_LEN;
use chat_core::machine::{Deferred, Disposition, Refused};
use chat_core::params::{DOORBELL_BURST, ENVELOPE_MAX, MAX_UNOPENED_PER_GROUP, NetworkParams};
use chat_core::time::Slot;
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::roots::inbox_roots;
use chat_sim::scenario::{NOBODY, Scenario};
use chat_sim::world::Observed;

use crate::kit::*;
use crate::works::assert_works;

const UNSEALED: [Disposition; 6] = [
    Disposition::Refused(Refused::Envelope),
    Disposition::Refused(Refused::Seal),
    Disposition::Deferred(Deferred::UnknownRoot),
    Disposition::Duplicate,
    Disposition::Stale,
    Disposition::NotForUs,
];

fn last(scenario: &Scenario) -> Observed {
    scenario.observed().pop().unwrap()
}

#[test]
fn any_bytes_on_any_topic_are_dropped() {
    let (scenario, people, hikers) = hikers(["alice", "bob", "carol"], 40);
    let [alice, bob, carol] = &people;
    alice.phone.send(&hikers, "a real one");
    let real = last(&scenario).payload;
    let slot = now_slot(&scenario);
    let of_group = topics(&bob.phone.roots(&hikers));
    let of_inbox = topics(&inbox_roots(&network(), slot));
    let mut dispositions = Vec::new();
    for topic in [&of_group[0], &of_group[3], &of_inbox[1]] {
        for len in [0, 1, 15, 40, 511, 512, 513, 2048, ENVELOPE_MAX, ENVELOPE_MAX + 1, 300_000] {
            let mut payloads = vec![vec![0; len], scenario.bytes(len)];
            if len < real.len() {
                payloads.push(real[..len].to_vec());
            }
            for payload in payloads {
                let topic = topic.clone();
                let timestamp_ns = ns(scenario.now());
                let seen_at = scenario.now();
                let message = Observed { topic, payload, timestamp_ns, seen_at, by: NOBODY };
                dispositions.extend(scenario.judged(message, bob));
            }
        }
    }
    assert!(dispositions.len() > 60);
    for disposition in &dispositions {
        assert!(UNSEALED.contains(disposition), "{disposition:?}");
    }
    let counted = bob.phone.machine(|machine| machine.counters());
    assert!(counted.refused[&Refused::Envelope] > 0 && counted.refused[&Refused::Seal] > 0);
    assert_works(&scenario, &hikers, &[alice, bob, carol]);
}

#[test]
fn topics_that_are_none_are_dropped() {
    let (scenario, people, hikers) = hikers(["alice", "bob"], 41);
    let [alice, bob] = &people;
    let long = "x".repeat(1 << 20);
    for topic in ["", "/", "/waku-chat/1//proto", "/waku/2/rs/1/0", "\u{0}", long.as_str()] {
        let message = Observed {
            topic: topic.to_string(),
            payload: vec![1; 512],
            timestamp_ns: ns(scenario.now()),
            seen_at: scenario.now(),
            by: NOBODY,
        };
        scenario.world().hand_over(bob.phone.number(), &message);
        assert_eq!(bob.phone.dispositions().last(), Some(&Disposition::NotForUs));
    }
    assert_works(&scenario, &hikers, &[alice, bob]);
}

#[test]
fn a_bit_of_an_envelope_or_of_its_frame_breaks_it() {
    let (scenario, people, hikers) = hikers(["alice", "bob"], 42);
    let [alice, bob] = &people;
    for bit in [0, 100, 24 * 8, 300 * 8, 511 * 8 + 7] {
        alice.phone.send(&hikers, &format!("bit {bit}"));
        let mut message = last(&scenario);
        message.payload[bit / 8] ^= 1 << (bit % 8);
        let found = scenario.judged(message, bob);
        assert_eq!(found, [Disposition::Deferred(Deferred::UnknownRoot)], "bit {bit}");
    }
    assert_works(&scenario, &hikers, &[alice, bob]);
}

#[test]
fn an_envelope_elsewhere_or_at_another_time_is_dropped_and_again_a_duplicate() {
    let (scenario, people, hikers) = hikers(["alice", "bob"], 43);
    let [alice, bob] = &people;
    // The middle of a slot, so that there is another second in it.
    let length = NetworkParams::fast().slot_secs * 1000;
    scenario.pass(Duration::from_millis(length - scenario.now().millis() % length + 1200));
    alice.phone.send(&hikers, "once");
    let real = last(&scenario);
    let second = 1_000_000_000;
    let with = |timestamp_ns| Observed { timestamp_ns, ..real.clone() };

    assert_eq!(scenario.judged(real.clone(), bob), [Disposition::Duplicate]);
    // The second is not sealed, the slot is: another one inside of it changes nothing.
    assert_eq!(scenario.judged(with(real.timestamp_ns + second), bob), [Disposition::Duplicate]);
    for at in [i64::MIN, -second, -1, 1, real.timestamp_ns + 1, i64::MAX] {
        assert_eq!(scenario.judged(with(at), bob), refused(Refused::Envelope), "{at}");
    }
    for slots in [-1, 1] {
        let at = real.timestamp_ns + slots * second * NetworkParams::fast().slot_secs as i64;
        let found = scenario.judged(with(at), bob);
        assert!(
            matches!(found[..], [Disposition::NotForUs | Disposition::Stale]),
            "{slots}: {found:?}"
        );
    }
    for at in [0, real.timestamp_ns + 3600 * second, real.timestamp_ns - 3600 * second] {
        assert_eq!(scenario.judged(with(at), bob), [Disposition::Stale], "{at}");
    }
    // The topic is part of what the seal covers, in the group's other lanes too.
    for topic in topics(&bob.phone.roots(&hikers)) {
        if topic != real.topic {
            let found = scenario.judged(Observed { topic, ..real.clone() }, bob);
            let unopened = [Disposition::Deferred(Deferred::UnknownRoot)];
            assert!(found == unopened || found == [Disposition::Duplicate], "{found:?}");
        }
    }
    assert_eq!(bob.phone.history(&hikers), ["once"]);
    assert_works(&scenario, &hikers, &[alice, bob]);
}

#[test]
fn a_flood_on_a_groups_topic_takes_little_room_and_none_of_the_members() {
    let (scenario, people, hikers) = hikers(["alice", "bob", "carol"], 44);
    let [alice, bob, carol] = &people;
    let topic = topics(&bob.phone.roots(&hikers))[0].clone();
    for _ in 0..2 * MAX_UNOPENED_PER_GROUP {
        let payload = scenario.bytes(512);
        let (timestamp_ns, seen_at) = (ns(scenario.now()), scenario.now());
        let message = Observed { topic: topic.clone(), payload, timestamp_ns, seen_at, by: NOBODY };
        scenario.world().inject(message);
        scenario.pass(Duration::from_millis(2));
    }
    scenario.pass(Duration::from_millis(20));
    assert_eq!(rows(bob, "deferred"), MAX_UNOPENED_PER_GROUP as u64);
    // What members send out of order still has its room: device 1 misses a commit.
    scenario.world().network.has_store = false;
    scenario.world().network.faults.drop = 1000;
    alice.phone.rename(&hikers, "walkers");
    let commit = last(&scenario);
    scenario.world().network.faults.drop = 0;
    alice.phone.send(&hikers, "in the new epoch");
    scenario.world().inject(commit);
    scenario.pass(Duration::from_millis(50));
    assert_eq!(bob.phone.history(&hikers), ["in the new epoch"]);
    scenario.world().network.has_store = true;
    assert_works(&scenario, &hikers, &[alice, bob, carol]);
}

#[test]
fn a_flood_of_doorbells_is_cut_off_and_passes() {
    let scenario = Scenario::new(45);
    let people = scenario.friends(["alice", "bob"]);
    let [alice, bob] = &people;
    let mut dispositions = Vec::new();
    for _ in 0..DOORBELL_BURST + 300 {
        let slot = now_slot(&scenario);
        let roots = inbox_roots(&network(), slot);
        let body = scenario.bytes(DOORBELL_BODY_LEN);
        let frame = Frame::new(FrameKind::Doorbell, body).encode();
        let message = scenario.sealed(&roots, &frame, SizeClass::Doorbell);
        let before = bob.phone.dispositions().len();
        scenario.world().inject(message);
        scenario.pass(Duration::from_millis(2));
        dispositions.extend_from_slice(&bob.phone.dispositions()[before..]);
    }
    let count = |what: &Disposition| dispositions.iter().filter(|found| *found == what).count();
    assert!(count(&Disposition::NotForUs) >= DOORBELL_BURST as usize);
    assert!(count(&Disposition::Refused(Refused::Budget)) > 100);
    assert_eq!(rows(bob, "used_package"), 0);
    scenario.pass(Duration::from_secs(10));
    // A real invitation gets through then.
    let hikers = alice.phone.create_group("hikers", &[bob]);
    // Live, or from history behind the flood: that depends on which comes first, doorbell or Welcome.
    scenario.settle_until(|| bob.phone.is_member(&hikers));
    assert_works(&scenario, &hikers, &[alice, bob]);
}

#[test]
fn a_clock_that_was_set_back_does_not_starve_doorbells() {
    let scenario = Scenario::new(46);
    let people = scenario.friends(["alice", "bob"]);
    let [alice, bob] = &people;
    bob.phone.set_clock_ahead(6 * 3_600_000);
    scenario.world().tick(bob.phone.number());
    let slot = now_slot(&scenario);
    // Ring while the clock is wrong, so that the budget is counted at that time.
    let ahead = Slot(slot.0 + 6 * 3600 / NetworkParams::fast().slot_secs);
    let topic = topics(&inbox_roots(&network(), ahead))[0].clone();
    let timestamp_ns = ns(scenario.now()) + 6 * 3600 * 1_000_000_000;
    let (payload, seen_at) = (vec![0; 2048], scenario.now());
    let message = Observed { topic, payload, timestamp_ns, seen_at, by: NOBODY };
    scenario.world().hand_over(bob.phone.number(), &message);
    bob.phone.set_clock_ahead(0);
    scenario.world().tick(bob.phone.number());
    for _ in 0..2 {
        for _ in 0..DOORBELL_BURST {
            let slot = now_slot(&scenario);
            let roots = inbox_roots(&network(), slot);
            let body = vec![0; DOORBELL_BODY_LEN];
            let frame = Frame::new(FrameKind::Doorbell, body).encode();
            let message = scenario.sealed(&roots, &frame, SizeClass::Doorbell);
            scenario.world().inject(message);
            scenario.pass(Duration::from_millis(1));
        }
        scenario.pass(Duration::from_secs(20));
    }
    let hikers = alice.phone.create_group("hikers", &[bob]);
    assert_works(&scenario, &hikers, &[alice, bob]);
}
