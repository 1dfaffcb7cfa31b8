//! Invitations that are not what they seem: the doorbell holds, and what it leads to does not.

use std::time::Duration;

use chat_core::contact::doorbell::{DoorbellContent, InvitationOffer, Purpose, ring};
use chat_core::contact::invitation::Invitation;
use chat_core::group::commit::CommitPlan;
use chat_core::ids::{GroupId, RequestId};
use chat_core::machine::{Disposition, Event, Refused};
use chat_core::params::MAX_REQUESTS;
use chat_core::time::Slot;
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::header::CommitHeader;
use chat_core::wire::roots::{inbox_roots, invitation_roots};
use chat_sim::world::World;

use crate::common::*;
use crate::kit::*;

/// Four who know each other; 0, 1 and 2 in a group. 3 is whom the invitations go to.
fn scene(seed: u64) -> (World, GroupId) {
    let mut world = world(4, seed);
    let members = vec![world.account(1), world.account(2)];
    let group = create(&mut world, 0, "hikers", members);
    settle(&mut world);
    (world, group)
}

/// A doorbell by a device, for the inbox key of another.
fn doorbell(world: &mut World, by: usize, inbox: [u8; 32], offer: InvitationOffer) -> Vec<u8> {
    let content = DoorbellContent {
        inviter: world.machine(by).insider_credential(),
        purpose: Purpose::Invitation(offer),
    };
    let (key, network) = (world.machine(by).insider_key(), network(world));
    let body = ring(world.rng(), &network, &[inbox], &content, &key).unwrap();
    Frame::new(FrameKind::Doorbell, body).encode()
}

/// Rings at device 3; the request, and the secret that its invitation is sealed with.
fn rings(world: &mut World, by: usize, group: GroupId) -> (RequestId, [u8; 32], Slot) {
    let account = world.account(3);
    let (_, inboxes) = hostile(world, by).insider_packages(&group, &account).unwrap();
    let secret: [u8; 32] = bytes(world, 32).try_into().unwrap();
    let slot = Slot::at(world.now(), world.params.slot_secs);
    let group_name = "come in".to_string();
    let offer = InvitationOffer { secret: secret.into(), slot, group_name };
    let frame = doorbell(world, by, inboxes[0], offer);
    let roots = inbox_roots(&network(world), slot);
    let message = sealed_as(world, &roots, &frame, by, SizeClass::Doorbell);
    let found = deliver(world, message, 3);
    let [Disposition::Doorbell(request)] = found[..] else { panic!("{found:?}") };
    (request, secret, slot)
}

/// A Welcome with its tree, for the key package of `whom`, by a member of the group.
fn welcome(world: &mut World, by: usize, group: GroupId, whom: usize) -> (Vec<u8>, Vec<u8>) {
    let account = world.account(whom);
    let (adds, _) = hostile(world, by).insider_packages(&group, &account).unwrap();
    let parent = world.machine(by).insider_state(&group).unwrap();
    let slot = Slot::at(world.now(), world.params.slot_secs).max(parent.slot);
    let chain = world.machine(by).insider_link(&group).unwrap();
    let header = CommitHeader { chain, slot, ..CommitHeader::default() }.encode();
    let join_info = Some(world.machine(by).insider_join_info(&group, slot).unwrap());
    let plan = CommitPlan { adds, header, join_info, ..CommitPlan::default() };
    let built = hostile(world, by).insider_commit(&group, plan).unwrap();
    (built.welcome.unwrap(), built.mls.tree().unwrap())
}

/// What becomes of an invitation's frame at device 3.
fn answers(world: &mut World, secret: &[u8; 32], slot: Slot, frame: &[u8]) -> Vec<Disposition> {
    let now = Slot::at(world.now(), world.params.slot_secs);
    let roots = invitation_roots(secret, slot, &network(world)).at(now, &network(world)).unwrap();
    let message = sealed(world, &roots, frame, NOBODY);
    deliver(world, message, 3)
}

fn framed(welcome: Vec<u8>, tree: Option<Vec<u8>>) -> Vec<u8> {
    let body = Invitation { welcome, tree }.encode().unwrap();
    Frame::new(FrameKind::Invitation, body).encode()
}

fn failed(world: &World, request: RequestId) -> bool {
    events(world, 3)
        .iter()
        .any(|event| matches!(event, Event::RequestFailed { request: it, .. } if *it == request))
}

#[test]
fn bytes_on_an_invitations_topic_are_refused_and_the_real_one_still_joins() {
    let (mut world, group) = scene(70);
    let (_, secret, slot) = rings(&mut world, 0, group);
    let (real, tree) = welcome(&mut world, 0, group, 3);
    let mut frames = vec![Vec::new(), bytes(&mut world, 300), bytes(&mut world, 60_000)];
    for kind in FrameKind::ALL {
        let body = bytes(&mut world, 200);
        frames.push(Frame::new(kind, body).encode());
    }
    let whole = framed(real.clone(), Some(tree.clone()));
    frames.push(whole[..whole.len() / 2].to_vec());
    frames.push(framed(real.clone(), None));
    for frame in frames {
        let found = answers(&mut world, &secret, slot, &frame);
        assert!(
            matches!(found[..], [Disposition::Refused(Refused::Frame | Refused::Content)]),
            "{found:?}"
        );
    }
    let found = answers(&mut world, &secret, slot, &framed(real, Some(tree)));
    assert_eq!(found, [Disposition::Joined(group)]);
    assert_no_failures(&world);
}

#[test]
fn what_does_not_fit_is_refused_and_said() {
    type Make = fn(&mut World, GroupId) -> Vec<u8>;
    let cases: [(&str, Make, Refused); 4] = [
        (
            "a Welcome for somebody else",
            |world, group| {
                // 4 is a new account, which nobody but the inviter knows.
                let other = world.add_device();
                world.befriend(0, other);
                let (welcome, tree) = welcome(world, 0, group, other);
                framed(welcome, Some(tree))
            },
            Refused::Mls,
        ),
        (
            "by somebody else than rang",
            |world, group| {
                let (welcome, tree) = welcome(world, 2, group, 3);
                framed(welcome, Some(tree))
            },
            Refused::Authentication,
        ),
        (
            "a tree of another state",
            |world, group| {
                let (welcome, _) = welcome(world, 0, group, 3);
                let other = create(world, 0, "others", vec![]);
                let tree = welcome_tree(world, other);
                framed(welcome, Some(tree))
            },
            Refused::Mls,
        ),
        (
            "a Welcome that is none",
            |world, _| {
                let (welcome, tree) = (bytes(world, 500), bytes(world, 500));
                framed(welcome, Some(tree))
            },
            Refused::Mls,
        ),
    ];
    for (at, (name, make, why)) in cases.into_iter().enumerate() {
        let (mut world, group) = scene(71 + at as u64);
        let (request, secret, slot) = rings(&mut world, 0, group);
        let frame = make(&mut world, group);
        // Anybody who was invited with it can write there: the real one is waited for a while.
        for attempt in 1..=8 {
            assert!(!failed(&world, request), "{name}: attempt {attempt}");
            let found = answers(&mut world, &secret, slot, &frame);
            assert_eq!(found, refused(why), "{name}");
        }
        assert!(failed(&world, request), "{name}");
        assert!(world.machine(3).groups().unwrap().is_empty(), "{name}");
        assert_eq!(rows(&world, 3, "request"), 0, "{name}");
        // It can be invited properly after that.
        let accounts = vec![world.account(3)];
        world.by(0).add_members(group, accounts).unwrap();
        assert_works(&mut world, &[0, 1, 2, 3], group);
    }
}

fn welcome_tree(world: &mut World, group: GroupId) -> Vec<u8> {
    welcome(world, 0, group, 3).1
}

#[test]
fn an_invitation_is_used_once() {
    let (mut world, group) = scene(76);
    let (_, secret, slot) = rings(&mut world, 0, group);
    let (welcome, tree) = welcome(&mut world, 0, group, 3);
    let frame = framed(welcome, Some(tree));
    assert_eq!(answers(&mut world, &secret, slot, &frame), [Disposition::Joined(group)]);
    // Its topic is not listened to any more.
    assert!(matches!(answers(&mut world, &secret, slot, &frame)[..], [] | [Disposition::NotForUs]));
    // Rung for anew, with the same Welcome.
    let (request, secret, slot) = rings(&mut world, 0, group);
    assert_eq!(answers(&mut world, &secret, slot, &frame), refused(Refused::Replay));
    assert!(!failed(&world, request));
    // By another member, into the same group: nobody but who let us in may put us elsewhere.
    let (_, secret, slot) = rings(&mut world, 2, group);
    let (other, tree) = self::welcome(&mut world, 2, group, 3);
    let found = answers(&mut world, &secret, slot, &framed(other, Some(tree)));
    assert_eq!(found, refused(Refused::Replay));
    assert_no_failures(&world);
}

#[test]
fn a_doorbell_again_or_for_a_far_slot_is_dropped() {
    let (mut world, group) = scene(77);
    let account = world.account(3);
    let (_, inboxes) = hostile(&mut world, 0).insider_packages(&group, &account).unwrap();
    let slot = Slot::at(world.now(), world.params.slot_secs);
    let roots = inbox_roots(&network(&world), slot);
    let mut ring_for = |offered: Slot| {
        let offer =
            InvitationOffer { secret: [3; 32].into(), slot: offered, group_name: "g".into() };
        let frame = doorbell(&mut world, 0, inboxes[0], offer);
        let mut found = Vec::new();
        for _ in 0..2 {
            let message = sealed_as(&mut world, &roots, &frame, NOBODY, SizeClass::Doorbell);
            found.extend(deliver(&mut world, message, 3));
        }
        found
    };
    for far in [Slot(slot.0 + 2), Slot(u64::MAX), Slot(0)] {
        assert_eq!(ring_for(far)[0], Disposition::Refused(Refused::Content));
    }
    let found = ring_for(slot);
    assert!(matches!(found[..], [Disposition::Doorbell(_), Disposition::Duplicate]), "{found:?}");
    assert_works(&mut world, &[0, 1, 2], group);
    assert_no_failures(&world);
}

#[test]
fn strangers_cannot_fill_the_list_of_requests() {
    let mut world = World::new(chat_core::params::NetworkParams::fast(), 78);
    for _ in 0..2 {
        world.add_device();
    }
    // 0 has 1's link; 1 does not know 0.
    let link = world.by(1).contact_link().unwrap();
    world.by(0).add_contact(&link, None).unwrap();
    let group = create(&mut world, 0, "trap", vec![]);
    let account = world.account(1);
    let (_, inboxes) = hostile(&mut world, 0).insider_packages(&group, &account).unwrap();
    for count in 0..MAX_REQUESTS + 20 {
        let slot = Slot::at(world.now(), world.params.slot_secs);
        let secret: [u8; 32] = bytes(&mut world, 32).try_into().unwrap();
        let group_name = format!("{count}");
        let offer = InvitationOffer { secret: secret.into(), slot, group_name };
        let frame = doorbell(&mut world, 0, inboxes[0], offer);
        let roots = inbox_roots(&network(&world), slot);
        let message = sealed_as(&mut world, &roots, &frame, NOBODY, SizeClass::Doorbell);
        world.inject(message);
        world.run_for(Duration::from_millis(5));
    }
    let requests = world.machine(1).requests().unwrap();
    assert_eq!(requests.len(), MAX_REQUESTS);
    assert_eq!(rows(&world, 1, "request"), MAX_REQUESTS as u64);
    // One word silences them all.
    world.by(1).block(requests[0].id).unwrap();
    assert!(world.machine(1).requests().unwrap().is_empty());
    assert_no_failures(&world);
}
