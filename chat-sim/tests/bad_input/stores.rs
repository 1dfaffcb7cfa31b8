//! A Store that answers nonsense, to a machine that is driven by hand.

use std::time::Duration;

use chat_core::ids::GroupId;
use chat_core::machine::{
    Command, CommandId, Disposition, Event, Inbound, Input, Machine, Output, QueryId,
};
use chat_core::time::Timestamp;

use crate::common::*;
use crate::kit::*;

struct Driven {
    machine: Machine,
    now: Timestamp,
    out: Vec<Output>,
}

impl Driven {
    /// Device 1 of a group of two, offline so far.
    fn new(seed: u64) -> (Self, GroupId) {
        let mut world = world(2, seed);
        let group = group(&mut world, "hikers");
        world.set_online(1, false);
        let machine = world.devices[1].machine.take().unwrap();
        (Self { machine, now: world.now, out: Vec::new() }, group)
    }

    fn step(&mut self, input: Input) {
        self.now = self.now + Duration::from_millis(5);
        let out = self.machine.step(self.now, input).unwrap();
        self.out.extend(out);
    }

    /// The query that it asks now, if any; what is said meanwhile is put aside.
    fn query(&mut self) -> Option<(QueryId, Timestamp, Timestamp)> {
        let mut found = None;
        for output in &self.out {
            if let Output::FetchHistory { query, start, end, .. } = output {
                found = Some((*query, *start, *end));
            }
        }
        self.out.retain(|output| !matches!(output, Output::FetchHistory { .. }));
        found
    }

    /// It goes on: it sends what it is told to.
    fn assert_sends(&mut self, group: GroupId) {
        self.out.clear();
        let command = Command::Send { group, text: "still here".into() };
        self.step(Input::Command(CommandId(1), command));
        assert!(self.out.iter().any(|output| matches!(output, Output::Publish { .. })));
    }
}

fn message(at: Timestamp, len: usize) -> Inbound {
    Inbound {
        topic: "/waku-chat/1/aaaaaaaaaaaaaaaaaaaaaaaaaa/proto".into(),
        payload: vec![7; len].into(),
        timestamp_ns: ns(at),
    }
}

#[test]
fn the_same_cursor_for_ever_is_the_end() {
    let (mut it, group) = Driven::new(80);
    it.step(Input::Connection { connected: true });
    let mut pages = 0;
    while let Some((query, start, _)) = it.query() {
        pages += 1;
        assert!(pages < 10);
        let messages = vec![message(start, 512)];
        it.step(Input::HistoryPage { query, messages, cursor: Some([9; 32]) });
    }
    assert_eq!(pages, 2);
    it.assert_sends(group);
}

#[test]
fn cursors_without_end_come_to_an_end() {
    for len in [0, 128 * 1024] {
        let (mut it, group) = Driven::new(81);
        it.step(Input::Connection { connected: true });
        let mut pages = 0u64;
        while let Some((query, start, _)) = it.query() {
            pages += 1;
            assert!(pages < 4000, "it never ends");
            let messages = vec![message(start, len); 100];
            let mut cursor = [0; 32];
            cursor[..8].copy_from_slice(&pages.to_be_bytes());
            it.step(Input::HistoryPage { query, messages, cursor: Some(cursor) });
        }
        let failed = |output: &&Output| {
            matches!(output, Output::Event { event: Event::CatchUpFailed { .. }, .. })
        };
        assert_eq!(it.out.iter().filter(failed).count(), 1, "{pages} pages");
        it.assert_sends(group);
    }
}

#[test]
fn an_empty_page_with_a_cursor_is_the_end() {
    let (mut it, group) = Driven::new(82);
    it.step(Input::Connection { connected: true });
    let (query, ..) = it.query().unwrap();
    it.step(Input::HistoryPage { query, messages: Vec::new(), cursor: Some([1; 32]) });
    assert_eq!(it.query(), None);
    it.assert_sends(group);
}

#[test]
fn a_page_of_thousands_is_read_as_far_as_was_asked() {
    let (mut it, group) = Driven::new(83);
    it.step(Input::Connection { connected: true });
    let (query, start, _) = it.query().unwrap();
    let messages = vec![message(start, 512); 10_000];
    it.step(Input::HistoryPage { query, messages, cursor: None });
    let judged = it.out.iter().filter(|output| matches!(output, Output::Disposed(_))).count();
    assert_eq!(judged, 100);
    it.assert_sends(group);
}

#[test]
fn messages_out_of_range_move_nothing() {
    let (mut it, group) = Driven::new(84);
    let caught_up = it.machine.identity().unwrap().caught_up_to.unwrap();
    it.step(Input::Connection { connected: true });
    let (query, start, end) = it.query().unwrap();
    let far = [Timestamp(0), start - Duration::from_secs(1000), end + Duration::from_secs(1000)];
    let mut messages: Vec<Inbound> = far.into_iter().map(|at| message(at, 512)).collect();
    messages.push(Inbound { timestamp_ns: i64::MAX, ..message(start, 512) });
    messages.push(Inbound { timestamp_ns: i64::MIN, ..message(start, 512) });
    it.step(Input::HistoryPage { query, messages, cursor: Some([3; 32]) });
    let (query, ..) = it.query().unwrap();
    let reason = "gone".into();
    it.step(Input::HistoryFailed { query, reason, no_store: false });
    // It goes on from where it was, not from where those messages were.
    it.now = it.now + Duration::from_secs(5);
    it.step(Input::Tick);
    let (_, again, _) = it.query().unwrap();
    assert!(again <= caught_up, "{again:?} lies behind {caught_up:?}");
    it.assert_sends(group);
}

#[test]
fn answers_to_no_question_do_nothing() {
    let (mut it, group) = Driven::new(85);
    it.step(Input::Connection { connected: true });
    let (query, start, _) = it.query().unwrap();
    for other in [QueryId(0), QueryId(query.0 + 1), QueryId(u64::MAX)] {
        let messages = vec![message(start, 512); 3];
        it.step(Input::HistoryPage { query: other, messages, cursor: Some([1; 32]) });
        let reason = "nonsense".into();
        it.step(Input::HistoryFailed { query: other, reason, no_store: true });
    }
    assert!(!it.out.iter().any(|output| matches!(output, Output::Disposed(_))));
    // The question stands.
    it.step(Input::HistoryPage { query, messages: vec![message(start, 512)], cursor: None });
    let read = |output: &&Output| matches!(output, Output::Disposed(Disposition::NotForUs));
    assert_eq!(it.out.iter().filter(read).count(), 1);
    it.assert_sends(group);
}

#[test]
fn a_step_that_failed_leaves_no_question_and_no_topic_behind() {
    let (mut it, group) = Driven::new(86);
    it.step(Input::Connection { connected: true });
    let (query, ..) = it.query().unwrap();
    // A new slot begins in the step that fails: nobody hears what is to be watched then.
    it.now = it.now + Duration::from_secs(10);
    it.out.clear();
    it.machine.store().inject_fault_after(Some(0));
    let page = Input::HistoryPage { query, messages: Vec::new(), cursor: None };
    assert!(it.machine.step(it.now, page).is_err());
    it.step(Input::Tick);
    assert!(
        it.out.iter().any(|output| matches!(output, Output::Watch(topics) if topics.len() > 4))
    );
    it.now = it.now + Duration::from_secs(2);
    it.step(Input::Tick);
    let (query, ..) = it.query().expect("it asks again");
    it.step(Input::HistoryPage { query, messages: Vec::new(), cursor: None });
    it.assert_sends(group);
}
