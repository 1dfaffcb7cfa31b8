//! Invitations: what was sent before an invitation was known or accepted is fetched, once it is.

use std::time::Duration;

use chat_core::machine::RequestState;
use chat_core::params::{CATCH_UP_MARGIN, NetworkParams};
use chat_core::time::Slot;
use chat_core::wire::roots::inbox_roots;
use chat_core::wire::topic::lanes;
use chat_sim::scenario::Scenario;
use chat_sim::world::ByHand;

use crate::strangers::*;

/// Invitations go out up to half a minute after the group was made, and everybody talks meanwhile.
fn with_late_invitations(seed: u64) -> Scenario {
    Scenario::on(NetworkParams { invitation_delay_ms: 30_000, ..NetworkParams::fast() }, seed)
}

#[test]
fn what_was_said_before_the_invitation_came_is_read() {
    let scenario = with_late_invitations(20);
    let [alice, bob, carol] = scenario.strangers(["alice", "bob", "carol"]);
    alice.phone.befriend(&bob);
    alice.phone.befriend(&carol);
    let others = alice.phone.create_group("others", &[&carol]);
    scenario.settle();
    bob.phone.offline();
    scenario.pass(Duration::from_secs(60));
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    alice.phone.send(&hikers, "hello Bob");
    scenario.pass(Duration::from_secs(60));
    alice.phone.send(&others, "time goes on");
    scenario.settle();
    bob.phone.online();
    scenario.settle();
    hikers.assert_agreed(&[&alice, &bob]);
    hikers.assert_read(&[&bob], &["hello Bob"]);
    scenario.assert_no_failures();
}

#[test]
fn who_says_yes_and_is_gone_at_once_joins_at_the_next_start() {
    for killed in [true, false] {
        let it = Strangers::new(22);
        let (alice, bob) = (&it.alice.phone, &it.bob.phone);
        let hikers = alice.create_group("hikers", &[bob]);
        alice.send(&hikers, "are you there?");
        it.pass(Duration::from_secs(60));
        let request = it.request();
        bob.attempt(|user| user.at_once().accept(request)).unwrap();
        if killed {
            bob.restart();
        } else {
            bob.reconnect();
        }
        it.scenario.settle();
        assert_eq!(bob.history(&hikers), ["are you there?"], "killed: {killed}");
        it.scenario.assert_no_failures();
    }
}

#[test]
fn who_joins_and_is_killed_at_once_reads_what_was_said_before() {
    let scenario = with_late_invitations(23);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    alice.phone.send(&hikers, "hello Bob");
    let began = scenario.now();
    scenario.settle_until(|| bob.phone.group(&hikers).is_some());
    let waited = scenario.now().since(began);
    assert!(waited > Duration::from_secs(15), "the invitation came late enough: {waited:?}");
    // The answer of the Store is under way.
    assert!(bob.phone.history(&hikers).is_empty());
    bob.phone.stop();
    scenario.pass(Duration::from_secs(30));
    bob.phone.start();
    scenario.settle();
    hikers.assert_read(&[&bob], &["hello Bob"]);
    scenario.assert_no_failures();
}

#[test]
fn a_late_yes_is_looked_for_in_its_own_time_only() {
    let it = Strangers::new(32);
    let offered = it.scenario.now();
    it.alice.phone.create_group("hikers", &[&it.bob]);
    it.pass(Duration::from_secs(3600));
    let request = it.request();
    let slot_secs = it.scenario.world().params.slot_secs;
    let mut bob = ByHand::from_world(&mut it.scenario.world(), it.bob.phone.number());
    bob.connect(true);
    let asked = bob.asked().unwrap();
    bob.page(asked.id, &[], None);
    bob.user().accept(request).unwrap();
    let asked = bob.asked().unwrap();
    let slots = Duration::from_secs(50 * slot_secs) + 2 * CATCH_UP_MARGIN;
    assert!(asked.start <= offered && asked.end <= offered + slots, "{asked:?}");
    // Once.
    bob.page(asked.id, &[], None);
    bob.tick();
    assert_eq!(bob.asked(), None);
}

#[test]
fn a_late_yes_joins_and_reads_everything() {
    for killed in [false, true] {
        let it = Strangers::new(33);
        let (alice, bob) = (&it.alice.phone, &it.bob.phone);
        let hikers = alice.create_group("hikers", &[bob]);
        alice.send(&hikers, "are you there?");
        it.pass(Duration::from_secs(1800));
        alice.send(&hikers, "still?");
        it.pass(Duration::from_secs(1800));
        let request = it.request();
        bob.attempt(|user| user.at_once().accept(request)).unwrap();
        if killed {
            bob.restart();
        }
        it.scenario.settle();
        assert_eq!(bob.history(&hikers), ["are you there?", "still?"], "killed: {killed}");
        it.scenario.assert_no_failures();
    }
}

#[test]
fn an_invitation_is_not_given_up_while_no_store_answers() {
    let it = Strangers::new(34);
    let (scenario, bob) = (&it.scenario, &it.bob.phone);
    let hikers = it.alice.phone.create_group("hikers", &[bob]);
    it.pass(Duration::from_secs(600));
    scenario.world().network.has_store = false;
    let request = it.request();
    bob.attempt(|user| user.accept(request)).unwrap();
    scenario.pass(Duration::from_secs(300));
    assert_eq!(bob.requests()[0].state, RequestState::Accepted);
    assert!(!gave_up(bob));
    scenario.world().network.has_store = true;
    scenario.pass(Duration::from_secs(90));
    hikers.assert_agreed(&[&it.alice, bob]);
    scenario.assert_no_failures();
}

#[test]
fn an_invitation_that_never_came_is_given_up() {
    for late in [false, true] {
        let it = Strangers::new(35);
        let (scenario, bob) = (&it.scenario, &it.bob.phone);
        let before = scenario.observed().len();
        it.alice.phone.create_group("hikers", &[bob]);
        scenario.settle();
        // The doorbell went out, the invitation was lost.
        {
            let mut world = scenario.world();
            let network = &mut world.network;
            let sent = network.observed.split_off(before);
            let id = NetworkParams::fast().id();
            let rings = |topic: &str, slot: Slot| {
                let inbox = lanes(&inbox_roots(&id, slot).topic, &id);
                inbox.iter().any(|lane| lane.to_string() == topic)
            };
            network.observed.extend(sent.into_iter().filter(|message| {
                let slot = Slot(u64::try_from(message.timestamp_ns).unwrap() / 5_000_000_000);
                rings(&message.topic, slot)
            }));
        }
        if late {
            it.pass(Duration::from_secs(600));
        }
        let request = it.request();
        bob.attempt(|user| user.accept(request)).unwrap();
        if !late {
            it.pass(Duration::from_secs(100));
            assert!(!gave_up(bob), "its time is not over");
            it.pass(Duration::from_secs(300));
        }
        scenario.settle();
        assert!(gave_up(bob), "late: {late}");
        assert!(bob.requests().is_empty());
        scenario.assert_no_failures();
    }
}
