//! A Store that answers nonsense, to a machine that is driven by hand.

use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::machine::{Disposition, Event, QueryId};
use chat_core::time::Timestamp;
use chat_sim::scenario::{Scenario, noise};
use chat_sim::world::{ByHand, HistoryQuery, Observed, Told};

/// A member of a group of two, offline so far.
fn by_hand(seed: u64) -> (ByHand, GroupId) {
    let scenario = Scenario::new(seed);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob]));
    let bob = ByHand::from_world(&mut scenario.world(), bob.phone.number());
    (bob, hikers.id())
}

/// It goes on: it sends what it is told to.
fn assert_sends(it: &mut ByHand, group: GroupId) {
    it.told = Told::default();
    it.user().send(group, "still here").unwrap();
    assert!(!it.told.published.is_empty());
}

#[test]
fn the_same_cursor_for_ever_is_the_end() {
    let (mut it, group) = by_hand(80);
    it.connect(true);
    let mut pages = 0;
    while let Some(asked) = it.asked() {
        pages += 1;
        assert!(pages < 10);
        it.page(asked.id, &[noise(asked.start, 512)], Some([9; 32]));
    }
    assert_eq!(pages, 2);
    assert_sends(&mut it, group);
}

#[test]
fn cursors_without_end_come_to_an_end() {
    for len in [0, 128 * 1024] {
        let (mut it, group) = by_hand(81);
        it.connect(true);
        let mut pages = 0u64;
        while let Some(asked) = it.asked() {
            pages += 1;
            assert!(pages < 4000, "it never ends");
            let messages = vec![noise(asked.start, len); 100];
            let mut cursor = [0; 32];
            cursor[..8].copy_from_slice(&pages.to_be_bytes());
            it.page(asked.id, &messages, Some(cursor));
        }
        let failed = |event: &&Event| matches!(event, Event::CatchUpFailed { .. });
        assert_eq!(it.told.events.iter().filter(failed).count(), 1, "{pages} pages");
        assert_sends(&mut it, group);
    }
}

#[test]
fn an_empty_page_with_a_cursor_is_the_end() {
    let (mut it, group) = by_hand(82);
    it.connect(true);
    let asked = it.asked().unwrap();
    it.page(asked.id, &[], Some([1; 32]));
    assert_eq!(it.asked(), None);
    assert_sends(&mut it, group);
}

#[test]
fn a_page_of_thousands_is_read_as_far_as_was_asked() {
    let (mut it, group) = by_hand(83);
    it.connect(true);
    let asked = it.asked().unwrap();
    it.page(asked.id, &vec![noise(asked.start, 512); 10_000], None);
    assert_eq!(it.told.dispositions.len(), 100);
    assert_sends(&mut it, group);
}

#[test]
fn messages_out_of_range_move_nothing() {
    let (mut it, group) = by_hand(84);
    let caught_up = it.machine.identity().unwrap().caught_up_to.unwrap();
    it.connect(true);
    let HistoryQuery { id, start, end, .. } = it.asked().unwrap();
    let far = [Timestamp(0), start - Duration::from_secs(1000), end + Duration::from_secs(1000)];
    let mut messages: Vec<Observed> = far.into_iter().map(|at| noise(at, 512)).collect();
    messages.push(Observed { timestamp_ns: i64::MAX, ..noise(start, 512) });
    messages.push(Observed { timestamp_ns: i64::MIN, ..noise(start, 512) });
    it.page(id, &messages, Some([3; 32]));
    let asked = it.asked().unwrap();
    it.fail_query(asked.id, "gone", false);
    // It goes on from where it was, not from where those messages were.
    it.now = it.now + Duration::from_secs(5);
    it.tick();
    let again = it.asked().unwrap().start;
    assert!(again <= caught_up, "{again:?} lies behind {caught_up:?}");
    assert_sends(&mut it, group);
}

#[test]
fn answers_to_no_question_do_nothing() {
    let (mut it, group) = by_hand(85);
    it.connect(true);
    let HistoryQuery { id, start, .. } = it.asked().unwrap();
    for other in [QueryId(0), QueryId(id.0 + 1), QueryId(u64::MAX)] {
        it.page(other, &vec![noise(start, 512); 3], Some([1; 32]));
        it.fail_query(other, "nonsense", true);
    }
    assert_eq!(it.told.dispositions, []);
    // The question stands.
    it.page(id, &[noise(start, 512)], None);
    let read = |it: &&Disposition| **it == Disposition::NotForUs;
    assert_eq!(it.told.dispositions.iter().filter(read).count(), 1);
    assert_sends(&mut it, group);
}

#[test]
fn a_step_that_failed_leaves_no_question_and_no_topic_behind() {
    let (mut it, group) = by_hand(86);
    it.connect(true);
    let asked = it.asked().unwrap();
    // A new slot begins in the step that fails: nobody hears what is to be watched then.
    it.now = it.now + Duration::from_secs(10);
    it.told = Told::default();
    it.machine.database().inject_fault_after(Some(0));
    assert!(it.try_page(asked.id, &[], None).is_err());
    it.tick();
    assert!(it.told.watched.iter().any(|topics| topics.len() > 4));
    it.now = it.now + Duration::from_secs(2);
    it.tick();
    let asked = it.asked().expect("it asks again");
    it.page(asked.id, &[], None);
    assert_sends(&mut it, group);
}
