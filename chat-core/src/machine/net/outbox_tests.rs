use super::*;
use crate::ids::{EpochId, GroupId, IntentId, MessageId};
use crate::machine::testing::{context, events};
use crate::time::Slot;
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::roots::linking_roots;
use zeroize::Zeroizing;

const GROUP: GroupId = GroupId([1; 32]);
const EPOCH: EpochId = EpochId([2; 32]);
const MESSAGE: MessageId = MessageId([3; 16]);
const INTENT: IntentId = IntentId([4; 16]);

fn parcel(kind: FrameKind, item: Option<Item>) -> Parcel {
    let address = Address::Group { group: GROUP, epoch: EPOCH };
    let frame = match kind {
        FrameKind::Commit => Frame::commit(EPOCH.prefix(), vec![7; 40]),
        kind => Frame::new(kind, vec![7; 40]),
    };
    Parcel { address, frame: frame.encode(), item }
}

fn message() -> Parcel {
    parcel(FrameKind::Message, Some(Item::Message { group: GROUP, message: MESSAGE }))
}

fn commit() -> Parcel {
    parcel(FrameKind::Commit, Some(Item::Change { group: GROUP, intent: INTENT }))
}

fn now(cx: &Cx, _: &Address) -> Sealing {
    let begins = Slot(cx.slot().0 - 1);
    Sealing::Now(linking_roots(&[5; 32], begins, &cx.network).at(cx.slot(), &cx.network).unwrap())
}

/// Hands out what is due; what was handed out.
fn flush(outbox: &mut Outbox, cx: &mut Cx) -> Vec<OutboxId> {
    outbox.flush(cx, now).unwrap();
    published(&cx.out.drain(..).collect::<Vec<_>>())
}

fn published(out: &[Output]) -> Vec<OutboxId> {
    let id = |output: &Output| match output {
        Output::Publish { outbox, .. } => Some(*outbox),
        _ => None,
    };
    out.iter().filter_map(id).collect()
}

/// An outbox with one parcel, which is under way.
fn under_way(cx: &mut Cx, parcel: Parcel) -> (Outbox, OutboxId) {
    let mut outbox = Outbox::default();
    outbox.post(cx, parcel, Duration::ZERO).unwrap();
    let id = flush(&mut outbox, cx)[0];
    (outbox, id)
}

#[test]
fn what_was_published_is_told_and_gone() {
    let mut cx = context(1);
    for (parcel, message) in [(message(), true), (commit(), false)] {
        let (mut outbox, id) = under_way(&mut cx, parcel);
        assert_eq!(outbox.next_due(), None, "what is under way is not due");
        outbox.on_published(&mut cx, id, None).unwrap();
        let told = events(&mut cx);
        match message {
            true => assert!(matches!(told[..], [Event::Published { message: MESSAGE, .. }])),
            false => assert!(matches!(told[..], [Event::ChangePublished { intent: INTENT, .. }])),
        }
        assert_eq!(outbox.len(), 0);
        outbox.load(&cx.db).unwrap();
        assert_eq!(outbox.len(), 0);
        // Told twice, it changes nothing.
        outbox.on_published(&mut cx, id, None).unwrap();
        assert!(events(&mut cx).is_empty());
    }
}

#[test]
fn what_failed_is_tried_again_ever_more_seldom() {
    let mut cx = context(1);
    let (mut outbox, id) = under_way(&mut cx, message());
    let mut pauses = Vec::new();
    for _ in 0..12 {
        outbox.on_published(&mut cx, id, Some(PublishFailure::Retry)).unwrap();
        let due = outbox.next_due().unwrap();
        pauses.push(due.since(cx.now));
        assert!(flush(&mut outbox, &mut cx).is_empty(), "not before its time");
        cx.now = due;
        assert_eq!(flush(&mut outbox, &mut cx), [id]);
    }
    assert!(pauses[0] >= RETRY.pause(1) && pauses[0] <= RETRY.pause(1) + RETRY_MIN);
    assert!(pauses[3] > pauses[0] * 3);
    assert!(pauses[11] >= RETRY_MAX && pauses[11] <= RETRY_MAX + RETRY_MIN);
    assert!(events(&mut cx).is_empty());
}

#[test]
fn a_pause_and_the_attempts_survive_a_restart() {
    let mut cx = context(1);
    let (mut outbox, id) = under_way(&mut cx, message());
    for _ in 0..5 {
        outbox.on_published(&mut cx, id, Some(PublishFailure::Retry)).unwrap();
    }
    let due = outbox.next_due();
    let mut loaded = Outbox::default();
    loaded.load(&cx.db).unwrap();
    assert_eq!(loaded.next_due(), due);
    loaded.on_published(&mut cx, id, Some(PublishFailure::Retry)).unwrap();
    assert!(loaded.next_due().unwrap().since(cx.now) >= RETRY.pause(6));
}

#[test]
fn a_message_that_is_refused_for_good_fails_and_is_gone() {
    let mut cx = context(1);
    let (mut outbox, id) = under_way(&mut cx, message());
    outbox.on_published(&mut cx, id, Some(PublishFailure::Refused)).unwrap();
    assert!(matches!(events(&mut cx)[..], [Event::MessageFailed { message: MESSAGE, .. }]));
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_commit_is_never_given_up() {
    let mut cx = context(1);
    let (mut outbox, id) = under_way(&mut cx, commit());
    outbox.on_published(&mut cx, id, Some(PublishFailure::Refused)).unwrap();
    assert!(events(&mut cx).is_empty());
    assert!(outbox.uses(&EPOCH), "the roots that it is sealed under are still needed");
    let due = outbox.next_due().unwrap();
    assert!(due.since(cx.now) >= RETRY_MAX);
    cx.now = due;
    assert_eq!(flush(&mut outbox, &mut cx), [id]);
}

#[test]
fn what_is_under_way_stays_so_over_a_load_and_not_over_a_lost_connection() {
    let mut cx = context(1);
    let (mut outbox, id) = under_way(&mut cx, message());
    outbox.load(&cx.db).unwrap();
    assert!(flush(&mut outbox, &mut cx).is_empty());
    outbox.reset();
    assert_eq!(flush(&mut outbox, &mut cx), [id]);
}

#[test]
fn what_never_reached_the_driver_is_handed_out_again() {
    let mut cx = context(1);
    let mut outbox = Outbox::default();
    outbox.post(&cx, message(), Duration::ZERO).unwrap();
    outbox.flush(&mut cx, now).unwrap();
    let lost: Vec<Output> = cx.out.drain(..).collect();
    outbox.take_back(&lost);
    assert_eq!(flush(&mut outbox, &mut cx), published(&lost));
    // Only what was in that step is.
    outbox.take_back(&[]);
    assert!(flush(&mut outbox, &mut cx).is_empty());
}

#[test]
fn parcels_go_out_in_order_and_each_after_its_delay() {
    let mut cx = context(1);
    let mut outbox = Outbox::default();
    outbox.post(&cx, message(), Duration::from_secs(2)).unwrap();
    outbox.post(&cx, commit(), Duration::ZERO).unwrap();
    outbox.post(&cx, message(), Duration::ZERO).unwrap();
    let first = flush(&mut outbox, &mut cx);
    assert_eq!(first.len(), 2);
    assert!(first[0].0 < first[1].0);
    cx.now = outbox.next_due().unwrap();
    assert_eq!(flush(&mut outbox, &mut cx).len(), 1);
}

#[test]
fn topics_that_begin_later_are_waited_for_without_counting_an_attempt() {
    let mut cx = context(1);
    let mut outbox = Outbox::default();
    outbox.post(&cx, message(), Duration::ZERO).unwrap();
    let begins = cx.now + Duration::from_secs(60);
    outbox.flush(&mut cx, |_, _| Sealing::From(begins)).unwrap();
    assert!(cx.out.is_empty());
    let mut loaded = Outbox::default();
    loaded.load(&cx.db).unwrap();
    assert_eq!((outbox.next_due(), loaded.next_due()), (Some(begins), Some(begins)));
    assert_eq!(cx.db.outbox::<Parcel>().unwrap()[0].attempts, 0);
}

#[test]
fn what_can_be_sealed_for_nobody_any_more_fails() {
    let mut cx = context(1);
    let mut outbox = Outbox::default();
    outbox.post(&cx, message(), Duration::ZERO).unwrap();
    outbox.flush(&mut cx, |_, _| Sealing::Never("too late".into())).unwrap();
    assert!(matches!(events(&mut cx)[..], [Event::MessageFailed { .. }]));
    assert_eq!(outbox.len(), 0);
}

#[test]
fn only_what_nobody_listens_to_is_withdrawn() {
    let mut cx = context(1);
    let mut outbox = Outbox::default();
    let until = cx.now + Duration::from_secs(10);
    let linking = |secret: u8| Parcel {
        address: Address::Linking { secret: Zeroizing::new([secret; 32]), slot: Slot(1), until },
        ..parcel(FrameKind::Linking, None)
    };
    let card = |period| Parcel { address: Address::Card { period }, ..message() };
    for parcel in [linking(1), linking(2), card(5), card(6), message()] {
        outbox.post(&cx, parcel, Duration::ZERO).unwrap();
    }
    outbox.withdraw_linking(&cx, &[1; 32]).unwrap();
    outbox.withdraw_card(&cx, 5).unwrap();
    assert_eq!(outbox.len(), 3);
    outbox.expire(&cx).unwrap();
    assert_eq!(outbox.len(), 3);
    cx.now = until;
    outbox.expire(&cx).unwrap();
    assert_eq!(outbox.len(), 2);
    outbox.load(&cx.db).unwrap();
    assert_eq!(outbox.len(), 2);
    outbox.clear(&cx).unwrap();
    outbox.load(&cx.db).unwrap();
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_card_that_is_under_way_is_not_withdrawn() {
    let mut cx = context(1);
    let card = Parcel { address: Address::Card { period: 5 }, ..message() };
    let (mut outbox, _) = under_way(&mut cx, card);
    outbox.withdraw_card(&cx, 5).unwrap();
    assert_eq!(outbox.len(), 1);
}

#[test]
fn only_so_many_are_under_way_and_the_next_go_with_their_results() {
    let mut cx = context(21);
    let mut outbox = Outbox::default();
    for _ in 0..MAX_UNDER_WAY + 2 {
        outbox.post(&cx, message(), Duration::ZERO).unwrap();
    }
    let first = flush(&mut outbox, &mut cx);
    assert_eq!(first.len(), MAX_UNDER_WAY);
    assert_eq!(outbox.next_due(), None, "nothing can go before one of these has come to an end");
    assert!(flush(&mut outbox, &mut cx).is_empty());
    outbox.on_published(&mut cx, first[0], None).unwrap();
    cx.out.clear();
    assert!(outbox.next_due().is_some());
    assert_eq!(flush(&mut outbox, &mut cx).len(), 1);
    outbox.reset();
    assert_eq!(flush(&mut outbox, &mut cx).len(), MAX_UNDER_WAY);
}

#[test]
fn a_message_that_is_refused_for_good_is_told_to_the_history() {
    let mut cx = context(22);
    let (mut outbox, id) = under_way(&mut cx, message());
    outbox.on_published(&mut cx, id, Some(PublishFailure::Refused)).unwrap();
    let asked = crate::machine::testing::effects(&mut cx);
    let is_told = |effect: &Effect| matches!(effect, Effect::Unsendable { message: MESSAGE, .. });
    assert!(asked.iter().any(is_told));
    assert!(matches!(events(&mut cx)[..], [Event::MessageFailed { message: MESSAGE, .. }]));
}

#[test]
fn what_was_sent_makes_room_and_stays_until_it_is_published() {
    let mut cx = context(1);
    let (mut outbox, id) = under_way(&mut cx, message());
    outbox.on_sent(&mut cx, id).unwrap();
    assert!(matches!(events(&mut cx)[..], [Event::Sent { message: MESSAGE, .. }]));
    assert_eq!((outbox.len(), outbox.unconfirmed(), outbox.under_way()), (1, 1, 0));
    assert!(outbox.uses(&EPOCH), "it may have to be sealed again");
    assert_eq!(outbox.next_due(), None);
    // Neither time nor a lost connection sends it again: what became of it is still to be told.
    cx.now = cx.now + RETRY_MAX;
    outbox.reset();
    assert!(flush(&mut outbox, &mut cx).is_empty());
    // A step that was taken back forgets nothing.
    outbox.load(&cx.db).unwrap();
    assert_eq!(outbox.unconfirmed(), 1);
    outbox.on_published(&mut cx, id, None).unwrap();
    assert!(matches!(events(&mut cx)[..], [Event::Published { message: MESSAGE, .. }]));
    assert_eq!(outbox.len(), 0);
}

#[test]
fn what_is_unconfirmed_is_sent_again_and_a_restart_takes_it_up() {
    let mut cx = context(1);
    let (mut outbox, id) = under_way(&mut cx, message());
    outbox.on_sent(&mut cx, id).unwrap();
    events(&mut cx);
    let mut restarted = Outbox::default();
    restarted.load(&cx.db).unwrap();
    assert_eq!(restarted.unconfirmed(), 0);
    assert_eq!(flush(&mut restarted, &mut cx), [id], "whether it arrived is not known");

    outbox.on_published(&mut cx, id, Some(PublishFailure::Unconfirmed)).unwrap();
    assert!(matches!(events(&mut cx)[..], [Event::Unconfirmed { message: MESSAGE, .. }]));
    assert!(flush(&mut outbox, &mut cx).is_empty(), "not at once");
    cx.now = outbox.next_due().unwrap();
    assert_eq!(flush(&mut outbox, &mut cx), [id]);
    // It was under way already when it was said to be sent a second time.
    outbox.reset();
    outbox.on_sent(&mut cx, id).unwrap();
    assert_eq!(outbox.unconfirmed(), 0);
}

#[test]
fn many_unconfirmed_ones_hold_nothing_up() {
    let mut cx = context(1);
    let mut outbox = Outbox::default();
    for _ in 0..MAX_UNDER_WAY + 1 {
        outbox.post(&cx, message(), Duration::ZERO).unwrap();
    }
    let first = flush(&mut outbox, &mut cx);
    assert_eq!(first.len(), MAX_UNDER_WAY);
    assert!(flush(&mut outbox, &mut cx).is_empty());
    for id in first {
        outbox.on_sent(&mut cx, id).unwrap();
    }
    assert_eq!(flush(&mut outbox, &mut cx).len(), 1);
}
