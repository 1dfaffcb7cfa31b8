//! One account, several devices.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use chat_core::ids::InstallationId;
use chat_core::machine::{CommandError, Event, InstallationView, Membership};
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario, Who};
use chat_sim::world::Unanswered;

/// What `at` knows of an installation of its account.
fn known(at: &Installation, of: &Installation) -> InstallationView {
    let id = of.id();
    at.installations().into_iter().find(|it| it.installation == id).unwrap()
}

/// Phone, laptop and tablet of Alice, two devices of Bob, one of Carol: in one group that Alice made
/// before she had more than a phone.
struct Story {
    scenario: Scenario,
    alice: Person,
    laptop: Installation,
    tablet: Installation,
    bob: Person,
    bobs_laptop: Installation,
    carol: Person,
    hikers: GroupHandle,
}

impl Story {
    fn new(seed: u64) -> Self {
        let scenario = Scenario::new(seed);
        let [alice, bob, carol] = scenario.friends(["alice", "bob", "carol"]);
        let hikers = alice.phone.create_group("Hikers", &[&bob, &carol]);
        scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
        let laptop = alice.link("laptop");
        let tablet = alice.link("tablet");
        let bobs_laptop = bob.link("Bob's laptop");
        let all: [&dyn Who; 6] = [&alice, &bob, &carol, &laptop, &tablet, &bobs_laptop];
        scenario.settle_until(|| hikers.is_agreed(&all));
        scenario.settle();
        Self { scenario, alice, laptop, tablet, bob, bobs_laptop, carol, hikers }
    }

    fn all(&self) -> [&dyn Who; 6] {
        [&self.alice, &self.bob, &self.carol, &self.laptop, &self.tablet, &self.bobs_laptop]
    }

    fn but_the_laptop(&self) -> [&dyn Who; 5] {
        [&self.alice, &self.bob, &self.carol, &self.tablet, &self.bobs_laptop]
    }

    /// Three silences: what a commit makes others do has been done.
    fn settle(&self) {
        for _ in 0..3 {
            self.scenario.settle();
        }
    }
}

#[test]
fn a_new_installation_is_in_every_group_and_gets_every_message_once() {
    let it = Story::new(1);
    let Story { scenario, alice, laptop, tablet, bob, bobs_laptop, carol, hikers } = &it;
    hikers.assert_agreed(&it.all());
    let view = carol.phone.view(hikers);
    assert_eq!((view.accounts, view.installations), (3, 6));
    let mut said = Vec::new();
    for who in it.all() {
        let text = format!("from {}", who.installation().name());
        who.installation().send(hikers, &text);
        said.push(text);
        scenario.settle();
    }
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    hikers.assert_read(&it.all(), &said);
    // What the phone sent is the laptop's own, and nobody else's.
    for (device, own) in
        [(laptop, 3), (tablet, 3), (&alice.phone, 3), (bobs_laptop, 2), (&carol.phone, 1)]
    {
        let messages = device.messages(hikers);
        assert_eq!(messages.iter().filter(|message| message.own).count(), own, "{device:?}");
    }
    // Every device of the account calls the others as they were called when they were linked.
    for device in [&alice.phone, laptop, tablet] {
        assert_eq!(known(device, laptop).name, Some("laptop".into()), "{device:?}");
        assert_eq!(known(device, tablet).name, Some("tablet".into()), "{device:?}");
    }
    // The self group is the account's own business: nobody is shown it, or anything of it.
    for who in it.all() {
        assert_eq!(who.installation().groups().len(), 1);
        for event in who.installation().events() {
            assert!(event.group().is_none_or(|group| group == hikers.id()), "{event:?}");
        }
    }
    let done = |device: &Installation| -> Vec<InstallationId> {
        let done = |event: Event| match event {
            Event::LinkingDone { installation, .. } => Some(installation),
            _ => None,
        };
        device.events().into_iter().filter_map(done).collect()
    };
    assert_eq!(done(&alice.phone), [laptop.id(), tablet.id()]);
    assert_eq!((done(laptop), done(tablet)), (vec![laptop.id()], vec![tablet.id()]));
    assert_eq!(done(&bob.phone), [bobs_laptop.id()]);
    scenario.assert_no_failures();
}

#[test]
fn what_is_known_on_one_device_is_known_on_all() {
    let scenario = Scenario::new(2);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    let laptop = alice.link("laptop");
    scenario.settle();
    // What was there before, and what comes after.
    let names = |device: &Installation| -> Vec<Option<String>> {
        device.contacts().into_iter().map(|contact| contact.name).collect()
    };
    assert_eq!(names(&laptop), names(&alice.phone));
    assert_eq!(laptop.contacts().len(), 1);
    let dan = scenario.person("dan");
    laptop.befriend(&dan);
    scenario.settle_until(|| alice.phone.contacts().len() == 2);
    // A group made on the laptop is on the phone, with its name, at once.
    let boats = laptop.create_group("Boats", &[&bob]);
    scenario.settle_until(|| boats.is_agreed(&[&alice, &bob, &laptop]));
    assert_eq!(alice.phone.view(&boats).name, "Boats");
    // Read marks, names.
    bob.phone.send(&boats, "ahoy");
    scenario.settle_until(|| boats.is_read(&[&alice, &laptop], &["ahoy"]));
    let message = alice.phone.messages(&boats)[0].message;
    alice.phone.attempt(|it| it.mark_read(boats.id(), message)).unwrap();
    let id = laptop.id();
    alice.phone.attempt(|it| it.name_installation(id, "the laptop")).unwrap();
    let read =
        |event: &Event| matches!(event, Event::GroupRead { message: it, .. } if *it == message);
    scenario.settle_until(|| laptop.count_events(read) > 0);
    scenario.settle_until(|| known(&laptop, &laptop).name.as_deref() == Some("the laptop"));
    // A contact that is removed here is removed there.
    alice.phone.remove_contact(&dan);
    scenario.settle_until(|| laptop.contacts().len() == 1);
    scenario.assert_no_failures();
}

#[test]
fn an_invitation_is_answered_once_for_the_account() {
    let scenario = Scenario::new(3);
    let alice = scenario.person("alice");
    let laptop = alice.add_installation("laptop");
    let stranger = scenario.person("stranger");
    scenario.settle();
    // The stranger has a link, and is not known.
    stranger.phone.add_contact(&alice.phone.contact_link(), None);
    let strangers = stranger.phone.create_group("Strangers", &[&alice]);
    scenario.settle_until(|| !laptop.requests().is_empty() && !alice.phone.requests().is_empty());
    assert_eq!(alice.phone.requests()[0].id, laptop.requests()[0].id);
    laptop.accept_requests();
    scenario.settle_until(|| strangers.is_agreed(&[&alice, &laptop, &stranger]));
    scenario.settle();
    assert!(alice.phone.requests().is_empty());
    assert_eq!(stranger.phone.view(&strangers).installations, 3);
    stranger.phone.send(&strangers, "welcome");
    scenario.settle();
    strangers.assert_read(&[&alice, &laptop], &["welcome"]);
    scenario.assert_no_failures();
}

#[test]
fn who_leaves_on_one_device_leaves_on_all() {
    let it = Story::new(4);
    let Story { scenario, alice, laptop, tablet, bob, bobs_laptop, carol, hikers } = &it;
    laptop.leave(hikers);
    it.settle();
    for device in [&alice.phone, laptop, tablet] {
        assert_eq!(device.view(hikers).membership, Membership::Left, "{device:?}");
    }
    hikers.assert_agreed(&[bob, carol, bobs_laptop]);
    assert_eq!(bob.phone.view(hikers).accounts, 2);
    scenario.assert_no_failures();
}

#[test]
fn a_lost_phone_is_revoked_and_reads_no_more() {
    let it = Story::new(5);
    let Story { scenario, alice, laptop, tablet, bob, hikers, .. } = &it;
    laptop.send(hikers, "before");
    scenario.settle_until(|| hikers.is_read(&it.all(), &["before"]));
    // The tablet was added by the phone, as the laptop was: the laptop is not a senior of it, nor of
    // the phone.
    let phone = alice.phone.id();
    let refusal = laptop.refusal(|it| it.revoke(vec![phone], None));
    assert_eq!(refusal, CommandError::NotSenior { installation: phone });
    alice.phone.revoke(&[laptop]);
    it.settle();
    hikers.assert_agreed(&it.but_the_laptop());
    let members = bob.phone.view(hikers);
    assert_eq!((members.accounts, members.installations), (3, 5));
    // It knows, and can do nothing.
    let gone = |event: &Event| matches!(event, Event::InstallationRevoked { own: true, .. });
    assert!(laptop.count_events(gone) > 0);
    let refusal = laptop.refusal(|it| it.send(hikers.id(), "after"));
    assert_eq!(refusal, CommandError::Revoked);
    alice.phone.send(hikers, "without it");
    scenario.settle();
    hikers.assert_read(&it.but_the_laptop(), &["before", "without it"]);
    hikers.assert_read(&[laptop], &["before"]);
    let revoked = known(tablet, laptop);
    assert_eq!(revoked.revoked.map(|it| it.by), Some(Some(phone)));
    assert_eq!(known(tablet, tablet).groups, 1);
    scenario.assert_no_failures();
}

#[test]
fn what_a_revoked_device_says_is_flagged_everywhere() {
    let it = Story::new(6);
    let Story { scenario, alice, laptop, hikers, .. } = &it;
    laptop.send(hikers, "in time");
    scenario.settle_until(|| hikers.is_read(&it.all(), &["in time"]));
    // The laptop is stolen and kept from the network's news; it can still send.
    scenario.partition(&[laptop]);
    alice.phone.revoke(&[laptop]);
    scenario.pass(Duration::from_millis(200));
    scenario.heal();
    laptop.online();
    match laptop.attempt(|it| it.send(hikers.id(), "too late")) {
        Ok(_) => {}
        Err(why) => assert_eq!(why, Unanswered::Refused(CommandError::Revoked)),
    }
    it.settle();
    scenario.settle();
    for who in it.but_the_laptop() {
        let messages = who.installation().messages(hikers);
        for message in messages.iter().filter(|message| message.installation == laptop.id()) {
            let late = message.text.as_deref() == Some("too late");
            assert_eq!(message.flagged, late, "{:?}", message.text);
        }
        assert!(messages.iter().any(|it| it.text.as_deref() == Some("in time")));
    }
    hikers.assert_agreed(&it.but_the_laptop());
    scenario.assert_no_failures();
}

fn inbox_keys(device: &Installation) -> BTreeSet<Vec<u8>> {
    let mut all = device.machine(|machine| machine.fingerprints());
    all.remove("inbox key").unwrap_or_default().into_iter().collect()
}

#[test]
fn the_inbox_key_that_a_revoked_device_has_is_in_no_later_card() {
    let it = Story::new(7);
    let Story { scenario, alice, laptop, tablet, .. } = &it;
    let before = inbox_keys(laptop);
    assert!(!before.is_empty());
    alice.phone.revoke(&[laptop]);
    it.settle();
    let new: Vec<Vec<u8>> = inbox_keys(&alice.phone).difference(&before).cloned().collect();
    assert_eq!(new.len(), 1);
    assert!(inbox_keys(tablet).contains(&new[0]), "the other survivor has it");
    assert!(!inbox_keys(laptop).contains(&new[0]), "the revoked one does not have it");
    for device in [&alice.phone, tablet] {
        let friend = scenario.person("friend");
        device.befriend(&friend);
        let later = friend.phone.create_group("Later", &[device]);
        scenario.settle_until(|| later.is_agreed(&[alice, tablet, &friend]));
        scenario.settle();
        later.assert_agreed(&[alice, tablet, &friend]);
        assert!(laptop.group(&later).is_none());
        assert_eq!(friend.phone.view(&later).installations, 3);
    }
    scenario.assert_no_failures();
}

#[test]
fn the_history_is_transferred_to_a_new_device() {
    let scenario = Scenario::new(8);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    let friends = alice.phone.create_group("Old friends", &[&bob]);
    scenario.settle_until(|| friends.is_agreed(&[&alice, &bob]));
    let said: Vec<String> = (0..400).map(|at| format!("{at}: {}", "x".repeat(300))).collect();
    for (at, text) in said.iter().enumerate() {
        [&alice, &bob][at % 2].phone.send(&friends, text);
        scenario.pass(Duration::from_millis(50));
    }
    scenario.settle();
    let laptop = alice.add_installation("laptop");
    let since = scenario.now() - Duration::from_secs(3600);
    let to = laptop.id();
    alice.phone.attempt(|it| it.at_once().transfer_history(to, since)).unwrap();
    // It is interrupted after the first pieces, and goes on.
    alice.phone.stop();
    scenario.settle();
    let had = laptop.history(&friends).len();
    assert!(had > 0 && had < said.len(), "{had}");
    alice.phone.start();
    for _ in 0..3 {
        scenario.settle();
    }
    bob.phone.send(&friends, "and new ones");
    scenario.settle();
    let wanted = alice.phone.history(&friends);
    assert_eq!(wanted.len(), said.len() + 1);
    assert_eq!(laptop.history(&friends), wanted, "in the order of the device they came from");
    let messages = laptop.messages(&friends);
    let phone = Some(alice.phone.id());
    assert!(messages[..said.len()].iter().all(|message| message.transferred_by == phone));
    assert_eq!(messages[said.len()].transferred_by, None);
    let done =
        |event: &Event| matches!(event, Event::HistoryTransferReceived { sent: 400, total: 400 });
    assert!(laptop.count_events(done) > 0);
    // Once more changes nothing.
    alice.phone.attempt(|it| it.transfer_history(to, since)).unwrap();
    scenario.settle();
    scenario.settle();
    assert_eq!(laptop.history(&friends), wanted);
    scenario.assert_no_failures();
}

#[test]
fn each_device_of_an_account_may_be_away_for_long() {
    let it = Story::new(9);
    let Story { scenario, alice, laptop, tablet, bob, bobs_laptop, carol, hikers } = &it;
    laptop.offline();
    bobs_laptop.offline();
    for at in 0..40 {
        let by = [&alice.phone, &bob.phone, &carol.phone, tablet][at % 4];
        by.send(hikers, &at.to_string());
        scenario.pass(Duration::from_secs(2));
    }
    alice.phone.revoke(&[tablet]);
    it.settle();
    laptop.online();
    bobs_laptop.online();
    it.settle();
    let wanted: Vec<String> = (0..40).map(|at| at.to_string()).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let left: [&dyn Who; 5] = [alice, bob, carol, laptop, bobs_laptop];
    hikers.assert_read(&left, &wanted);
    hikers.assert_agreed(&left);
    assert!(known(laptop, tablet).revoked.is_some());
    scenario.assert_no_failures();
}
