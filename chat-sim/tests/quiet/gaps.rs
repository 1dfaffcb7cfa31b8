//! What a device missed it fetches within minutes, though nobody tells it to; if no Store has it, the
//! user is told. Strangers cannot make it fetch without end.

use std::time::Duration;

use chat_core::machine::Event;
use chat_core::params::{DOUBT_LOOKS, NetworkParams};
use chat_core::time::Timestamp;
use chat_sim::observer::reflexes;
use chat_sim::scenario::{GroupHandle, Installation, NOBODY, Person, Scenario};

use super::{HOUR, MINUTE, hasty, members, public, reflex};

/// Three members of a group. Bob did not hear Alice's last change, and Carol speaks after it: the
/// moment in which he hears that he is behind.
fn one_lost_commit(params: NetworkParams) -> (Scenario, [Person; 3], GroupHandle, Timestamp) {
    let (scenario, people, hikers) = members(params, 51);
    let [alice, bob, carol] = &people;
    let bobs = bob.phone.number();
    scenario.lose(move |_, to| to == bobs);
    alice.phone.rename(&hikers, "climbers");
    scenario.pass(MINUTE);
    scenario.lose_nothing();
    let heard = scenario.now();
    carol.phone.send(&hikers, "up there");
    scenario.deliver();
    assert!(!bob.phone.reads(&hikers, "up there"));
    (scenario, people, hikers, heard)
}

fn is_behind(event: &Event) -> bool {
    matches!(event, Event::GroupBehind { .. })
}

fn asked(scenario: &Scenario, by: &Installation, since: Timestamp) -> Vec<Timestamp> {
    let world = scenario.world();
    let queries = world.network.queries.iter();
    let first = queries.filter(|query| query.by == by.number() && !query.goes_on);
    first.filter(|query| query.at >= since && query.topics.is_empty()).map(|it| it.at).collect()
}

#[test]
fn one_lost_commit_is_fetched_within_minutes() {
    let fetched_at = |params: NetworkParams| {
        let patience = params.part_of_slot(chat_core::params::DOUBT_PATIENCE);
        let (scenario, [alice, bob, carol], hikers, heard) = one_lost_commit(params);
        scenario.pass(MINUTE * 3);
        hikers.assert_agreed(&[&alice, &bob, &carol]);
        hikers.assert_read(&[&bob], &["up there"]);
        assert_eq!(bob.phone.count_events(is_behind), 0, "he is not behind any more");
        scenario.assert_no_failures();
        let queries = asked(&scenario, &bob.phone, heard);
        assert_eq!(queries.len(), 1, "one look was enough");
        // The observer knows how long a device is patient.
        let log = scenario.world().network.queries.clone();
        reflexes(&log, &[heard + patience], reflex()).len()
    };
    assert_eq!(fetched_at(public()), 0);
    assert!(fetched_at(hasty()) > 0, "without the delay it shows");
}

#[test]
fn who_is_behind_for_good_is_told_and_a_late_commit_ends_it() {
    let (scenario, [alice, bob, _], hikers, heard) = one_lost_commit(public());
    // The Store lost it too.
    let all = scenario.observed();
    let commit = all.iter().rfind(|it| it.by == alice.phone.number()).unwrap().clone();
    scenario.world().network.forget(&commit);
    scenario.pass(HOUR);
    assert_eq!(bob.phone.count_events(is_behind), 1);
    let looks = asked(&scenario, &bob.phone, heard).len();
    assert_eq!(looks, DOUBT_LOOKS as usize, "a Store that has lost it is asked no more");
    scenario.world().hand_over(bob.phone.number(), &commit);
    scenario.pass(MINUTE);
    hikers.assert_agreed(&[&alice, &bob]);
    let end = |event: &Event| matches!(event, Event::GroupCaughtUp { .. });
    assert_eq!(bob.phone.count_events(end), 1);
    scenario.assert_no_failures();
}

#[test]
fn a_restart_does_not_end_a_doubt() {
    let (scenario, [alice, bob, carol], hikers, _) = one_lost_commit(public());
    // The process ends at once. What the Store has for the time since is not what is missing.
    let all = scenario.observed();
    let commit = all.iter().rfind(|it| it.by == alice.phone.number()).unwrap().clone();
    scenario.world().network.forget(&commit);
    bob.phone.restart();
    scenario.pass(Duration::from_secs(10));
    assert_eq!(bob.phone.count_events(is_behind), 0);
    scenario.pass(HOUR);
    assert_eq!(bob.phone.count_events(is_behind), 1, "it was looked into, and told");
    scenario.world().hand_over(bob.phone.number(), &commit);
    scenario.pass(MINUTE);
    hikers.assert_agreed(&[&alice, &bob, &carol]);
    scenario.assert_no_failures();
}

#[test]
fn a_stranger_who_fills_a_groups_topics_causes_few_fetches_and_no_alarm() {
    let scenario = Scenario::on(public(), 52);
    let [alice, bob] = scenario.friends(["alice", "bob"]);
    scenario.pass(MINUTE);
    let hikers = alice.phone.create_group("hikers", &[&bob]);
    scenario.pass(HOUR / 2);
    let (since, hours) = (scenario.now(), 6);
    for minute in 0..hours * 60 {
        let text = format!("{minute}");
        alice.phone.send(&hikers, &text);
        scenario.deliver();
        // The stranger sees the topic, and writes there too.
        let mut junk = scenario.observed().pop().unwrap();
        junk.payload = scenario.bytes(junk.payload.len());
        junk.by = NOBODY;
        scenario.publish(junk);
        scenario.pass(MINUTE);
    }
    let looks = asked(&scenario, &bob.phone, since).len();
    assert!(looks >= 1, "the stranger is heard");
    assert!(looks <= DOUBT_LOOKS as usize + hours, "{looks} in {hours} hours");
    assert_eq!(bob.phone.count_events(is_behind), 0, "members are understood");
    assert_eq!(bob.phone.history(&hikers).len(), hours * 60);
    scenario.assert_no_failures();
}
