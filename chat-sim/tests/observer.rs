//! What an outsider sees: envelopes of a few sizes on topics that keep changing.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_core::params::DOORBELL_SIZE;
use chat_sim::observer::{Observer, is_doorbell};
use chat_sim::scenario::{Installation, Scenario};
use chat_sim::world::Observed;

/// Three members: invited, talking over several slots, renamed, one removed and back again.
fn conversation() -> (Scenario, Installation, Observer) {
    let scenario = Scenario::new(77);
    let mut observer = Observer::default();
    let people = scenario.strangers(["first", "second", "third"]);
    for from in &people {
        for to in people.iter().filter(|to| to.name != from.name) {
            let name = format!("the friend {}", from.name);
            to.phone.add_contact(&from.phone.contact_link(), Some(&name));
        }
    }
    let [first, second, third] = &people;
    let group = first.phone.create_group("the name of the hiking group", &[second, third]);
    scenario.settle();
    for round in 0..3 {
        for by in &people {
            by.phone.send(&group, &format!("a rather secret text, {round} of {}", by.name));
            observer.add_secrets_of(&scenario.world());
        }
        scenario.pass(Duration::from_secs(7));
    }
    let (name, about) = ("the other name of it", "where we speak of hiking");
    second.phone.describe(&group, Some(name), Some(about));
    scenario.settle();
    observer.add_secrets_of(&scenario.world());
    first.phone.remove(&group, &[third]);
    scenario.settle();
    second.phone.send(&group, "what the third one does not read");
    scenario.settle();
    second.phone.add(&group, &[third]);
    scenario.settle();
    scenario.accept_requests();
    scenario.settle();
    third.phone.send(&group, "back again at last");
    scenario.settle();
    assert_eq!(first.phone.history(&group).len(), 11);
    group.assert_agreed(&[first, second, third]);
    observer.add_secrets_of(&scenario.world());
    scenario.assert_no_failures();
    (scenario, first.phone.clone(), observer)
}

#[test]
fn nothing_identifying_is_on_the_wire() {
    let (scenario, _, observer) = conversation();
    let (observed, params) = (scenario.observed(), scenario.world().params.clone());
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
    assert_eq!(observer.findings(&observed, &params), Vec::<String>::new());

    let doorbells = observed.iter().filter(|m| is_doorbell(m, &params)).count();
    assert_eq!(doorbells, 2, "one rings at up to eight, and one when a member is asked back");
    let slots: BTreeSet<i64> =
        observed.iter().map(|message| message.timestamp_ns / 5_000_000_000).collect();
    assert!(slots.len() >= 6, "{slots:?}");
    // Others than doorbells come in several sizes, and several of them share one.
    let sizes: BTreeSet<usize> = observed.iter().map(|m| m.payload.len()).collect();
    assert!(sizes.len() >= 3 && sizes.len() < observed.len() / 2, "{sizes:?}");
}

/// The observer is worth something only if it finds what is wrong.
#[test]
fn what_identifies_is_found() {
    let (scenario, first, observer) = conversation();
    let (observed, params) = (scenario.observed(), scenario.world().params.clone());
    let found = |what: &str, tamper: &dyn Fn(&mut Vec<Observed>)| {
        let mut observed = observed.clone();
        tamper(&mut observed);
        let findings = observer.findings(&observed, &params);
        assert!(findings.iter().any(|found| found.contains(what)), "{what}: {findings:?}");
    };
    for (what, secrets) in first.machine(|it| it.fingerprints()) {
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
        let bell = all.iter_mut().find(|m| is_doorbell(m, &params)).unwrap();
        bell.payload.truncate(DOORBELL_SIZE / 2);
    });
    let id = first.groups()[0];
    found("a secret shows: group", &|all| {
        let name = data_encoding::HEXLOWER.encode(id.as_bytes());
        all[2].topic = format!("/waku-chat/1/{name}/proto");
    });
}
