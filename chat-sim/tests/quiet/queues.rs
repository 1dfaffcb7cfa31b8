//! The groups of one account do not act at the same instant: when their roots come of age, and when a
//! connection comes that their queues waited for.

use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;
use chat_sim::observer::together;
use chat_sim::scenario::{GroupHandle, Person, Scenario};
use chat_sim::world::Observed;

use super::{HOUR, MINUTE, SECOND, hasty, public};

const GROUPS: usize = 10;
/// Pairs within a second that chance makes of ten messages in a minute: one or two.
const CHANCE: usize = 6;
/// All pairs of ten messages.
const ALL: usize = GROUPS * (GROUPS - 1) / 2;

/// Alice and Bob, and ten groups of theirs that were made in one slot.
fn groups(params: NetworkParams) -> (Scenario, [Person; 2], Vec<GroupHandle>) {
    let scenario = Scenario::on(params, 61);
    let people = scenario.friends(["alice", "bob"]);
    scenario.pass(MINUTE);
    let [alice, bob] = &people;
    let names: Vec<String> = (0..GROUPS).map(|at| format!("group {at}")).collect();
    let groups: Vec<GroupHandle> =
        names.iter().map(|name| alice.phone.create_group(name, &[bob])).collect();
    scenario.pass(MINUTE * 5);
    groups.iter().for_each(|group| group.assert_agreed(&[alice, bob]));
    (scenario, people, groups)
}

/// What Alice was seen to publish since a moment, cards left out.
fn published(scenario: &Scenario, alice: &Person, since: Timestamp) -> Vec<Observed> {
    let world = scenario.world();
    let all = world.no_cards_since(0).into_iter();
    let hers = all.filter(|it| it.seen_at >= since && it.by == alice.phone.number());
    hers.cloned().collect()
}

fn pairs(messages: &[Observed]) -> usize {
    let all: Vec<&Observed> = messages.iter().collect();
    together(&all, SECOND)
}

#[test]
fn what_waited_for_a_connection_goes_out_in_each_group_at_a_time_of_its_own() {
    let follow = |params: NetworkParams| {
        let (scenario, [alice, bob], groups) = groups(params);
        alice.phone.offline();
        for group in &groups {
            alice.phone.send(group, "one");
            alice.phone.send(group, "two");
        }
        scenario.pass(MINUTE * 2);
        let since = scenario.now();
        alice.phone.online();
        scenario.pass(MINUTE + SECOND);
        groups.iter().for_each(|group| group.assert_read(&[&bob], &["one", "two"]));
        scenario.assert_no_failures();
        let mut first = published(&scenario, &alice, since);
        assert_eq!(first.len(), 2 * GROUPS);
        // Both of a group go together.
        first.sort_by_key(|it| it.seen_at);
        let every_other: Vec<Observed> = first.into_iter().step_by(2).collect();
        pairs(&every_other)
    };
    let found = follow(public());
    assert!(found <= CHANCE, "{found} pairs within a second");
    assert_eq!(follow(hasty()), ALL, "without the delay all come at one instant");
}

#[test]
fn what_the_user_has_just_typed_does_not_wait() {
    let (scenario, [alice, bob], groups) = groups(public());
    alice.phone.offline();
    for group in &groups {
        alice.phone.send(group, "offline");
    }
    alice.phone.online();
    scenario.pass(SECOND);
    // She was in the last one just now; all others wait for times of their own.
    let read = || groups.iter().filter(|group| bob.phone.reads(group, "offline")).count();
    assert!(groups[GROUPS - 1].is_read(&[&bob], &["offline"]) && read() < GROUPS / 2);
    // What she types now takes along what waits in that group, in its order.
    let waiting = groups.iter().find(|group| !bob.phone.reads(group, "offline")).unwrap();
    alice.phone.send(waiting, "online");
    scenario.pass(SECOND);
    assert_eq!(bob.phone.history(waiting), ["offline", "online"]);
    scenario.pass(MINUTE);
    assert_eq!(read(), GROUPS);
    scenario.assert_no_failures();
}

#[test]
fn roots_that_come_of_age_at_one_boundary_are_renewed_apart() {
    let (scenario, [alice, bob], groups) = groups(public());
    let epochs = |by: &Person| -> Vec<u64> {
        groups.iter().map(|group| by.phone.view(group).epoch).collect()
    };
    let before = epochs(&alice);
    let made = scenario.now();
    scenario.pass(HOUR * 24 * 7 - HOUR);
    assert_eq!(epochs(&alice), before);
    let since = scenario.now();
    scenario.pass(HOUR * 3);
    let renewed = published(&scenario, &alice, since);
    for (after, before) in epochs(&alice).iter().zip(&before) {
        assert_eq!(*after, before + 1, "each was renewed once, by one member");
    }
    groups.iter().for_each(|group| group.assert_agreed(&[&alice, &bob]));
    assert!(scenario.now().since(made) < HOUR * 24 * 7 + HOUR * 3);
    let found = pairs(&renewed);
    assert!(renewed.len() >= GROUPS && found <= 1, "{found} pairs within a second");
    scenario.assert_no_failures();
}

#[test]
fn an_account_that_comes_back_is_taken_into_each_group_at_a_time_of_its_own() {
    let scenario = Scenario::on(public(), 62);
    let (bob, phrase) = scenario.person_with_phrase("bob");
    let alice = scenario.person("alice");
    alice.phone.befriend(&bob);
    scenario.pass(MINUTE);
    let names: Vec<String> = (0..GROUPS).map(|at| format!("group {at}")).collect();
    let groups: Vec<GroupHandle> =
        names.iter().map(|name| alice.phone.create_group(name, &[&bob])).collect();
    scenario.pass(MINUTE * 5);
    groups.iter().for_each(|group| group.assert_agreed(&[&alice, &bob]));
    bob.phone.stop();
    let since = scenario.now();
    let new = scenario.recover("bob's new phone", &phrase);
    // Alice learns of it from the account's next card.
    for _ in 0..3 {
        scenario.pass(HOUR * 24);
        new.accept_requests();
    }
    groups.iter().for_each(|group| group.assert_agreed(&[&alice, &new]));
    scenario.assert_no_failures();
    let hers = published(&scenario, &alice, since);
    // In each group he is taken in, by a commit, an invitation and a doorbell, and his old phone out.
    assert!(hers.len() >= 4 * GROUPS, "{}", hers.len());
    let found = pairs(&hers);
    assert!(found <= GROUPS, "{found} pairs within a second");
}
