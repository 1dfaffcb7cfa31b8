//! Commits by members that do not keep to the rules.

use chat_core::group::commit::CommitPlan;
use chat_core::group::epoch::EpochInfo;
use chat_core::group::policy::GroupPolicy;
use chat_core::identity::leave::LeaveWish;
use chat_core::ids::{AccountId, EpochId, IntentId};
use chat_core::machine::{Deferred, Disposition, Refused};
use chat_core::params::MAX_SLOT_ADVANCE;
use chat_core::time::Slot;
use chat_core::wire::frame::Frame;
use chat_core::wire::header::{CommitHeader, Cut, Warrant};
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario};

use crate::kit::*;
use crate::works::assert_works;

/// The epoch of a group that a member follows.
pub(crate) fn epoch(of: &Installation, group: &GroupHandle) -> EpochInfo {
    of.machine(|machine| machine.insider_state(&group.id())).unwrap()
}

/// A commit by a member, made as `change` says of the honest beginning.
pub(crate) fn commit(
    scenario: &Scenario,
    by: &Installation,
    group: &GroupHandle,
    change: impl FnOnce(&mut CommitHeader, &mut CommitPlan),
) -> Vec<u8> {
    let mut header = CommitHeader {
        chain: by.machine(|machine| machine.insider_link(&group.id())).unwrap(),
        slot: now_slot(scenario).max(epoch(by, group).slot),
        intents: vec![IntentId([1; 16])],
        ..CommitHeader::default()
    };
    let mut plan = CommitPlan::default();
    change(&mut header, &mut plan);
    if plan.header.is_empty() {
        plan.header = header.encode();
    }
    by.break_rules(|machine| machine.insider_commit(&group.id(), plan)).unwrap().message
}

/// Four members of a group.
struct Four {
    scenario: Scenario,
    people: [Person; 4],
    hikers: GroupHandle,
}

/// One of them.
type Of = fn(&Four) -> &Installation;

fn alice(it: &Four) -> &Installation {
    &it.people[0].phone
}

fn bob(it: &Four) -> &Installation {
    &it.people[1].phone
}

fn mallory(it: &Four) -> &Installation {
    &it.people[2].phone
}

fn dan(it: &Four) -> &Installation {
    &it.people[3].phone
}

fn leaf(it: &Four, of: Of) -> (u32, Cut) {
    let installation = of(it).id();
    let leaf = epoch(of(it), &it.hikers).leaf_of(&installation).unwrap().leaf;
    (leaf, Cut { installation, seq: 0, hash: None })
}

fn policy(it: &Four) -> GroupPolicy {
    epoch(bob(it), &it.hikers).policy().unwrap()
}

/// What a commit is changed to.
type Change = Box<dyn Fn(&Four, &mut CommitHeader, &mut CommitPlan)>;

fn removes(whom: Of) -> impl Fn(&Four, &mut CommitHeader, &mut CommitPlan) {
    move |it, header, plan| {
        let (leaf, cut) = leaf(it, whom);
        plan.removes = vec![leaf];
        header.cuts = vec![cut];
        header.rotate = true;
    }
}

fn with(policy: fn(&Four) -> GroupPolicy) -> Change {
    Box::new(move |it, _, plan| plan.policy = Some(policy(it)))
}

/// Removes Dan, by a wish of his that is signed by a member.
fn wish(signer: Of, last_seq: u64, start: Option<EpochId>) -> Change {
    Box::new(move |it, header, plan| {
        removes(dan)(it, header, plan);
        let key = signer(it).machine(|machine| machine.insider_key());
        let dans = dan(it).id();
        let since = epoch(dan(it), &it.hikers).leaf_of(&dans).unwrap().since.unwrap();
        let wish = LeaveWish {
            group: it.hikers.id(),
            installation: key.id(),
            membership_start: start.unwrap_or(since),
            last_seq,
            last_hash: None,
        };
        header.warrants = vec![Warrant::Leave(wish.sign(&key, &network()))];
    })
}

#[test]
fn commits_that_break_a_rule_are_refused_by_all_and_leave_no_trace() {
    // Who, what, why it is refused. Alice is the admin, Mallory an ordinary member.
    let cases: Vec<(&str, Of, Change, Refused)> = vec![
        (
            "a removal by a member who is not an admin",
            mallory,
            Box::new(removes(alice)),
            Refused::Policy,
        ),
        (
            "a removal without rotation",
            alice,
            Box::new(move |it, h, p| {
                removes(dan)(it, h, p);
                h.rotate = false;
            }),
            Refused::Policy,
        ),
        (
            "a removal without a cut",
            alice,
            Box::new(move |it, h, p| {
                removes(dan)(it, h, p);
                h.cuts.clear();
            }),
            Refused::Policy,
        ),
        (
            "a cut of a member who stays",
            alice,
            Box::new(move |it, h, p| {
                removes(dan)(it, h, p);
                h.cuts.push(leaf(it, mallory).1);
            }),
            Refused::Policy,
        ),
        (
            "a cut without a removal",
            mallory,
            Box::new(|it, h, p| {
                p.self_update = true;
                h.cuts = vec![leaf(it, alice).1];
            }),
            Refused::Policy,
        ),
        (
            "a slot before the parent's",
            mallory,
            Box::new(|_, h, p| {
                p.self_update = true;
                h.slot = Slot(1);
            }),
            Refused::Policy,
        ),
        (
            "a slot that is absurd",
            mallory,
            Box::new(|_, h, p| {
                p.self_update = true;
                h.slot = Slot(h.slot.0 + MAX_SLOT_ADVANCE + 1);
            }),
            Refused::Policy,
        ),
        (
            "a slot at the end of time",
            mallory,
            Box::new(|_, h, p| {
                p.self_update = true;
                h.slot = Slot(u64::MAX);
            }),
            Refused::Policy,
        ),
        (
            "an admin by its own grace",
            mallory,
            with(|it| {
                let mut policy = policy(it);
                policy.admins.insert(mallory(it).account_id(), policy.next_admin);
                policy.next_admin += 1;
                policy
            }),
            Refused::Policy,
        ),
        (
            "the admin deposed by a member",
            mallory,
            with(|it| {
                let mut policy = policy(it);
                policy.admins = [(mallory(it).account_id(), 0)].into();
                policy
            }),
            Refused::Policy,
        ),
        (
            "another network",
            mallory,
            with(|it| GroupPolicy { network: chat_core::params::NetworkId([9; 32]), ..policy(it) }),
            Refused::Policy,
        ),
        (
            "an admin who is not a member",
            alice,
            with(|it| {
                let mut policy = policy(it);
                policy.admins.insert(AccountId([5; 32]), policy.next_admin);
                policy.next_admin += 1;
                policy
            }),
            Refused::Policy,
        ),
        (
            "an admin number out of turn",
            alice,
            with(|it| {
                let mut policy = policy(it);
                policy.admins.insert(mallory(it).account_id(), 7);
                policy.next_admin = 8;
                policy
            }),
            Refused::Policy,
        ),
        (
            "an admin number given again",
            alice,
            with(|it| {
                let mut policy = policy(it);
                policy.admins = [(alice(it).account_id(), 1)].into();
                policy.next_admin = 2;
                policy
            }),
            Refused::Policy,
        ),
        ("a wish signed by another", mallory, wish(mallory, 0, None), Refused::Policy),
        (
            "a wish of another membership",
            mallory,
            wish(dan, 0, Some(EpochId([6; 32]))),
            Refused::Replay,
        ),
        ("a wish with another cut", mallory, wish(dan, 9, None), Refused::Policy),
        (
            "bytes that are not a wish",
            mallory,
            Box::new(move |it, h, p| {
                removes(dan)(it, h, p);
                h.warrants = vec![Warrant::Leave(vec![1; 40])];
            }),
            Refused::Authentication,
        ),
        (
            "bytes that are not a revocation",
            mallory,
            Box::new(move |it, h, p| {
                removes(dan)(it, h, p);
                h.warrants = vec![Warrant::Revoke(vec![1; 40])];
            }),
            Refused::Authentication,
        ),
        (
            "bytes that are not a header",
            mallory,
            Box::new(|_, _, p| {
                p.self_update = true;
                p.header = vec![0xff; 30];
            }),
            Refused::Content,
        ),
        (
            "no header",
            mallory,
            Box::new(|_, h, p| {
                p.self_update = true;
                h.chain.seq = 0;
            }),
            Refused::Content,
        ),
    ];
    let (scenario, people, hikers) = hikers(["alice", "bob", "mallory", "dan"], 25);
    let it = Four { scenario, people, hikers };
    let before = epoch(bob(&it), &hikers).epoch;
    let kept = rows(bob(&it), "state");
    for (name, by, change, why) in cases {
        let by = by(&it);
        let message = commit(&it.scenario, by, &hikers, |header, plan| change(&it, header, plan));
        let frame = Frame::commit(epoch(by, &hikers).epoch.prefix(), message).encode();
        let found = inside(&it.scenario, by, &hikers, &frame, bob(&it));
        assert_eq!(found, refused(why), "{name}");
        for person in &it.people {
            let at = epoch(&person.phone, &hikers).epoch;
            assert_eq!(at, before, "{name}: {}", person.name);
        }
    }
    assert_eq!(rows(bob(&it), "state"), kept);
    assert_eq!(bob(&it).view(&hikers).accounts, 4);
    let [alice, bob, mallory, dan] = &it.people;
    assert_works(&it.scenario, &hikers, &[alice, bob, mallory, dan]);
}

#[test]
fn a_commit_far_in_the_future_stops_nobody() {
    let (scenario, people, hikers) = hikers(["alice", "bob", "mallory"], 26);
    let [alice, bob, mallory] = &people;
    // Valid, since validity knows no clock: a rotation by a member, years ahead.
    let parent = epoch(&mallory.phone, &hikers);
    let message = commit(&scenario, &mallory.phone, &hikers, |header, plan| {
        plan.self_update = true;
        header.rotate = true;
        header.slot = Slot(parent.slot.0 + MAX_SLOT_ADVANCE);
    });
    let frame = Frame::commit(parent.epoch.prefix(), message).encode();
    let found = inside(&scenario, &mallory.phone, &hikers, &frame, bob);
    // It waits until its slot has come; its author would be alone there.
    assert_eq!(found, [Disposition::Deferred(Deferred::FutureSlot)]);
    assert_works(&scenario, &hikers, &[alice, bob]);
    // And the group can still be changed.
    alice.phone.remove(&hikers, &[mallory]);
    assert_works(&scenario, &hikers, &[alice, bob]);
    assert_eq!(bob.phone.view(&hikers).accounts, 2);
}
