use std::collections::BTreeSet;

use super::*;
use crate::ids::AccountId;
use crate::machine::testing::{NOW, context, events};
use crate::params::{NetworkParams, QUIET_SHORTEST};

const PAGE: [u8; 32] = [1; 32];

/// A query as it was put.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    id: QueryId,
    topics: Vec<String>,
    start: Timestamp,
    end: Timestamp,
    cursor: Option<[u8; 32]>,
}

fn asked(cx: &mut Cx) -> Vec<Asked> {
    let query = |output| match output {
        Output::FetchHistory { query: id, topics, start, end, cursor, .. } => {
            Some(Asked { id, topics, start, end, cursor })
        }
        _ => None,
    };
    std::mem::take(&mut cx.out).into_iter().filter_map(query).collect()
}

/// The one query that was put.
#[track_caller]
fn one(cx: &mut Cx) -> Asked {
    let mut all = asked(cx);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A device that was made an hour ago, loaded.
fn loaded(cx: &Cx) -> History {
    let mut history = History::default();
    history.load(cx, NOW - Duration::from_secs(3600)).unwrap();
    history
}

/// The same, connected, with its first query put.
fn connected(cx: &mut Cx) -> (History, Asked) {
    let mut history = loaded(cx);
    assert!(history.on_connection(cx, true));
    assert!(!history.is_idle(cx));
    let query = one(cx);
    (history, query)
}

/// Answers a query by messages that were sent at these times, and the clocks of which others confirm.
fn answer(
    history: &mut History,
    cx: &mut Cx,
    id: QueryId,
    sent: &[Timestamp],
    cursor: Option<[u8; 32]>,
) -> Next {
    let mut query = history.answered(id).unwrap();
    for at in sent {
        if query.count(1000, Some(*at)) {
            history.note_time(cx, *at);
        }
    }
    history.go_on(cx, query, cursor, sent.is_empty(), false, None)
}

/// Ends a run that fetches everything.
#[track_caller]
fn ended(history: &mut History, cx: &mut Cx, next: Next) {
    let Next::Ended(ended) = next else { panic!("it goes on") };
    assert_eq!(ended.aim, Aim::Everything);
    let until = history.caught_up(cx, &ended);
    history.tell_caught_up(cx, until).unwrap();
}

#[test]
fn a_device_sends_only_after_it_has_tried_to_catch_up() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    assert!(history.connected() && !history.may_send());
    // From when it was made on, the whole shard.
    assert!(query.start <= NOW - Duration::from_secs(3600) && query.topics.is_empty());
    let next = answer(&mut history, &mut cx, query.id, &[], None);
    ended(&mut history, &mut cx, next);
    assert!(history.may_send());
    assert!(matches!(events(&mut cx)[..], [Event::CaughtUp { .. }]));
    assert!(history.is_idle(&mut cx));
    history.on_connection(&cx, false);
    assert!(!history.may_send());
}

#[test]
fn the_mark_moves_only_as_far_as_others_confirm() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let newest = NOW - Duration::from_secs(600);
    let next = answer(&mut history, &mut cx, query.id, &[newest], None);
    ended(&mut history, &mut cx, next);
    assert_eq!(history.complete_to(), newest);
    // The device's own clock says more, and is believed for when it was synced only.
    assert_eq!(history.synced_to(), Some(NOW));
    history.save(&cx).unwrap();
    assert_eq!(loaded(&cx).complete_to(), newest);
}

#[test]
fn the_mark_stays_where_nobody_says_anything() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let before = history.complete_to();
    let next = answer(&mut history, &mut cx, query.id, &[], None);
    ended(&mut history, &mut cx, next);
    assert_eq!(history.complete_to(), before);
}

#[test]
fn a_time_that_is_far_in_our_future_confirms_nothing() {
    let mut cx = context(1);
    let mut history = loaded(&cx);
    history.note_time(&cx, NOW + Duration::from_secs(3600));
    assert_eq!(history.newest, Timestamp(0));
    history.note_time(&cx, NOW);
    assert_eq!(history.newest, NOW);
    cx.now = NOW + Duration::from_secs(1);
    history.note_time(&cx, NOW - Duration::from_secs(5));
    assert_eq!(history.newest, NOW);
}

#[test]
fn what_lies_outside_of_what_was_asked_for_moves_nothing() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let mut under_way = history.answered(query.id).unwrap();
    let before = under_way.position;
    assert!(!under_way.count(1000, Some(NOW - Duration::from_secs(90_000))));
    assert!(!under_way.count(1000, Some(NOW + Duration::from_secs(90_000))));
    assert!(!under_way.count(1000, None));
    assert_eq!(under_way.position, before);
    assert!(under_way.count(1000, Some(NOW - Duration::from_secs(10))));
    assert_eq!(under_way.position, NOW - Duration::from_secs(10));
}

#[test]
fn a_wish_for_older_history_lowers_the_mark_and_is_fetched_next() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let next = answer(&mut history, &mut cx, query.id, &[NOW], None);
    ended(&mut history, &mut cx, next);
    assert_eq!(history.complete_to(), NOW);
    let from = NOW - Duration::from_secs(1800);
    history.backfill(&cx, from, Why::Asked);
    assert_eq!(history.complete_to(), from);
    history.save(&cx).unwrap();
    assert_eq!(loaded(&cx).complete_to(), from, "not forgotten, whenever the process ends");
    assert!(!history.is_idle(&mut cx));
    assert!(one(&mut cx).start <= from);
    // But nothing from before the device was there.
    history.backfill(&cx, Timestamp(0), Why::Asked);
    assert_eq!(history.complete_to(), NOW - Duration::from_secs(3600) - CLOCK_PROBE);
}

#[test]
fn the_mark_does_not_pass_what_is_wanted_again() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let first = NOW - Duration::from_secs(60);
    let next = answer(&mut history, &mut cx, query.id, &[first], Some(PAGE));
    assert!(matches!(next, Next::Asked));
    assert_eq!(history.complete_to(), first);
    let from = NOW - Duration::from_secs(1200);
    history.backfill(&cx, from, Why::Asked);
    let query = one(&mut cx);
    let next = answer(&mut history, &mut cx, query.id, &[NOW], None);
    ended(&mut history, &mut cx, next);
    assert_eq!(history.complete_to(), from);
    assert!(events(&mut cx).is_empty(), "not caught up while something is wanted");
    assert!(!history.is_idle(&mut cx));
    assert!(one(&mut cx).start <= from);
}

#[test]
fn what_a_query_under_way_has_yet_to_come_to_is_not_asked_for_twice() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    history.backfill(&cx, NOW - Duration::from_secs(60), Why::Asked);
    let next = answer(&mut history, &mut cx, query.id, &[NOW], None);
    ended(&mut history, &mut cx, next);
    assert!(history.is_idle(&mut cx));
    // What was missed live is: the query was put before.
    history.on_missed(&cx);
    assert!(!history.is_idle(&mut cx));
}

#[test]
fn pages_follow_one_another_by_their_cursor() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    assert_eq!(query.cursor, None);
    let sent = NOW - Duration::from_secs(60);
    assert!(matches!(answer(&mut history, &mut cx, query.id, &[sent], Some(PAGE)), Next::Asked));
    let second = one(&mut cx);
    assert_eq!((second.cursor, second.start), (Some(PAGE), query.start));
    // A page of the query before is not taken for an answer.
    assert!(history.answered(query.id).is_none());
    assert!(history.answered(second.id).is_some());
}

#[test]
fn a_store_that_goes_in_circles_is_left() {
    let mut cx = context(1);
    let sent = NOW - Duration::from_secs(60);
    let (mut history, query) = connected(&mut cx);
    answer(&mut history, &mut cx, query.id, &[sent], Some(PAGE));
    let second = one(&mut cx);
    // The same cursor again.
    let next = answer(&mut history, &mut cx, second.id, &[sent], Some(PAGE));
    assert!(matches!(next, Next::Ended(_)));
    // A cursor that leads on from nothing.
    let (mut history, query) = connected(&mut cx);
    let next = answer(&mut history, &mut cx, query.id, &[], Some(PAGE));
    assert!(matches!(next, Next::Ended(_)));
}

#[test]
fn much_history_is_fetched_by_topic_slot_by_slot() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let (secs, sent) = (cx.params.slot_secs, NOW - Duration::from_secs(12));
    let mut under_way = history.answered(query.id).unwrap();
    assert!(under_way.count(CATCH_UP_BUDGET + 1, Some(sent)));
    history.note_time(&cx, NOW);
    let next = history.go_on(&mut cx, under_way, Some(PAGE), false, false, None);
    let Next::ByTopic(mut turn) = next else { panic!("it goes on as before") };
    let mut slot = Slot::at(sent, secs);
    let topics: Vec<String> = (0..TOPICS_PER_QUERY + 1).map(|n| format!("topic {n}")).collect();
    loop {
        assert_eq!(turn.slot, slot);
        let fetched = slot.start(secs).max(sent).min(NOW);
        assert_eq!(history.complete_to(), fetched, "all before it is there");
        history.ask_by_topic(&mut cx, turn, topics.clone());
        // In more than one query where there are many, and each topic once.
        let (first, mut named) = (one(&mut cx), BTreeSet::new());
        assert!(first.start <= slot.start(secs) && first.end >= slot.next().start(secs));
        named.extend(first.topics.clone());
        assert!(matches!(answer(&mut history, &mut cx, first.id, &[], None), Next::Asked));
        let second = one(&mut cx);
        named.extend(second.topics.clone());
        assert_eq!((first.topics.len(), second.topics.len()), (TOPICS_PER_QUERY, 1));
        assert_eq!(named.len(), topics.len());
        match answer(&mut history, &mut cx, second.id, &[], None) {
            Next::ByTopic(it) => (turn, slot) = (it, slot.next()),
            next => {
                ended(&mut history, &mut cx, next);
                break;
            }
        }
    }
    assert!(slot.next().start(secs) > NOW);
    assert!(history.may_send());
}

#[test]
fn a_topic_without_an_end_is_a_failure() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let mut under_way = history.answered(query.id).unwrap();
    under_way.count(CATCH_UP_BUDGET + 1, Some(NOW));
    let next = history.go_on(&mut cx, under_way, Some(PAGE), false, false, None);
    let Next::ByTopic(turn) = next else { panic!() };
    history.ask_by_topic(&mut cx, turn, vec!["topic".into()]);
    let query = one(&mut cx);
    let mut under_way = history.answered(query.id).unwrap();
    under_way.count(TOPIC_QUERY_BUDGET + 1, Some(NOW));
    let next = history.go_on(&mut cx, under_way, Some(PAGE), false, false, None);
    assert!(matches!(next, Next::Failed(Failed { aim: Aim::Everything, .. })));
}

#[test]
fn a_query_that_failed_is_tried_again_after_a_pause_and_the_device_may_send() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let mut pauses = Vec::new();
    let mut id = query.id;
    for n in 1..=LOOKUP_FAILURES + 5 {
        let failed = history.on_failed(&cx, id, "no answer".into(), false).unwrap();
        assert_eq!(failed.hopeless, n >= LOOKUP_FAILURES);
        history.tell_failed(&mut cx, failed).unwrap();
        assert!(history.may_send());
        assert!(!history.is_idle(&mut cx));
        assert_eq!(asked(&mut cx).len(), 0, "not before the pause is over");
        let due = history.next_due(&cx, None, None).unwrap();
        pauses.push(due.since(cx.now));
        cx.now = due;
        assert!(!history.is_idle(&mut cx));
        id = one(&mut cx).id;
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(pauses[0] < pauses[3]);
    // A failure of a query that is not the present one is nothing.
    assert!(history.on_failed(&cx, query.id, "late".into(), false).is_none());
}

#[test]
fn a_failure_is_told_once_in_a_row() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let failed = history.on_failed(&cx, query.id, "first".into(), true).unwrap();
    assert!(failed.hopeless);
    history.tell_failed(&mut cx, failed).unwrap();
    assert!(matches!(events(&mut cx)[..], [Event::CatchUpFailed { .. }]));
    cx.now = history.next_due(&cx, None, None).unwrap();
    assert_eq!(cx.now.since(NOW), RETRY_MAX, "there is no Store now");
    history.is_idle(&mut cx);
    let id = one(&mut cx).id;
    let failed = history.on_failed(&cx, id, "second".into(), false).unwrap();
    history.tell_failed(&mut cx, failed).unwrap();
    assert!(events(&mut cx).is_empty());
}

#[test]
fn an_invitation_is_sought_in_its_time_alone_and_moves_no_mark() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let next = answer(&mut history, &mut cx, query.id, &[NOW], None);
    ended(&mut history, &mut cx, next);
    events(&mut cx);
    assert_eq!(history.next_due(&cx, Some(NOW), None), Some(NOW));
    let (request, from) = (RequestId([5; 16]), NOW - Duration::from_secs(3000));
    let until = from + Duration::from_secs(100);
    assert!(history.is_idle(&mut cx));
    history.seek(&mut cx, request, (from, until));
    let query = one(&mut cx);
    assert_eq!((query.start, query.end), (from - CATCH_UP_MARGIN, until));
    let next = answer(&mut history, &mut cx, query.id, &[from], None);
    let Next::Ended(ended) = next else { panic!("it goes on") };
    assert_eq!(ended.aim, Aim::Invitation(request));
    assert_eq!(history.complete_to(), NOW);
}

#[test]
fn a_card_is_looked_up_on_its_topic_until_it_is_found() {
    let mut cx = context(1);
    let mut history = loaded(&cx);
    let card = CardQuery { account: AccountId([6; 32]), period: 7 };
    history.look_up(&mut cx, card, "card".into(), (NOW - CLOCK_PROBE, NOW));
    let query = one(&mut cx);
    assert_eq!((query.topics, query.end), (vec!["card".to_owned()], NOW));
    let under_way = history.answered(query.id).unwrap();
    let next = history.go_on(&mut cx, under_way, Some(PAGE), false, true, None);
    assert!(matches!(next, Next::Ended(Ended { aim: Aim::Card(it), .. }) if it == card));
    assert!(!history.attempted());
}

#[test]
fn doorbells_that_are_owed_put_off_the_next_page_and_not_sending() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let sent = NOW - Duration::from_secs(60);
    let paced = NOW + RETRY_MAX;
    let mut under_way = history.answered(query.id).unwrap();
    under_way.count(1000, Some(sent));
    history.go_on(&mut cx, under_way, Some(PAGE), false, false, Some(paced));
    assert!(asked(&mut cx).is_empty());
    assert_eq!(history.next_due(&cx, None, None), Some(paced));
    cx.now = paced;
    assert!(!history.is_idle(&mut cx));
    assert_eq!(one(&mut cx).cursor, Some(PAGE));
}

#[test]
fn a_step_that_was_taken_back_begins_at_the_mark_again() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    history.answered(query.id);
    history.restart(&cx, false);
    assert!(!history.may_send());
    cx.now = history.next_due(&cx, None, None).unwrap();
    assert!(!history.is_idle(&mut cx));
    assert_eq!(one(&mut cx).start, query.start);
}

#[test]
fn history_is_fetched_again_now_and_then_though_nothing_seems_lost() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let next = answer(&mut history, &mut cx, query.id, &[NOW], None);
    ended(&mut history, &mut cx, next);
    asked(&mut cx);
    let due = history.next_due(&cx, None, None).unwrap();
    assert_eq!(due, NOW + resync_interval(&cx));
    assert!(history.is_idle(&mut cx));
    cx.now = due;
    assert!(!history.is_idle(&mut cx));
    assert_eq!(one(&mut cx).start, NOW - CATCH_UP_MARGIN);
}

#[test]
fn no_root_is_let_go_that_a_query_may_still_need() {
    let mut cx = context(1);
    let (mut history, query) = connected(&mut cx);
    let next = answer(&mut history, &mut cx, query.id, &[NOW], None);
    ended(&mut history, &mut cx, next);
    let kept = history.roots_kept_from(&cx).start(cx.params.slot_secs);
    assert!(kept + CATCH_UP_MARGIN < NOW);
    history.backfill(&cx, NOW - Duration::from_secs(1800), Why::Asked);
    let lower = history.roots_kept_from(&cx).start(cx.params.slot_secs);
    assert!(lower + CATCH_UP_MARGIN < NOW - Duration::from_secs(1800));
}

/// A device on the public network that has caught up.
fn idle(cx: &mut Cx) -> History {
    cx.params = NetworkParams::public();
    let (mut history, query) = connected(cx);
    let next = answer(&mut history, cx, query.id, &[NOW], None);
    ended(&mut history, cx, next);
    events(cx);
    history
}

#[test]
fn what_others_cause_is_fetched_later_and_together() {
    let mut cx = context(1);
    let mut history = idle(&mut cx);
    let minute = cx.params.quiet_delay();
    history.backfill(&cx, NOW, Why::Caused);
    let due = history.next_due(&cx, None, None).unwrap();
    assert!(due >= NOW + minute / QUIET_SHORTEST && due <= NOW + minute, "{due:?}");
    assert!(history.is_idle(&mut cx) && asked(&mut cx).is_empty());
    // Another cause does not put it off, nor does it add a fetch.
    cx.now = due - Duration::from_secs(1);
    history.backfill(&cx, NOW - Duration::from_secs(5 * 3600), Why::Caused);
    history.on_missed(&cx);
    assert_eq!(history.next_due(&cx, None, None), Some(due));
    cx.now = due;
    assert!(!history.is_idle(&mut cx));
    let query = one(&mut cx);
    let next = answer(&mut history, &mut cx, query.id, &[due], None);
    ended(&mut history, &mut cx, next);
    assert!(history.is_idle(&mut cx) && !history.is_wanted());
}

#[test]
fn the_bounds_of_what_others_cause_do_not_show_the_cause() {
    let bounds = |ago: u64| {
        let mut cx = context(1);
        let mut history = idle(&mut cx);
        cx.now = NOW + Duration::from_secs(1800);
        history.backfill(&cx, cx.now - Duration::from_secs(ago), Why::Caused);
        cx.now = history.next_due(&cx, None, None).unwrap();
        history.is_idle(&mut cx);
        one(&mut cx).start
    };
    // Whatever it is, and whenever it was in the last slots.
    assert!([1, 60, 1700, 1801, 3600].iter().all(|ago| bounds(*ago) == bounds(0)));
    assert_eq!(bounds(0), NOW - Duration::from_secs(3600) - CATCH_UP_MARGIN);
}

#[test]
fn what_the_user_asks_for_does_not_wait_for_what_others_cause() {
    let mut cx = context(1);
    let mut history = idle(&mut cx);
    history.backfill(&cx, NOW, Why::Caused);
    let from = NOW - Duration::from_secs(1800);
    history.backfill(&cx, from, Why::Asked);
    assert!(!history.is_idle(&mut cx));
    // The one fetch is for both.
    assert!(one(&mut cx).start <= from && !history.is_wanted());
}
