//! Linking a device, between the two machines and over a network in memory: the good way, kills at
//! every step, wrong strings and codes, a man in the middle, second answers, replays, and what an
//! observer sees.

#![allow(clippy::unwrap_used)]

#[path = "linking/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use chat_core::identity::linking::{
    EndCode, LinkAnswer, LinkingCode, LinkingCodeError, LinkingKey, LinkingStringError, Sealed,
    Step, Transcript, commitment, seal,
};
use chat_core::ids::LinkingId;
use chat_core::machine::{
    Answer, CommandError, Event, Inbound, LinkState, LinkView, Machine, Newcomer, NewcomerState,
    OpenError,
};
use chat_core::params::{CARD_SIZE, LINKING_CODE, LINKING_KEEP, NetworkParams};
use chat_core::store::Store;
use chat_core::time::Slot;
use chat_core::wire::envelope::{EnvelopeKey, SizeClass, is_class, open, seal as seal_envelope};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::topic::ContentTopic;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use world::{Device, Kill, SECOND, START, Sent, World};

const ENDED: fn(EndCode, bool) -> NewcomerState =
    |code, by_other| NewcomerState::Ended { code, by_other };
const OVER: fn(EndCode, bool) -> LinkState = |code, by_other| LinkState::Ended { code, by_other };

/// A phone with an account and a tablet that shows its code.
fn two() -> (World, usize, usize) {
    two_in(World::new())
}

fn two_in(mut world: World) -> (World, usize, usize) {
    let phone = world.account();
    let tablet = world.newcomer("Ada's tablet");
    world.settle();
    (world, phone, tablet)
}

/// The same, when the string is shown; the linking's id.
fn at_the_string() -> (World, usize, usize, LinkingId) {
    at_the_string_in(World::new())
}

fn at_the_string_in(world: World) -> (World, usize, usize, LinkingId) {
    let (mut world, phone, tablet) = two_in(world);
    let id = world.answer(phone, &world.code(tablet)).unwrap().id;
    assert_eq!(world.link(phone, &id).state, LinkState::AwaitsString);
    assert_eq!(world.view(tablet).state, NewcomerState::ShowsString);
    (world, phone, tablet, id)
}

/// How many installations a device's account has, as it knows.
fn installations(world: &World, at: usize) -> usize {
    let all = world.machine(at).installations().unwrap();
    all.iter().filter(|it| it.revoked.is_none()).count()
}

fn string(world: &World, tablet: usize) -> String {
    world.view(tablet).string.unwrap()
}

/// A string that could be one, and is not this.
fn another(string: &str) -> String {
    let digits: Vec<u32> = string.chars().filter_map(|c| c.to_digit(10)).collect();
    (0..1000)
        .map(|n| {
            let eight: String = digits[..5].iter().map(ToString::to_string).collect();
            format!("{eight}{n:04}")
        })
        .find(|other| {
            let same = other.chars().eq(string.chars().filter(|c| *c != ' '));
            !same && chat_core::identity::linking::LinkingString::parse(other).is_ok()
        })
        .unwrap()
}

fn last_event(world: &World, at: usize) -> Event {
    world.events(at).last().unwrap().clone()
}

fn code_of(world: &World, text: &str) -> LinkingCode {
    LinkingCode::parse(text, &world.params.id()).unwrap()
}

/// What somebody who knows the code reads of an envelope.
fn frame_of(world: &World, code: &LinkingCode, message: &Inbound) -> Option<Frame> {
    let network = world.params.id();
    let slot = Slot((message.timestamp_ns as u64) / 1_000_000_000 / world.params.slot_secs);
    let roots = code.roots(world.params.slot_secs, &network).at(slot, &network).ok()?;
    let topic = ContentTopic::parse(&message.topic).ok()?;
    let key = EnvelopeKey::derive(&roots.seal, &network);
    Frame::decode(&open(&key, &topic, &message.payload).ok()?).ok()
}

/// Puts a body at the meeting place, as somebody who knows the code can.
fn write(world: &mut World, code: &LinkingCode, body: Vec<u8>) -> Inbound {
    let network = world.params.id();
    let slot = Slot::at(world.now, world.params.slot_secs);
    let roots = code.roots(world.params.slot_secs, &network).at(slot, &network).unwrap();
    let mut rng = ChaCha20Rng::from_seed(world.seed());
    let frame = Frame::new(FrameKind::Linking, body).encode();
    let class = SizeClass::Fit;
    let envelope =
        seal_envelope(&mut rng, &roots, 0, &frame, class, world.now, &world.params).unwrap();
    let timestamp_ns = i64::try_from(envelope.timestamp.0).unwrap() * 1_000_000;
    let topic = envelope.topic.to_string();
    let message = Inbound { topic, payload: envelope.payload, timestamp_ns };
    world.publish(usize::MAX, message.clone());
    message
}

/// An answer to a code by somebody else than the phone.
fn foreign_answer(world: &mut World, code: &LinkingCode) -> (LinkingKey, Vec<u8>) {
    let network = world.params.id();
    let mut rng = ChaCha20Rng::from_seed(world.seed());
    let key = LinkingKey::generate(&mut rng);
    let answer = LinkAnswer {
        key: key.public(),
        account: chat_core::ids::AccountId([9; 32]),
        installation: chat_core::ids::InstallationId([8; 32]),
        commitment: commitment(&[7; 32], &network),
    };
    let begin = Transcript::begin(code, &network);
    let body =
        seal(&mut rng, code.key(), Step::Answer, &begin, &answer.encode(), &network).unwrap();
    (key, body)
}

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

fn refused(world: &mut World, phone: usize, code: &str) -> LinkingCodeError {
    match world.answer(phone, code) {
        Err(CommandError::BadLinkingCode { why }) => why,
        other => panic!("{other:?}"),
    }
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
    let link = match world.command(phone, chat_core::machine::Command::MakeContactLink) {
        Ok(Answer::ContactLink(link)) => link,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut world, phone, &link), LinkingCodeError::ContactLink);
    let add = chat_core::machine::Command::AddContact { link: code.clone(), name: None };
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
        changed.payload[100] ^= 1;
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
    assert_eq!(view.account, Some(chat_core::ids::AccountId([9; 32])));
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
        account: chat_core::ids::AccountId([9; 32]),
        installation: chat_core::ids::InstallationId([8; 32]),
        commitment: commitment(&[7; 32], &network),
    };
    let answered = begin.then(Step::Answer, &answer.encode(), &network);
    let text = Sealed::decode(&said.body).unwrap().open(&key, &answered, &network).unwrap();
    let introduced = answered.then(Step::Introduction, &text, &network);
    let reveal = chat_core::identity::linking::Reveal { nonce: [6; 32] }.encode();
    let mut rng = ChaCha20Rng::from_seed([55; 32]);
    let body = seal(&mut rng, code.key(), Step::Reveal, &introduced, &reveal, &network).unwrap();
    write(&mut world, &code, body);
    world.settle();
    assert_eq!(world.view(tablet).state, ENDED(EndCode::Refused, false));
    assert!(world.view(tablet).string.is_none());
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
    let command = chat_core::machine::Command::AnswerLink { code: code.as_str().into() };
    assert!(!format!("{command:?}").contains(&code[20..60]));
    assert!(!format!("{:?}", world.new_device(tablet)).contains(&code[20..60]));
    let error = refused(&mut world, phone, &code[..140]);
    assert!(!format!("{error} {error:?}").contains(&code[20..60]));
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
    let link = match world.command(phone, chat_core::machine::Command::MakeContactLink) {
        Ok(Answer::ContactLink(link)) => link,
        other => panic!("{other:?}"),
    };
    let parsed =
        chat_core::contact::ContactLink::parse(&link, &world.params.id(), world.now).unwrap();
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

#[test]
fn the_view_names_what_is_granted() {
    let (mut world, phone, tablet, id) = at_the_string();
    let view: LinkView = world.link(phone, &id);
    assert_eq!(view.groups, 0);
    let create = chat_core::machine::Command::CreateGroup {
        name: "hikers".into(),
        description: String::new(),
        members: vec![],
    };
    world.command(phone, create).unwrap();
    assert_eq!(world.link(phone, &id).groups, 1);
    let string = string(&world, tablet);
    assert_eq!(string.len(), 11);
    let json = serde_json::to_string(&world.link(phone, &id)).unwrap();
    assert!(!json.contains(&string), "the string is typed, not shown");
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(LINKING_KEEP, day);
}
