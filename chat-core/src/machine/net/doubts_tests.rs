use std::time::Duration;

use super::*;
use crate::machine::testing::{NOW, context};
use crate::params::NetworkParams;

const GROUP: GroupId = GroupId([7; 32]);

fn public() -> Cx {
    let mut cx = context(1);
    cx.params = NetworkParams::public();
    cx
}

/// Something comes that is not understood, and stays so until a Store is asked.
fn asked(cx: &mut Cx) -> Doubts {
    let mut doubts = Doubts::default();
    doubts.note(cx, GROUP);
    look(cx, &mut doubts);
    doubts
}

/// Waits until a Store is asked.
#[track_caller]
fn look(cx: &mut Cx, doubts: &mut Doubts) {
    cx.now = doubts.next_due().unwrap();
    assert_eq!(doubts.due(cx.now), [GROUP]);
    doubts.ask(cx, &GROUP, Unexplained::ByMembers).unwrap();
}

/// The Store's answer came, and this is not understood still.
fn answered(cx: &Cx, doubts: &mut Doubts, unexplained: Unexplained) -> Option<Event> {
    doubts.answered(cx, &GROUP);
    doubts.review(&GROUP, unexplained)
}

#[test]
fn what_explains_itself_asks_nobody_and_tells_nobody() {
    let cx = public();
    let mut doubts = Doubts::default();
    doubts.note(&cx, GROUP);
    assert_eq!(doubts.next_due(), Some(NOW + Duration::from_secs(60)));
    assert_eq!(doubts.due(NOW + Duration::from_secs(59)), []);
    assert_eq!(doubts.review(&GROUP, Unexplained::ByMembers), None, "too early to say");
    assert_eq!(doubts.review(&GROUP, Unexplained::Nothing), None);
    assert_eq!(doubts.next_due(), None);
}

#[test]
fn what_no_store_explains_is_told_once_and_its_end_too() {
    let mut cx = public();
    let mut doubts = asked(&mut cx);
    let behind = Event::GroupBehind { group: GROUP, since: NOW };
    assert_eq!(answered(&cx, &mut doubts, Unexplained::ByMembers), Some(behind));
    look(&mut cx, &mut doubts);
    assert_eq!(answered(&cx, &mut doubts, Unexplained::ByMembers), None);
    let end = Event::GroupCaughtUp { group: GROUP };
    assert_eq!(doubts.review(&GROUP, Unexplained::Nothing), Some(end));
    assert_eq!(doubts.review(&GROUP, Unexplained::Nothing), None);
}

#[test]
fn what_a_stranger_may_have_made_is_no_alarm_where_members_are_understood() {
    let mut cx = public();
    let mut doubts = asked(&mut cx);
    assert!(doubts.heard(&GROUP));
    assert_eq!(answered(&cx, &mut doubts, Unexplained::Unopened), None);
    // But where nothing else comes, it may be the group that went on without this device.
    let mut doubts = asked(&mut cx);
    assert!(matches!(
        answered(&cx, &mut doubts, Unexplained::Unopened),
        Some(Event::GroupBehind { .. })
    ));
    doubts.heard(&GROUP);
    let end = Event::GroupCaughtUp { group: GROUP };
    assert_eq!(doubts.review(&GROUP, Unexplained::Unopened), Some(end));
    // One account's word alone is looked into, and told nobody.
    let mut doubts = asked(&mut cx);
    assert_eq!(answered(&cx, &mut doubts, Unexplained::Claimed), None);
}

#[test]
fn a_doubt_that_is_renewed_is_no_alarm_before_a_store_was_asked_again() {
    let mut cx = public();
    let mut doubts = asked(&mut cx);
    doubts.heard(&GROUP);
    for _ in 1..DOUBT_LOOKS {
        assert_eq!(answered(&cx, &mut doubts, Unexplained::Unopened), None);
        look(&mut cx, &mut doubts);
    }
    assert_eq!(answered(&cx, &mut doubts, Unexplained::Unopened), None);
    assert_eq!(doubts.next_due(), None);
    cx.now = cx.now + Duration::from_secs(3600);
    doubts.note(&cx, GROUP);
    assert_eq!(doubts.review(&GROUP, Unexplained::Unopened), None);
    look(&mut cx, &mut doubts);
    assert!(answered(&cx, &mut doubts, Unexplained::Unopened).is_some());
}

#[test]
fn noise_without_end_causes_few_looks() {
    let mut cx = public();
    let (mut doubts, mut looks) = (Doubts::default(), 0);
    let end = NOW + Duration::from_secs(24 * 3600);
    let mut pauses = Vec::new();
    while cx.now < end {
        cx.now = cx.now + Duration::from_secs(1);
        doubts.note(&cx, GROUP);
        if doubts.due(cx.now) == [GROUP] {
            doubts.ask(&cx, &GROUP, Unexplained::ByMembers);
            doubts.answered(&cx, &GROUP);
            looks += 1;
            pauses.push(cx.now.since(NOW).as_secs());
        }
    }
    assert!(pauses[0] <= 120 && looks <= DOUBT_LOOKS + 24, "{looks}: {pauses:?}");
}

#[test]
fn a_doubt_is_there_after_a_restart() {
    let cx = public();
    let mut doubts = Doubts::default();
    doubts.note(&cx, GROUP);
    doubts.save(&cx.db).unwrap();
    let mut loaded = Doubts::default();
    loaded.load(&cx.db).unwrap();
    assert_eq!(loaded.next_due(), doubts.next_due());
    loaded.retain(|_| false);
    loaded.save(&cx.db).unwrap();
    doubts.load(&cx.db).unwrap();
    assert_eq!(doubts.next_due(), None);
}

#[test]
fn what_members_say_is_missing_is_looked_for_further_and_further_back() {
    let hours = |back: u64| Duration::from_secs(back * 3600);
    for (unexplained, reach) in [
        (Unexplained::ByMembers, [0, 4, 16, 64]),
        (Unexplained::Claimed, [0, 4, 16, 64]),
        // Anybody can make these, and they are no older than the doubt.
        (Unexplained::Unopened, [0, 0, 0, 0]),
    ] {
        let mut cx = public();
        let mut doubts = Doubts::default();
        doubts.note(&cx, GROUP);
        for back in reach {
            cx.now = doubts.next_due().unwrap();
            assert_eq!(doubts.ask(&cx, &GROUP, unexplained), Some(NOW - hours(back)));
            answered(&cx, &mut doubts, unexplained);
        }
        // Then it rests. Renewed, it begins with a short way back again.
        for back in [reach[1], reach[2], reach[3], reach[1]] {
            assert_eq!(doubts.next_due(), None);
            cx.now = cx.now + hours(1);
            let renewed = cx.now;
            doubts.note(&cx, GROUP);
            cx.now = doubts.next_due().unwrap();
            assert_eq!(doubts.ask(&cx, &GROUP, unexplained), Some(renewed - hours(back)));
            answered(&cx, &mut doubts, unexplained);
        }
    }
}
