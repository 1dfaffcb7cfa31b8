//! A stolen device against its account: it has its keys, knows what it knew, and keeps to no rule.
//! Alice's phone added her laptop and her tablet; the laptop is the stolen one. The helper has another
//! account, and helps the thief where the test says so.

#![allow(clippy::unwrap_used)]

mod works;

use std::time::Duration;

use chat_core::contact::inbox::InboxKey;
use chat_core::contact::link::ContactLink;
use chat_core::group::commit::CommitPlan;
use chat_core::ids::{GroupId, IntentId};
use chat_core::machine::{CommandError, Disposition, Refused};
use chat_core::wire::content::{Body, Content};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::header::{CommitHeader, Cut, Warrant};
use chat_core::wire::sync::{SyncItem, encode};
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario, Who};
use works::assert_works;
use zeroize::Zeroizing;

struct Stage {
    scenario: Scenario,
    alice: Person,
    friend: Person,
    helper: Person,
    laptop: Installation,
    tablet: Installation,
    hikers: GroupHandle,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let scenario = Scenario::new(seed);
        let [alice, friend, helper] = scenario.friends(["alice", "friend", "helper"]);
        let hikers = alice.phone.create_group("Hikers", &[&friend, &helper]);
        scenario.settle_until(|| hikers.is_agreed(&[&alice, &friend, &helper]));
        let laptop = alice.add_installation("laptop");
        let tablet = alice.add_installation("tablet");
        scenario.settle_until(|| hikers.is_agreed(&[&alice, &friend, &helper, &laptop, &tablet]));
        scenario.settle();
        Self { scenario, alice, friend, helper, laptop, tablet, hikers }
    }

    fn honest(&self) -> [&dyn Who; 4] {
        [&self.alice, &self.friend, &self.helper, &self.tablet]
    }

    fn revoke(&self) {
        self.alice.phone.revoke(&[&self.laptop]);
    }

    /// Four silences: what a commit makes others do has been done.
    fn long(&self) {
        for _ in 0..4 {
            self.scenario.settle();
        }
    }

    fn active(&self, at: &Installation) -> usize {
        at.installations().iter().filter(|it| it.revoked.is_none()).count()
    }

    /// A member's frame in a group, sealed as it should be: what becomes of it at another one.
    fn inside(
        &self,
        by: &Installation,
        group: &GroupHandle,
        frame: &[u8],
        at: &dyn Who,
    ) -> Vec<Disposition> {
        let message = by.sealed(&self.scenario, group, frame);
        self.scenario.judged(message, at)
    }
}

fn refused(why: Refused) -> Vec<Disposition> {
    vec![Disposition::Refused(why)]
}

fn log_of(device: &Installation) -> Vec<u8> {
    device.machine(|machine| machine.insider_log())
}

/// Commits as a member that keeps to no rule; the frame of the commit.
fn commit(by: &Installation, group: GroupId, plan: CommitPlan, header: CommitHeader) -> Vec<u8> {
    by.break_rules(|machine| {
        let parent = machine.insider_state(&group).unwrap().epoch;
        let plan = CommitPlan { header: header.encode(), ..plan };
        let message = machine.insider_commit(&group, plan).unwrap().message;
        Frame::commit(parent.prefix(), message).encode()
    })
}

/// A header on the epoch that a member follows.
fn header(by: &Installation, group: GroupId, intent: u8) -> CommitHeader {
    by.machine(|machine| CommitHeader {
        chain: machine.insider_link(&group).unwrap(),
        slot: machine.insider_state(&group).unwrap().slot,
        intents: vec![IntentId([intent; 16])],
        ..CommitHeader::default()
    })
}

/// A commit that removes an installation's leaf, with these warrants.
fn removal(
    by: &Installation,
    group: &GroupHandle,
    whom: &Installation,
    warrants: Vec<Warrant>,
) -> Vec<u8> {
    let id = whom.id();
    let state = by.machine(|machine| machine.insider_state(&group.id())).unwrap();
    let gone = state.leaf_of(&id).unwrap();
    let cuts = vec![Cut { installation: gone.installation, seq: 0, hash: None }];
    let header = CommitHeader { rotate: true, warrants, cuts, ..header(by, group.id(), 7) };
    let plan = CommitPlan { removes: vec![gone.leaf], self_update: true, ..CommitPlan::default() };
    commit(by, group.id(), plan, header)
}

#[test]
fn it_revokes_and_removes_no_senior() {
    let it = Stage::new(1);
    let Stage { scenario, alice, friend, helper, laptop, hikers, .. } = &it;
    let phone = alice.phone.id();
    let refusal = laptop.refusal(|it| it.revoke(vec![phone], None));
    assert_eq!(refusal, CommandError::NotSenior { installation: phone });
    // Without a warrant; with a log in which nobody is revoked; with another account's.
    let others = [
        (vec![], Refused::Policy),
        (vec![Warrant::Revoke(log_of(laptop))], Refused::Replay),
        (vec![Warrant::Revoke(log_of(&helper.phone))], Refused::Replay),
        (vec![Warrant::Revoke(b"a log".to_vec())], Refused::Authentication),
    ];
    for (warrants, why) in others {
        let frame = removal(laptop, hikers, &alice.phone, warrants);
        assert_eq!(it.inside(laptop, hikers, &frame, friend), refused(why));
    }
    // Nor does a warrant for one leaf remove another.
    scenario.partition(&[laptop]);
    it.revoke();
    let warrant = Warrant::Revoke(log_of(&alice.phone));
    let frame = removal(laptop, hikers, &alice.phone, vec![warrant]);
    scenario.heal();
    let found = it.inside(laptop, hikers, &frame, friend);
    assert!(found.iter().all(|it| *it == refused(Refused::Policy)[0]), "{found:?}");
    it.long();
    assert_works(scenario, hikers, &it.honest());
    assert_eq!(friend.phone.view(hikers).installations, 4);
}

#[test]
fn it_does_not_outrun_its_removal_by_a_longer_branch() {
    for seed in 0..4 {
        let it = Stage::new(10 + seed);
        let Stage { scenario, friend, laptop, tablet, hikers, .. } = &it;
        scenario.partition(&[laptop]);
        it.revoke();
        for at in 0..6 {
            laptop.rename(hikers, &format!("Mine {at}"));
            scenario.pass(Duration::from_secs(1));
        }
        if seed % 2 == 1 {
            it.long();
        }
        scenario.heal_and_reconnect();
        it.long();
        assert_works(scenario, hikers, &it.honest());
        let found = friend.phone.view(hikers);
        assert_eq!((found.name.as_str(), found.installations), ("Hikers", 4), "seed {seed}");
        let id = laptop.id();
        let known = tablet.installations().into_iter().find(|it| it.installation == id).unwrap();
        assert!(known.revoked.is_some());
    }
}

#[test]
fn what_it_adds_after_its_revocation_counts_for_nothing() {
    let it = Stage::new(20);
    let Stage { scenario, alice, laptop, tablet, hikers, .. } = &it;
    scenario.partition(&[laptop]);
    it.revoke();
    // It has not heard of it, or says so, and signs on the old parent.
    let planted = scenario.add_installation(laptop, "planted");
    scenario.partition(&[laptop, &planted]);
    it.long();
    assert!(planted.group(hikers).is_some(), "on its own branch");
    planted.send(hikers, "planted");
    scenario.heal_and_reconnect();
    it.long();
    assert_works(scenario, hikers, &it.honest());
    let planted_id = planted.id();
    for device in [&alice.phone, tablet] {
        assert_eq!(it.active(device), 2, "{device:?}");
        let all = device.installations();
        assert!(all.iter().all(|it| it.installation != planted_id || it.revoked.is_some()));
    }
    for who in it.honest() {
        let device = who.installation();
        let state = device.machine(|it| it.insider_state(&hikers.id())).unwrap();
        assert!(state.leaf_of(&planted_id).is_none());
        for message in device.messages(hikers) {
            assert!(message.installation != planted_id || message.flagged, "{device:?}");
        }
    }
}

#[test]
fn an_accomplice_does_not_bring_it_back() {
    let it = Stage::new(30);
    let Stage { scenario, alice, friend, helper, laptop, tablet, hikers } = &it;
    let group = hikers.id();
    // The accomplice has a card with the laptop's key package in it.
    alice.phone.befriend(helper);
    let account = alice.phone.account_id();
    it.revoke();
    it.long();
    let id = laptop.id();
    let has = |device: &Installation| {
        device.machine(|it| it.insider_state(&group)).unwrap().leaf_of(&id).is_some()
    };
    assert!(!has(&friend.phone));
    let helper = &helper.phone;
    let header = header(helper, group, 8);
    let plan = helper.break_rules(|machine| {
        let (packages, _) = machine.insider_packages(&group, &account).unwrap();
        let laptops = |signer: &[u8]| signer == id.as_bytes();
        let package = packages
            .into_iter()
            .find(|it| laptops(it.leaf_node().signature_key().as_slice()))
            .unwrap();
        let join_info = machine.insider_join_info(&group, header.slot).unwrap();
        CommitPlan { adds: vec![package], join_info: Some(join_info), ..CommitPlan::default() }
    });
    let frame = commit(helper, group, plan, header);
    it.inside(helper, hikers, &frame, friend);
    // Valid, since validity knows nothing of logs: and undone by those who know better.
    assert!(has(&friend.phone));
    it.long();
    for device in [&alice.phone, &friend.phone, tablet] {
        assert!(!has(device), "{device:?}");
    }
    hikers.assert_agreed(&[alice, friend, tablet]);
    scenario.assert_no_failures();
}

#[test]
fn an_old_log_takes_nothing_back() {
    let it = Stage::new(40);
    let Stage { scenario, alice, friend, helper, laptop, tablet, hikers } = &it;
    let old = log_of(laptop);
    scenario.partition(&[laptop]);
    it.revoke();
    it.long();
    // To its own account, in the group that it still has of before; and to others, as a warrant.
    scenario.heal_and_reconnect();
    let frame = removal(&helper.phone, hikers, tablet, vec![Warrant::Revoke(old)]);
    let found = it.inside(&helper.phone, hikers, &frame, friend);
    assert!(found.contains(&refused(Refused::Replay)[0]), "{found:?}");
    it.long();
    for device in [&alice.phone, tablet] {
        assert_eq!(it.active(device), 2);
    }
    assert_works(scenario, hikers, &it.honest());
}

/// A message of the stolen device in the account's own group, as it was before its removal.
fn tell(it: &Stage, items: &[SyncItem], to: &Installation) -> Vec<Disposition> {
    let own = it.laptop.machine(|machine| machine.insider_self_group()).unwrap();
    let now = it.scenario.now();
    let message = it.laptop.break_rules(|machine| {
        let chain = Some(machine.insider_link(&own).unwrap());
        let body = Body::Sync(encode(items).to_vec());
        let content = Content { chain, salt: [3; 16], sent_at: now, body };
        machine.insider_message(&own, &content.encode()).unwrap()
    });
    let frame = Frame::new(FrameKind::Message, message).encode();
    it.inside(&it.laptop, &own.into(), &frame, to)
}

fn key_of_its_own(it: &Stage, ahead: Duration) -> SyncItem {
    let made_at = it.scenario.now() + ahead;
    SyncItem::InboxKey { secret: Zeroizing::new([7; 32]), made_at }
}

fn inbox_keys(device: &Installation) -> Vec<Vec<u8>> {
    device.machine(|machine| machine.fingerprints()).remove("inbox key").unwrap_or_default()
}

#[test]
fn its_inbox_key_is_in_no_card_once_it_is_revoked() {
    let it = Stage::new(50);
    let Stage { scenario, alice, laptop, tablet, .. } = &it;
    // While it is trusted it plants a key that is newer than any for half a minute to come.
    let planted = InboxKey::from_secret(&[7; 32], scenario.now()).public();
    let item = key_of_its_own(&it, Duration::from_secs(25));
    tell(&it, &[item], tablet);
    assert!(inbox_keys(tablet).iter().any(|key| key[..] == planted));
    it.revoke();
    scenario.pass(Duration::from_secs(40));
    // It stays open, for those who have it from a card; and is given to nobody any more.
    assert!(inbox_keys(tablet).iter().any(|key| key[..] == planted));
    let id = laptop.id();
    for device in [&alice.phone, tablet] {
        let link = device.contact_link();
        let network = scenario.world().params.id();
        let link = ContactLink::parse(&link, &network, scenario.now()).unwrap();
        let card = link.card.unwrap();
        assert_ne!(card.content().inbox.key, planted, "{device:?}");
        assert!(card.content().key_packages.iter().all(|it| it.installation != id));
    }
}

#[test]
fn its_own_group_does_not_listen_to_it_any_more() {
    let it = Stage::new(51);
    let Stage { scenario, laptop, tablet, hikers, .. } = &it;
    scenario.partition(&[laptop]);
    // The tablet has heard of the Revoke before the removal from their group: from the warrant of
    // some other group, say. Here the laptop speaks in the epoch that it had.
    it.revoke();
    scenario.settle();
    // It is heard again, and has heard nothing yet.
    scenario.heal();
    let known = inbox_keys(tablet);
    let changed_at = scenario.now();
    let name = SyncItem::Name { installation: tablet.id(), name: "mine".into(), changed_at };
    let own_key = key_of_its_own(&it, Duration::ZERO);
    tell(&it, &[name, own_key], tablet);
    scenario.settle();
    assert_eq!(inbox_keys(tablet), known);
    assert!(tablet.installations().iter().all(|it| it.name.as_deref() != Some("mine")));
    it.long();
    assert_works(scenario, hikers, &it.honest());
}

#[test]
fn nobody_else_gets_into_the_accounts_own_group() {
    let it = Stage::new(52);
    let Stage { scenario, alice, friend, laptop, .. } = &it;
    let own = laptop.machine(|machine| machine.insider_self_group()).unwrap();
    laptop.befriend(friend);
    scenario.settle();
    let account = friend.phone.account_id();
    let header = header(laptop, own, 9);
    let plan = laptop.break_rules(|machine| {
        let (adds, _) = machine.insider_packages(&own, &account).unwrap();
        assert!(!adds.is_empty());
        let join_info = machine.insider_join_info(&own, header.slot).unwrap();
        CommitPlan { adds, join_info: Some(join_info), ..CommitPlan::default() }
    });
    let epoch = |of: &Installation| of.machine(|it| it.insider_state(&own)).unwrap().epoch;
    let before = epoch(laptop);
    let frame = commit(laptop, own, plan, header);
    let found = it.inside(laptop, &own.into(), &frame, alice);
    assert_eq!(found, refused(Refused::Policy));
    assert_eq!(epoch(&alice.phone), before);
}
