//! One account, several devices.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chat_core::ids::{GroupId, InstallationId};
use chat_core::machine::{CommandError, Event, InstallationView, Membership};
use chat_sim::world::{Unanswered, World};
use common::{assert_agreed, assert_no_failures, events, say, settle, texts, view, world};

fn id_of(world: &World, device: usize) -> InstallationId {
    world.machine(device).identity().unwrap().installation
}

fn installation(world: &World, at: usize, of: usize) -> InstallationView {
    let id = id_of(world, of);
    let all = world.machine(at).installations().unwrap();
    all.into_iter().find(|it| it.installation == id).unwrap()
}

fn revoke(world: &mut World, by: usize, whom: &[usize]) -> Result<(), Unanswered> {
    let installations = whom.iter().map(|it| id_of(world, *it)).collect();
    world.by(by).revoke(installations, None)
}

fn create(world: &mut World, by: usize, name: &str, members: &[usize]) -> GroupId {
    let members = members.iter().map(|device| world.account(*device)).collect();
    common::create(world, by, name, members)
}

/// Every text is there exactly once.
fn assert_each_once(world: &World, devices: &[usize], group: GroupId, wanted: &[&str]) {
    for device in devices {
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts(world, *device, group) {
            *count.entry(text).or_default() += 1;
        }
        let wanted: BTreeMap<String, usize> = wanted.iter().map(|t| (t.to_string(), 1)).collect();
        assert_eq!(count, wanted, "device {device}");
    }
}

/// Phone, laptop and tablet of A, two devices of B, one of C: in one group that A made before it had
/// more than a phone.
fn story(seed: u64) -> (World, GroupId) {
    let mut world = world(3, seed);
    let group = create(&mut world, 0, "Hikers", &[1, 2]);
    settle(&mut world);
    assert_eq!(world.link(0, "laptop"), 3);
    assert_eq!(world.link(0, "tablet"), 4);
    assert_eq!(world.link(1, "Bob's laptop"), 5);
    settle(&mut world);
    settle(&mut world);
    (world, group)
}

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

#[test]
fn a_new_installation_is_in_every_group_and_gets_every_message_once() {
    let (mut world, group) = story(1);
    assert_agreed(&world, &ALL, group);
    assert_eq!((view(&world, 2, group).accounts, view(&world, 2, group).installations), (3, 6));
    let mut said = Vec::new();
    for device in ALL {
        let text = format!("from {device}");
        say(&mut world, device, group, &text);
        said.push(text);
        settle(&mut world);
    }
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    assert_each_once(&world, &ALL, group, &said);
    // What the phone sent is the laptop's own, and nobody else's.
    for (device, own) in [(3, 3), (4, 3), (0, 3), (5, 2), (2, 1)] {
        let history = world.machine(device).history(&group, None, 100).unwrap();
        assert_eq!(history.iter().filter(|message| message.own).count(), own, "device {device}");
    }
    // Every device of the account calls the others as they were called when they were linked.
    for device in [0, 3, 4] {
        let name = |of: usize| installation(&world, device, of).name;
        assert_eq!(name(3), Some("laptop".into()), "device {device}");
        assert_eq!(name(4), Some("tablet".into()), "device {device}");
    }
    // The self group is the account's own business: nobody is shown it, or anything of it.
    for device in ALL {
        assert_eq!(world.machine(device).groups().unwrap().len(), 1);
        for event in events(&world, device) {
            assert!(event.group().is_none_or(|it| it == group), "{event:?}");
        }
    }
    let done = |device: usize| -> Vec<InstallationId> {
        let done = |event: &Event| match event {
            Event::LinkDone { installation, .. } => Some(*installation),
            _ => None,
        };
        events(&world, device).into_iter().filter_map(done).collect()
    };
    let (laptop, tablet) = (id_of(&world, 3), id_of(&world, 4));
    assert_eq!((done(0), done(3), done(4)), (vec![laptop, tablet], vec![laptop], vec![tablet]));
    assert_no_failures(&world);
}

#[test]
fn what_is_known_on_one_device_is_known_on_all() {
    let mut world = world(2, 2);
    let laptop = world.link(0, "laptop");
    settle(&mut world);
    // What was there before, and what comes after.
    let names = |world: &World, device: usize| -> Vec<Option<String>> {
        world.machine(device).contacts().unwrap().into_iter().map(|it| it.name).collect()
    };
    assert_eq!(names(&world, laptop), names(&world, 0));
    assert_eq!(world.machine(laptop).contacts().unwrap().len(), 1);
    let friend = world.add_device();
    world.befriend(laptop, friend);
    settle(&mut world);
    assert_eq!(world.machine(0).contacts().unwrap().len(), 2);
    // A group made on the laptop is on the phone, with its name, at once.
    let group = create(&mut world, laptop, "Boats", &[1]);
    settle(&mut world);
    assert_agreed(&world, &[0, 1, laptop], group);
    // Read marks, names.
    say(&mut world, 1, group, "ahoy");
    settle(&mut world);
    let message = world.machine(0).history(&group, None, 1).unwrap()[0].message;
    world.by(0).mark_read(group, message).unwrap();
    let name = |text: &str| text.to_owned();
    let installation_id = id_of(&world, laptop);
    world.by(0).name_installation(installation_id, "the laptop").unwrap();
    settle(&mut world);
    let read =
        |event: &&Event| matches!(event, Event::GroupRead { message: it, .. } if *it == message);
    assert!(events(&world, laptop).iter().any(read));
    assert_eq!(installation(&world, laptop, laptop).name, Some(name("the laptop")));
    // A contact that is removed here is removed there.
    let account = world.account(friend);
    world.by(0).remove_contact(account).unwrap();
    settle(&mut world);
    assert_eq!(world.machine(laptop).contacts().unwrap().len(), 1);
    assert_no_failures(&world);
}

#[test]
fn an_invitation_is_answered_once_for_the_account() {
    let mut world = world(1, 3);
    let laptop = world.add_installation(0);
    let stranger = world.add_device();
    settle(&mut world);
    // The stranger has a link, and is not known.
    let link = world.by(0).contact_link().unwrap();
    world.by(stranger).add_contact(&link, None).unwrap();
    let group = create(&mut world, stranger, "Strangers", &[0]);
    settle(&mut world);
    let request = world.machine(laptop).requests().unwrap()[0].id;
    assert_eq!(world.machine(0).requests().unwrap()[0].id, request);
    world.by(laptop).accept(request).unwrap();
    settle(&mut world);
    settle(&mut world);
    assert_agreed(&world, &[0, laptop, stranger], group);
    assert!(world.machine(0).requests().unwrap().is_empty());
    assert_eq!(view(&world, stranger, group).installations, 3);
    say(&mut world, stranger, group, "welcome");
    settle(&mut world);
    assert_each_once(&world, &[0, laptop], group, &["welcome"]);
    assert_no_failures(&world);
}

#[test]
fn who_leaves_on_one_device_leaves_on_all() {
    let (mut world, group) = story(4);
    world.by(3).leave(group).unwrap();
    for _ in 0..3 {
        settle(&mut world);
    }
    for device in [0, 3, 4] {
        assert_eq!(view(&world, device, group).membership, Membership::Left, "device {device}");
    }
    assert_agreed(&world, &[1, 2, 5], group);
    assert_eq!(view(&world, 1, group).accounts, 2);
    assert_no_failures(&world);
}

#[test]
fn a_lost_phone_is_revoked_and_reads_no_more() {
    let (mut world, group) = story(5);
    say(&mut world, 3, group, "before");
    settle(&mut world);
    // The tablet (4) was added by the phone (0), as the laptop (3) was: the laptop is no senior of
    // it, and none of the phone.
    assert_eq!(
        revoke(&mut world, 3, &[0]),
        Err(CommandError::NotSenior { installation: id_of(&world, 0) }.into())
    );
    revoke(&mut world, 0, &[3]).unwrap();
    for _ in 0..3 {
        settle(&mut world);
    }
    assert_agreed(&world, &[0, 1, 2, 4, 5], group);
    let members = view(&world, 1, group);
    assert_eq!((members.accounts, members.installations), (3, 5));
    // It knows, and can do nothing.
    let gone = events(&world, 3)
        .into_iter()
        .any(|event| matches!(event, Event::InstallationRevoked { own: true, .. }));
    assert!(gone);
    let refused = world.by(3).send(group, "after");
    assert_eq!(refused, Err(CommandError::Revoked.into()));
    say(&mut world, 0, group, "without it");
    settle(&mut world);
    assert_each_once(&world, &[0, 1, 2, 4, 5], group, &["before", "without it"]);
    assert_each_once(&world, &[3], group, &["before"]);
    let revoked = installation(&world, 4, 3);
    assert_eq!(revoked.revoked.map(|it| it.by), Some(Some(id_of(&world, 0))));
    assert_eq!(installation(&world, 4, 4).groups, 1);
    assert_no_failures(&world);
}

#[test]
fn what_a_revoked_device_says_is_flagged_everywhere() {
    let (mut world, group) = story(6);
    say(&mut world, 3, group, "in time");
    settle(&mut world);
    // The laptop is stolen and kept from the network's news; it can still send.
    world.part(3, 1);
    revoke(&mut world, 0, &[3]).unwrap();
    world.run_for(Duration::from_millis(200));
    world.part(3, 0);
    world.set_online(3, true);
    if let Err(error) = world.by(3).send(group, "too late") {
        assert_eq!(error, CommandError::Revoked.into());
    }
    for _ in 0..4 {
        settle(&mut world);
    }
    for device in [0, 1, 2, 4, 5] {
        let history = world.machine(device).history(&group, None, 100).unwrap();
        for message in history.iter().filter(|message| message.installation == id_of(&world, 3)) {
            let late = message.text.as_deref() == Some("too late");
            assert_eq!(message.flagged, late, "device {device}: {:?}", message.text);
        }
        assert!(history.iter().any(|it| it.text.as_deref() == Some("in time")));
    }
    assert_agreed(&world, &[0, 1, 2, 4, 5], group);
    assert_no_failures(&world);
}

#[test]
fn the_inbox_key_that_a_revoked_device_has_is_in_no_later_card() {
    let (mut world, _) = story(7);
    let before: BTreeSet<Vec<u8>> = inbox_keys(&world, 3);
    assert!(!before.is_empty());
    revoke(&mut world, 0, &[3]).unwrap();
    for _ in 0..3 {
        settle(&mut world);
    }
    let of = |world: &World, device: usize| inbox_keys(world, device);
    let new: Vec<Vec<u8>> = of(&world, 0).difference(&before).cloned().collect();
    assert_eq!(new.len(), 1);
    assert!(of(&world, 4).contains(&new[0]), "the other survivor has it");
    assert!(!of(&world, 3).contains(&new[0]), "the revoked one has not");
    for device in [0, 4] {
        let friend = world.add_device();
        let link = world.by(device).contact_link().unwrap();
        world.by(friend).add_contact(&link, None).unwrap();
        let back = world.by(friend).contact_link().unwrap();
        world.by(device).add_contact(&back, None).unwrap();
        let group = create(&mut world, friend, "Later", &[device]);
        settle(&mut world);
        settle(&mut world);
        assert_agreed(&world, &[0, 4, friend], group);
        assert!(world.machine(3).group(&group).unwrap().is_none());
        assert_eq!(view(&world, friend, group).installations, 3);
    }
    assert_no_failures(&world);
}

fn inbox_keys(world: &World, device: usize) -> BTreeSet<Vec<u8>> {
    let mut all = world.machine(device).fingerprints();
    all.remove("inbox key").unwrap_or_default().into_iter().collect()
}

#[test]
fn messages_are_handed_over_to_a_new_device() {
    let mut world = world(2, 8);
    let group = create(&mut world, 0, "Old friends", &[1]);
    settle(&mut world);
    let said: Vec<String> = (0..400).map(|at| format!("{at}: {}", "x".repeat(300))).collect();
    for (at, text) in said.iter().enumerate() {
        say(&mut world, at % 2, group, text);
        world.run_for(Duration::from_millis(50));
    }
    settle(&mut world);
    let laptop = world.add_installation(0);
    let since = world.now() - Duration::from_secs(3600);
    let to = id_of(&world, laptop);
    world.by(0).at_once().transfer_history(to, since).unwrap();
    // It is interrupted after the first pieces, and goes on.
    world.stop(0);
    settle(&mut world);
    let had = texts(&world, laptop, group).len();
    assert!(had > 0 && had < said.len(), "{had}");
    world.start(0);
    for _ in 0..3 {
        settle(&mut world);
    }
    say(&mut world, 1, group, "and new ones");
    settle(&mut world);
    let wanted: Vec<String> = texts(&world, 0, group);
    assert_eq!(wanted.len(), said.len() + 1);
    assert_eq!(texts(&world, laptop, group), wanted, "in the order of the device they came from");
    let history = world.machine(laptop).history(&group, None, 1000).unwrap();
    let phone = Some(id_of(&world, 0));
    assert!(history[..said.len()].iter().all(|message| message.handed_over_by == phone));
    assert_eq!(history[said.len()].handed_over_by, None);
    let done = |event: &&Event| matches!(event, Event::HandoverReceived { sent: 400, total: 400 });
    assert!(events(&world, laptop).iter().any(done));
    // Once more changes nothing; nor does it for those who were not meant.
    world.by(0).transfer_history(to, since).unwrap();
    settle(&mut world);
    settle(&mut world);
    assert_eq!(texts(&world, laptop, group), wanted);
    assert_no_failures(&world);
}

#[test]
fn each_device_of_an_account_may_be_away_for_long() {
    let (mut world, group) = story(9);
    world.set_online(3, false);
    world.set_online(5, false);
    for at in 0..40 {
        say(&mut world, [0, 1, 2, 4][at % 4], group, &format!("{at}"));
        world.run_for(Duration::from_secs(2));
    }
    revoke(&mut world, 0, &[4]).unwrap();
    for _ in 0..3 {
        settle(&mut world);
    }
    world.set_online(3, true);
    world.set_online(5, true);
    for _ in 0..3 {
        settle(&mut world);
    }
    let wanted: Vec<String> = (0..40).map(|at| at.to_string()).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    assert_each_once(&world, &[0, 1, 2, 3, 5], group, &wanted);
    assert_agreed(&world, &[0, 1, 2, 3, 5], group);
    assert!(installation(&world, 3, 4).revoked.is_some());
    assert_no_failures(&world);
}
