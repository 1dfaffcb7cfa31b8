//! Commits by members that do not keep to the rules.

use chat_core::group::commit::CommitPlan;
use chat_core::group::policy::GroupPolicy;
use chat_core::identity::leave::LeaveWish;
use chat_core::ids::{AccountId, EpochId, GroupId, IntentId};
use chat_core::machine::{Deferred, Disposition, Refused};
use chat_core::params::MAX_SLOT_ADVANCE;
use chat_core::time::Slot;
use chat_core::wire::frame::Frame;
use chat_core::wire::header::{CommitHeader, Cut, Warrant};
use chat_sim::world::World;

use crate::common::*;
use crate::kit::*;

/// A commit by `by`, made as `change` says of the honest beginning.
pub(crate) fn commit(
    world: &mut World,
    by: usize,
    group: GroupId,
    change: impl FnOnce(&World, &mut CommitHeader, &mut CommitPlan),
) -> Vec<u8> {
    let machine = world.machine(by);
    let parent = machine.insider_state(&group).unwrap();
    let mut header = CommitHeader {
        chain: machine.insider_link(&group).unwrap(),
        slot: Slot::at(world.now(), world.params.slot_secs).max(parent.slot),
        intents: vec![IntentId([1; 16])],
        ..CommitHeader::default()
    };
    let mut plan = CommitPlan::default();
    change(world, &mut header, &mut plan);
    if plan.header.is_empty() {
        plan.header = header.encode();
    }
    hostile(world, by).insider_commit(&group, plan).unwrap().message
}

fn leaf(world: &World, group: GroupId, device: usize) -> (u32, Cut) {
    let installation = world.machine(device).insider_key().id();
    let state = world.machine(device).insider_state(&group).unwrap();
    (state.leaf_of(&installation).unwrap().leaf, Cut { installation, seq: 0, hash: None })
}

fn policy(world: &World, group: GroupId) -> GroupPolicy {
    world.machine(1).insider_state(&group).unwrap().policy().unwrap()
}

#[test]
fn commits_that_break_a_rule_are_refused_by_all_and_leave_no_trace() {
    type Change = Box<dyn Fn(&World, GroupId, &mut CommitHeader, &mut CommitPlan)>;
    let removes = |whom: usize| {
        move |world: &World, group: GroupId, header: &mut CommitHeader, plan: &mut CommitPlan| {
            let (leaf, cut) = leaf(world, group, whom);
            plan.removes = vec![leaf];
            header.cuts = vec![cut];
            header.rotate = true;
        }
    };
    let with = |base: fn(&World, GroupId) -> GroupPolicy| -> Change {
        Box::new(move |world, group, _, plan| plan.policy = Some(base(world, group)))
    };
    let wish = |signer: usize, last_seq: u64, start: Option<EpochId>| -> Change {
        Box::new(move |world, group, header, plan| {
            removes(3)(world, group, header, plan);
            let key = world.machine(signer).insider_key();
            let state = world.machine(3).insider_state(&group).unwrap();
            let (_, cut) = leaf(world, group, 3);
            let since = state.leaf_of(&cut.installation).unwrap().since.unwrap();
            let wish = LeaveWish {
                group,
                installation: key.id(),
                membership_start: start.unwrap_or(since),
                last_seq,
                last_hash: None,
            };
            header.warrants = vec![Warrant::Leave(wish.sign(&key, &network(world)))];
        })
    };
    // Who, what, why it is refused. 0 is the admin, 2 a plain member.
    let cases: Vec<(&str, usize, Change, Refused)> = vec![
        ("a removal by no admin", 2, Box::new(removes(0)), Refused::Policy),
        (
            "a removal without rotation",
            0,
            Box::new(move |w, g, h, p| {
                removes(3)(w, g, h, p);
                h.rotate = false;
            }),
            Refused::Policy,
        ),
        (
            "a removal without a cut",
            0,
            Box::new(move |w, g, h, p| {
                removes(3)(w, g, h, p);
                h.cuts.clear();
            }),
            Refused::Policy,
        ),
        (
            "a cut of somebody who stays",
            0,
            Box::new(move |w, g, h, p| {
                removes(3)(w, g, h, p);
                h.cuts.push(leaf(w, g, 2).1);
            }),
            Refused::Policy,
        ),
        (
            "a cut without a removal",
            2,
            Box::new(|w, g, h, p| {
                p.self_update = true;
                h.cuts = vec![leaf(w, g, 0).1];
            }),
            Refused::Policy,
        ),
        (
            "a slot before the parent's",
            2,
            Box::new(|_, _, h, p| {
                p.self_update = true;
                h.slot = Slot(1);
            }),
            Refused::Policy,
        ),
        (
            "a slot that is absurd",
            2,
            Box::new(|_, _, h, p| {
                p.self_update = true;
                h.slot = Slot(h.slot.0 + MAX_SLOT_ADVANCE + 1);
            }),
            Refused::Policy,
        ),
        (
            "a slot at the end of time",
            2,
            Box::new(|_, _, h, p| {
                p.self_update = true;
                h.slot = Slot(u64::MAX);
            }),
            Refused::Policy,
        ),
        (
            "an admin by its own grace",
            2,
            with(|w, g| {
                let mut policy = policy(w, g);
                policy.admins.insert(w.account(2), policy.next_admin);
                policy.next_admin += 1;
                policy
            }),
            Refused::Policy,
        ),
        (
            "the admin deposed by a member",
            2,
            with(|w, g| {
                let mut policy = policy(w, g);
                policy.admins = [(w.account(2), 0)].into();
                policy
            }),
            Refused::Policy,
        ),
        (
            "another network",
            2,
            with(|w, g| GroupPolicy {
                network: chat_core::params::NetworkId([9; 32]),
                ..policy(w, g)
            }),
            Refused::Policy,
        ),
        (
            "an admin who is no member",
            0,
            with(|w, g| {
                let mut policy = policy(w, g);
                policy.admins.insert(AccountId([5; 32]), policy.next_admin);
                policy.next_admin += 1;
                policy
            }),
            Refused::Policy,
        ),
        (
            "an admin number out of turn",
            0,
            with(|w, g| {
                let mut policy = policy(w, g);
                policy.admins.insert(w.account(2), 7);
                policy.next_admin = 8;
                policy
            }),
            Refused::Policy,
        ),
        (
            "an admin number given again",
            0,
            with(|w, g| {
                let mut policy = policy(w, g);
                policy.admins = [(w.account(0), 1)].into();
                policy.next_admin = 2;
                policy
            }),
            Refused::Policy,
        ),
        ("a wish signed by another", 2, wish(2, 0, None), Refused::Policy),
        ("a wish of another membership", 2, wish(3, 0, Some(EpochId([6; 32]))), Refused::Replay),
        ("a wish with another cut", 2, wish(3, 9, None), Refused::Policy),
        (
            "a wish that is none",
            2,
            Box::new(move |w, g, h, p| {
                removes(3)(w, g, h, p);
                h.warrants = vec![Warrant::Leave(vec![1; 40])];
            }),
            Refused::Authentication,
        ),
        (
            "a revocation that is none",
            2,
            Box::new(move |w, g, h, p| {
                removes(3)(w, g, h, p);
                h.warrants = vec![Warrant::Revoke(vec![1; 40])];
            }),
            Refused::Authentication,
        ),
        (
            "a header that is none",
            2,
            Box::new(|_, _, _, p| {
                p.self_update = true;
                p.header = vec![0xff; 30];
            }),
            Refused::Content,
        ),
        (
            "no header",
            2,
            Box::new(|_, _, h, p| {
                p.self_update = true;
                h.chain.seq = 0;
            }),
            Refused::Content,
        ),
    ];
    let mut world = world(4, 25);
    let group = group(&mut world, "hikers");
    let before = world.machine(1).insider_state(&group).unwrap().epoch;
    let states = rows(&world, 1, "state");
    for (name, by, change, why) in cases {
        let message = commit(&mut world, by, group, |world, header, plan| {
            change(world, group, header, plan);
        });
        let parent = world.machine(by).insider_state(&group).unwrap().epoch;
        let frame = Frame::commit(parent.prefix(), message).encode();
        let found = inside(&mut world, by, group, &frame, 1);
        assert_eq!(found, refused(why), "{name}");
        for device in 0..4 {
            let epoch = world.machine(device).insider_state(&group).unwrap().epoch;
            assert_eq!(epoch, before, "{name}: device {device}");
        }
    }
    assert_eq!(rows(&world, 1, "state"), states);
    assert_eq!(view(&world, 1, group).accounts, 4);
    assert_works(&mut world, &[0, 1, 2, 3], group);
}

#[test]
fn a_commit_far_in_the_future_stops_nobody() {
    let mut world = world(3, 26);
    let group = group(&mut world, "hikers");
    // Valid, since validity knows no clock: a rotation by a member, years ahead.
    let parent = world.machine(2).insider_state(&group).unwrap();
    let far = |_: &World, header: &mut CommitHeader, plan: &mut CommitPlan| {
        plan.self_update = true;
        header.rotate = true;
        header.slot = Slot(parent.slot.0 + MAX_SLOT_ADVANCE);
    };
    let parent = &parent.epoch;
    let message = commit(&mut world, 2, group, far);
    let frame = Frame::commit(parent.prefix(), message).encode();
    let found = inside(&mut world, 2, group, &frame, 1);
    // It waits until its slot has come; who made it would be alone there.
    assert_eq!(found, [Disposition::Deferred(Deferred::FutureSlot)]);
    assert_works(&mut world, &[0, 1], group);
    // And the group can still be changed.
    let accounts = vec![world.account(2)];
    world.by(0).remove_members(group, accounts).unwrap();
    assert_works(&mut world, &[0, 1], group);
    assert_eq!(view(&world, 1, group).accounts, 2);
}
