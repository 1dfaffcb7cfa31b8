//! Both sides' records of a linking, and what of them is watched and said again.

use std::time::Duration;

use zeroize::Zeroizing;

use super::*;
use crate::identity::linking::{
    EndCode, Ending, LinkingAnswer, LinkingKey, LinkingString, Sealed, Step, commitment,
};
use crate::ids::{AccountId, InstallationId};
use crate::machine::api::linking::{LinkingState, NewcomerState};
use crate::machine::linking::grant::Open;
use crate::machine::testing::{NOW, context, found_account};
use crate::params::{LINKING_CODE, LINKING_KEEP, LINKING_REPEAT_MIN};
use crate::wire::frame::Frame;

const NONCE: [u8; 32] = [3; 32];

fn newcomer(cx: &Cx) -> NewcomerRecord {
    NewcomerRecord::new(&cx.rng, "A phone".into(), cx.now, cx.network)
}

fn answer(cx: &Cx) -> LinkingAnswer {
    let key = LinkingKey::generate(&mut *cx.rng.lock());
    LinkingAnswer {
        key: key.public(),
        account: AccountId([1; 32]),
        installation: InstallationId([2; 32]),
        commitment: commitment(&NONCE, &cx.network),
    }
}

/// A record with an answer, and the key of the one who answered.
fn answered(cx: &Cx) -> (NewcomerRecord, LinkingKey) {
    let key = LinkingKey::generate(&mut *cx.rng.lock());
    let (mut record, answer) = (newcomer(cx), LinkingAnswer { key: key.public(), ..answer(cx) });
    assert_eq!(record.take_answer(&answer, &answer.encode(), &cx.network), None);
    (record, key)
}

fn grant(cx: &Cx, code: LinkingCode) -> GrantRecord {
    let transcript = code.transcript(&cx.network);
    GrantRecord {
        id: code.id(&cx.network),
        state: LinkingState::Answered,
        code_until: code.until(),
        until: code.until(),
        name: None,
        installation: None,
        added: false,
        open: Some(Open {
            code,
            key: Zeroizing::new([4; 32]),
            nonce: Zeroizing::new(NONCE),
            answer: transcript,
            so_far: transcript,
            string: None,
            possession: None,
            said: Repeated::new(vec![5; 8], true, cx.now),
            arrived: None,
            welcome: None,
            heard: None,
            failures: 0,
        }),
    }
}

// ---- the grants of an installation ----

#[test]
fn grants_are_there_after_a_restart() {
    let cx = context(1);
    let code = newcomer(&cx).code().cloned().unwrap();
    let grant = grant(&cx, code.clone());
    let id = grant.id;
    let mut linkings = Linkings::default();
    linkings.grants.insert(id, grant);
    linkings.save_grants(&cx).unwrap();
    let mut loaded = Linkings::default();
    loaded.load(&cx.db).unwrap();
    assert_eq!(loaded.grants.keys().copied().collect::<Vec<_>>(), [id]);
    assert!(loaded.grants[&id].code() == Some(&code));
    assert!(loaded.arrival.is_none());
}

#[test]
fn a_rendezvous_is_watched_by_both_until_it_is_over() {
    let cx = context(1);
    let record = newcomer(&cx);
    let code = record.code().cloned().unwrap();
    let (mut grantor, mut device) = (Linkings::default(), Linkings::default());
    grantor.grants.insert(record.id, grant(&cx, code));
    device.arrival = Some(record);
    let (ours, theirs) = (grantor.roots(&cx, cx.slot()), device.roots(&cx, cx.slot()));
    assert_eq!((ours.len(), theirs.len()), (1, 1));
    assert_eq!(ours[0].1.topic.expose(), theirs[0].1.topic.expose());
    assert_eq!(grantor.next_end(), Some(NOW + LINKING_CODE));
    assert_eq!(device.next_end(), Some(NOW + LINKING_CODE));
    for grant in grantor.grants.values_mut() {
        grant.close(LinkingState::Done, cx.now);
    }
    device.arrival.as_mut().unwrap().close(NewcomerState::Done);
    for linkings in [&grantor, &device] {
        assert!(linkings.roots(&cx, cx.slot()).is_empty());
        assert_eq!((linkings.next_end(), linkings.next_repeat(|_| false)), (None, None));
    }
}

#[test]
fn what_waits_in_the_outbox_is_not_due_to_be_said_again() {
    let cx = context(1);
    let code = newcomer(&cx).code().cloned().unwrap();
    let grant = grant(&cx, code);
    let frame = grant.said().unwrap().frame.clone();
    let mut linkings = Linkings::default();
    linkings.grants.insert(grant.id, grant);
    assert_eq!(linkings.next_repeat(|_| false), Some(NOW + LINKING_REPEAT_MIN));
    assert_eq!(linkings.next_repeat(|posted| posted == frame), None);
}

#[test]
fn a_grant_that_is_over_has_no_secrets_and_is_listed_for_as_long_as_its_code_could_be_answered() {
    let mut cx = context(1);
    let code = newcomer(&cx).code().cloned().unwrap();
    let mut grant = grant(&cx, code);
    let ended = LinkingState::Ended { code: EndCode::Cancelled, by_other: false };
    grant.close(ended, NOW);
    assert!(grant.is_over() && grant.code().is_none() && grant.said().is_none());
    assert_eq!((grant.state, grant.until), (ended, NOW + LINKING_CODE + LINKING_KEEP));
    cx.now = NOW + LINKING_KEEP;
    grant.close(ended, cx.now);
    assert_eq!(grant.until, cx.now + LINKING_KEEP);
}

// ---- the record of a new device ----

#[test]
fn a_device_waits_to_be_linked_until_that_is_over_or_it_has_an_account() {
    let cx = context(1);
    assert!(!NewcomerRecord::is_waiting(&cx.db).unwrap());
    let mut record = newcomer(&cx);
    record.save(&cx.db).unwrap();
    assert!(NewcomerRecord::is_waiting(&cx.db).unwrap());
    let loaded = NewcomerRecord::load(&cx.db).unwrap().unwrap();
    assert_eq!(loaded.view(), record.view());
    record.close(NewcomerState::Done);
    record.save(&cx.db).unwrap();
    assert!(!NewcomerRecord::is_waiting(&cx.db).unwrap());
    newcomer(&cx).save(&cx.db).unwrap();
    found_account(&cx);
    assert!(!NewcomerRecord::is_waiting(&cx.db).unwrap());
}

#[test]
fn the_answer_that_came_first_is_the_one_that_counts() {
    let cx = context(1);
    let mut record = newcomer(&cx);
    let (first, second) = (answer(&cx), answer(&cx));
    let (text, other) = (first.encode(), second.encode());
    assert!(record.account().is_none() && record.commitment().is_none());
    record.take_answer(&first, &text, &cx.network);
    assert!(record.is_the_answer(&text, &cx.network));
    assert!(!record.is_the_answer(&other, &cx.network));
    assert_eq!(record.account(), Some(first.account));
    assert_eq!(record.grantor(), Some(first.installation));
    assert_eq!(record.commitment(), Some(first.commitment));
    assert!(record.warn(), "the user is told of another one");
    assert!(!record.warn(), "once");
}

#[test]
fn an_answer_that_was_ended_before_it_came_is_over() {
    let cx = context(1);
    let (mut record, answer) = (newcomer(&cx), answer(&cx));
    let text = answer.encode();
    let transcript = record.so_far().unwrap().then(Step::Answer, &text, &cx.network);
    record.make_void(&Ending { code: EndCode::Cancelled, answer: transcript });
    assert_eq!(record.take_answer(&answer, &text, &cx.network), Some(EndCode::Cancelled));
}

#[test]
fn endings_of_answers_that_never_come_do_not_fill_the_record() {
    let cx = context(1);
    let mut record = newcomer(&cx);
    let begin = record.so_far().unwrap();
    let ending = |n: u8| {
        let answer = begin.then(Step::Answer, &[n], &cx.network);
        Ending { code: EndCode::Cancelled, answer }
    };
    (0..100).for_each(|n| record.make_void(&ending(n)));
    record.save(&cx.db).unwrap();
    let size = |record: &NewcomerRecord| serde_json::to_vec(record).unwrap().len();
    let full = size(&record);
    record.make_void(&ending(200));
    assert_eq!(size(&record), full);
}

#[test]
fn both_sides_come_to_one_string_and_the_nonce_decides_it() {
    let cx = context(1);
    let (mut record, _) = answered(&cx);
    record.say(&cx.rng, Step::Introduction, b"I am", true, cx.now, &cx.network).unwrap();
    let introduced = record.so_far().unwrap();
    assert!(record.view().string.is_none());
    let mut other = record.clone();
    record.reveal(&NONCE, &cx.network);
    other.reveal(&[4; 32], &cx.network);
    let expected = LinkingString::derive(&introduced, &NONCE, &cx.network).to_string();
    assert_eq!(record.view().string, Some(expected));
    assert_ne!(record.view().string, other.view().string);
    assert_eq!(record.state, NewcomerState::ShowsString);
    assert!(record.said().is_none(), "it is answered");
    assert_eq!(record.until, NOW + LINKING_CODE + LINKING_KEEP);
}

#[test]
fn what_is_said_opens_for_the_one_who_answered_after_the_same_talk_alone() {
    let cx = context(1);
    let (mut record, key) = answered(&cx);
    let before = record.so_far().unwrap();
    record.say(&cx.rng, Step::Introduction, b"I am", true, cx.now, &cx.network).unwrap();
    let frame = Frame::decode(&record.said().unwrap().frame).unwrap();
    let sealed = Sealed::decode(&frame.body).unwrap();
    assert_eq!(sealed.open(&key, &before, &cx.network).unwrap().as_slice(), b"I am");
    let other = LinkingKey::generate(&mut *cx.rng.lock());
    assert!(sealed.open(&other, &before, &cx.network).is_err());
    assert!(sealed.open(&key, &record.so_far().unwrap(), &cx.network).is_err());
    // Nobody is told anything before somebody answered, nor after the end.
    let mut silent = newcomer(&cx);
    assert!(silent.say(&cx.rng, Step::Arrival, b"", true, cx.now, &cx.network).is_err());
    record.close(NewcomerState::Done);
    assert!(record.say(&cx.rng, Step::Arrival, b"", true, cx.now, &cx.network).is_err());
}

#[test]
fn an_ending_tells_the_grantor_which_answer_is_over() {
    let cx = context(1);
    let (record, key) = answered(&cx);
    let begin = record.code().unwrap().transcript(&cx.network);
    let ending = record.ending_to_grantor(EndCode::Cancelled, &cx.rng, cx.now, &cx.params);
    let frame = Frame::decode(&ending.unwrap().frame).unwrap();
    let text = Sealed::decode(&frame.body).unwrap().open(&key, &begin, &cx.network).unwrap();
    let ending = Ending::decode(&text).unwrap();
    assert_eq!(ending.code, EndCode::Cancelled);
    assert!(record.is_answered_by(&ending.answer));
    assert!(newcomer(&cx).ending_to_grantor(ending.code, &cx.rng, NOW, &cx.params).is_none());
}

#[test]
fn the_installation_key_is_with_the_identity_once_it_is_granted() {
    let cx = context(1);
    let (mut record, _) = answered(&cx);
    assert!(record.installation().is_some());
    record.granted(NOW + Duration::from_secs(5));
    assert!(record.installation().is_none() && record.view().string.is_none());
    assert_eq!(record.state, NewcomerState::Linked);
    assert_eq!(record.until, NOW + Duration::from_secs(5) + LINKING_KEEP);
    record.done();
    assert_eq!((record.state, record.until), (NewcomerState::Done, NOW + LINKING_CODE));
}
