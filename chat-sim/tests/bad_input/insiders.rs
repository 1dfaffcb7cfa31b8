//! Members that do not keep to the rules in what they say: they hold all keys of the group, and sign
//! as themselves.

use std::time::Duration;

use chat_core::identity::leave::LeaveWish;
use chat_core::ids::{EpochId, GroupId, ItemHash};
use chat_core::machine::{Deferred, Disposition, Event, Membership, Refused};
use chat_core::params::MAX_DEFERRED_PER_GROUP;
use chat_core::time::Timestamp;
use chat_core::wire::chain::{ChainLink, HeadRef};
use chat_core::wire::content::{Body, Content};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_sim::world::World;

use crate::commits::commit;
use crate::common::*;
use crate::kit::*;

/// A numbered text with any link, as device 2 signs it: what becomes of it at device 1.
fn text(
    world: &mut World,
    group: GroupId,
    chain: Option<ChainLink>,
    text: &str,
) -> Vec<Disposition> {
    let body = Body::Text(text.into());
    content(world, group, Content { chain, sent_at: world.now(), body })
}

fn content(world: &mut World, group: GroupId, content: Content) -> Vec<Disposition> {
    let plaintext = content.encode();
    let message = hostile(world, 2).insider_message(&group, &plaintext).unwrap();
    let frame = Frame::new(FrameKind::Message, message).encode();
    inside(world, 2, group, &frame, 1)
}

#[test]
fn sealed_bytes_of_any_kind_are_refused_or_kept_within_limits() {
    let mut world = world(3, 20);
    let group = group(&mut world, "hikers");
    let mut frames = Vec::new();
    for kind in FrameKind::ALL {
        for len in [0, 1, 100, 5000] {
            let body = bytes(&mut world, len);
            frames.push(Frame::new(kind, body).encode());
        }
    }
    for len in [0, 1, 50, 400, 100_000] {
        frames.push(bytes(&mut world, len));
    }
    // A real message and a real commit, cut short and with bits turned.
    let plaintext = bytes(&mut world, 50);
    let message = hostile(&mut world, 2).insider_message(&group, &plaintext).unwrap();
    let state = world.machine(2).insider_state(&group).unwrap();
    let commit = commit(&mut world, 2, group, |_, _, plan| plan.self_update = true);
    for real in
        [Frame::new(FrameKind::Message, message), Frame::commit(state.epoch.prefix(), commit)]
    {
        let real = real.encode();
        for cut in [1, 2, 10, real.len() / 2, real.len() - 1] {
            frames.push(real[..cut].to_vec());
        }
        for _ in 0..60 {
            let bit = world.below(real.len() as u64 * 8) as usize;
            let mut turned = real.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            frames.push(turned);
        }
    }
    let count = frames.len();
    let mut judged = Vec::new();
    for frame in frames {
        judged.extend(inside(&mut world, 2, group, &frame, 1));
    }
    assert_eq!(judged.len(), count);
    let dropped = |found: &&Disposition| {
        let deferred = Disposition::Deferred(Deferred::UnknownEpoch);
        matches!(found, Disposition::Refused(_) | Disposition::Stale | Disposition::Duplicate)
            || **found == deferred
    };
    // A turned bit in a hint or in the frame's own fields may change nothing that counts.
    let others: Vec<_> = judged.iter().filter(|found| !dropped(found)).collect();
    assert!(others.len() <= 8, "{others:?}");
    assert!(rows(&world, 1, "deferred") <= MAX_DEFERRED_PER_GROUP as u64);
    let state = world.machine(0).insider_state(&group).unwrap().epoch;
    assert_eq!(world.machine(1).insider_state(&group).unwrap().epoch, state);
    settle(&mut world);
    say(&mut world, 0, group, "still here");
    settle(&mut world);
    assert_eq!(texts(&world, 1, group).last().unwrap(), "still here");
    assert_no_failures(&world);
}

#[test]
fn links_that_contradict_themselves_are_refused() {
    let mut world = world(3, 21);
    let group = group(&mut world, "hikers");
    let link = world.machine(2).insider_link(&group).unwrap();
    let some = Some(ItemHash([9; 32]));
    for broken in [
        ChainLink { seq: 0, ..link.clone() },
        ChainLink { seq: 1, previous: some, ..link.clone() },
        ChainLink { seq: 5, previous: some, prev_in_epoch: Some(5), heads: Vec::new() },
        ChainLink { seq: 5, previous: some, prev_in_epoch: Some(0), heads: Vec::new() },
        ChainLink { seq: 5, previous: None, prev_in_epoch: Some(3), heads: Vec::new() },
        ChainLink { seq: u64::MAX, previous: None, prev_in_epoch: Some(u64::MAX), heads: vec![] },
    ] {
        let found = text(&mut world, group, Some(broken.clone()), "broken");
        assert_eq!(found, refused(Refused::Content), "{broken:?}");
    }
    assert!(texts(&world, 1, group).is_empty());
    assert!(world.machine(1).missing(&group).unwrap().is_empty());
    assert_works(&mut world, &[0, 1, 2], group);
}

#[test]
fn numbers_that_leap_or_come_twice_are_told_and_cost_little() {
    let mut world = world(3, 22);
    let group = group(&mut world, "hikers");
    let link = |seq| ChainLink { seq, previous: Some(ItemHash([9; 32])), ..ChainLink::default() };
    let first = ChainLink { seq: 1, ..ChainLink::default() };
    assert!(matches!(
        text(&mut world, group, Some(first.clone()), "a")[..],
        [Disposition::Message(_)]
    ));
    assert!(matches!(text(&mut world, group, Some(first), "b")[..], [Disposition::Message(_)]));
    let twice = |e: &&Event| matches!(e, Event::Equivocation { seq: 1, .. });
    assert_eq!(events(&world, 1).into_iter().filter(twice).count(), 1);
    // Every other number, then a number at the end of all.
    for seq in (3..900).step_by(2).chain([u64::MAX]) {
        let found = text(&mut world, group, Some(link(seq)), "x");
        assert!(matches!(found[..], [Disposition::Message(_)]), "{seq}: {found:?}");
    }
    let missing = world.machine(1).missing(&group).unwrap();
    assert!(!missing.is_empty() && missing.len() < 2000, "{}", missing.len());
    let told = events(&world, 1).len();
    assert!(told < 3000, "{told} events");
    // Unnumbered contents and heads that claim anything of anybody.
    let heads: Vec<HeadRef> = (0..8)
        .map(|at| HeadRef { leaf: at, epoch: None, seq: u64::MAX - u64::from(at), hash: [1; 8] })
        .collect();
    let chain = Some(ChainLink { seq: 2, heads, ..ChainLink::default() });
    let body = Body::Heartbeat;
    content(&mut world, group, Content { chain, sent_at: Timestamp(u64::MAX), body });
    let lone = world.machine(1).missing(&group).unwrap();
    assert!(lone.iter().all(|missing| missing.sender == world.account(2)), "one claim is no loss");
    // The others do not suffer from it.
    assert_no_failures(&world);
    say(&mut world, 0, group, "never mind");
    settle(&mut world);
    assert_eq!(texts(&world, 1, group).last().unwrap(), "never mind");
}

#[test]
fn a_flood_of_frames_for_unknown_states_is_bounded() {
    let mut world = world(3, 23);
    let group = group(&mut world, "hikers");
    let plaintext = bytes(&mut world, 20);
    let real = hostile(&mut world, 2).insider_message(&group, &plaintext).unwrap();
    let mut refusals = 0;
    for count in 0..MAX_DEFERRED_PER_GROUP as u64 + 50 {
        let mut message = real.clone();
        let at = message.len() - 8;
        message[at..].copy_from_slice(&count.to_be_bytes());
        let frame = Frame::new(FrameKind::Message, message).encode();
        let found = inside(&mut world, 2, group, &frame, 1);
        refusals += u32::from(found == refused(Refused::Budget));
    }
    assert!(refusals >= 50);
    assert_eq!(rows(&world, 1, "deferred"), MAX_DEFERRED_PER_GROUP as u64);
    assert_works(&mut world, &[0, 1, 2], group);
}

#[test]
fn a_wish_to_leave_for_somebody_else_moves_nobody() {
    let mut world = world(3, 24);
    let group = group(&mut world, "hikers");
    let state = world.machine(2).insider_state(&group).unwrap();
    let network = network(&world);
    let wish_of = |world: &World, device: usize, start: EpochId, id: GroupId| {
        let key = world.machine(device).insider_key();
        let wish = LeaveWish {
            group: id,
            installation: key.id(),
            membership_start: start,
            last_seq: 1,
            last_hash: None,
        };
        wish.sign(&key, &network)
    };
    let since = |device: usize| {
        let id = world.machine(device).insider_key().id();
        state.leaf_of(&id).unwrap().since.unwrap()
    };
    let (mine, theirs) = (since(2), since(0));
    // Signed by another member; of another membership; of another group; no wish at all.
    let mut forged = wish_of(&world, 2, mine, group);
    let end = forged.len() - 1;
    forged[end] ^= 1;
    for wish in [
        wish_of(&world, 0, theirs, group),
        wish_of(&world, 2, EpochId([7; 32]), group),
        wish_of(&world, 2, mine, GroupId([7; 32])),
        forged,
        vec![1; 200],
        Vec::new(),
    ] {
        let chain = Some(world.machine(2).insider_link(&group).unwrap());
        let before = world.machine(1).counters().refused.get(&Refused::Content).copied();
        let body = Body::LeaveWish(wish);
        content(&mut world, group, Content { chain, sent_at: Timestamp(0), body });
        let after = world.machine(1).counters().refused.get(&Refused::Content).copied();
        assert_eq!(after.unwrap_or(0), before.unwrap_or(0) + 1);
    }
    settle(&mut world);
    assert_eq!(view(&world, 1, group).accounts, 3);
    // One that holds, many times over: one intent, one commit.
    let wish = wish_of(&world, 2, mine, group);
    for seq in 1..60 {
        let chain = Some(ChainLink { seq, ..ChainLink::default() });
        let body = Body::LeaveWish(wish.clone());
        let now = world.now();
        let plaintext = Content { chain, sent_at: now, body }.encode();
        let message = hostile(&mut world, 2).insider_message(&group, &plaintext).unwrap();
        let frame = Frame::new(FrameKind::Message, message).encode();
        let roots = roots(&world, 2, group);
        let sealed = sealed(&mut world, &roots, &frame, 2);
        world.inject(sealed);
    }
    world.run_for(Duration::from_millis(100));
    assert!(rows(&world, 1, "intent") <= 2, "{}", rows(&world, 1, "intent"));
    settle(&mut world);
    assert_eq!(view(&world, 1, group).accounts, 2);
    assert_works(&mut world, &[0, 1], group);
}

#[test]
fn somebody_elses_message_and_commit_cannot_be_signed() {
    let mut world = world(3, 27);
    let group = group(&mut world, "hikers");
    // A frame of one group in another one, properly sealed there.
    let others = vec![world.account(1), world.account(2)];
    let second = create(&mut world, 0, "others", others);
    settle(&mut world);
    let plaintext = Content {
        chain: Some(world.machine(2).insider_link(&group).unwrap()),
        sent_at: world.now(),
        body: Body::Text("elsewhere".into()),
    }
    .encode();
    let message = hostile(&mut world, 2).insider_message(&group, &plaintext).unwrap();
    let frame = Frame::new(FrameKind::Message, message).encode();
    assert_eq!(inside(&mut world, 2, second, &frame, 1), refused(Refused::Mls));
    let message = commit(&mut world, 2, group, |_, _, plan| plan.self_update = true);
    let parent = world.machine(2).insider_state(&second).unwrap().epoch;
    let frame = Frame::commit(parent.prefix(), message).encode();
    assert_eq!(inside(&mut world, 2, second, &frame, 1), refused(Refused::Mls));
    assert!(texts(&world, 1, second).is_empty());
    assert_eq!(view(&world, 1, group).membership, Membership::Active);
    assert_works(&mut world, &[0, 1, 2], second);
}
