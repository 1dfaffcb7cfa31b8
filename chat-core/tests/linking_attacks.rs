//! Linking under attack: second answers, replays, a man in the middle, and what an observer sees.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "linking/scene.rs"]
mod scene;
#[allow(dead_code)]
#[path = "linking/world.rs"]
mod world;

use std::collections::BTreeSet;

use chat_core::contact::ContactLink;
use chat_core::identity::linking::{
    EndCode, LinkAnswer, Reveal, Sealed, Step, Transcript, commitment, seal,
};
use chat_core::ids::{AccountId, InstallationId};
use chat_core::machine::{Answer, Command, CommandError, Event, Inbound, LinkState, NewcomerState};
use chat_core::params::LINKING_CODE;
use chat_core::wire::envelope::is_class;
use chat_core::wire::topic::ContentTopic;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use scene::{
    ENDED, OVER, at_the_string, code_of, foreign_answer, frame_of, installations, string, two,
    write,
};
use world::{SECOND, World};

#[test]
fn a_second_answer_ends_it() {
    // Another device of somebody's, before the string and while it is shown.
    for shown in [false, true] {
        let (mut world, phone, tablet) = two();
        let thief = world.account();
        let code = world.code(tablet);
        if !shown {
            world.loses = Box::new(move |from, to, _| from == tablet && to == phone);
        }
        let mine = world.answer(phone, &code).unwrap().id;
        assert_eq!(shown, world.view(tablet).string.is_some());
        world.loses = Box::new(|_, _, _| false);
        world.answer(thief, &code).unwrap();
        assert_eq!(world.view(tablet).state, ENDED(EndCode::AnsweredTwice, false));
        // Both who answered are told.
        for at in [phone, thief] {
            let state = world.link(at, &mine).state;
            assert_eq!(state, OVER(EndCode::AnsweredTwice, true));
            assert_eq!(installations(&world, at), 1);
        }
    }
}

#[test]
fn an_answer_after_the_account_was_taken_is_told() {
    // The thief controls the network: what the phone says is lost until it is too late.
    let (mut world, phone, tablet) = two();
    let thief = world.account();
    let code = world.code(tablet);
    world.loses = Box::new(move |from, _, _| from == phone);
    let id = world.answer(phone, &code).unwrap().id;
    world.answer(thief, &code).unwrap();
    // Nobody types anything into the phone that it would take.
    let typed = string(&world, tablet);
    let state = LinkState::Answered;
    assert_eq!(world.confirm(phone, id, &typed), Err(CommandError::LinkingNotReady { state }));
    world.confirm(thief, id, &typed).unwrap();
    world.pass(SECOND);
    let account = world.machine(thief).identity().unwrap().account;
    // Which is why the new device shows the account.
    assert_eq!(world.machine(tablet).identity().unwrap().account, account);
    assert_eq!(installations(&world, phone), 1);
    // As soon as one word of the phone's comes through, both users are told.
    world.loses = Box::new(|_, _, _| false);
    world.pass(60 * SECOND);
    // Once, however many answers somebody makes.
    let code = code_of(&world, &code);
    for _ in 0..3 {
        let (_, body) = foreign_answer(&mut world, &code);
        write(&mut world, &code, body);
        world.settle();
    }
    let twice = Event::LinkAnsweredTwice { linking: id, account };
    let told = world.events(tablet).iter().filter(|event| **event == twice).count();
    assert_eq!(told, 1);
    assert_eq!(world.link(phone, &id).state, OVER(EndCode::AnsweredTwice, true));
    // Once the code is over, nothing of it is left.
    world.pass(LINKING_CODE);
    let left = world.machine(tablet).arrival().unwrap();
    assert_eq!((left.state, left.account), (NewcomerState::Done, None));
}

#[test]
fn the_same_answer_again_is_harmless() {
    let (mut world, phone, tablet, id) = at_the_string();
    for sent in world.archive.clone() {
        world.publish(sent.from, sent.message);
        world.settle();
    }
    world.switch_off(tablet);
    world.switch_on(tablet);
    world.pass(SECOND);
    let string = string(&world, tablet);
    world.confirm(phone, id, &string).unwrap();
    world.pass(SECOND);
    for sent in world.archive.clone() {
        world.publish(sent.from, sent.message);
        world.settle();
    }
    assert_eq!(world.link(phone, &id).state, LinkState::Done);
    assert_eq!(installations(&world, phone), 2);
}

#[test]
fn replayed_reordered_cut_and_turned_around_nothing_moves() {
    // All messages of one linking, thrown at another between the same devices, and at itself in the
    // wrong order, cut, changed, and in the other's name.
    let (mut world, phone, tablet) = two();
    let code = code_of(&world, &world.code(tablet));
    world.link_by_hand(phone, tablet);
    let bodies: Vec<Vec<u8>> = world
        .archive
        .iter()
        .filter_map(|sent| frame_of(&world, &code, &sent.message))
        .map(|frame| frame.body)
        .collect();
    assert!(bodies.len() >= 7, "{}", bodies.len());

    let (mut world, phone, tablet, id) = at_the_string();
    let own = {
        let sent = &world.archive;
        assert!(sent.len() >= 3);
        sent.clone()
    };
    let laptop = world.newcomer("laptop");
    world.settle();
    let other = code_of(&world, &world.code(laptop));
    let before = (world.link(phone, &id), world.view(tablet), world.view(laptop));
    for body in &bodies {
        write(&mut world, &other, body.clone());
        world.settle();
        for step in Step::ALL {
            // The step is in the second byte.
            let mut turned = body.clone();
            turned[1] = step as u8;
            write(&mut world, &other, turned);
            world.settle();
        }
        write(&mut world, &other, body[..body.len() / 2].to_vec());
        world.settle();
    }
    for sent in own.iter().rev() {
        let mut changed = sent.message.clone();
        let mut payload = changed.payload.to_vec();
        payload[100] ^= 1;
        changed.payload = payload.into();
        world.publish(sent.from, changed);
        let mut cut = sent.message.clone();
        cut.payload.truncate(400);
        world.publish(sent.from, cut);
        world.publish(sent.from, sent.message.clone());
        world.settle();
    }
    assert_eq!((world.link(phone, &id), world.view(tablet), world.view(laptop)), before);
    // And it still goes on.
    let string = string(&world, tablet);
    world.confirm(phone, id, &string).unwrap();
    world.pass(SECOND);
    assert_eq!(world.link(phone, &id).state, LinkState::Done);
}

#[test]
fn who_fills_the_meeting_place_stops_a_linking_and_nothing_else() {
    let (mut world, phone, tablet) = two();
    let code = code_of(&world, &world.code(tablet));
    for n in 0..200u8 {
        let mut rng = ChaCha20Rng::from_seed([n; 32]);
        let begin = Transcript::from_bytes([n; 32]);
        let network = world.params.id();
        let body = seal(&mut rng, code.key(), Step::Answer, &begin, b"", &network).unwrap();
        write(&mut world, &code, body);
    }
    world.settle();
    let id = world.answer(phone, &world.code(tablet)).unwrap().id;
    assert_eq!(world.link(phone, &id).state, LinkState::Answered);
    world.pass(LINKING_CODE);
    assert_eq!(world.link(phone, &id).state, OVER(EndCode::Expired, false));
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Expired, false));
    // A new code is as good as ever.
    world.switch_off(tablet);
    let laptop = world.newcomer("laptop");
    world.link_by_hand(phone, laptop);
}

#[test]
fn a_man_in_the_middle_is_seen() {
    // Mallory shows the phone a code of her own, and answers the tablet's with an account of hers:
    // she knows all that passes on both sides.
    let (mut world, phone, tablet) = two();
    let (false_phone, false_tablet) = (world.account(), world.newcomer("Ada's tablet"));
    world.settle();
    let left = world.answer(phone, &world.code(false_tablet)).unwrap().id;
    world.answer(false_phone, &world.code(tablet)).unwrap();
    let shown = string(&world, tablet);
    assert_ne!(shown, string(&world, false_tablet));
    // The user types what the tablet shows.
    let ended = world.confirm(phone, left, &shown).unwrap();
    assert_eq!(ended.state, OVER(EndCode::WrongString, false));
    assert_eq!(installations(&world, phone), 1);
}

#[test]
fn strings_are_as_good_as_random() {
    let strings: BTreeSet<String> = (0..8)
        .map(|_| {
            let (world, _, tablet, _) = at_the_string();
            string(&world, tablet)
        })
        .collect();
    // The same seeds and times: the same string. So the test can tell.
    assert_eq!(strings.len(), 1);
    let mut world = World::new();
    let phone = world.account();
    let mut strings = BTreeSet::new();
    for n in 0..4 {
        let tablet = world.newcomer(&format!("device {n}"));
        world.answer(phone, &world.code(tablet)).unwrap();
        strings.insert(string(&world, tablet));
    }
    assert_eq!(strings.len(), 4);
}

#[test]
fn who_answers_with_another_account_is_named() {
    let (mut world, _, tablet) = two();
    let code = code_of(&world, &world.code(tablet));
    let (key, body) = foreign_answer(&mut world, &code);
    write(&mut world, &code, body);
    world.settle();
    let view = world.view(tablet);
    assert_eq!(view.state, NewcomerState::Answered);
    assert_eq!(view.account, Some(AccountId([9; 32])));
    // A nonce that was not the one committed to is refused, and says so to who answered.
    let network = world.params.id();
    let said = world
        .archive
        .iter()
        .filter(|sent| sent.from == tablet)
        .find_map(|sent| frame_of(&world, &code, &sent.message))
        .unwrap();
    let begin = Transcript::begin(&code, &network);
    let answer = LinkAnswer {
        key: key.public(),
        account: AccountId([9; 32]),
        installation: InstallationId([8; 32]),
        commitment: commitment(&[7; 32], &network),
    };
    let answered = begin.then(Step::Answer, &answer.encode(), &network);
    let text = Sealed::decode(&said.body).unwrap().open(&key, &answered, &network).unwrap();
    let introduced = answered.then(Step::Introduction, &text, &network);
    let reveal = Reveal { nonce: [6; 32] }.encode();
    let mut rng = ChaCha20Rng::from_seed([55; 32]);
    let body = seal(&mut rng, code.key(), Step::Reveal, &introduced, &reveal, &network).unwrap();
    write(&mut world, &code, body);
    world.settle();
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Refused, false));
    assert!(world.view(tablet).string.is_none());
}

/// Windows of 16 bytes that occur in both.
fn shared(left: &[u8], right: &BTreeSet<Vec<u8>>) -> bool {
    left.windows(16).any(|window| right.contains(window))
}

#[test]
fn an_observer_learns_nothing_from_a_linking() {
    let (mut world, phone, tablet) = two();
    let text = world.code(tablet);
    let code = code_of(&world, &text);
    world.link_by_hand(phone, tablet);
    // What may be known of the account elsewhere.
    let link = match world.command(phone, Command::MakeContactLink) {
        Ok(Answer::ContactLink(link)) => link,
        other => panic!("{other:?}"),
    };
    let parsed = ContactLink::parse(&link, &world.params.id(), world.now).unwrap();
    let card = parsed.card.unwrap();
    let log = card.content().log.encode();
    assert_eq!(card.content().log.state().active.len(), 2, "the tablet is in it");
    let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
    for bytes in [card.encode(), &log, link.as_bytes(), text.as_bytes(), b"Ada's tablet......"] {
        known.extend(bytes.windows(16).map(<[u8]>::to_vec));
    }
    for values in world.machine(phone).fingerprints().into_values().flatten() {
        known.extend(values.windows(16).map(<[u8]>::to_vec));
    }

    let messages: Vec<Inbound> = world
        .archive
        .iter()
        .map(|sent| sent.message.clone())
        .filter(|message| frame_of(&world, &code, message).is_some())
        .collect();
    assert!(messages.len() >= 7, "{}", messages.len());
    let mut before: BTreeSet<Vec<u8>> = BTreeSet::new();
    for message in &messages {
        // The shape of every other envelope.
        assert!(is_class(message.payload.len()), "{}", message.payload.len());
        assert!(message.payload.len() <= 8192, "{}", message.payload.len());
        assert_eq!(message.topic.len(), "/waku-chat/1/".len() + 26 + "/proto".len());
        assert!(ContentTopic::parse(&message.topic).is_ok());
        assert_eq!(message.timestamp_ns % 1_000_000_000, 0);
        assert!(!shared(&message.payload, &known), "it ties the linking to the account");
        assert!(!shared(&message.payload, &before), "two envelopes share bytes");
        assert!(!shared(&message.topic.as_bytes()[13..39], &known));
        before.extend(message.payload.windows(16).map(<[u8]>::to_vec));
    }
}
