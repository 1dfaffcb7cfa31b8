use std::time::Duration;

use super::*;
use crate::machine::testing::{NOW, context, effects, events};

const FROM: AccountId = AccountId([8; 32]);

fn id(number: usize) -> RequestId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    RequestId(id)
}

fn offer(cx: &Cx, number: usize) -> Request {
    let secret = Zeroizing::new([number as u8; 32]);
    Request::new(id(number), FROM, secret, cx.slot(), "A group".into(), cx.now)
}

/// The user accepts an offer that has just come.
fn accept(requests: &mut Requests, cx: &mut Cx, number: usize) {
    let request = offer(cx, number);
    requests.accept(cx, request, NOW, true).unwrap();
}

fn fetched_from(cx: &mut Cx) -> Option<Timestamp> {
    effects(cx).into_iter().find_map(|effect| match effect {
        Effect::Fetch { from, .. } => Some(from),
        _ => None,
    })
}

/// Up to when the invitation of an offer can come.
fn over(cx: &Cx) -> Timestamp {
    offer(cx, 1).time(cx).1
}

#[test]
fn a_request_waits_for_its_answer_and_is_there_after_a_restart() {
    let mut cx = context(1);
    let mut requests = Requests::default();
    let request = offer(&cx, 1);
    requests.ask_user(&mut cx, request).unwrap();
    let mut loaded = Requests::default();
    loaded.load(&cx.db).unwrap();
    let request = loaded.get(&id(1)).unwrap();
    assert_eq!(request.state, RequestState::Pending);
    // Nothing is listened to before the user says so.
    assert!(request.roots(cx.slot(), &cx.network).is_none());
    assert!(loaded.next_to_seek(&cx).is_none());
    loaded.expire(&mut cx, NOW + Duration::from_secs(1_000_000)).unwrap();
    assert!(loaded.get(&id(1)).is_some());
}

#[test]
fn an_accepted_invitation_is_listened_to_in_its_time_on_topics_of_its_own() {
    let mut cx = context(1);
    let mut requests = Requests::default();
    accept(&mut requests, &mut cx, 1);
    let (slot, network) = (cx.slot(), cx.network);
    assert_eq!(fetched_from(&mut cx), Some(slot.previous().start(cx.params.slot_secs)));
    let request = requests.get(&id(1)).unwrap();
    let roots = |slot| request.roots(slot, &network);
    let other = Request { state: RequestState::Accepted, ..offer(&cx, 2) };
    let mine = roots(slot).unwrap();
    let theirs = other.roots(slot, &network).unwrap();
    assert_ne!(mine.topic.expose(), theirs.topic.expose());
    assert!(roots(slot.previous()).is_some(), "others' clocks may be behind");
    assert!(roots(slot.previous().previous()).is_none());
    assert!(roots(Slot(slot.0 + INVITATION_SLOTS)).is_some());
    assert!(roots(Slot(slot.0 + INVITATION_SLOTS + 1)).is_none());
}

#[test]
fn one_that_is_accepted_long_after_its_time_is_sought_apart() {
    let mut cx = context(1);
    let offer = offer(&cx, 1);
    let (from, until) = offer.time(&cx);
    cx.now = NOW + Duration::from_secs(86_400);
    let mut requests = Requests::default();
    requests.accept(&mut cx, offer, until, true).unwrap();
    assert_eq!(fetched_from(&mut cx), None, "not all that was sent since is fetched for it");
    assert_eq!(requests.next_to_seek(&cx), Some((id(1), (from, until))));
    // It is not given up before it was sought.
    requests.expire(&mut cx, NOW + Duration::from_secs(86_400)).unwrap();
    assert!(requests.get(&id(1)).is_some());
    requests.was_sought(&cx, &id(1)).unwrap();
    assert_eq!(requests.next_to_seek(&cx), None);
    requests.expire(&mut cx, NOW + Duration::from_secs(86_400)).unwrap();
    assert!(requests.get(&id(1)).is_none());
}

#[test]
fn an_invitation_is_given_up_once_all_of_its_time_was_fetched() {
    let mut cx = context(1);
    let mut requests = Requests::default();
    accept(&mut requests, &mut cx, 1);
    let over = over(&cx);
    cx.now = over + Duration::from_secs(86_400);
    requests.expire(&mut cx, over - Duration::from_millis(1)).unwrap();
    assert!(events(&mut cx).is_empty(), "the device's own clock alone ends nothing");
    requests.expire(&mut cx, over).unwrap();
    assert!(matches!(events(&mut cx)[..], [Event::RequestFailed { .. }]));
    let mut loaded = Requests::default();
    loaded.load(&cx.db).unwrap();
    assert_eq!(loaded.iter().count(), 0);
}

#[test]
fn one_that_another_installation_accepted_is_given_up_in_silence() {
    let mut cx = context(1);
    let mut requests = Requests::default();
    let request = offer(&cx, 1);
    requests.accept_elsewhere(&mut cx, request, NOW).unwrap();
    let over = over(&cx);
    requests.expire(&mut cx, over).unwrap();
    assert!(requests.get(&id(1)).is_none());
    assert!(events(&mut cx).is_empty());
}

#[test]
fn forgeries_in_place_of_an_invitation_are_borne_a_few_times() {
    let mut cx = context(1);
    let mut requests = Requests::default();
    accept(&mut requests, &mut cx, 1);
    for _ in 1..MAX_FAILURES {
        requests.failed(&mut cx, &id(1), "not it".into()).unwrap();
        requests.load(&cx.db).unwrap();
        assert!(requests.get(&id(1)).is_some());
    }
    assert!(events(&mut cx).is_empty());
    requests.failed(&mut cx, &id(1), "not it".into()).unwrap();
    assert!(requests.get(&id(1)).is_none());
    assert!(matches!(events(&mut cx)[..], [Event::RequestFailed { .. }]));
    requests.failed(&mut cx, &id(1), "gone".into()).unwrap();
    assert!(events(&mut cx).is_empty());
}

#[test]
fn strangers_do_not_push_out_what_was_accepted() {
    let mut cx = context(1);
    let mut requests = Requests::default();
    accept(&mut requests, &mut cx, 0);
    for number in 1..MAX_REQUESTS + 10 {
        cx.now = cx.now + Duration::from_secs(1);
        let request = offer(&cx, number);
        requests.ask_user(&mut cx, request).unwrap();
    }
    assert_eq!(requests.iter().count(), MAX_REQUESTS);
    assert!(requests.get(&id(0)).is_some());
    assert!(requests.get(&id(1)).is_none(), "the oldest that waits goes first");
    assert!(requests.get(&id(MAX_REQUESTS + 9)).is_some());
    // One that is there already takes no other's place.
    let oldest = requests.get(&id(20)).unwrap().clone();
    requests.ask_user(&mut cx, oldest).unwrap();
    assert_eq!(requests.iter().count(), MAX_REQUESTS);
    let mut loaded = Requests::default();
    loaded.load(&cx.db).unwrap();
    assert_eq!(loaded.iter().count(), MAX_REQUESTS);
}

#[test]
fn who_is_blocked_has_no_requests_any_more() {
    let mut cx = context(1);
    let mut requests = Requests::default();
    let other = Request { from: AccountId([9; 32]), ..offer(&cx, 3) };
    for request in [offer(&cx, 1), offer(&cx, 2), other] {
        requests.ask_user(&mut cx, request).unwrap();
    }
    requests.forget_from(&mut cx, &FROM).unwrap();
    let left: Vec<RequestId> = requests.iter().map(|request| request.id).collect();
    assert_eq!(left, [id(3)]);
    assert!(matches!(effects(&mut cx).last(), Some(Effect::TopicsChanged(None))));
}

#[test]
fn how_another_installation_answered_is_known_when_its_doorbell_comes() {
    let cx = context(1);
    assert_eq!(noted_answer(&cx, &id(1)).unwrap(), None);
    note_answer(&cx, &id(1), RequestAnswer::Decline).unwrap();
    note_answer(&cx, &id(2), RequestAnswer::Accept).unwrap();
    assert_eq!(noted_answer(&cx, &id(1)).unwrap(), Some(RequestAnswer::Decline));
    assert_eq!(noted_answer(&cx, &id(2)).unwrap(), Some(RequestAnswer::Accept));
    // Where both were said, the group is entered.
    note_answer(&cx, &id(1), RequestAnswer::Accept).unwrap();
    assert_eq!(noted_answer(&cx, &id(1)).unwrap(), Some(RequestAnswer::Accept));
}
