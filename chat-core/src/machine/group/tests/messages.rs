//! Messages and changes between members.

use std::time::Duration;

use super::world::group_of;
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::machine::api::event::Event;

#[test]
fn a_message_has_one_id_and_one_number_on_all_sides() {
    let [mut alice, mut bob, mut carol] = group_of();
    let (id, envelope) = alice.send("good morning");
    for member in [&mut bob, &mut carol] {
        assert!(matches!(member.take(&envelope), Disposition::Message(_)));
    }
    let own = alice.history().remove(0);
    assert!(own.own);
    for member in [&mut bob, &mut carol] {
        let there = member.history();
        let [message] = &there[..] else { panic!("one message") };
        assert_eq!(message.message, id);
        assert_eq!(message.text.as_deref(), Some("good morning"));
        assert_eq!(message.sender, alice.me.account);
        assert!(!message.own && !message.flagged);
        assert_eq!((message.seq, message.epoch_id), (own.seq, own.epoch_id));
        let told = member.events();
        assert!(matches!(&told[..], [Event::MessageReceived { message }] if message.message == id));
    }
    assert_eq!(own.message, id);
}

#[test]
fn a_message_that_comes_twice_is_there_once() {
    let [mut alice, mut bob] = group_of();
    let (_, envelope) = alice.send("once");
    bob.take(&envelope);
    assert_eq!(bob.take(&envelope), Disposition::Duplicate);
    assert_eq!(bob.texts(), ["once"]);
}

#[test]
fn an_envelope_that_was_only_judged_can_still_be_read() {
    let [mut alice, mut bob] = group_of();
    let (_, envelope) = alice.send("not lost");
    bob.cx.db.watch_writes();
    let slot = alice.cx.slot();
    let verdict = bob.with(|group, cx, who, _| {
        group.open(cx, who, &envelope.topic, &envelope.payload, slot).map(drop)
    });
    verdict.unwrap();
    assert!(!bob.cx.db.has_written());
    assert!(matches!(bob.take(&envelope), Disposition::Message(_)));
    assert_eq!(bob.texts(), ["not lost"]);
}

#[test]
fn messages_in_another_order_are_all_read_and_what_is_missing_is_known() {
    let [mut alice, mut bob] = group_of();
    let sent: Vec<_> = (0..4).map(|n| alice.send(&format!("{n}")).1).collect();
    for n in [2, 0, 3] {
        assert!(matches!(bob.take(&sent[n]), Disposition::Message(_)));
    }
    let missing: Vec<u64> = bob.group().missing().iter().map(|it| it.seq).collect();
    let lost = alice.history()[1].seq.unwrap();
    assert_eq!(missing, [lost]);
    bob.take(&sent[1]);
    assert!(bob.group().missing().is_empty());
    assert_eq!(bob.texts(), ["2", "0", "3", "1"]);
}

#[test]
fn a_rename_is_in_force_for_all_and_told_to_those_who_did_not_make_it() {
    let [mut alice, mut bob] = group_of();
    let renaming = alice.renaming("Another name");
    let out = alice.change(renaming);
    bob.take_all(&out);
    assert_eq!(alice.state(), bob.state());
    assert_eq!(bob.state().1, "Another name");
    let told = bob.events();
    let [Event::GroupDescribed { by, name, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*by, name.as_str()), (alice.me.account, "Another name"));
}

#[test]
fn a_message_of_an_epoch_that_has_yet_to_come_waits_for_it() {
    let [mut alice, mut bob] = group_of();
    let renaming = alice.renaming("Later");
    let commit = alice.change(renaming);
    let (_, message) = alice.send("in the new epoch");
    assert_eq!(bob.take(&message), Disposition::Deferred(Deferred::UnknownEpoch));
    assert_eq!(bob.take(&message), Disposition::Duplicate);
    assert!(bob.reopen().is_empty());
    bob.take_all(&commit);
    assert!(matches!(bob.reopen()[..], [Disposition::Message(_)]));
    assert_eq!(bob.texts(), ["in the new epoch"]);
    assert!(bob.with(|group, cx, _, _| group.deferred(cx)).unwrap().is_empty());
}

#[test]
fn what_was_said_before_a_commit_is_read_after_it() {
    let [mut alice, mut bob] = group_of();
    let (_, message) = alice.send("before");
    let renaming = alice.renaming("After");
    let commit = alice.change(renaming);
    bob.take_all(&commit);
    assert!(matches!(bob.take(&message), Disposition::Message(_)));
    assert_eq!(bob.texts(), ["before"]);
}

#[test]
fn a_group_that_was_loaded_again_reads_and_writes_on() {
    let [mut alice, mut bob] = group_of();
    let (_, first) = alice.send("one");
    bob.take(&first);
    alice.reload();
    bob.reload();
    let (_, second) = alice.send("two");
    assert!(matches!(bob.take(&second), Disposition::Message(_)));
    let (_, third) = bob.send("three");
    assert!(matches!(alice.take(&third), Disposition::Message(_)));
    assert_eq!(alice.texts(), ["one", "two", "three"]);
    assert_eq!(bob.texts(), ["one", "two", "three"]);
    assert_eq!(alice.history()[1].seq, alice.history()[0].seq.map(|seq| seq + 1));
}

#[test]
fn members_meet_on_topics_that_change_with_the_slot() {
    let [mut alice, mut bob] = group_of();
    let (_, first) = alice.send("now");
    for member in [&mut alice, &mut bob] {
        member.wait(Duration::from_secs(member.cx.params.slot_secs));
    }
    let (_, second) = alice.send("a slot later");
    assert_ne!(first.topic.as_str(), second.topic.as_str());
    bob.take(&second);
    bob.take(&first);
    assert_eq!(bob.texts(), ["a slot later", "now"]);
}

#[test]
fn a_message_that_another_member_changed_is_not_read() {
    let [mut alice, mut bob] = group_of();
    let (_, mut envelope) = alice.send("as it was");
    let last = envelope.payload.len() - 1;
    envelope.payload[last] ^= 1;
    assert_eq!(bob.take(&envelope), Disposition::Deferred(Deferred::UnknownRoot));
    let bytes = vec![0xff; 40];
    let verdict = bob.with(|group, cx, who, _| {
        let verdict = group.judge(cx, who, &bytes).unwrap();
        group.apply(cx, who, verdict).unwrap()
    });
    assert_eq!(verdict, Disposition::Refused(Refused::Frame));
    assert!(bob.texts().is_empty());
}
