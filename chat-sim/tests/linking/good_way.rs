//! The good way, kills at every step, devices that are off, and what a database is for.

use std::time::Duration;

use chat_core::database::Database;
use chat_core::machine::{
    Event, LinkingState, LinkingView, Machine, Newcomer, NewcomerState, OpenError,
};
use chat_core::params::{LINKING_CODE, LINKING_KEEP};
use chat_sim::campaign::on_all_cores;
use chat_sim::crash::CrashPoint;
use chat_sim::world::Observed;

use crate::scene::*;

#[test]
fn a_device_is_linked() {
    let scenario = slow();
    let began = scenario.now();
    let (scenario, phone, tablet) = two_in(scenario);
    let account = phone.account_id();
    let by = phone.id();
    assert_eq!(shown_by(&tablet).state, NewcomerState::Waiting);
    let code = code_of(&scenario, &code_on(&tablet));

    let link = phone.answer_linking(&code_on(&tablet));
    assert_eq!(link.state, LinkingState::Answered);
    let id = link.id;
    // What the user sees before anything is granted.
    let link = linking_at(&phone, &id);
    assert_eq!(link.state, LinkingState::AwaitsString);
    assert_eq!(link.name.as_deref(), Some("Ada's tablet"));
    assert_eq!(link.until, began + LINKING_CODE);
    assert!(!link.added);
    assert_eq!(last_event(&phone), Event::LinkingReady { linking: link });
    let view = shown_by(&tablet);
    assert_eq!((view.account, view.grantor, view.id), (Some(account), Some(by), id));
    assert_eq!(tablet.newcomer(|it| it.account()), Some(account));
    assert_eq!(tablet.newcomer(|it| it.sas()), view.string);
    assert!(tablet.linking_code().is_none(), "a code is shown once");
    let shown = Event::LinkingStringShown { linking: id, account };
    assert_eq!(last_event(&tablet), shown);
    assert_eq!(installations(&phone), 1);

    let string = string(&tablet);
    phone.confirm_linking(id, &string);
    scenario.pass(SECOND);
    let new = tablet.machine(|it| it.identity()).unwrap();
    assert_eq!(new.account, account);
    assert_ne!(new.installation, by);
    let added = Event::InstallationAdded { installation: new.installation };
    assert!(phone.events().contains(&added));
    for device in [&phone, &tablet] {
        let all = device.installations();
        let it = all.iter().find(|it| it.installation == new.installation).unwrap();
        assert_eq!(it.name.as_deref(), Some("Ada's tablet"));
        assert_eq!(it.added_by, Some(by));
    }
    let linked = Event::Linked { linking: id, account, installation: new.installation };
    assert!(tablet.events().contains(&linked));
    for device in [&phone, &tablet] {
        assert_eq!(installations(device), 2);
    }
    assert_eq!(state_at(&phone, &id), LinkingState::Done);
    assert_eq!(shown_by(&tablet).state, NewcomerState::Done);
    let done = Event::LinkingDone { linking: id, installation: new.installation };
    assert!(phone.events().contains(&done));
    assert!(tablet.events().contains(&done));
    // Each said what it had to say, once, and nothing is said again.
    scenario.pass(3 * LINKING_KEEP);
    let observed = scenario.observed();
    let said: Vec<&Observed> =
        observed.iter().filter(|sent| frame_of(&scenario, &code, sent).is_some()).collect();
    let speakers: Vec<usize> = said.iter().map(|sent| sent.by).collect();
    let (p, t) = (phone.number(), tablet.number());
    assert_eq!(speakers, [p, t, p, p, t, p, t]);
    assert!(phone.machine(|it| it.linkings()).is_empty());
}

#[test]
fn a_second_device_links_a_third() {
    let (scenario, phone, tablet) = two();
    link_by_hand(&scenario, &phone, &tablet);
    let laptop = scenario.newcomer("laptop");
    link_by_hand(&scenario, &tablet, &laptop);
    assert_eq!(installations(&laptop), 3);
    assert_eq!(installations(&tablet), 3);
}

/// Links a tablet again and again, with a death of one of the two devices one step later each time.
/// How often one died.
fn kill_in_each_step(device: usize, writes: Option<u64>) -> u64 {
    for step in 0.. {
        let (scenario, phone, tablet) = two();
        let begun = scenario.world().devices[device].tally.steps;
        let point = match writes {
            Some(writes) => CrashPoint::InTransaction { step: begun + step, writes },
            None => CrashPoint::AfterStep { step: begun + step },
        };
        [&phone, &tablet][device].crash_at(point);
        link_by_hand(&scenario, &phone, &tablet);
        if scenario.world().crash.is_some() {
            return step;
        }
        for at in [&phone, &tablet] {
            assert_eq!(installations(at), 2, "{device} died at {point:?}");
        }
        let once = |event: &&Event| matches!(event, Event::InstallationAdded { .. });
        let stored = phone.machine(|it| it.events(0, 1000)).unwrap();
        assert_eq!(stored.iter().map(|(_, event)| event).filter(once).count(), 1);
    }
    unreachable!("a linking has an end");
}

#[test]
fn killed_at_any_step_it_is_linked_all_the_same() {
    let writes = [None, Some(0), Some(1), Some(2), Some(4)];
    let kills =
        on_all_cores(0..10, |at| vec![kill_in_each_step(at as usize % 2, writes[at as usize / 2])]);
    assert!(kills.iter().sum::<u64>() > 100, "{kills:?}");
}

#[test]
fn either_may_be_off_in_the_middle() {
    for tablet_is_off in [false, true] {
        let (scenario, phone, tablet, id) = at_the_string_in(slow());
        let string = string(&tablet);
        // The grant is on its way; then one of them is off for hours.
        if tablet_is_off {
            tablet.stop();
        }
        phone.confirm_linking(id, &string);
        phone.stop();
        scenario.pass(6 * 3600 * SECOND);
        if tablet_is_off {
            tablet.start();
        }
        scenario.pass(SECOND);
        phone.start();
        scenario.pass(20 * 60 * SECOND);
        assert_eq!(state_at(&phone, &id), LinkingState::Done, "tablet off: {tablet_is_off}");
        assert_eq!(shown_by(&tablet).state, NewcomerState::Done);
    }
}

#[test]
fn without_a_store_what_is_lost_is_said_again() {
    let (scenario, phone, tablet) = two();
    scenario.world().network.has_store = false;
    phone.stop();
    phone.start();
    // The first two of everything are lost on the way to the other.
    let mut seen: Vec<(usize, usize)> = Vec::new();
    scenario.lose(move |message, to| {
        let key = (message.by, message.payload.len());
        let count = seen.iter().filter(|it| **it == key).count();
        if message.by != to {
            seen.push(key);
        }
        message.by != to && count < 2
    });
    scenario.pass(2 * SECOND);
    let id = phone.answer_linking(&code_on(&tablet)).id;
    scenario.pass(3 * 60 * SECOND);
    let string = string(&tablet);
    phone.confirm_linking(id, &string);
    scenario.pass(10 * 60 * SECOND);
    assert_eq!(state_at(&phone, &id), LinkingState::Done);
    assert_eq!(shown_by(&tablet).state, NewcomerState::Done);
}

#[test]
fn the_view_names_what_is_granted() {
    let (_, phone, tablet, id) = at_the_string();
    let view: LinkingView = linking_at(&phone, &id);
    assert_eq!(view.groups, 0);
    phone.create_group("hikers", &[]);
    assert_eq!(linking_at(&phone, &id).groups, 1);
    let string = string(&tablet);
    assert_eq!(string.len(), 11);
    let json = serde_json::to_string(&linking_at(&phone, &id)).unwrap();
    assert!(!json.contains(&string), "the string is typed, not shown");
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(LINKING_KEEP, day);
}

#[test]
fn a_database_belongs_to_an_account_or_to_a_newcomer() {
    let (scenario, _, tablet) = two();
    tablet.stop();
    let now = scenario.now();
    let params = scenario.world().params.clone();
    let store = scenario.world().take_database(tablet.number());
    let opened = Machine::open(store, params.clone(), [1; 32], now);
    assert!(matches!(opened, Err(OpenError::Linking)));
    let empty = || Database::in_memory().unwrap();
    let opened = Newcomer::open(empty(), params.clone(), [1; 32], now);
    assert!(matches!(opened, Err(OpenError::NoAccount)));
    for name in ["", "a\nb", &"x".repeat(65)] {
        let made = Newcomer::create(empty(), params.clone(), [1; 32], now, name);
        assert!(matches!(made, Err(OpenError::DeviceName)), "{name:?}");
    }
    let made = Newcomer::create(empty(), params.clone(), [1; 32], now, "tablet").unwrap();
    let code = made.code().unwrap();
    let opened = Newcomer::open(made.into_database(), params.clone(), [2; 32], now).unwrap();
    assert_eq!(opened.code().as_deref(), Some(&*code), "it outlives a restart");
    let again = Newcomer::create(opened.into_database(), params.clone(), [3; 32], now, "tablet");
    assert!(matches!(again, Err(OpenError::Linking)));

    // Once it is over, another code can be made, or an account.
    let (scenario, phone, tablet, id) = at_the_string();
    phone.cancel_linking(id);
    tablet.stop();
    let store = scenario.world().take_database(tablet.number());
    let opened = Machine::open(store, params.clone(), [1; 32], now);
    assert!(matches!(opened, Err(OpenError::NoAccount)));
}

#[test]
fn debug_and_errors_show_no_secret() {
    let (_, phone, tablet) = two();
    let code = code_on(&tablet);
    let command = chat_core::machine::Command::AnswerLinking { code: code.as_str().into() };
    assert!(!format!("{command:?}").contains(&code[20..60]));
    assert!(!tablet.newcomer(|it| format!("{it:?}")).contains(&code[20..60]));
    let error = refused(&phone, &code[..140]);
    assert!(!format!("{error} {error:?}").contains(&code[20..60]));
}
