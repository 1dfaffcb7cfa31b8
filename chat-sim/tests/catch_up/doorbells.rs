//! Floods of doorbells, and doorbells for a time long ago.

use std::time::Duration;

use chat_core::contact::doorbell::{DoorbellContent, InvitationOffer, Purpose, ring};
use chat_core::machine::{Disposition, Refused};
use chat_core::time::Slot;
use chat_core::wire::envelope::SizeClass;
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::roots::inbox_roots;
use chat_sim::scenario::{Installation, Person, Scenario, Who};

fn now_slot(scenario: &Scenario) -> Slot {
    Slot::at(scenario.now(), scenario.world().params.slot_secs)
}

/// Doorbells with nothing in them, as anybody can make them; they count as any others, and the test
/// need not wait for thousands of them to be opened.
fn junk_rings(scenario: &Scenario, count: usize) {
    let slot = now_slot(scenario);
    let roots = inbox_roots(&scenario.world().params.id(), slot);
    for _ in 0..count {
        let body = scenario.world().seed().to_vec();
        let frame = Frame::new(FrameKind::Doorbell, body).encode();
        let message = scenario.sealed(&roots, &frame, SizeClass::Doorbell);
        scenario.world().inject(message);
    }
}

fn over_budget(device: &Installation) -> u64 {
    let counters = device.machine(|machine| machine.counters());
    counters.refused.get(&Refused::Budget).copied().unwrap_or(0)
}

#[test]
fn a_flood_of_doorbells_while_away_hides_no_invitation() {
    let scenario = Scenario::new(28);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    bob.phone.offline();
    junk_rings(&scenario, 700);
    scenario.pass(Duration::from_secs(10));
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    alice.phone.send(&hikers, "hello Bob");
    scenario.pass(Duration::from_secs(10));
    let before = bob.phone.dispositions().len();
    bob.phone.online();
    // They are tried no faster than the budget allows.
    scenario.pass(Duration::from_secs(1));
    let tried = bob.phone.dispositions().len() - before;
    assert!((400..700).contains(&tried), "{tried} in a second");
    scenario.pass(Duration::from_secs(40));
    hikers.assert_read(&[&bob], &["hello Bob"]);
    assert_eq!(over_budget(&bob.phone), 0);
    scenario.assert_no_failures();
}

#[test]
fn an_invitation_amid_a_flood_of_doorbells_is_found_in_history() {
    let scenario = Scenario::new(29);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    scenario.settle();
    junk_rings(&scenario, 700);
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    scenario.pass(Duration::from_secs(1));
    assert!(over_budget(&bob.phone) > 100);
    scenario.pass(Duration::from_secs(60));
    hikers.assert_agreed(&[&alice, &bob]);
    scenario.assert_no_failures();
}

#[test]
fn who_rings_without_end_does_not_keep_a_device_from_sending() {
    let scenario = Scenario::new(30);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob]));
    bob.phone.offline();
    // More than a minute's work.
    junk_rings(&scenario, 3800);
    scenario.pass(Duration::from_secs(5));
    bob.phone.online();
    scenario.pass(Duration::from_secs(1));
    bob.phone.send(&hikers, "can you hear me?");
    assert_eq!(bob.phone.outbox(), 1, "it has yet to catch up");
    scenario.pass(Duration::from_secs(80));
    hikers.assert_read(&[&alice], &["can you hear me?"]);
    scenario.assert_no_failures();
}

/// Alice rings at Bob, for an invitation that waits at a slot: what becomes of it.
fn rings_for(scenario: &Scenario, alice: &Person, bob: &Person, offered: Slot) -> Vec<Disposition> {
    let (account, own) = (bob.account(), alice.phone.groups()[0]);
    let (_, inboxes) =
        alice.phone.break_rules(|machine| machine.insider_packages(&own, &account)).unwrap();
    let secret = scenario.world().seed();
    let offer = InvitationOffer { secret: secret.into(), slot: offered, group_name: "g".into() };
    let content = DoorbellContent {
        inviter: alice.phone.machine(|machine| machine.insider_credential()),
        purpose: Purpose::Invitation(offer),
    };
    let key = alice.phone.machine(|machine| machine.insider_key());
    let network = scenario.world().params.id();
    let body = ring(scenario.world().rng(), &network, &[inboxes[0]], &content, &key).unwrap();
    let frame = Frame::new(FrameKind::Doorbell, body).encode();
    let roots = inbox_roots(&network, now_slot(scenario));
    let message = scenario.sealed(&roots, &frame, SizeClass::Doorbell);
    scenario.judged(message, bob)
}

#[test]
fn nobody_rings_for_a_time_long_ago() {
    let scenario = Scenario::new(31);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    alice.phone.create_group("trap", &[]);
    scenario.pass(Duration::from_secs(600));
    let slot = now_slot(&scenario);
    for far in [Slot(0), slot.back(49), slot.next().next(), Slot(u64::MAX)] {
        let found = rings_for(&scenario, &alice, &bob, far);
        assert_eq!(found, [Disposition::Refused(Refused::Content)], "{far}");
        assert!(bob.phone.requests().is_empty());
    }
    for near in [slot.back(48), slot, slot.next()] {
        let found = rings_for(&scenario, &alice, &bob, near);
        assert!(matches!(found[..], [Disposition::Doorbell(_)]), "{near}: {found:?}");
    }
    scenario.assert_no_failures();
}
