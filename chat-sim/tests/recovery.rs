//! All devices are lost, and the phrase is there.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chat_core::identity::RecoveryPhrase;
use chat_core::machine::{CommandError, Event};
use chat_core::params::NetworkParams;
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Alice, her friends, and a group of all that she made. The friends hold her contact link.
struct Stage {
    scenario: Scenario,
    alice: Person,
    bob: Person,
    carol: Person,
    hikers: GroupHandle,
    phrase: RecoveryPhrase,
}

impl Stage {
    fn new(seed: u64) -> Self {
        // Slots of an hour: days pass quickly then.
        let params = NetworkParams { slot_secs: 3600, ..NetworkParams::fast() };
        let scenario = Scenario::on(params, seed);
        let (alice, phrase) = scenario.person_with_phrase("alice");
        let [bob, carol] = scenario.friends(["bob", "carol"]);
        alice.phone.befriend(&bob);
        alice.phone.befriend(&carol);
        let hikers = alice.phone.create_group("Hikers", &[&bob, &carol]);
        scenario.settle();
        hikers.assert_agreed(&[&alice, &bob, &carol]);
        Self { scenario, alice, bob, carol, hikers, phrase }
    }

    fn days(&self, count: u32) {
        self.scenario.pass(DAY * count);
        self.scenario.settle();
    }

    fn recover(&self) -> Installation {
        self.scenario.recover("alice's new phone", &self.phrase)
    }

    fn has_leaf(&self, at: &Person, of: &Installation) -> bool {
        let id = of.id();
        let state = at.phone.machine(|it| it.insider_state(&self.hikers.id())).unwrap();
        state.leaf_of(&id).is_some()
    }
}

fn is_recovering(device: &Installation) -> bool {
    device.machine(|machine| machine.is_recovering())
}

#[test]
fn the_phrase_alone_brings_the_account_back_into_its_groups() {
    let it = Stage::new(1);
    let Stage { scenario, alice, bob, carol, hikers, .. } = &it;
    let lost = &alice.phone;
    lost.send(hikers, "before");
    it.days(1);
    lost.offline();

    let new = it.recover();
    scenario.settle();
    assert_eq!(new.account_id(), lost.account_id());
    assert!(!is_recovering(&new));
    let lost_id = lost.id();
    let recovered =
        |event: &Event| matches!(event, Event::Recovered { revoked } if *revoked == [lost_id]);
    assert!(new.count_events(recovered) > 0);

    // The card comes by schedule, and the friends fetch it by theirs.
    it.days(3);
    new.accept_requests();
    it.days(1);
    hikers.assert_agreed(&[bob, carol, &new]);
    assert!(!it.has_leaf(bob, lost));
    assert_eq!(bob.phone.view(hikers).accounts, 3);
    // It is what it was: the admin of its group.
    assert!(new.view(hikers).admin);
    new.send(hikers, "I am back");
    bob.phone.send(hikers, "welcome");
    scenario.settle();
    assert!(carol.phone.history(hikers).ends_with(&["I am back".into(), "welcome".into()]));
    assert_eq!(new.history(hikers), ["I am back", "welcome"]);

    // The finder of the phone comes too late, with all that it knows.
    lost.online();
    let _ = lost.attempt(|it| it.at_once().send(hikers.id(), "it is me"));
    it.days(1);
    for device in [&bob.phone, &carol.phone, &new] {
        let messages = device.messages(hikers);
        let late = messages.iter().filter(|it| it.installation == lost_id && !it.flagged);
        let mut texts = late.map(|it| it.text.as_deref());
        assert!(texts.all(|text| text == Some("before")), "{device:?}");
    }
    let refusal = lost.refusal(|it| it.send(hikers.id(), "still me"));
    assert_eq!(refusal, CommandError::Revoked);
    hikers.assert_agreed(&[bob, carol, &new]);
    scenario.assert_no_failures();
}

#[test]
fn a_stolen_only_device_loses_to_the_phrase() {
    let it = Stage::new(2);
    let Stage { scenario, alice, bob, carol, hikers, .. } = &it;
    it.days(1);
    // The thief adds a device of his own, and revokes what he can.
    let planted = alice.add_installation("planted");
    scenario.settle();
    let new = it.recover();
    // The card of the day is the thief's last; what he adds later is void all the same.
    it.days(3);
    new.accept_requests();
    it.days(2);
    hikers.assert_agreed(&[bob, carol, &new]);
    for device in [&alice.phone, &planted] {
        assert!(!it.has_leaf(bob, device), "{device:?}");
    }
    scenario.assert_no_failures();
}

fn has_published(scenario: &Scenario, device: &Installation) -> bool {
    scenario.observed().iter().any(|message| message.by == device.number())
}

#[test]
fn without_a_card_it_is_said_and_the_user_decides() {
    let it = Stage::new(3);
    let scenario = &it.scenario;
    it.alice.phone.offline();
    scenario.world().network.has_store = false;
    let new = it.recover();
    scenario.settle();
    assert!(is_recovering(&new));
    it.days(1);
    let pending = |event: &Event| matches!(event, Event::RecoveryPending { .. });
    assert_eq!(new.count_events(pending), 1);
    // It goes on after a restart, and publishes no card that forgets an installation.
    new.restart();
    it.days(1);
    assert!(is_recovering(&new));
    assert!(!has_published(scenario, &new));
    new.attempt(|it| it.end_recovery()).unwrap();
    assert!(!is_recovering(&new));
    assert_eq!(new.refusal(|it| it.end_recovery()), CommandError::NothingToDo);
    it.days(1);
    assert!(has_published(scenario, &new), "its card");
    scenario.assert_no_failures();
}

#[test]
fn a_store_that_comes_later_is_enough() {
    let it = Stage::new(4);
    let scenario = &it.scenario;
    it.days(1);
    it.alice.phone.offline();
    scenario.world().network.has_store = false;
    let new = it.recover();
    scenario.settle();
    assert!(is_recovering(&new));
    scenario.world().network.has_store = true;
    it.days(1);
    assert!(!is_recovering(&new));
    scenario.assert_no_failures();
}
