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
use chat_sim::scenario::{GroupHandle, Person, Scenario, Who};

use crate::kit::*;
use crate::works::assert_works;

/// Four friends: the first three are in a group, and the invitations go to Dan.
struct Scene {
    scenario: Scenario,
    alice: Person,
    bob: Person,
    carol: Person,
    dan: Person,
    hikers: GroupHandle,
}

/// What rang: the request, and what its invitation is sealed with.
struct Rung {
    request: RequestId,
    secret: [u8; 32],
    slot: Slot,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let scenario = Scenario::new(seed);
        let [alice, bob, carol, dan] = scenario.friends(["alice", "bob", "carol", "dan"]);
        let hikers = alice.phone.create_group("hikers", &[&bob, &carol]);
        scenario.settle();
        Self { scenario, alice, bob, carol, dan, hikers }
    }

    /// Rings at Dan.
    fn rings(&self, by: &Person) -> Rung {
        let inbox = inbox_of(by, self.hikers.id(), &self.dan);
        let secret: [u8; 32] = self.scenario.world().seed();
        let slot = now_slot(&self.scenario);
        let group_name = "come in".to_string();
        let offer = InvitationOffer { secret: secret.into(), slot, group_name };
        let frame = doorbell(&self.scenario, by, inbox, offer);
        let roots = inbox_roots(&network(), slot);
        let message = self.scenario.sealed(&roots, &frame, SizeClass::Doorbell);
        let found = self.scenario.judged(message, &self.dan);
        let [Disposition::Doorbell(request)] = found[..] else { panic!("{found:?}") };
        Rung { request, secret, slot }
    }

    /// What becomes of an invitation's frame at Dan's.
    fn answers(&self, rung: &Rung, frame: &[u8]) -> Vec<Disposition> {
        let now = now_slot(&self.scenario);
        let roots = invitation_roots(&rung.secret, rung.slot, &network());
        let message =
            self.scenario.sealed(&roots.at(now, &network()).unwrap(), frame, SizeClass::Fit);
        self.scenario.judged(message, &self.dan)
    }

    fn failed(&self, rung: &Rung) -> bool {
        let is = |event: &Event| matches!(event, Event::RequestFailed { request, .. } if *request == rung.request);
        self.dan.phone.count_events(is) > 0
    }

    fn welcome(&self, by: &Person, group: GroupId, whom: &Person) -> (Vec<u8>, Vec<u8>) {
        welcome(&self.scenario, by, group, whom)
    }
}

/// The inbox key of a contact, as a member has it who may add the contact to a group.
fn inbox_of(by: &Person, group: GroupId, whom: &Person) -> [u8; 32] {
    let account = whom.account();
    let found = by.phone.break_rules(|machine| machine.insider_packages(&group, &account));
    found.unwrap().1[0]
}

/// A doorbell by a member, for the inbox key of another account.
fn doorbell(scenario: &Scenario, by: &Person, inbox: [u8; 32], offer: InvitationOffer) -> Vec<u8> {
    let content = DoorbellContent {
        inviter: by.phone.machine(|machine| machine.insider_credential()),
        purpose: Purpose::Invitation(offer),
    };
    let key = by.phone.machine(|machine| machine.insider_key());
    let mut world = scenario.world();
    let body = ring(world.rng(), &network(), &[inbox], &content, &key).unwrap();
    Frame::new(FrameKind::Doorbell, body).encode()
}

/// A Welcome with its tree, for the key package of `whom`, by a member of the group.
fn welcome(scenario: &Scenario, by: &Person, group: GroupId, whom: &Person) -> (Vec<u8>, Vec<u8>) {
    let (account, now) = (whom.account(), now_slot(scenario));
    by.phone.break_rules(|machine| {
        let (adds, _) = machine.insider_packages(&group, &account).unwrap();
        let parent = machine.insider_state(&group).unwrap();
        let slot = now.max(parent.slot);
        let chain = machine.insider_link(&group).unwrap();
        let header = CommitHeader { chain, slot, ..CommitHeader::default() }.encode();
        let join_info = Some(machine.insider_join_info(&group, slot).unwrap());
        let plan = CommitPlan { adds, header, join_info, ..CommitPlan::default() };
        let built = machine.insider_commit(&group, plan).unwrap();
        (built.welcome.unwrap(), built.mls.tree().unwrap())
    })
}

fn framed(welcome: Vec<u8>, tree: Option<Vec<u8>>) -> Vec<u8> {
    let body = Invitation { welcome, tree }.encode().unwrap();
    Frame::new(FrameKind::Invitation, body).encode()
}

#[test]
fn bytes_on_an_invitations_topic_are_refused_and_the_real_one_still_joins() {
    let it = Scene::new(70);
    let Scene { scenario, alice, dan, hikers, .. } = &it;
    let rung = it.rings(alice);
    let (real, tree) = it.welcome(alice, hikers.id(), dan);
    let mut frames = vec![Vec::new(), scenario.bytes(300), scenario.bytes(60_000)];
    for kind in FrameKind::ALL {
        frames.push(Frame::new(kind, scenario.bytes(200)).encode());
    }
    let whole = framed(real.clone(), Some(tree.clone()));
    frames.push(whole[..whole.len() / 2].to_vec());
    frames.push(framed(real.clone(), None));
    for frame in frames {
        let found = it.answers(&rung, &frame);
        assert!(
            matches!(found[..], [Disposition::Refused(Refused::Frame | Refused::Content)]),
            "{found:?}"
        );
    }
    let found = it.answers(&rung, &framed(real, Some(tree)));
    assert_eq!(found, [Disposition::Joined(hikers.id())]);
    scenario.assert_no_failures();
}

#[test]
fn what_does_not_fit_is_refused_and_said() {
    type Make = fn(&Scene) -> Vec<u8>;
    let cases: [(&str, Make, Refused); 4] = [
        (
            "a Welcome for another installation",
            |it| {
                // A new account, which nobody but the inviter knows.
                let other = it.scenario.person("other");
                it.alice.phone.befriend(&other);
                let (welcome, tree) = it.welcome(&it.alice, it.hikers.id(), &other);
                framed(welcome, Some(tree))
            },
            Refused::Mls,
        ),
        (
            "by another member than the one that rang",
            |it| {
                let (welcome, tree) = it.welcome(&it.carol, it.hikers.id(), &it.dan);
                framed(welcome, Some(tree))
            },
            Refused::Authentication,
        ),
        (
            "a tree of another group",
            |it| {
                let (welcome, _) = it.welcome(&it.alice, it.hikers.id(), &it.dan);
                let other = it.alice.phone.create_group("others", &[]);
                let (_, tree) = it.welcome(&it.alice, other.id(), &it.dan);
                framed(welcome, Some(tree))
            },
            Refused::Mls,
        ),
        (
            "bytes that are not a Welcome",
            |it| framed(it.scenario.bytes(500), Some(it.scenario.bytes(500))),
            Refused::Mls,
        ),
    ];
    for (at, (name, make, why)) in cases.into_iter().enumerate() {
        let it = Scene::new(71 + at as u64);
        let Scene { scenario, alice, bob, carol, dan, hikers } = &it;
        let rung = it.rings(alice);
        let frame = make(&it);
        // Anybody who was invited with it can write there: the real one is waited for a while.
        for attempt in 1..=8 {
            assert!(!it.failed(&rung), "{name}: attempt {attempt}");
            assert_eq!(it.answers(&rung, &frame), refused(why), "{name}");
        }
        assert!(it.failed(&rung), "{name}");
        assert!(dan.phone.groups().is_empty(), "{name}");
        assert_eq!(rows(dan, "request"), 0, "{name}");
        // It can be invited properly after that.
        alice.phone.add(hikers, &[dan]);
        assert_works(scenario, hikers, &[alice, bob, carol, dan]);
    }
}

#[test]
fn an_invitation_is_used_once() {
    let it = Scene::new(76);
    let Scene { scenario, alice, carol, dan, hikers, .. } = &it;
    let rung = it.rings(alice);
    let (welcome, tree) = it.welcome(alice, hikers.id(), dan);
    let frame = framed(welcome, Some(tree));
    assert_eq!(it.answers(&rung, &frame), [Disposition::Joined(hikers.id())]);
    // Its topic is not listened to any more.
    assert!(matches!(it.answers(&rung, &frame)[..], [] | [Disposition::NotForUs]));
    // Rung for anew, with the same Welcome.
    let rung = it.rings(alice);
    assert_eq!(it.answers(&rung, &frame), refused(Refused::Replay));
    assert!(!it.failed(&rung));
    // By another member, into the same group: only the one who let us in may put us elsewhere.
    let rung = it.rings(carol);
    let (other, tree) = it.welcome(carol, hikers.id(), dan);
    assert_eq!(it.answers(&rung, &framed(other, Some(tree))), refused(Refused::Replay));
    scenario.assert_no_failures();
}

#[test]
fn a_doorbell_again_or_for_a_far_slot_is_dropped() {
    let it = Scene::new(77);
    let Scene { scenario, alice, bob, carol, dan, hikers } = &it;
    let inbox = inbox_of(alice, hikers.id(), dan);
    let slot = now_slot(scenario);
    let roots = inbox_roots(&network(), slot);
    let ring_for = |offered: Slot| {
        let offer =
            InvitationOffer { secret: [3; 32].into(), slot: offered, group_name: "g".into() };
        let frame = doorbell(scenario, alice, inbox, offer);
        let mut found = Vec::new();
        for _ in 0..2 {
            let message = scenario.sealed(&roots, &frame, SizeClass::Doorbell);
            found.extend(scenario.judged(message, dan));
        }
        found
    };
    for far in [Slot(slot.0 + 2), Slot(u64::MAX), Slot(0)] {
        assert_eq!(ring_for(far)[0], Disposition::Refused(Refused::Content));
    }
    let found = ring_for(slot);
    assert!(matches!(found[..], [Disposition::Doorbell(_), Disposition::Duplicate]), "{found:?}");
    assert_works(scenario, hikers, &[alice, bob, carol]);
    scenario.assert_no_failures();
}

#[test]
fn strangers_cannot_fill_the_list_of_requests() {
    let scenario = Scenario::new(78);
    let [alice, bob] = scenario.strangers(["alice", "bob"]);
    // Alice has Bob's link; Bob does not know Alice.
    alice.phone.add_contact(&bob.phone.contact_link(), None);
    let trap = alice.phone.create_group("trap", &[]);
    let inbox = inbox_of(&alice, trap.id(), &bob);
    for count in 0..MAX_REQUESTS + 20 {
        let slot = now_slot(&scenario);
        let secret = scenario.world().seed();
        let group_name = format!("{count}");
        let offer = InvitationOffer { secret: secret.into(), slot, group_name };
        let frame = doorbell(&scenario, &alice, inbox, offer);
        let roots = inbox_roots(&network(), slot);
        let message = scenario.sealed(&roots, &frame, SizeClass::Doorbell);
        scenario.world().inject(message);
        scenario.pass(Duration::from_millis(5));
    }
    let requests = bob.phone.requests();
    assert_eq!(requests.len(), MAX_REQUESTS);
    assert_eq!(rows(&bob, "request"), MAX_REQUESTS as u64);
    // One word silences them all.
    bob.phone.attempt(|it| it.block(requests[0].id)).unwrap();
    assert!(bob.phone.requests().is_empty());
    scenario.assert_no_failures();
}
