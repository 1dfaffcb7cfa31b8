//! What a device asks a Store for, and what it does where the answer does not come.

use std::time::Duration;

use chat_core::params::{CATCH_UP_MARGIN, HISTORY_PAGE, NetworkParams};
use chat_core::time::Slot;
use chat_core::wire::envelope::SizeClass;
use chat_sim::scenario::{Scenario, noise};
use chat_sim::world::ByHand;

#[test]
fn what_was_said_under_new_roots_before_the_rotation_came_is_read() {
    let scenario = Scenario::new(21);
    let [alice, bob, carol, dan] = scenario.friends(["alice", "bob", "carol", "dan"]);
    let hikers = alice.phone.create_group("hikers", &[&bob, &carol, &dan]);
    let others = alice.phone.create_group("others", &[&carol]);
    scenario.settle();
    bob.phone.offline();
    scenario.pass(Duration::from_secs(20));
    let before = scenario.observed().len();
    alice.phone.remove(&hikers, &[&dan]);
    // The removal reaches Store much later than what is said after it, and is the last thing there.
    let mut late = scenario.world().network.observed.split_off(before);
    assert_eq!(late.len(), 1);
    scenario.pass(Duration::from_secs(10));
    alice.phone.send(&hikers, "he is gone");
    scenario.pass(Duration::from_secs(40));
    alice.phone.send(&others, "time goes on");
    scenario.settle();
    let frame = bob.phone.open(&hikers, &late.remove(0));
    let now = Slot::at(scenario.now(), scenario.world().params.slot_secs);
    let roots = bob.phone.roots(&hikers).at(now, &scenario.world().params.id()).unwrap();
    let commit = scenario.sealed(&roots, &frame, SizeClass::Fit);
    scenario.world().inject(commit);
    scenario.pass(Duration::from_secs(1));
    alice.phone.send(&others, "time goes on");
    bob.phone.online();
    scenario.settle();
    hikers.assert_read(&[&bob], &["he is gone"]);
    hikers.assert_agreed(&[&alice, &bob]);
}

#[test]
fn a_query_for_something_else_hides_nothing_that_relay_lost() {
    let scenario = Scenario::new(24);
    let [alice, bob, carol] = scenario.friends(["alice", "bob", "carol"]);
    let hikers = alice.phone.create_group("hikers", &[&bob, &carol]);
    scenario.settle();
    scenario.world().network.faults.drop = 1000;
    alice.phone.send(&hikers, "lost on the way");
    scenario.world().network.faults.drop = 0;
    scenario.pass(Duration::from_secs(50));
    // Something to fetch history for, from now on only.
    carol.phone.create_group("others", &[&bob]);
    scenario.settle();
    // The next synchronisation finds what is older.
    bob.phone.reconnect();
    scenario.settle();
    hikers.assert_read(&[&bob], &["lost on the way"]);
    scenario.assert_no_failures();
}

#[test]
fn a_page_whose_step_failed_is_fetched_again() {
    // Wherever in the step: at any write, and where all is to be committed.
    let mut writes = 0;
    loop {
        // Slots so long that nothing is fetched only because a day is over.
        let params = NetworkParams { slot_secs: 600, ..NetworkParams::fast() };
        let scenario = Scenario::on(params, 25);
        let [alice, bob] = scenario.friends(["alice", "bob"]);
        let hikers = alice.phone.create_group("hikers", &[&bob]);
        scenario.settle();
        bob.phone.offline();
        for text in ["one", "two", "three"] {
            alice.phone.send(&hikers, text);
            scenario.pass(Duration::from_secs(60));
        }
        bob.phone.online();
        bob.phone.machine(|machine| machine.database().inject_fault_after(Some(writes)));
        scenario.pass(Duration::from_millis(2));
        bob.phone.machine(|machine| machine.database().inject_fault_after(None));
        let failed = scenario.world().devices[bob.phone.number()].failures.len();
        // The machine tells when it wants to go on; nobody asked it in the step that failed.
        for _ in 0..2 {
            scenario.pass(Duration::from_secs(1));
            scenario.world().tick(bob.phone.number());
        }
        scenario.settle();
        hikers.assert_read(&[&bob], &["one", "two", "three"]);
        if failed == 0 {
            break;
        }
        writes += 1;
    }
    assert!(writes > 5, "only {writes} writes");
}

#[test]
fn before_anything_was_seen_history_begins_with_the_account() {
    let scenario = Scenario::new(26);
    let alice = scenario.person("alice");
    let created = scenario.now();
    let mut it = ByHand::from_world(&mut scenario.world(), alice.phone.number());
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
    let scenario = Scenario::on(params, 27);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    for name in ["a", "b", "c"] {
        alice.phone.create_group(name, &[&bob]);
        scenario.settle();
    }
    let mut it = ByHand::from_world(&mut scenario.world(), bob.phone.number());
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
