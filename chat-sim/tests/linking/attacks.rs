//! Linking under attack: second answers, replays, a man in the middle, and what an observer sees.

use std::collections::BTreeSet;

use chat_core::contact::ContactLink;
use chat_core::identity::linking::{
    EndCode, LinkingAnswer, Reveal, Sealed, Step, Transcript, commitment, seal,
};
use chat_core::ids::{AccountId, InstallationId};
use chat_core::machine::{CommandError, Event, LinkingState, NewcomerState};
use chat_core::params::LINKING_CODE;
use chat_core::wire::envelope::is_class;
use chat_core::wire::topic::ContentTopic;
use chat_sim::world::Observed;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::scene::*;

#[test]
fn a_second_answer_ends_it() {
    // By a thief's own phone, before the string is shown and while it is.
    for shown in [false, true] {
        let (scenario, phone, tablet) = two();
        let thief = scenario.person("thief").phone;
        let code = code_on(&tablet);
        if !shown {
            let (by, at) = (tablet.number(), phone.number());
            scenario.lose(move |message, to| message.by == by && to == at);
        }
        let mine = phone.answer_linking(&code).id;
        assert_eq!(shown, shown_by(&tablet).string.is_some());
        scenario.lose_nothing();
        thief.answer_linking(&code);
        assert_eq!(shown_by(&tablet).state, ENDED(EndCode::AnsweredTwice, false));
        // Both who answered are told.
        for at in [&phone, &thief] {
            let state = state_at(at, &mine);
            assert_eq!(state, OVER(EndCode::AnsweredTwice, true));
            assert_eq!(installations(at), 1);
        }
    }
}

#[test]
fn an_answer_after_the_account_was_taken_is_told() {
    // The thief controls the network: what the phone says is lost until it is too late.
    let (scenario, phone, tablet) = two();
    let thief = scenario.person("thief").phone;
    let code = code_on(&tablet);
    let silenced = phone.number();
    scenario.lose(move |message, _| message.by == silenced);
    let id = phone.answer_linking(&code).id;
    thief.answer_linking(&code);
    // Nobody types anything into the phone that it would take.
    let typed = string(&tablet);
    let state = LinkingState::Answered;
    let refusal = phone.refusal(|it| it.confirm_linking(id, &typed));
    assert_eq!(refusal, CommandError::LinkingNotReady { state });
    thief.confirm_linking(id, &typed);
    scenario.pass(SECOND);
    let account = thief.account_id();
    // Which is why the new device shows the account.
    assert_eq!(tablet.account_id(), account);
    assert_eq!(installations(&phone), 1);
    // As soon as one word of the phone's comes through, both users are told.
    scenario.lose_nothing();
    scenario.pass(60 * SECOND);
    // Once, however many answers come.
    let code = code_of(&scenario, &code);
    for _ in 0..3 {
        let (_, body) = foreign_answer(&scenario, &code);
        write(&scenario, &code, body);
        scenario.deliver();
    }
    let twice = Event::LinkingAnsweredTwice { linking: id, account };
    let told = tablet.events().iter().filter(|event| **event == twice).count();
    assert_eq!(told, 1);
    assert_eq!(state_at(&phone, &id), OVER(EndCode::AnsweredTwice, true));
    // Once the code is over, nothing of it is left.
    scenario.pass(LINKING_CODE);
    let left = shown_by(&tablet);
    assert_eq!((left.state, left.account), (NewcomerState::Done, None));
}

#[test]
fn the_same_answer_again_is_harmless() {
    let (scenario, phone, tablet, id) = at_the_string();
    for sent in scenario.observed() {
        scenario.publish(sent);
        scenario.deliver();
    }
    tablet.stop();
    tablet.start();
    scenario.pass(SECOND);
    let string = string(&tablet);
    phone.confirm_linking(id, &string);
    scenario.pass(SECOND);
    for sent in scenario.observed() {
        scenario.publish(sent);
        scenario.deliver();
    }
    assert_eq!(state_at(&phone, &id), LinkingState::Done);
    assert_eq!(installations(&phone), 2);
}

#[test]
fn replayed_reordered_cut_and_turned_around_nothing_moves() {
    // All messages of one linking, thrown at another between the same devices, and at itself in the
    // wrong order, cut, changed, and in the other's name.
    let (scenario, phone, tablet) = two();
    let code = code_of(&scenario, &code_on(&tablet));
    link_by_hand(&scenario, &phone, &tablet);
    let bodies: Vec<Vec<u8>> = scenario
        .observed()
        .iter()
        .filter_map(|sent| frame_of(&scenario, &code, sent))
        .map(|frame| frame.body)
        .collect();
    assert!(bodies.len() >= 7, "{}", bodies.len());

    let (scenario, phone, tablet, id) = at_the_string();
    let own = {
        let sent = scenario.observed();
        assert!(sent.len() >= 3);
        sent
    };
    let laptop = scenario.newcomer("laptop");
    scenario.deliver();
    let other = code_of(&scenario, &code_on(&laptop));
    let before = (linking_at(&phone, &id), shown_by(&tablet), shown_by(&laptop));
    for body in &bodies {
        write(&scenario, &other, body.clone());
        scenario.deliver();
        for step in Step::ALL {
            // The step is in the second byte.
            let mut turned = body.clone();
            turned[1] = step as u8;
            write(&scenario, &other, turned);
            scenario.deliver();
        }
        write(&scenario, &other, body[..body.len() / 2].to_vec());
        scenario.deliver();
    }
    for sent in own.iter().rev() {
        let mut changed = sent.clone();
        changed.payload[100] ^= 1;
        scenario.publish(changed);
        let mut cut = sent.clone();
        cut.payload.truncate(400);
        scenario.publish(cut);
        scenario.publish(sent.clone());
        scenario.deliver();
    }
    assert_eq!((linking_at(&phone, &id), shown_by(&tablet), shown_by(&laptop)), before);
    // And it still goes on.
    let string = string(&tablet);
    phone.confirm_linking(id, &string);
    scenario.pass(SECOND);
    assert_eq!(state_at(&phone, &id), LinkingState::Done);
}

#[test]
fn who_fills_the_meeting_place_stops_a_linking_and_nothing_else() {
    let (scenario, phone, tablet) = two();
    let code = code_of(&scenario, &code_on(&tablet));
    for n in 0..200u8 {
        let mut rng = ChaCha20Rng::from_seed([n; 32]);
        let begin = Transcript::from_bytes([n; 32]);
        let network = scenario.world().params.id();
        let body = seal(&mut rng, code.key(), Step::Answer, &begin, b"", &network).unwrap();
        write(&scenario, &code, body);
    }
    scenario.deliver();
    let id = phone.answer_linking(&code_on(&tablet)).id;
    assert_eq!(state_at(&phone, &id), LinkingState::Answered);
    scenario.pass(LINKING_CODE);
    assert_eq!(state_at(&phone, &id), OVER(EndCode::Expired, false));
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Expired, false));
    // A new code is as good as ever.
    tablet.stop();
    let laptop = scenario.newcomer("laptop");
    link_by_hand(&scenario, &phone, &laptop);
}

#[test]
fn a_man_in_the_middle_is_seen() {
    // Mallory shows the phone a code of her own, and answers the tablet's with an account of hers:
    // she knows all that passes on both sides.
    let (scenario, phone, tablet) = two();
    let (false_phone, false_tablet) =
        (scenario.person("thief").phone, scenario.newcomer("Ada's tablet"));
    scenario.deliver();
    let left = phone.answer_linking(&code_on(&false_tablet)).id;
    false_phone.answer_linking(&code_on(&tablet));
    let shown = string(&tablet);
    assert_ne!(shown, string(&false_tablet));
    // The user types what the tablet shows.
    let ended = phone.confirm_linking(left, &shown);
    assert_eq!(ended.state, OVER(EndCode::WrongString, false));
    assert_eq!(installations(&phone), 1);
}

#[test]
fn strings_are_as_good_as_random() {
    let strings: BTreeSet<String> = (0..8)
        .map(|_| {
            let (_, _, tablet, _) = at_the_string();
            string(&tablet)
        })
        .collect();
    // The same seeds and times: the same string. So the test can tell.
    assert_eq!(strings.len(), 1);
    let scenario = fast();
    let phone = scenario.person("thief").phone;
    let mut strings = BTreeSet::new();
    for n in 0..4 {
        let tablet = scenario.newcomer(&format!("device {n}"));
        phone.answer_linking(&code_on(&tablet));
        strings.insert(string(&tablet));
    }
    assert_eq!(strings.len(), 4);
}

#[test]
fn who_answers_with_another_account_is_named() {
    let (scenario, _, tablet) = two();
    let code = code_of(&scenario, &code_on(&tablet));
    let (key, body) = foreign_answer(&scenario, &code);
    write(&scenario, &code, body);
    scenario.deliver();
    let view = shown_by(&tablet);
    assert_eq!(view.state, NewcomerState::Answered);
    assert_eq!(view.account, Some(AccountId([9; 32])));
    // A nonce that was not the one committed to is refused, and says so to who answered.
    let network = scenario.world().params.id();
    let said = scenario
        .observed()
        .iter()
        .filter(|sent| sent.by == tablet.number())
        .find_map(|sent| frame_of(&scenario, &code, sent))
        .unwrap();
    let begin = code.transcript(&network);
    let answer = LinkingAnswer {
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
    write(&scenario, &code, body);
    scenario.deliver();
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Refused, false));
    assert!(shown_by(&tablet).string.is_none());
}

/// Windows of 16 bytes that occur in both.
fn shared(left: &[u8], right: &BTreeSet<Vec<u8>>) -> bool {
    left.windows(16).any(|window| right.contains(window))
}

#[test]
fn an_observer_learns_nothing_from_a_linking() {
    let (scenario, phone, tablet) = two();
    let text = code_on(&tablet);
    let code = code_of(&scenario, &text);
    link_by_hand(&scenario, &phone, &tablet);
    // What may be known of the account elsewhere.
    let link = phone.contact_link();
    let network = scenario.world().params.id();
    let parsed = ContactLink::parse(&link, &network, scenario.now()).unwrap();
    let card = parsed.card.unwrap();
    let log = card.content().log.encode();
    assert_eq!(card.content().log.state().active.len(), 2, "the tablet is in it");
    let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
    for bytes in [card.encode(), &log, link.as_bytes(), text.as_bytes(), b"Ada's tablet......"] {
        known.extend(bytes.windows(16).map(<[u8]>::to_vec));
    }
    for values in phone.machine(|it| it.fingerprints()).into_values().flatten() {
        known.extend(values.windows(16).map(<[u8]>::to_vec));
    }

    let messages: Vec<Observed> = scenario
        .observed()
        .into_iter()
        .filter(|message| frame_of(&scenario, &code, message).is_some())
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
