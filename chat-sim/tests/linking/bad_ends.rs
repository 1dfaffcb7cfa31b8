//! Slips, wrong strings and codes, the end of time, and a change of mind.

use chat_core::database::Database;
use chat_core::identity::linking::{EndCode, LinkingCodeError, LinkingStringError};
use chat_core::machine::{CommandError, Event, LinkingState, Newcomer, NewcomerState};
use chat_core::params::{CARD_SIZE, LINKING_CODE, LINKING_KEEP, NetworkParams};
use chat_sim::world::Observed;

use crate::scene::*;

#[test]
fn a_slip_costs_nothing_and_a_wrong_string_ends_it() {
    let (scenario, phone, tablet, id) = at_the_string();
    let string = string(&tablet);
    let slip = |why| CommandError::BadLinkingString { why };
    let confirm = |string: &str| phone.refusal(|it| it.confirm_linking(id, string));
    assert_eq!(confirm(""), slip(LinkingStringError::Length));
    let mut swapped: Vec<char> = string.chars().filter(|c| *c != ' ').collect();
    let at = (0..8).find(|at| swapped[*at] != swapped[at + 1]).unwrap();
    swapped.swap(at, at + 1);
    let swapped: String = swapped.into_iter().collect();
    assert_eq!(confirm(&swapped), slip(LinkingStringError::Mistyped));
    assert_eq!(state_at(&phone, &id), LinkingState::AwaitsString);

    let code = scenario.observed();
    let ended = phone.confirm_linking(id, &another(&string));
    assert_eq!(ended.state, OVER(EndCode::WrongString, false));
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::WrongString, true));
    let told = |by_other| Event::LinkingFailed {
        linking: id,
        code: EndCode::WrongString,
        by_other,
        added: None,
    };
    assert_eq!(last_event(&phone), told(false));
    assert_eq!(last_event(&tablet), told(true));
    assert_eq!(installations(&phone), 1);
    // No second try, with the right string or with the same code.
    let state = OVER(EndCode::WrongString, false);
    assert_eq!(confirm(&string), CommandError::LinkingNotReady { state });
    for sent in code {
        scenario.publish(sent);
    }
    scenario.deliver();
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::WrongString, true));
    assert!(shown_by(&tablet).string.is_none());
}

#[test]
fn codes_that_cannot_be_used_are_told_apart() {
    let (scenario, phone, tablet) = two();
    let code = code_on(&tablet);
    let mut mistyped = code.clone();
    mistyped.replace_range(40..41, if &code[40..41] == "A" { "B" } else { "A" });
    assert_eq!(refused(&phone, &mistyped), LinkingCodeError::Mistyped);
    assert_eq!(refused(&phone, &code[..100]), LinkingCodeError::Mistyped);
    assert_eq!(refused(&phone, "hello"), LinkingCodeError::NotACode);
    let link = phone.contact_link();
    assert_eq!(refused(&phone, &link), LinkingCodeError::ContactLink);
    match phone.refusal(|it| it.add_contact(&code, None)) {
        CommandError::BadLink { reason } => assert!(reason.contains("links a device")),
        other => panic!("{other:?}"),
    }
    let other = {
        let params = NetworkParams::public();
        let store = Database::in_memory().unwrap();
        let newcomer = Newcomer::create(store, params, [77; 32], scenario.now(), "other").unwrap();
        newcomer.code().unwrap().to_string()
    };
    assert_eq!(refused(&phone, &other), LinkingCodeError::OtherNetwork);

    // Used: while it goes on, and after.
    let id = phone.answer_linking(&code).id;
    assert_eq!(refused(&phone, &code), LinkingCodeError::Used);
    let string = string(&tablet);
    phone.confirm_linking(id, &string);
    scenario.pass(SECOND);
    assert_eq!(refused(&phone, &code), LinkingCodeError::Used);
    assert_eq!(refused(&tablet, &code), LinkingCodeError::Own);

    let laptop = scenario.newcomer("laptop");
    scenario.deliver();
    let code = code_on(&laptop);
    scenario.pass(LINKING_CODE - SECOND);
    laptop.stop();
    scenario.pass(SECOND);
    assert_eq!(refused(&phone, &code), LinkingCodeError::Expired);
}

#[test]
fn nobody_answers_more_than_a_few_codes_at_once() {
    let scenario = fast();
    let phone = scenario.person("Ada").phone;
    let codes: Vec<String> = (0..5)
        .map(|n| {
            let at = scenario.newcomer(&format!("device {n}"));
            code_on(&at)
        })
        .collect();
    for code in &codes[..4] {
        phone.answer_linking(code);
    }
    let refusal = phone.refusal(|it| it.answer_linking(&codes[4]));
    assert_eq!(refusal, CommandError::TooManyLinkings);
    let id = phone.machine(|it| it.linkings())[0].id;
    phone.cancel_linking(id);
    phone.answer_linking(&codes[4]);
}

#[test]
fn it_expires_on_both_sides() {
    // Nobody answers.
    let (scenario, _, tablet) = two_in(slow());
    scenario.pass(LINKING_CODE);
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Expired, false));
    assert!(tablet.linking_code().is_none());
    // The phone's card, by schedule, is all that there is.
    let is_card = |sent: &Observed| sent.payload.len() == CARD_SIZE;
    assert!(scenario.observed().iter().all(is_card), "nobody is there to be told");

    // Nobody types the string: the phone tells the tablet.
    let (scenario, phone, tablet, id) = at_the_string_in(slow());
    scenario.pass(LINKING_CODE);
    assert_eq!(state_at(&phone, &id), OVER(EndCode::Expired, false));
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Expired, true));

    // The phone is gone: the tablet looks into the Store once more, and gives up.
    let (scenario, phone, tablet, _) = at_the_string_in(slow());
    phone.stop();
    scenario.pass(LINKING_CODE + 29 * SECOND);
    assert_eq!(shown_by(&tablet).state, NewcomerState::ShowsString);
    scenario.pass(2 * SECOND);
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Expired, false));

    // The newcomer is gone.
    let (scenario, phone, tablet) = two_in(slow());
    let code = code_on(&tablet);
    tablet.stop();
    let id = phone.answer_linking(&code).id;
    scenario.pass(LINKING_CODE);
    assert_eq!(state_at(&phone, &id), OVER(EndCode::Expired, false));
    tablet.start();
    scenario.pass(SECOND);
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Expired, false));

    // The newcomer is gone for good after the string was typed: the user learns what to revoke.
    let (scenario, phone, tablet, id) = at_the_string_in(slow());
    let string = string(&tablet);
    tablet.stop();
    phone.confirm_linking(id, &string);
    let installation = linking_at(&phone, &id).installation;
    scenario.pass(LINKING_KEEP);
    assert_eq!(state_at(&phone, &id), OVER(EndCode::Expired, false));
    let told = Event::LinkingFailed {
        linking: id,
        code: EndCode::Expired,
        by_other: false,
        added: installation,
    };
    assert!(installation.is_some());
    assert!(phone.events().contains(&told));
    assert!(linking_at(&phone, &id).added);
}

#[test]
fn it_can_be_cancelled_on_either_side() {
    let (_, phone, tablet, id) = at_the_string();
    phone.cancel_linking(id);
    assert_eq!(state_at(&phone, &id), OVER(EndCode::Cancelled, false));
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Cancelled, true));

    let (_, phone, tablet, id) = at_the_string();
    tablet.cancel_linking(id);
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Cancelled, false));
    assert_eq!(state_at(&phone, &id), OVER(EndCode::Cancelled, true));

    // The end overtakes what it ends.
    let (scenario, phone, tablet) = two();
    let at = tablet.number();
    scenario.lose(move |_, to| to == at);
    let id = phone.answer_linking(&code_on(&tablet)).id;
    phone.cancel_linking(id);
    let [answer, end] = [0, 1].map(|at| scenario.observed()[at].clone());
    scenario.lose_nothing();
    scenario.world().hand_over(at, &end);
    scenario.deliver();
    assert_eq!(shown_by(&tablet).state, NewcomerState::Waiting);
    scenario.world().hand_over(at, &answer);
    scenario.deliver();
    assert_eq!(shown_by(&tablet).state, ENDED(EndCode::Cancelled, true));

    // What is granted is not cancelled: it is to be revoked.
    let (_, phone, tablet, id) = at_the_string();
    let string = string(&tablet);
    tablet.stop();
    phone.confirm_linking(id, &string);
    let state = LinkingState::Granted;
    let refusal = phone.refusal(|it| it.cancel_linking(id));
    assert_eq!(refusal, CommandError::LinkingNotReady { state });
}
