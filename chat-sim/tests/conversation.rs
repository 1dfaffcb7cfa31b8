//! Three people chat: created, joined, named, talked in, one offline for a while, one removed.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

use std::time::Duration;

use chat_core::machine::{CommandError, Disposition, Event, Membership};
use chat_sim::scenario::{GroupHandle, Person, Scenario};

/// Three friends in a group that the first of them made.
fn hikers(seed: u64) -> (Scenario, [Person; 3], GroupHandle) {
    let scenario = Scenario::new(seed);
    let people = scenario.friends(["alice", "bob", "carol"]);
    let [alice, bob, carol] = &people;
    let hikers = alice.phone.create_group("hikers", &[bob, carol]);
    scenario.settle_until(|| hikers.is_agreed(&[alice, bob, carol]));
    (scenario, people, hikers)
}

#[test]
fn three_members_read_one_another() {
    let (scenario, [alice, bob, carol], hikers) = hikers(1);
    for person in [&alice, &bob, &carol] {
        person.phone.send(&hikers, &format!("hello from {}", person.name));
    }
    let texts = ["hello from alice", "hello from bob", "hello from carol"];
    scenario.settle_until(|| hikers.is_read(&[&alice, &bob, &carol], &texts));
    // And nothing comes twice.
    scenario.settle();
    hikers.assert_read(&[&alice, &bob, &carol], &texts);
    for person in [&alice, &bob, &carol] {
        assert!(person.phone.missing(&hikers).is_empty());
    }
    hikers.assert_agreed(&[&alice, &bob, &carol]);
    scenario.assert_no_failures();
}

#[test]
fn name_and_description_reach_everybody() {
    let (scenario, [alice, bob, carol], hikers) = hikers(2);
    bob.phone.describe(&hikers, Some("new"), Some("for walks"));
    scenario.settle_until(|| {
        [&alice, &bob, &carol].iter().all(|person| {
            let view = person.phone.view(&hikers);
            (view.name.as_str(), view.description.as_str()) == ("new", "for walks")
        })
    });
    hikers.assert_agreed(&[&alice, &bob, &carol]);
    let again = carol.phone.refusal(|it| it.describe(hikers.id(), Some("new"), Some("for walks")));
    assert_eq!(again, CommandError::NothingToDo);
}

#[test]
fn who_was_offline_catches_up() {
    let (scenario, [alice, bob, carol], hikers) = hikers(3);
    carol.phone.offline();
    alice.phone.send(&hikers, "one");
    bob.phone.rename(&hikers, "walkers");
    scenario.pass(Duration::from_secs(60));
    bob.phone.send(&hikers, "two");
    scenario.pass(Duration::from_secs(60));
    assert_eq!(carol.phone.history(&hikers), Vec::<String>::new());
    carol.phone.online();
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
    scenario.settle_until(|| carol.phone.history(&hikers) == ["one", "two"]);
    assert_eq!(carol.phone.view(&hikers).name, "walkers");
    scenario.assert_no_failures();
}

#[test]
fn who_is_removed_reads_no_more() {
    let (scenario, [alice, bob, carol], hikers) = hikers(4);
    carol.phone.send(&hikers, "before");
    scenario.settle_until(|| hikers.is_read(&[&alice, &bob, &carol], &["before"]));
    let out = vec![bob.phone.account_id()];
    let refusal = carol.phone.refusal(|it| it.remove_members(hikers.id(), out));
    assert_eq!(refusal, CommandError::NotAdmin);
    alice.phone.remove(&hikers, &[&bob]);
    scenario.settle_until(|| bob.phone.view(&hikers).membership == Membership::Removed);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &carol]));
    carol.phone.send(&hikers, "after");
    scenario.settle();
    assert_eq!(alice.phone.history(&hikers), ["before", "after"]);
    hikers.assert_read(&[&bob], &["before"]);
    hikers.assert_agreed(&[&alice, &carol]);
    assert_eq!(
        bob.phone.count_events(|it| matches!(it, Event::GroupLeft { removed: true, .. })),
        1
    );
    let refusal = bob.phone.refusal(|it| it.send(hikers.id(), "let me in"));
    assert_eq!(refusal, CommandError::NotMember);
    // Not even with everything that Store has, from the beginning.
    bob.phone.restart();
    scenario.settle();
    hikers.assert_read(&[&bob], &["before"]);
    scenario.assert_no_failures();
}

#[test]
fn who_leaves_is_out_and_an_admin_is_left() {
    let (scenario, [alice, bob, carol], hikers) = hikers(5);
    alice.phone.leave(&hikers);
    scenario.settle_until(|| alice.phone.view(&hikers).membership == Membership::Left);
    scenario.settle();
    hikers.assert_agreed(&[&bob, &carol]);
    assert_eq!(bob.phone.view(&hikers).accounts, 2);
    let admins = [&bob, &carol].iter().filter(|it| it.phone.view(&hikers).admin).count();
    assert_eq!(admins, 1);
    bob.phone.send(&hikers, "quiet now");
    scenario.settle();
    assert_eq!(carol.phone.history(&hikers), ["quiet now"]);
    assert!(alice.phone.history(&hikers).is_empty());
    let left = |event: &Event| matches!(event, Event::MembersRemoved { left: true, .. });
    assert_eq!(carol.phone.count_events(left), 1);
}

#[test]
fn a_stranger_waits_for_an_answer() {
    let scenario = Scenario::new(6);
    let [alice, bob] = scenario.strangers(["alice", "bob"]);
    // Alice knows Bob, and Bob does not know Alice.
    alice.phone.add_contact(&bob.phone.contact_link(), Some("Bob"));
    let first = alice.phone.create_group("a", &[&bob]);
    scenario.settle();
    let requests = bob.phone.requests();
    assert_eq!(requests.len(), 1);
    let from = (requests[0].from, requests[0].group_name.as_str());
    assert_eq!(from, (alice.phone.account_id(), "a"));
    assert!(bob.phone.groups().is_empty());
    alice.phone.send(&first, "are you there?");
    scenario.settle();
    // Until it is accepted, nothing is fetched, watched or answered. (The card of the day comes in any
    // case.)
    let by_bob = bob.phone.number();
    let sent = scenario.world().no_cards_since(0).iter().filter(|it| it.by == by_bob).count();
    assert_eq!(sent, 0);
    bob.phone.accept_requests();
    scenario.settle_until(|| first.is_agreed(&[&alice, &bob]));
    scenario.settle_until(|| bob.phone.history(&first) == ["are you there?"]);

    let second = alice.phone.create_group("b", &[&bob]);
    scenario.settle();
    let request = bob.phone.requests()[0].id;
    bob.phone.attempt(|it| it.decline(request)).unwrap();
    scenario.settle();
    assert!(bob.phone.requests().is_empty());
    assert!(bob.phone.group(&second).is_none());

    alice.phone.create_group("c", &[&bob]);
    scenario.settle();
    let request = bob.phone.requests()[0].id;
    bob.phone.attempt(|it| it.block(request)).unwrap();
    alice.phone.create_group("d", &[&bob]);
    scenario.settle();
    assert!(bob.phone.requests().is_empty());
    scenario.assert_no_failures();
}

#[test]
fn a_restart_forgets_nothing() {
    let (scenario, [alice, bob, carol], hikers) = hikers(7);
    alice.phone.send(&hikers, "one");
    scenario.settle_until(|| hikers.is_read(&[&alice, &bob, &carol], &["one"]));
    for person in [&alice, &bob, &carol] {
        person.phone.stop();
    }
    for person in [&alice, &bob, &carol] {
        person.phone.start();
    }
    scenario.settle();
    bob.phone.send(&hikers, "two");
    scenario.settle();
    for person in [&alice, &bob, &carol] {
        assert_eq!(person.phone.history(&hikers), ["one", "two"]);
    }
    hikers.assert_agreed(&[&alice, &bob, &carol]);
    scenario.assert_no_failures();
}

#[test]
fn what_waits_in_the_outbox_goes_later() {
    let scenario = Scenario::new(8);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob]));
    alice.phone.offline();
    alice.phone.send(&hikers, "written on a train");
    scenario.pass(Duration::from_secs(100));
    alice.phone.restart();
    scenario.settle_until(|| bob.phone.history(&hikers) == ["written on a train"]);
    scenario.settle();
    hikers.assert_read(&[&alice, &bob], &["written on a train"]);
    assert_eq!(alice.phone.outbox(), 0);
}

#[test]
fn commits_that_meet_end_on_one_branch_with_both_intents() {
    for seed in 0..10 {
        let (scenario, [alice, bob, carol], hikers) = hikers(100 + seed);
        scenario.partition(&[&alice]);
        alice.phone.rename(&hikers, "n");
        alice.phone.send(&hikers, "on my branch");
        bob.phone.describe(&hikers, None, Some("d"));
        bob.phone.send(&hikers, "on the other");
        scenario.pass(Duration::from_secs(20));
        scenario.heal_and_reconnect();
        scenario.pass(Duration::from_secs(60));
        hikers.assert_agreed(&[&alice, &bob, &carol]);
        let it = carol.phone.view(&hikers);
        assert_eq!((it.name.as_str(), it.description.as_str()), ("n", "d"), "seed {seed}");
        hikers.assert_read(&[&alice, &bob, &carol], &["on my branch", "on the other"]);
        scenario.assert_no_failures();
    }
}

#[test]
fn a_lost_message_is_noticed_and_named() {
    let (scenario, [alice, bob, carol], hikers) = hikers(9);
    scenario.world().network.has_store = false;
    scenario.world().network.faults.drop = 1000;
    bob.phone.send(&hikers, "lost on the way");
    scenario.world().network.faults.drop = 0;
    bob.phone.send(&hikers, "heard");
    scenario.settle();
    for person in [&alice, &carol] {
        let missing = person.phone.missing(&hikers);
        assert_eq!(missing.len(), 1);
        assert_eq!((missing[0].sender, missing[0].seq), (bob.phone.account_id(), 1));
        let told = |event: &Event| matches!(event, Event::MessageMissing { .. });
        assert_eq!(person.phone.count_events(told), 1);
    }
    // The Store comes back, and with it the message.
    scenario.world().network.has_store = true;
    alice.phone.reconnect();
    scenario.settle();
    assert!(alice.phone.missing(&hikers).is_empty());
    hikers.assert_read(&[&alice], &["lost on the way", "heard"]);
    let told = |event: &Event| matches!(event, Event::MessageRecovered { .. });
    assert_eq!(alice.phone.count_events(told), 1);
}

#[test]
fn an_envelope_that_comes_again_is_a_duplicate() {
    let (scenario, [alice, bob, _], hikers) = hikers(10);
    alice.phone.send(&hikers, "once");
    let again = scenario.world().network.observed.last().unwrap().clone();
    scenario.world().inject(again);
    scenario.settle();
    hikers.assert_read(&[&bob], &["once"]);
    let judged = &scenario.world().devices[bob.phone.number()].dispositions;
    assert!(judged.contains(&Disposition::Duplicate));
}
