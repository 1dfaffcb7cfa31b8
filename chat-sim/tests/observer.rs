//! What somebody outside sees: envelopes of a few sizes on topics that keep changing.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use chat_core::params::{DOORBELL_SIZE, NetworkParams};
use chat_sim::observer::{Observer, is_doorbell};
use chat_sim::world::{Observed, World};
use common::*;

/// Three members: invited, talking over several slots, renamed, one removed and back again.
fn conversation() -> (World, Observer) {
    let mut world = World::new(NetworkParams::fast(), 77);
    let mut observer = Observer::default();
    for _ in 0..3 {
        world.add_device();
    }
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        let link = world.by(from).contact_link().unwrap();
        let name = format!("the friend number {from}");
        world.by(to).add_contact(&link, Some(&name)).unwrap();
    }
    let group = group(&mut world, "the name of the hiking group");
    for round in 0..3 {
        for by in 0..3 {
            say(&mut world, by, group, &format!("a rather secret text, {round} of {by}"));
            observer.add_secrets_of(&world);
        }
        world.run_for(Duration::from_secs(7));
    }
    let (name, about) = ("the other name of it", "where we speak of hiking");
    world.by(1).describe(group, Some(name), Some(about)).unwrap();
    settle(&mut world);
    observer.add_secrets_of(&world);
    let accounts = vec![world.account(2)];
    world.by(0).remove_members(group, accounts.clone()).unwrap();
    settle(&mut world);
    say(&mut world, 1, group, "what the third one does not read");
    settle(&mut world);
    world.by(1).add_members(group, accounts).unwrap();
    settle(&mut world);
    accept_requests(&mut world);
    settle(&mut world);
    say(&mut world, 2, group, "back again at last");
    settle(&mut world);
    assert_eq!(texts(&world, 0, group).len(), 11);
    observer.add_secrets_of(&world);
    assert_no_failures(&world);
    (world, observer)
}

#[test]
fn nothing_identifying_is_on_the_wire() {
    let (world, observer) = conversation();
    let wanted = [
        "account",
        "installation",
        "group",
        "epoch",
        "name",
        "description",
        "text",
        "contact",
        "message",
        "key package",
        "inbox key",
        "card secret",
    ];
    assert_eq!(observer.kinds(), BTreeSet::from(wanted));
    assert_eq!(observer.findings(&world.network.observed, &world.params), Vec::<String>::new());

    let doorbells = world.network.observed.iter().filter(|m| is_doorbell(m, &world.params)).count();
    assert_eq!(doorbells, 2, "one rings at up to eight, and one when somebody is asked back");
    let slots: BTreeSet<i64> =
        world.network.observed.iter().map(|message| message.timestamp_ns / 5_000_000_000).collect();
    assert!(slots.len() >= 6, "{slots:?}");
    // Others than doorbells come in several sizes, and several of them share one.
    let sizes: BTreeSet<usize> = world.network.observed.iter().map(|m| m.payload.len()).collect();
    assert!(sizes.len() >= 3 && sizes.len() < world.network.observed.len() / 2, "{sizes:?}");
}

/// The observer is worth something only if it finds what is wrong.
#[test]
fn what_identifies_is_found() {
    let (world, observer) = conversation();
    let found = |what: &str, tamper: &dyn Fn(&mut Vec<Observed>)| {
        let mut observed = world.network.observed.clone();
        tamper(&mut observed);
        let findings = observer.findings(&observed, &world.params);
        assert!(findings.iter().any(|found| found.contains(what)), "{what}: {findings:?}");
    };
    for (what, secrets) in world.machine(0).fingerprints() {
        for secret in secrets {
            let first = &secret[..secret.len().min(8)];
            found(&format!("a secret shows: {what}"), &|all| {
                all[4].payload[100..100 + first.len()].copy_from_slice(first);
            });
        }
    }
    found("in common", &|all| {
        let run = all[3].payload[40..48].to_vec();
        all[5].payload[90..98].copy_from_slice(&run);
    });
    found("another slot", &|all| {
        let topic = all[0].topic.clone();
        all.last_mut().unwrap().topic = topic;
    });
    found("no class", &|all| all[2].payload.push(0));
    found("whole seconds", &|all| all[2].timestamp_ns += 1);
    found("not like others", &|all| all[2].topic = all[2].topic.replace("/1/", "/2/"));
    found("a doorbell of another size", &|all| {
        let bell = all.iter_mut().find(|m| is_doorbell(m, &world.params)).unwrap();
        bell.payload.truncate(DOORBELL_SIZE / 2);
    });
    let id = world.machine(0).groups().unwrap()[0].id;
    found("a secret shows: group", &|all| {
        let name = data_encoding::HEXLOWER.encode(id.as_bytes());
        all[2].topic = format!("/waku-chat/1/{name}/proto");
    });
}
