//! What a Store learns by the queries for cards.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::contact::schedule::card_topic;

use crate::kit::*;

#[test]
fn one_topic_a_query_and_none_for_what_comes_by_itself() {
    let mut world = accounts(4, 51);
    for other in 1..4 {
        meet(&mut world, 0, other);
    }
    world.run_for(days(1));
    world.network.asked.clear();
    world.run_for(days(8));
    for other in 1..4 {
        assert!(is_usable(&world, 0, other) && is_usable(&world, other, 0));
    }
    let mut each: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, by, topics) in &world.network.asked {
        assert_eq!(topics.len(), 1, "a query ties topics to one another: {topics:?}");
        *each.entry(*by).or_default() += 1;
    }
    // Who is online all the time catches up once a day, by time range, and finds most cards there.
    println!("{each:?} queries by topic, for 3 and 1 contacts, in 8 days");
    assert!(each.values().sum::<usize>() <= 8 * 6, "{each:?}");
    assert_no_failures(&world);
}

#[test]
fn many_contacts_are_asked_for_in_no_order_that_tells_them() {
    let mut orders = BTreeSet::new();
    for seed in 0..4 {
        let mut world = accounts(5, 60 + seed);
        world.run_for(days(1));
        let secrets: Vec<_> = (1..5).map(|other| secret(&mut world, other)).collect();
        let links: Vec<String> = (1..5).map(|other| link(&mut world, other, true)).collect();
        world.set_online(0, false);
        for link in &links {
            take(&mut world, 0, link);
        }
        world.set_online(0, true);
        world.run_for(HOUR / 60);
        let order: Vec<usize> = world
            .network
            .asked
            .iter()
            .filter(|(_, by, _)| *by == 0)
            .filter_map(|(_, _, topics)| {
                secrets.iter().position(|secret| {
                    [0, 1, 2].iter().any(|back| {
                        let topic = card_topic(secret, period(&world) - back, &world.params.id());
                        topics[0] == topic.to_string()
                    })
                })
            })
            .collect();
        assert!((1..5).all(|other| is_usable(&world, 0, other)), "{order:?}");
        orders.insert(order);
    }
    assert!(orders.len() > 1, "{orders:?}");
}

#[test]
fn what_the_page_of_a_lookup_brings_moves_no_mark() {
    let mut world = accounts(2, 70);
    world.run_for(days(1) + HOUR);
    let before = world.machine(1).identity().unwrap().caught_up_to;
    let short = link(&mut world, 0, true);
    world.run_for(HOUR);
    assert_eq!(world.network.asked, []);
    take(&mut world, 1, &short);
    assert!(is_usable(&world, 1, 0));
    assert_eq!(world.machine(1).identity().unwrap().caught_up_to, before);
    assert_no_failures(&world);
}
