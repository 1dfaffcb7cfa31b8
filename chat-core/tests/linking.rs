//! Linking a device, between the two machines and over a network in memory: the good way, kills at
//! every step, devices that are off, slips, wrong strings and codes, the end of time.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "linking/scene.rs"]
mod scene;
#[path = "linking/world.rs"]
mod world;

use std::time::Duration;

use chat_core::identity::linking::{EndCode, LinkingCodeError, LinkingStringError};
use chat_core::machine::{
    Answer, Command, CommandError, Event, LinkState, LinkView, Machine, Newcomer, NewcomerState,
    OpenError,
};
use chat_core::params::{CARD_SIZE, LINKING_CODE, LINKING_KEEP, NetworkParams};
use chat_core::store::Store;
use scene::{
    ENDED, OVER, another, at_the_string, at_the_string_in, code_of, frame_of, installations,
    last_event, refused, string, two, two_in,
};
use world::{Device, Kill, SECOND, START, Sent, World};

#[test]
fn a_device_is_linked() {
    let (mut world, phone, tablet) = two_in(World::slow());
    let account = world.machine(phone).identity().unwrap().account;
    let by = world.machine(phone).identity().unwrap().installation;
    assert_eq!(world.view(tablet).state, NewcomerState::Waiting);
    let code = code_of(&world, &world.code(tablet));

    let link = world.answer(phone, &world.code(tablet)).unwrap();
    assert_eq!(link.state, LinkState::Answered);
    let id = link.id;
    // What the user sees before anything is granted.
    let link = world.link(phone, &id);
    assert_eq!(link.state, LinkState::AwaitsString);
    assert_eq!(link.name.as_deref(), Some("Ada's tablet"));
    assert_eq!(link.until, START + LINKING_CODE);
    assert!(!link.added);
    assert_eq!(last_event(&world, phone), Event::LinkReady { link });
    let view = world.view(tablet);
    assert_eq!((view.account, view.grantor, view.id), (Some(account), Some(by), id));
    assert_eq!(world.new_device(tablet).account(), Some(account));
    assert_eq!(world.new_device(tablet).sas(), view.string);
    assert!(world.new_device(tablet).code().is_none(), "a code is shown once");
    let shown = Event::LinkStringShown { linking: id, account };
    assert_eq!(last_event(&world, tablet), shown);
    assert_eq!(installations(&world, phone), 1);

    let string = string(&world, tablet);
    world.confirm(phone, id, &string).unwrap();
    world.pass(SECOND);
    let new = world.machine(tablet).identity().unwrap();
    assert_eq!(new.account, account);
    assert_ne!(new.installation, by);
    let added = Event::InstallationAdded { installation: new.installation };
    assert!(world.events(phone).contains(&added));
    for device in [phone, tablet] {
        let all = world.machine(device).installations().unwrap();
        let it = all.iter().find(|it| it.installation == new.installation).unwrap();
        assert_eq!(it.name.as_deref(), Some("Ada's tablet"));
        assert_eq!(it.added_by, Some(by));
    }
    let linked = Event::Linked { linking: id, account, installation: new.installation };
    assert!(world.events(tablet).contains(&linked));
    for device in [phone, tablet] {
        assert_eq!(installations(&world, device), 2);
    }
    assert_eq!(world.link(phone, &id).state, LinkState::Done);
    assert_eq!(world.view(tablet).state, NewcomerState::Done);
    let done = Event::LinkDone { linking: id, installation: new.installation };
    assert!(world.events(phone).contains(&done));
    assert!(world.events(tablet).contains(&done));
    // Each said what it had to say, once, and nothing is said again.
    world.pass(3 * LINKING_KEEP);
    let said: Vec<&Sent> = world
        .archive
        .iter()
        .filter(|sent| frame_of(&world, &code, &sent.message).is_some())
        .collect();
    let speakers: Vec<usize> = said.iter().map(|sent| sent.from).collect();
    assert_eq!(speakers, [phone, tablet, phone, phone, tablet, phone, tablet]);
    assert!(world.machine(phone).linkings().is_empty());
}

#[test]
fn a_second_device_links_a_third() {
    let (mut world, phone, tablet) = two();
    world.link_by_hand(phone, tablet);
    let laptop = world.newcomer("laptop");
    world.link_by_hand(tablet, laptop);
    assert_eq!(installations(&world, laptop), 3);
    assert_eq!(installations(&world, tablet), 3);
}

#[test]
fn killed_at_any_step_it_is_linked_all_the_same() {
    let mut kills = 0;
    for device in 0..2 {
        for write in [None, Some(0), Some(1), Some(2), Some(4)] {
            for step in 0.. {
                let (mut world, phone, tablet) = two();
                let first = [phone, tablet].map(|at| world.steps(at));
                let step = first[device] + step;
                world.kill = Some(Kill { device, step, write });
                world.link_by_hand(phone, tablet);
                if !world.was_killed {
                    break;
                }
                kills += 1;
                for at in [phone, tablet] {
                    assert_eq!(installations(&world, at), 2, "killed {device} in {step}");
                }
                let once = |event: &&Event| matches!(event, Event::InstallationAdded { .. });
                let stored = world.machine(phone).events(0, 1000).unwrap();
                assert_eq!(stored.iter().map(|(_, event)| event).filter(once).count(), 1);
            }
        }
    }
    assert!(kills > 100, "{kills}");
}

#[test]
fn either_may_be_off_in_the_middle() {
    for off in 0..2 {
        let (mut world, phone, tablet, id) = at_the_string_in(World::slow());
        let string = string(&world, tablet);
        // The grant is on its way; then one of them is off for hours.
        if off == tablet {
            world.switch_off(tablet);
        }
        world.confirm(phone, id, &string).unwrap();
        world.switch_off(phone);
        world.pass(6 * 3600 * SECOND);
        if off == tablet {
            world.switch_on(tablet);
        }
        world.pass(SECOND);
        world.switch_on(phone);
        world.pass(20 * 60 * SECOND);
        assert_eq!(world.link(phone, &id).state, LinkState::Done, "off: {off}");
        assert_eq!(world.view(tablet).state, NewcomerState::Done);
    }
}

#[test]
fn without_a_store_what_is_lost_is_said_again() {
    let (mut world, phone, tablet) = two();
    world.has_store = false;
    world.switch_off(phone);
    world.switch_on(phone);
    // The first two of everything are lost on the way to the other.
    let mut seen: Vec<(usize, usize)> = Vec::new();
    world.loses = Box::new(move |from, to, message| {
        let key = (from, message.payload.len());
        let count = seen.iter().filter(|it| **it == key).count();
        if from != to {
            seen.push(key);
        }
        from != to && count < 2
    });
    world.pass(2 * SECOND);
    let id = world.answer(phone, &world.code(tablet)).unwrap().id;
    world.pass(3 * 60 * SECOND);
    let string = string(&world, tablet);
    world.confirm(phone, id, &string).unwrap();
    world.pass(10 * 60 * SECOND);
    assert_eq!(world.link(phone, &id).state, LinkState::Done);
    assert_eq!(world.view(tablet).state, NewcomerState::Done);
}

#[test]
fn a_slip_costs_nothing_and_a_wrong_string_ends_it() {
    let (mut world, phone, tablet, id) = at_the_string();
    let string = string(&world, tablet);
    let slip = |why| Err(CommandError::BadLinkingString { why });
    assert_eq!(world.confirm(phone, id, ""), slip(LinkingStringError::Length));
    let mut swapped: Vec<char> = string.chars().filter(|c| *c != ' ').collect();
    let at = (0..8).find(|at| swapped[*at] != swapped[at + 1]).unwrap();
    swapped.swap(at, at + 1);
    let swapped: String = swapped.into_iter().collect();
    assert_eq!(world.confirm(phone, id, &swapped), slip(LinkingStringError::Mistyped));
    assert_eq!(world.link(phone, &id).state, LinkState::AwaitsString);

    let code = world.archive.clone();
    let ended = world.confirm(phone, id, &another(&string)).unwrap();
    assert_eq!(ended.state, OVER(EndCode::WrongString, false));
    assert_eq!(world.view(tablet).state, ENDED(EndCode::WrongString, true));
    let told = |by_other| Event::LinkFailed {
        linking: id,
        code: EndCode::WrongString,
        by_other,
        added: None,
    };
    assert_eq!(last_event(&world, phone), told(false));
    assert_eq!(last_event(&world, tablet), told(true));
    assert_eq!(installations(&world, phone), 1);
    // No second try, with the right string or with the same code.
    let state = OVER(EndCode::WrongString, false);
    let answer = world.confirm(phone, id, &string);
    assert_eq!(answer, Err(CommandError::LinkingNotReady { state }));
    for sent in code {
        world.publish(sent.from, sent.message);
    }
    world.settle();
    assert_eq!(world.view(tablet).state, ENDED(EndCode::WrongString, true));
    assert!(world.view(tablet).string.is_none());
}

#[test]
fn codes_that_cannot_be_used_are_told_apart() {
    let (mut world, phone, tablet) = two();
    let code = world.code(tablet);
    let mut mistyped = code.clone();
    mistyped.replace_range(40..41, if &code[40..41] == "A" { "B" } else { "A" });
    assert_eq!(refused(&mut world, phone, &mistyped), LinkingCodeError::Mistyped);
    assert_eq!(refused(&mut world, phone, &code[..100]), LinkingCodeError::Mistyped);
    assert_eq!(refused(&mut world, phone, "hello"), LinkingCodeError::NotACode);
    let link = match world.command(phone, Command::MakeContactLink) {
        Ok(Answer::ContactLink(link)) => link,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut world, phone, &link), LinkingCodeError::ContactLink);
    let add = Command::AddContact { link: code.clone(), name: None };
    match world.command(phone, add) {
        Err(CommandError::BadLink { reason }) => assert!(reason.contains("links a device")),
        other => panic!("{other:?}"),
    }
    let other = {
        let params = NetworkParams::public();
        let store = Store::in_memory().unwrap();
        let newcomer = Newcomer::create(store, params, [77; 32], world.now, "other").unwrap();
        newcomer.code().unwrap().to_string()
    };
    assert_eq!(refused(&mut world, phone, &other), LinkingCodeError::OtherNetwork);

    // Used: while it goes on, and after.
    let id = world.answer(phone, &code).unwrap().id;
    assert_eq!(refused(&mut world, phone, &code), LinkingCodeError::Used);
    let string = string(&world, tablet);
    world.confirm(phone, id, &string).unwrap();
    world.pass(SECOND);
    assert_eq!(refused(&mut world, phone, &code), LinkingCodeError::Used);
    assert_eq!(refused(&mut world, tablet, &code), LinkingCodeError::Own);

    let laptop = world.newcomer("laptop");
    world.settle();
    let code = world.code(laptop);
    world.pass(LINKING_CODE - SECOND);
    world.switch_off(laptop);
    world.pass(SECOND);
    assert_eq!(refused(&mut world, phone, &code), LinkingCodeError::Expired);
}

#[test]
fn nobody_answers_more_than_a_few_codes_at_once() {
    let mut world = World::new();
    let phone = world.account();
    let codes: Vec<String> = (0..5)
        .map(|n| {
            let at = world.newcomer(&format!("device {n}"));
            world.code(at)
        })
        .collect();
    for code in &codes[..4] {
        world.answer(phone, code).unwrap();
    }
    assert_eq!(world.answer(phone, &codes[4]), Err(CommandError::TooManyLinkings));
    let id = world.machine(phone).linkings()[0].id;
    world.cancel(phone, id).unwrap();
    world.answer(phone, &codes[4]).unwrap();
}

#[test]
fn it_expires_on_both_sides() {
    // Nobody answers.
    let (mut world, _, tablet) = two_in(World::slow());
    world.pass(LINKING_CODE);
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Expired, false));
    assert!(world.new_device(tablet).code().is_none());
    // The phone's card, by schedule, is all that there is.
    let is_card = |sent: &Sent| sent.message.payload.len() == CARD_SIZE;
    assert!(world.archive.iter().all(is_card), "nobody is there to be told");

    // Nobody types the string: the phone tells the tablet.
    let (mut world, phone, tablet, id) = at_the_string_in(World::slow());
    world.pass(LINKING_CODE);
    assert_eq!(world.link(phone, &id).state, OVER(EndCode::Expired, false));
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Expired, true));

    // The phone is gone: the tablet looks into the Store once more, and gives up.
    let (mut world, phone, tablet, _) = at_the_string_in(World::slow());
    world.switch_off(phone);
    world.pass(LINKING_CODE + 29 * SECOND);
    assert_eq!(world.view(tablet).state, NewcomerState::ShowsString);
    world.pass(2 * SECOND);
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Expired, false));

    // The newcomer is gone.
    let (mut world, phone, tablet) = two_in(World::slow());
    let code = world.code(tablet);
    world.switch_off(tablet);
    let id = world.answer(phone, &code).unwrap().id;
    world.pass(LINKING_CODE);
    assert_eq!(world.link(phone, &id).state, OVER(EndCode::Expired, false));
    world.switch_on(tablet);
    world.pass(SECOND);
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Expired, false));

    // The newcomer is gone for good after the string was typed: the user learns what to revoke.
    let (mut world, phone, tablet, id) = at_the_string_in(World::slow());
    let string = string(&world, tablet);
    world.switch_off(tablet);
    world.confirm(phone, id, &string).unwrap();
    let installation = world.link(phone, &id).installation;
    world.pass(LINKING_KEEP);
    assert_eq!(world.link(phone, &id).state, OVER(EndCode::Expired, false));
    let told = Event::LinkFailed {
        linking: id,
        code: EndCode::Expired,
        by_other: false,
        added: installation,
    };
    assert!(installation.is_some());
    assert!(world.events(phone).contains(&told));
    assert!(world.link(phone, &id).added);
}

#[test]
fn it_can_be_cancelled_on_either_side() {
    let (mut world, phone, tablet, id) = at_the_string();
    world.cancel(phone, id).unwrap();
    assert_eq!(world.link(phone, &id).state, OVER(EndCode::Cancelled, false));
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Cancelled, true));

    let (mut world, phone, tablet, id) = at_the_string();
    world.cancel(tablet, id).unwrap();
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Cancelled, false));
    assert_eq!(world.link(phone, &id).state, OVER(EndCode::Cancelled, true));

    // The end overtakes what it ends.
    let (mut world, phone, tablet) = two();
    world.loses = Box::new(move |_, to, _| to == tablet);
    let id = world.answer(phone, &world.code(tablet)).unwrap().id;
    world.cancel(phone, id).unwrap();
    let [answer, end] = [0, 1].map(|at| world.archive[at].message.clone());
    world.deliver(tablet, end);
    world.settle();
    assert_eq!(world.view(tablet).state, NewcomerState::Waiting);
    world.deliver(tablet, answer);
    world.settle();
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Cancelled, true));

    // What is granted is not cancelled: it is to be revoked.
    let (mut world, phone, tablet, id) = at_the_string();
    let string = string(&world, tablet);
    world.switch_off(tablet);
    world.confirm(phone, id, &string).unwrap();
    let state = LinkState::Granted;
    assert_eq!(world.cancel(phone, id), Err(CommandError::LinkingNotReady { state }));
}

#[test]
fn a_database_belongs_to_an_account_or_to_a_newcomer() {
    let (mut world, _, tablet) = two();
    world.switch_off(tablet);
    let now = world.now;
    let take = |world: &mut World, at: usize| match world.take(at) {
        Device::Off(store) => store,
        _ => panic!("it is on"),
    };
    let params = world.params.clone();
    let store = take(&mut world, tablet);
    let opened = Machine::open(store, params.clone(), [1; 32], now);
    assert!(matches!(opened, Err(OpenError::Linking)));
    let empty = || Store::in_memory().unwrap();
    let opened = Newcomer::open(empty(), params.clone(), [1; 32], now);
    assert!(matches!(opened, Err(OpenError::NoAccount)));
    for name in ["", "a\nb", &"x".repeat(65)] {
        let made = Newcomer::create(empty(), params.clone(), [1; 32], now, name);
        assert!(matches!(made, Err(OpenError::DeviceName)), "{name:?}");
    }
    let made = Newcomer::create(empty(), params.clone(), [1; 32], now, "tablet").unwrap();
    let code = made.code().unwrap();
    let opened = Newcomer::open(made.into_store(), params.clone(), [2; 32], now).unwrap();
    assert_eq!(opened.code().as_deref(), Some(&*code), "it outlives a restart");
    let again = Newcomer::create(opened.into_store(), params.clone(), [3; 32], now, "tablet");
    assert!(matches!(again, Err(OpenError::Linking)));

    // Once it is over, another code can be made, or an account.
    let (mut world, phone, tablet, id) = at_the_string();
    world.cancel(phone, id).unwrap();
    world.switch_off(tablet);
    let store = take(&mut world, tablet);
    let opened = Machine::open(store, params.clone(), [1; 32], now);
    assert!(matches!(opened, Err(OpenError::NoAccount)));
}

#[test]
fn debug_and_errors_show_no_secret() {
    let (mut world, phone, tablet) = two();
    let code = world.code(tablet);
    let command = Command::AnswerLink { code: code.as_str().into() };
    assert!(!format!("{command:?}").contains(&code[20..60]));
    assert!(!format!("{:?}", world.new_device(tablet)).contains(&code[20..60]));
    let error = refused(&mut world, phone, &code[..140]);
    assert!(!format!("{error} {error:?}").contains(&code[20..60]));
}

#[test]
fn the_view_names_what_is_granted() {
    let (mut world, phone, tablet, id) = at_the_string();
    let view: LinkView = world.link(phone, &id);
    assert_eq!(view.groups, 0);
    let create =
        Command::CreateGroup { name: "hikers".into(), description: String::new(), members: vec![] };
    world.command(phone, create).unwrap();
    assert_eq!(world.link(phone, &id).groups, 1);
    let string = string(&world, tablet);
    assert_eq!(string.len(), 11);
    let json = serde_json::to_string(&world.link(phone, &id)).unwrap();
    assert!(!json.contains(&string), "the string is typed, not shown");
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(LINKING_KEEP, day);
}
