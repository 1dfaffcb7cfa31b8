//! What is to be said waits until it can be, and no longer.

use std::time::Duration;

use super::world::group_of;
use crate::machine::api::disposition::Disposition;
use crate::machine::api::event::Event;
use crate::machine::testing::effects;

#[test]
fn a_draft_waits_for_its_time() {
    let [mut alice, _] = group_of();
    let (delay, due) = (Duration::from_secs(9), alice.cx.now + Duration::from_secs(9));
    alice.with(|group, cx, _, _| group.say_to_own(cx, vec![1], delay, Vec::new()));
    assert_eq!(alice.group().next_draft_due(), Some(due));
    assert!(alice.flush().group.is_empty());
    alice.cx.now = due;
    assert_eq!(alice.flush().group.len(), 1);
    assert_eq!(alice.group().next_draft_due(), None);
}

#[test]
fn nothing_is_encrypted_while_one_that_is_not_to_have_it_is_a_member() {
    let [mut alice, mut bob, mut carol] = group_of();
    let not_to = vec![bob.me.id()];
    alice.with(|group, cx, _, _| group.say_to_own(cx, vec![1], Duration::ZERO, not_to));
    let id = alice.say("for all");
    let out = alice.flush();
    // It is not in the way of what comes after it.
    assert_eq!((out.group.len(), alice.group().drafts()), (1, 1));
    assert_eq!(alice.group().next_draft_due(), None);
    bob.take_all(&out);
    assert_eq!(bob.history()[0].message, id);

    let removal = alice.removal_of(bob.account());
    let removed = alice.change(removal);
    carol.take_all(&removed);
    let out = alice.flush();
    assert_eq!((out.group.len(), alice.group().drafts()), (1, 0));
    assert!(matches!(carol.take(&out.group[0]), Disposition::Message(_)));
    assert!(!matches!(bob.take(&out.group[0]), Disposition::Message(_)));
}

#[test]
fn a_draft_survives_a_restart_and_keeps_its_id_and_its_place() {
    let [mut alice, mut bob] = group_of();
    let id = alice.say("written offline");
    assert!(alice.history().is_empty());
    alice.with(|group, cx, who, _| group.save_drafts(cx, who)).unwrap();
    let waiting = alice.history();
    assert_eq!((waiting[0].message, waiting[0].seq), (id, None));
    alice.reload();
    assert_eq!(alice.group().drafts(), 1);

    let out = alice.flush();
    bob.take_all(&out);
    let (own, theirs) = (alice.history(), bob.history());
    assert_eq!((own.len(), theirs.len()), (1, 1));
    assert_eq!(own[0].id, waiting[0].id);
    assert_eq!((own[0].message, theirs[0].message), (id, id));
    assert!(own[0].seq.is_some() && own[0].seq == theirs[0].seq);
    // Once it is encrypted it does not wait any more.
    alice.reload();
    assert_eq!(alice.group().drafts(), 0);
}

#[test]
fn drafts_go_out_in_the_order_in_which_they_were_written_across_a_restart() {
    let [mut alice, mut bob] = group_of();
    alice.say("one");
    alice.say("two");
    alice.with(|group, cx, who, _| group.save_drafts(cx, who)).unwrap();
    alice.reload();
    alice.say("three");
    let out = alice.flush();
    bob.take_all(&out);
    assert_eq!(bob.texts(), ["one", "two", "three"]);
}

#[test]
fn a_draft_that_goes_out_in_the_same_step_is_never_written() {
    let [mut alice, _] = group_of();
    let group = alice.group().id();
    alice.send("at once");
    alice.with(|group, cx, who, _| group.save_drafts(cx, who)).unwrap();
    assert!(alice.cx.db.drafts::<serde::de::IgnoredAny>(&group).unwrap().is_empty());
    assert_eq!(alice.texts(), ["at once"]);
}

#[test]
fn what_one_that_was_removed_wanted_to_say_fails() {
    let [mut alice, mut bob] = group_of();
    let saved = bob.say("written before");
    bob.with(|group, cx, who, _| group.save_drafts(cx, who)).unwrap();
    let fresh = bob.say("written after");
    let removal = alice.removal_of(bob.account());
    let out = alice.change(removal);
    bob.take_all(&out);
    bob.events();
    effects(&mut bob.cx);

    assert!(bob.flush().group.is_empty());
    assert_eq!(bob.group().drafts(), 0);
    let failed: Vec<_> = bob
        .events()
        .into_iter()
        .map(|event| match event {
            Event::MessageFailed { message, .. } => message,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(failed, [saved, fresh]);
    let history = bob.history();
    assert!(history.iter().all(|message| message.failed && message.seq.is_none()));
    assert_eq!(history.len(), 2);
    bob.reload();
    assert_eq!(bob.group().drafts(), 0);
}
