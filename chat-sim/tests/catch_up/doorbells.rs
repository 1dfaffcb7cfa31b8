//! Floods of doorbells, and doorbells for a time long ago.

use std::time::Duration;

use chat_core::contact::doorbell::{DoorbellContent, InvitationOffer, Purpose, ring};
use chat_core::machine::{Disposition, Refused};
use chat_core::time::Slot;
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::roots::inbox_roots;
use chat_sim::world::World;

use crate::common::*;
use crate::kit::{NOBODY, bytes, deliver, hostile, network, sealed_as};

/// Doorbells that are none, as anybody can make them; they count as any others, and the test need
/// not wait for thousands of them to be opened.
fn junk_rings(world: &mut World, count: usize) {
    let slot = Slot::at(world.now(), world.params.slot_secs);
    let roots = inbox_roots(&network(world), slot);
    for _ in 0..count {
        let body = bytes(world, 32);
        let frame = Frame::new(FrameKind::Doorbell, body).encode();
        let message = sealed_as(world, &roots, &frame, NOBODY, SizeClass::Doorbell);
        world.inject(message);
    }
}

/// 0 rings at 1, for an invitation that waits at a slot: what becomes of it.
fn rings_for(world: &mut World, offered: Slot) -> Vec<Disposition> {
    let account = world.account(1);
    let own = world.machine(0).groups().unwrap()[0].id;
    let (_, inboxes) = hostile(world, 0).insider_packages(&own, &account).unwrap();
    let secret: [u8; 32] = bytes(world, 32).try_into().unwrap();
    let offer = InvitationOffer { secret: secret.into(), slot: offered, group_name: "g".into() };
    let content = DoorbellContent {
        inviter: world.machine(0).insider_credential(),
        purpose: Purpose::Invitation(offer),
    };
    let (key, network) = (world.machine(0).insider_key(), network(world));
    let body = ring(world.rng(), &network, &[inboxes[0]], &content, &key).unwrap();
    let frame = Frame::new(FrameKind::Doorbell, body).encode();
    let roots = inbox_roots(&network, Slot::at(world.now(), world.params.slot_secs));
    let message = sealed_as(world, &roots, &frame, NOBODY, SizeClass::Doorbell);
    deliver(world, message, 1)
}

#[test]
fn a_flood_of_doorbells_while_away_hides_no_invitation() {
    let mut world = world(2, 28);
    world.set_online(1, false);
    junk_rings(&mut world, 700);
    world.run_for(Duration::from_secs(10));
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    say(&mut world, 0, group, "hello Bob");
    world.run_for(Duration::from_secs(10));
    let began = world.now();
    world.set_online(1, true);
    // They are tried no faster than the budget allows.
    world.run_for(Duration::from_secs(1));
    let tried = world.devices[1].dispositions.len();
    assert!((400..700).contains(&tried), "{tried} in {:?}", world.now().since(began));
    world.run_for(Duration::from_secs(40));
    assert_eq!(texts(&world, 1, group), ["hello Bob"]);
    let refused = &world.machine(1).counters().refused;
    assert_eq!(refused.get(&Refused::Budget), None);
    assert_no_failures(&world);
}

#[test]
fn an_invitation_amid_a_flood_of_doorbells_is_found_in_history() {
    let mut world = world(2, 29);
    settle(&mut world);
    junk_rings(&mut world, 700);
    let members = vec![world.account(1)];
    let group = create(&mut world, 0, "hikers", members);
    world.run_for(Duration::from_secs(1));
    let refused = &world.machine(1).counters().refused;
    assert!(refused.get(&Refused::Budget).is_some_and(|count| *count > 100));
    world.run_for(Duration::from_secs(60));
    assert_agreed(&world, &[0, 1], group);
    assert_no_failures(&world);
}

#[test]
fn who_rings_without_end_does_not_keep_a_device_from_sending() {
    let mut world = world(2, 30);
    let group = group(&mut world, "hikers");
    world.set_online(1, false);
    // More than a minute's work.
    junk_rings(&mut world, 3800);
    world.run_for(Duration::from_secs(5));
    world.set_online(1, true);
    world.run_for(Duration::from_secs(1));
    say(&mut world, 1, group, "can you hear me?");
    assert_eq!(world.machine(1).identity().unwrap().outbox, 1, "it has yet to catch up");
    world.run_for(Duration::from_secs(80));
    assert_eq!(texts(&world, 0, group), ["can you hear me?"]);
    assert_no_failures(&world);
}

#[test]
fn nobody_rings_for_a_time_long_ago() {
    let mut world = world(2, 31);
    create(&mut world, 0, "trap", vec![]);
    world.run_for(Duration::from_secs(600));
    let slot = Slot::at(world.now(), world.params.slot_secs);
    for far in [Slot(0), slot.back(49), slot.next().next(), Slot(u64::MAX)] {
        assert_eq!(rings_for(&mut world, far), [Disposition::Refused(Refused::Content)], "{far}");
        assert!(world.machine(1).requests().unwrap().is_empty());
    }
    for near in [slot.back(48), slot, slot.next()] {
        let found = rings_for(&mut world, near);
        assert!(matches!(found[..], [Disposition::Doorbell(_)]), "{near}: {found:?}");
    }
    assert_no_failures(&world);
}
