//! A stolen device against its account: it has its keys and knows what it knew, and keeps to no rule.
//! The phone (0) added the laptop (3) and the tablet (4); the laptop is the stolen one. Device 2 is
//! another account's, and helps the thief where the test says so.

#![allow(clippy::unwrap_used)]

mod common;

#[allow(dead_code)]
#[path = "bad_input/kit.rs"]
mod kit;

use std::time::Duration;

use chat_core::contact::inbox::InboxKey;
use chat_core::contact::link::ContactLink;
use chat_core::group::commit::CommitPlan;
use chat_core::ids::{GroupId, InstallationId, IntentId};
use chat_core::machine::{CommandError, Disposition, Refused};
use chat_core::wire::content::{Body, Content};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::header::{CommitHeader, Cut, Warrant};
use chat_core::wire::sync::{SyncItem, encode};
use chat_sim::world::World;
use common::*;
use kit::*;
use zeroize::Zeroizing;

const PHONE: usize = 0;
const FRIEND: usize = 1;
const HELPER: usize = 2;
const LAPTOP: usize = 3;
const TABLET: usize = 4;
const HONEST: [usize; 4] = [PHONE, FRIEND, HELPER, TABLET];

fn id_of(world: &World, device: usize) -> InstallationId {
    world.machine(device).identity().unwrap().installation
}

fn stage(seed: u64) -> (World, GroupId) {
    let mut world = world(3, seed);
    let group = group(&mut world, "Hikers");
    assert_eq!(world.add_installation(PHONE), LAPTOP);
    assert_eq!(world.add_installation(PHONE), TABLET);
    settle(&mut world);
    settle(&mut world);
    assert_agreed(&world, &[0, 1, 2, 3, 4], group);
    (world, group)
}

fn revoke(world: &mut World) {
    let installations = vec![id_of(world, LAPTOP)];
    world.by(PHONE).revoke(installations, None).unwrap();
}

/// Everybody hears everybody again, and catches up.
fn heal(world: &mut World) {
    for device in 0..world.devices.len() {
        world.part(device, 0);
        world.set_online(device, false);
        world.set_online(device, true);
    }
}

fn long(world: &mut World) {
    for _ in 0..4 {
        settle(world);
    }
}

/// A commit that removes a device's leaf, with these warrants.
fn removal(
    world: &mut World,
    by: usize,
    group: GroupId,
    whom: usize,
    warrants: Vec<Warrant>,
) -> Vec<u8> {
    let state = world.machine(by).insider_state(&group).unwrap();
    let gone = state.leaf_of(&id_of(world, whom)).unwrap().clone();
    let header = CommitHeader {
        chain: world.machine(by).insider_link(&group).unwrap(),
        slot: state.slot,
        rotate: true,
        intents: vec![IntentId([7; 16])],
        warrants,
        cuts: vec![Cut { installation: gone.installation, seq: 0, hash: None }],
    };
    let plan = CommitPlan {
        adds: Vec::new(),
        removes: vec![gone.leaf],
        policy: None,
        self_update: true,
        header: header.encode(),
        join_info: None,
    };
    let built = hostile(world, by).insider_commit(&group, plan).unwrap();
    Frame::commit(state.epoch.prefix(), built.message).encode()
}

fn log_of(world: &World, device: usize) -> Vec<u8> {
    world.machine(device).insider_log()
}

#[test]
fn it_revokes_and_removes_no_senior() {
    let (mut world, group) = stage(1);
    let installations = vec![id_of(&world, PHONE)];
    let phone = installations[0];
    let refused_command = world.by(LAPTOP).revoke(installations, None);
    assert_eq!(refused_command, Err(CommandError::NotSenior { installation: phone }.into()));
    // Without a warrant; with a log in which nobody is revoked; with another account's.
    let others = [
        (vec![], Refused::Policy),
        (vec![Warrant::Revoke(log_of(&world, LAPTOP))], Refused::Replay),
        (vec![Warrant::Revoke(log_of(&world, HELPER))], Refused::Replay),
        (vec![Warrant::Revoke(b"a log".to_vec())], Refused::Authentication),
    ];
    for (warrants, why) in others {
        let frame = removal(&mut world, LAPTOP, group, PHONE, warrants);
        assert_eq!(inside(&mut world, LAPTOP, group, &frame, FRIEND), refused(why));
    }
    // Nor does a warrant for one leaf remove another.
    world.part(LAPTOP, 1);
    revoke(&mut world);
    let log = log_of(&world, PHONE);
    let frame = removal(&mut world, LAPTOP, group, PHONE, vec![Warrant::Revoke(log)]);
    world.part(LAPTOP, 0);
    let found = inside(&mut world, LAPTOP, group, &frame, FRIEND);
    assert!(found.iter().all(|it| *it == refused(Refused::Policy)[0]), "{found:?}");
    long(&mut world);
    assert_works(&mut world, &HONEST, group);
    assert_eq!(view(&world, FRIEND, group).installations, 4);
}

#[test]
fn it_does_not_outrun_its_removal_by_a_longer_branch() {
    for seed in 0..4 {
        let (mut world, group) = stage(10 + seed);
        world.part(LAPTOP, 1);
        revoke(&mut world);
        for at in 0..6 {
            world.by(LAPTOP).rename(group, &format!("Mine {at}")).unwrap();
            world.run_for(Duration::from_secs(1));
        }
        if seed % 2 == 1 {
            long(&mut world);
        }
        heal(&mut world);
        long(&mut world);
        assert_works(&mut world, &HONEST, group);
        let found = view(&world, FRIEND, group);
        assert_eq!((found.name.as_str(), found.installations), ("Hikers", 4), "seed {seed}");
        let known = world.machine(TABLET).installations().unwrap();
        let laptop = known.into_iter().find(|it| it.installation == id_of(&world, LAPTOP)).unwrap();
        assert!(laptop.revoked.is_some());
    }
}

#[test]
fn what_it_adds_after_its_revocation_counts_for_nothing() {
    let (mut world, group) = stage(20);
    world.part(LAPTOP, 1);
    revoke(&mut world);
    // It has not heard of it, or says so, and signs on the old parent.
    let planted = world.add_installation(LAPTOP);
    world.part(planted, 1);
    long(&mut world);
    assert!(world.machine(planted).group(&group).unwrap().is_some(), "on its own branch");
    say(&mut world, planted, group, "planted");
    heal(&mut world);
    long(&mut world);
    assert_works(&mut world, &HONEST, group);
    let planted_id = id_of(&world, planted);
    for device in [PHONE, TABLET] {
        let all = world.machine(device).installations().unwrap();
        let active = all.iter().filter(|it| it.revoked.is_none()).count();
        assert_eq!(active, 2, "device {device}");
        assert!(all.iter().all(|it| it.installation != planted_id || it.revoked.is_some()));
    }
    for device in HONEST {
        let state = world.machine(device).insider_state(&group).unwrap();
        assert!(state.leaf_of(&planted_id).is_none());
        for message in world.machine(device).history(&group, None, 100).unwrap() {
            assert!(message.installation != planted_id || message.flagged, "device {device}");
        }
    }
}

#[test]
fn an_accomplice_does_not_bring_it_back() {
    let (mut world, group) = stage(30);
    // The accomplice has a card with the laptop's key package in it.
    world.befriend(PHONE, HELPER);
    let account = world.account(PHONE);
    revoke(&mut world);
    long(&mut world);
    let laptop = id_of(&world, LAPTOP);
    let has = |world: &World, device: usize| {
        world.machine(device).insider_state(&group).unwrap().leaf_of(&laptop).is_some()
    };
    assert!(!has(&world, FRIEND));
    let (packages, _) = hostile(&mut world, HELPER).insider_packages(&group, &account).unwrap();
    let state = world.machine(HELPER).insider_state(&group).unwrap();
    let package = packages
        .into_iter()
        .find(|it| it.leaf_node().signature_key().as_slice() == laptop.as_bytes())
        .unwrap();
    let header = CommitHeader {
        chain: world.machine(HELPER).insider_link(&group).unwrap(),
        slot: state.slot,
        intents: vec![IntentId([8; 16])],
        ..CommitHeader::default()
    };
    let join_info = hostile(&mut world, HELPER).insider_join_info(&group, state.slot).unwrap();
    let plan = CommitPlan {
        adds: vec![package],
        removes: Vec::new(),
        policy: None,
        self_update: false,
        header: header.encode(),
        join_info: Some(join_info),
    };
    let built = hostile(&mut world, HELPER).insider_commit(&group, plan).unwrap();
    let frame = Frame::commit(state.epoch.prefix(), built.message).encode();
    inside(&mut world, HELPER, group, &frame, FRIEND);
    // Valid, since validity knows nothing of logs: and undone by whoever knows better.
    assert!(has(&world, FRIEND));
    long(&mut world);
    for device in [PHONE, FRIEND, TABLET] {
        assert!(!has(&world, device), "device {device}");
    }
    assert_agreed(&world, &[PHONE, FRIEND, TABLET], group);
    assert_no_failures(&world);
}

#[test]
fn an_old_log_takes_nothing_back() {
    let (mut world, group) = stage(40);
    let old = log_of(&world, LAPTOP);
    world.part(LAPTOP, 1);
    revoke(&mut world);
    long(&mut world);
    // To its own account, in the group that it still has of before; and to others, as a warrant.
    heal(&mut world);
    let frame = removal(&mut world, HELPER, group, TABLET, vec![Warrant::Revoke(old)]);
    let found = inside(&mut world, HELPER, group, &frame, FRIEND);
    assert!(found.contains(&refused(Refused::Replay)[0]), "{found:?}");
    long(&mut world);
    for device in [PHONE, TABLET] {
        let all = world.machine(device).installations().unwrap();
        assert_eq!(all.iter().filter(|it| it.revoked.is_none()).count(), 2);
    }
    assert_works(&mut world, &HONEST, group);
}

/// A message of the stolen device in the account's own group, as it was before its removal.
fn tell(world: &mut World, items: &[SyncItem], to: usize) -> Vec<Disposition> {
    let group = world.machine(LAPTOP).insider_self_group().unwrap();
    let chain = Some(world.machine(LAPTOP).insider_link(&group).unwrap());
    let body = Body::Sync(encode(items).to_vec());
    let content = Content { chain, sent_at: world.now(), body };
    let message = hostile(world, LAPTOP).insider_message(&group, &content.encode()).unwrap();
    let frame = Frame::new(FrameKind::Message, message).encode();
    inside(world, LAPTOP, group, &frame, to)
}

fn key_of_its_own(world: &World, ahead: Duration) -> SyncItem {
    SyncItem::InboxKey { secret: Zeroizing::new([7; 32]), made_at: world.now() + ahead }
}

fn inbox_keys(world: &World, device: usize) -> Vec<Vec<u8>> {
    world.machine(device).fingerprints().remove("inbox key").unwrap_or_default()
}

#[test]
fn its_inbox_key_is_in_no_card_once_it_is_revoked() {
    let (mut world, _) = stage(50);
    // While it is trusted it plants a key that is newer than any for half a minute to come.
    let planted = InboxKey::from_secret(&[7; 32], world.now()).public();
    let item = key_of_its_own(&world, Duration::from_secs(25));
    tell(&mut world, &[item], TABLET);
    assert!(inbox_keys(&world, TABLET).iter().any(|key| key[..] == planted));
    revoke(&mut world);
    world.run_for(Duration::from_secs(40));
    // It stays open, for those who have it from a card; and is given to nobody any more.
    assert!(inbox_keys(&world, TABLET).iter().any(|key| key[..] == planted));
    for device in [PHONE, TABLET] {
        let link = world.by(device).contact_link().unwrap();
        let link = ContactLink::parse(&link, &network(&world), world.now()).unwrap();
        let card = link.card.unwrap();
        assert_ne!(card.content().inbox.key, planted, "device {device}");
        assert!(
            card.content().key_packages.iter().all(|it| it.installation != id_of(&world, LAPTOP))
        );
    }
}

#[test]
fn its_own_group_does_not_listen_to_it_any_more() {
    let (mut world, group) = stage(51);
    world.part(LAPTOP, 1);
    // The tablet has heard of the Revoke before the removal from their group: from the warrant of
    // some other group, say. Here the laptop speaks in the state that it had.
    revoke(&mut world);
    settle(&mut world);
    heal_one(&mut world);
    let known = inbox_keys(&world, TABLET);
    let name = SyncItem::Name {
        installation: id_of(&world, TABLET),
        name: "mine".into(),
        changed_at: world.now(),
    };
    let own_key = key_of_its_own(&world, Duration::ZERO);
    tell(&mut world, &[name, own_key], TABLET);
    settle(&mut world);
    assert_eq!(inbox_keys(&world, TABLET), known);
    let tablet = world.machine(TABLET).installations().unwrap();
    assert!(tablet.iter().all(|it| it.name.as_deref() != Some("mine")));
    long(&mut world);
    assert_works(&mut world, &HONEST, group);
}

/// The stolen device is heard again, and has heard nothing yet.
fn heal_one(world: &mut World) {
    world.part(LAPTOP, 0);
}

#[test]
fn nobody_else_gets_into_the_accounts_own_group() {
    let (mut world, _) = stage(52);
    let own = world.machine(LAPTOP).insider_self_group().unwrap();
    world.befriend(LAPTOP, FRIEND);
    settle(&mut world);
    let account = world.account(FRIEND);
    let (adds, _) = hostile(&mut world, LAPTOP).insider_packages(&own, &account).unwrap();
    assert!(!adds.is_empty());
    let state = world.machine(LAPTOP).insider_state(&own).unwrap();
    let header = CommitHeader {
        chain: world.machine(LAPTOP).insider_link(&own).unwrap(),
        slot: state.slot,
        intents: vec![IntentId([9; 16])],
        ..CommitHeader::default()
    };
    let join_info = hostile(&mut world, LAPTOP).insider_join_info(&own, state.slot).unwrap();
    let plan = CommitPlan {
        adds,
        header: header.encode(),
        join_info: Some(join_info),
        ..CommitPlan::default()
    };
    let built = hostile(&mut world, LAPTOP).insider_commit(&own, plan).unwrap();
    let frame = Frame::commit(state.epoch.prefix(), built.message).encode();
    let found = inside(&mut world, LAPTOP, own, &frame, PHONE);
    assert_eq!(found, refused(Refused::Policy));
    assert_eq!(world.machine(PHONE).insider_state(&own).unwrap().epoch, state.epoch);
}
