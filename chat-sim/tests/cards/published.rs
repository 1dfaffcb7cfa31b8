//! When cards go out, how often, by whom, and what shows of it.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_core::database::Database;
use chat_core::identity::RecoveryPhrase;
use chat_core::params::{CARD_LATE_DELAY, CARD_SIZE};
use chat_core::time::Timestamp;
use chat_sim::observer::Observer;
use chat_sim::world::World;

use crate::kit::*;

#[test]
fn once_a_period_at_its_time_whatever_happens() {
    let mut world = accounts(2, 11);
    let secret = secret(&mut world, 0);
    let first = before_next(&mut world, &secret, HOUR);
    let sizes = |world: &World| -> BTreeSet<usize> {
        (first..period(world))
            .flat_map(|period| on_topic(world, &secret, period))
            .map(|message| message.payload.len())
            .collect()
    };
    world.befriend(0, 1);
    for day in 0..10 {
        // Links, groups, members, restarts: none of it makes a card come or change.
        link(&mut world, 0, false);
        invite(&mut world, 0, 1).unwrap();
        if day % 3 == 0 {
            world.stop(0);
            world.run_for(Duration::from_secs(120));
            world.start(0);
        }
        world.run_for(days(1));
    }
    run_to(&mut world, Timestamp::from_secs((first + 10) * 86_400));
    for period in first..first + 10 {
        let cards = on_topic(&world, &secret, period);
        assert_eq!(cards.len(), 1, "in period {period}");
        let at = due(&world, &secret, period);
        assert_eq!(cards[0].seen_at.secs(), at.secs(), "in period {period}");
        assert_eq!(cards[0].timestamp_ns, i64::try_from(at.secs()).unwrap() * 1_000_000_000);
    }
    assert_eq!(sizes(&world), BTreeSet::from([CARD_SIZE]));
    assert_no_failures(&world);
}

#[test]
fn one_whose_time_passed_unseen_goes_out_when_a_device_comes_after_a_random_delay() {
    let mut delays = BTreeSet::new();
    for seed in 0..8 {
        let mut world = accounts(1, 20 + seed);
        let secret = secret(&mut world, 0);
        let next = before_next(&mut world, &secret, HOUR);
        world.set_online(0, false);
        world.run_for(HOUR * 2);
        world.set_online(0, true);
        let came = world.now();
        world.run_for(CARD_LATE_DELAY + Duration::from_secs(1));
        let cards = on_topic(&world, &secret, next);
        assert_eq!(cards.len(), usize::from(period(&world) == next), "{seed}");
        delays.extend(cards.iter().map(|card| card.seen_at.since(came).as_secs() / 10));
        // Coming and going makes no second one.
        world.set_online(0, false);
        world.set_online(0, true);
        world.run_for(CARD_LATE_DELAY + Duration::from_secs(1));
        assert!(on_topic(&world, &secret, next).len() <= 1);
    }
    assert!(delays.len() >= 4, "the delays are all the same: {delays:?}");
}

#[test]
fn who_comes_for_a_minute_now_and_then_gets_a_card_out() {
    for seed in 0..4 {
        let mut world = accounts(1, 120 + seed);
        world.set_online(0, false);
        let secret = secret(&mut world, 0);
        let first = before_next(&mut world, &secret, HOUR);
        run_to(&mut world, Timestamp::from_secs((first + 1) * 86_400));
        let mut out = 0;
        for day in 1..9 {
            // Twice a day, and killed in between.
            for _ in 0..2 {
                world.run_for(HOUR * 2);
                world.start(0);
                world.run_for(Duration::from_secs(60));
                world.stop(0);
            }
            world.run_for(HOUR * 20 - Duration::from_secs(120));
            out += on_topic(&world, &secret, first + day).len();
        }
        // At worst every second day: what is known of it stays usable.
        assert!((4..=8).contains(&out), "{out} cards in 8 days");
    }
}

/// Two installations of one account, which know of one another.
fn two_of_one(seed: u64) -> World {
    let mut world = accounts(0, seed);
    let phrase = RecoveryPhrase::generate(world.rng());
    for _ in 0..2 {
        world.add_device_of(&phrase, Database::in_memory().unwrap());
    }
    assert_eq!(world.account(0), world.account(1));
    // Each is enrolled without the other's knowledge, and learns of it by its card.
    world.run_for(days(3));
    for device in 0..2 {
        assert_eq!(card(&mut world, device).content().log.state().active.len(), 2);
    }
    world
}

#[test]
fn installations_learn_of_one_another_by_the_card_and_share_the_work() {
    let mut world = two_of_one(31);
    let secret = secret(&mut world, 0);
    let told = [rollbacks(&world, 0), rollbacks(&world, 1)];
    let first = before_next(&mut world, &secret, HOUR);
    world.run_for(days(8));
    let mut by = BTreeSet::new();
    for period in first..first + 8 {
        let cards = on_topic(&world, &secret, period);
        assert_eq!(cards.len(), 1, "in period {period}");
        by.insert(cards[0].by);
        let late = cards[0].seen_at.since(due(&world, &secret, period));
        assert!(late < Duration::from_secs(30), "in period {period}: {late:?}");
    }
    assert_eq!(by, BTreeSet::from([0, 1]), "they take turns");
    assert_eq!([rollbacks(&world, 0), rollbacks(&world, 1)], told);

    // The one that is up does it alone.
    world.stop(1);
    let first = before_next(&mut world, &secret, HOUR);
    world.run_for(days(4));
    for period in first..first + 4 {
        assert_eq!(on_topic(&world, &secret, period).len(), 1, "in period {period}");
    }
}

#[test]
fn who_comes_late_asks_before_it_publishes() {
    let mut world = two_of_one(32);
    let secret = secret(&mut world, 0);
    // The card goes out while the second is away, and a clock that was off (or a Store that lost
    // it from its range) keeps it from coming by itself.
    let next = before_next(&mut world, &secret, HOUR);
    world.stop(1);
    world.run_for(HOUR * 2);
    assert_eq!(on_topic(&world, &secret, next).len(), 1);
    world.start(1);
    world.run_for(CARD_LATE_DELAY + Duration::from_secs(60));
    assert_eq!(on_topic(&world, &secret, next).len(), 1, "the second published it again");

    // Both are away; the first that comes publishes, the second finds it.
    let next = before_next(&mut world, &secret, HOUR);
    world.stop(0);
    world.stop(1);
    world.run_for(HOUR + HOUR / 2);
    world.start(1);
    world.run_for(CARD_LATE_DELAY + Duration::from_secs(60));
    assert_eq!(on_topic(&world, &secret, next).len(), 1);
    assert_eq!(on_topic(&world, &secret, next)[0].by, 1);
    world.start(0);
    world.run_for(CARD_LATE_DELAY + Duration::from_secs(60));
    assert_eq!(on_topic(&world, &secret, next).len(), 1, "the first published it again");

    // Without any Store it is published without knowing: better twice than never.
    let next = before_next(&mut world, &secret, HOUR);
    world.network.has_store = false;
    world.stop(0);
    world.stop(1);
    world.run_for(HOUR + HOUR / 2);
    world.start(0);
    world.run_for(CARD_LATE_DELAY + Duration::from_secs(60));
    assert_eq!(on_topic(&world, &secret, next).len(), 1);
}

#[test]
fn a_card_that_the_network_does_not_take_is_tried_again_and_not_doubled() {
    let mut world = accounts(1, 33);
    let secret = secret(&mut world, 0);
    let next = before_next(&mut world, &secret, HOUR);
    world.network.faults.false_failure = 700;
    world.run_for(HOUR * 2);
    // Reported as failed it goes again, so that it is there in any case; all are the same card.
    let cards = on_topic(&world, &secret, next);
    assert!((1..40).contains(&cards.len()), "{}", cards.len());
    assert!(cards.iter().all(|card| card.payload.len() == CARD_SIZE));
}

/// Some accounts over some days: short links, talk, cards.
fn wire(seed: u64) -> (World, Observer) {
    let mut world = accounts(3, seed);
    let mut observer = Observer::default();
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        meet(&mut world, a, b);
    }
    world.run_for(days(1));
    let members = vec![world.account(1), world.account(2)];
    let (name, about) = ("the name of the hiking group", "where we speak of hiking");
    let group = world.by(0).create_described_group(name, about, members).unwrap();
    for _ in 0..3 {
        world.run_for(HOUR * 9);
        world.accept_requests();
        world.run_for(HOUR);
        for by in 0..3 {
            say(&mut world, by, group, &format!("a rather secret text of {by}"));
        }
        observer.add_secrets_of(&world);
        world.run_for(HOUR * 14);
    }
    let cards: Vec<Vec<u8>> = (0..3).map(|by| card(&mut world, by).encode().to_vec()).collect();
    observer.add_secrets_of(&world);
    for card in &cards {
        observer.add_secret("card", card);
    }
    assert_no_failures(&world);
    assert!(card_sized(&world) >= 9, "{}", card_sized(&world));
    (world, observer)
}

#[test]
fn cards_look_like_anything_else_on_the_wire() {
    let (world, observer) = wire(41);
    assert_eq!(observer.findings(&world.network.observed, &world.params), Vec::<String>::new());
    // Of each account one a day, of one size, on a topic that never comes again.
    let topics: Vec<&str> = world
        .network
        .observed
        .iter()
        .filter(|message| message.payload.len() == CARD_SIZE)
        .map(|message| message.topic.as_str())
        .collect();
    assert_eq!(topics.iter().collect::<BTreeSet<_>>().len(), topics.len());

    // It is worth something only if it finds what is wrong.
    let found = |what: &str, tamper: &dyn Fn(&mut chat_sim::world::Observed)| {
        let mut observed = world.network.observed.clone();
        let card = observed.iter_mut().filter(|message| message.payload.len() == CARD_SIZE);
        tamper(card.last().unwrap());
        let findings = observer.findings(&observed, &world.params);
        assert!(findings.iter().any(|found| found.contains(what)), "{what}: {findings:?}");
    };
    found("a secret shows: account", &|card| {
        card.payload[5000..5032].copy_from_slice(world.account(0).as_bytes());
    });
    for secret in &world.machine(1).fingerprints()["key package"] {
        found("a secret shows: key package", &|card| {
            card.payload[300..308].copy_from_slice(&secret[..8]);
        });
    }
    found("another slot", &|card| card.topic = topics[0].to_string());
    found("no class", &|card| card.payload.truncate(CARD_SIZE - 1));
    found("whole seconds", &|card| card.timestamp_ns += 1);
}
