//! A doorbell, a rotation and a join cause no query at once.

use chat_core::params::{CATCH_UP_MARGIN, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_sim::observer::{is_doorbell, reflexes};
use chat_sim::scenario::Scenario;
use chat_sim::world::StoreQuery;

use super::{HOUR, MINUTE, hasty, members, public, reflex};

/// The Store's log since a moment, without the look-ups of cards, which come by the clock.
fn asked_since(scenario: &Scenario, since: Timestamp) -> Vec<StoreQuery> {
    let world = scenario.world();
    let all = world.network.queries.iter();
    all.filter(|query| query.at >= since && query.topics.is_empty()).cloned().collect()
}

/// The moments since a time in which an outsider saw a doorbell, or anything at all.
fn seen_since(scenario: &Scenario, since: Timestamp, doorbells: bool) -> Vec<Timestamp> {
    let params = scenario.world().params.clone();
    let all = scenario.observed();
    let wanted = all.iter().filter(|it| it.seen_at >= since);
    wanted.filter(|it| !doorbells || is_doorbell(it, &params)).map(|it| it.seen_at).collect()
}

#[test]
fn a_contacts_doorbell_and_a_join_cause_no_query_at_once() {
    let follow = |params: NetworkParams| {
        let (scenario, [alice, bob, _], _) = members(params, 41);
        let since = scenario.now();
        let pair = alice.phone.create_group("pair", &[&bob]);
        alice.phone.send(&pair, "hello");
        scenario.pass(MINUTE * 2);
        pair.assert_read(&[&bob], &["hello"]);
        scenario.assert_no_failures();
        let queries = asked_since(&scenario, since);
        // Bob needs what went out before he listened: what is fetched is fetched all the same.
        assert!(!queries.is_empty());
        // An observer takes every message for a cause: that of the join shows as any other.
        let causes = seen_since(&scenario, since, false);
        assert_eq!(seen_since(&scenario, since, true).len(), 1);
        (reflexes(&queries, &causes, reflex()).len(), queries)
    };
    let (hits, queries) = follow(public());
    assert_eq!(hits, 0, "{queries:?}");
    assert!(queries.len() <= 2, "one for the invitation and one after the join at most");
    // Their bounds are those of slots, whatever they are for.
    let secs = public().slot_secs;
    for query in &queries {
        let from = Slot::at(query.at, secs).previous().start(secs) - CATCH_UP_MARGIN;
        assert_eq!(query.start, from, "{query:?}");
    }
    assert!(follow(hasty()).0 > 0, "without the delay it shows");
}

#[test]
fn a_rotation_causes_no_query() {
    let follow = |params: NetworkParams| {
        let (scenario, [alice, bob, carol], hikers) = members(params, 41);
        let since = scenario.now();
        alice.phone.remove(&hikers, &[&carol]);
        scenario.pass(MINUTE);
        bob.phone.send(&hikers, "without her");
        scenario.pass(HOUR * 2);
        alice.phone.send(&hikers, "on new topics");
        scenario.pass(MINUTE);
        hikers.assert_read(&[&alice, &bob], &["without her", "on new topics"]);
        scenario.assert_no_failures();
        asked_since(&scenario, since)
    };
    assert_eq!(follow(public()), []);
    assert_eq!(follow(hasty()), [], "nothing is needed that could come at once");
}

#[test]
fn a_rotation_that_comes_late_is_made_up_for_and_not_at_once() {
    let follow = |params: NetworkParams| {
        let (scenario, [alice, bob, carol], hikers) = members(params, 41);
        // Bob hears nothing of the removal, nor of what is said on the new topics.
        let (bobs, began) = (bob.phone.number(), scenario.now());
        let late = std::rc::Rc::new(std::cell::RefCell::new(None));
        let kept = late.clone();
        scenario.lose(move |message, to| {
            let lost = to == bobs;
            if lost {
                kept.borrow_mut().get_or_insert_with(|| message.clone());
            }
            lost
        });
        alice.phone.remove(&hikers, &[&carol]);
        scenario.pass(HOUR * 3 / 4);
        alice.phone.send(&hikers, "on new topics");
        scenario.pass(MINUTE);
        scenario.lose_nothing();
        assert!(!bob.phone.reads(&hikers, "on new topics"));
        // A relay brings the commit after all.
        let since = scenario.now();
        let commit = late.borrow().clone().unwrap();
        assert!(commit.seen_at >= began);
        scenario.world().hand_over(bobs, &commit);
        scenario.pass(MINUTE * 2);
        hikers.assert_read(&[&alice, &bob], &["on new topics"]);
        reflexes(&asked_since(&scenario, since), &[since], reflex()).len()
    };
    assert_eq!(follow(public()), 0);
    assert!(follow(hasty()) > 0, "without the delay it shows");
}
