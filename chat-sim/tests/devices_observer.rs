//! What somebody outside sees of a device that is linked: envelopes like all others, with nothing in
//! them that is anywhere else (PRIV2).

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

mod common;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use chat_core::contact::link::ContactLink;
use chat_core::identity::linking::LinkingCode;
use chat_core::params::NetworkParams;
use chat_sim::observer::{Observer, is_doorbell};
use chat_sim::world::{Observed, World};
use common::*;

const PHONE: usize = 0;
const FRIEND: usize = 1;
const TABLET: usize = 2;

/// What the devices know, and what passes between them by other ways than the relay.
fn note(observer: &mut Observer, world: &mut World) {
    observer.add_secrets_of(world);
    let network = world.params.id();
    for device in 0..world.devices.len() {
        if let Some(code) = world.code(device) {
            observer.add_secret("code", code.as_bytes());
            let code = LinkingCode::parse(&code, &network).unwrap();
            observer.add_secret("code's secret", code.secret());
            observer.add_secret("code's key", code.key());
            observer.add_secret("linking", code.id(&network).as_bytes());
        }
        let string = world.linking(device).and_then(|view| view.string);
        if let Some(string) = string {
            observer.add_secret("string", string.as_bytes());
            observer.add_secret("string", string.replace(' ', "").as_bytes());
        }
        let Some(machine) = &world.devices[device].machine else { continue };
        observer.add_secret("log", &machine.insider_log());
        observer.add_secret("credential", &machine.insider_credential().encode());
        for it in machine.installations().unwrap() {
            observer.add_secret("installation", it.installation.as_bytes());
            observer.add_secret("device name", it.name.unwrap_or_default().as_bytes());
        }
        let link = world.by(device).at_once().contact_link().unwrap();
        observer.add_secret("link", link.as_bytes());
        let link = ContactLink::parse(&link, &network, world.now()).unwrap();
        observer.add_secret("card", link.card.unwrap().encode());
    }
}

/// A tablet is linked to an account that is in a group with another one; and which of what the relay
/// saw was between the first word of the linking and the last.
fn linking() -> (World, Observer, Range<usize>) {
    let mut world = World::new(NetworkParams::fast(), 78);
    let mut observer = Observer::default();
    for _ in [PHONE, FRIEND] {
        world.add_device();
    }
    world.befriend(PHONE, FRIEND);
    let group = group(&mut world, "the name of the hiking group");
    for by in [PHONE, FRIEND, PHONE, FRIEND] {
        // People write little and much.
        let much = ". And so on".repeat(by * 200);
        say(&mut world, by, group, &format!("a rather secret text of {by}{much}"));
        world.run_for(Duration::from_secs(4));
        note(&mut observer, &mut world);
    }
    let from = world.network.observed.len();
    assert_eq!(world.add_newcomer("the small tablet"), TABLET);
    for _ in 0..120 {
        note(&mut observer, &mut world);
        if world.attend(PHONE, TABLET) {
            break;
        }
        world.run_for(Duration::from_millis(400));
    }
    let to = world.network.observed.len();
    for by in [TABLET, FRIEND, PHONE] {
        settle(&mut world);
        say(&mut world, by, group, &format!("another secret text of {by}"));
        note(&mut observer, &mut world);
    }
    settle(&mut world);
    note(&mut observer, &mut world);
    assert_eq!(texts(&world, TABLET, group).len(), 3);
    assert_no_failures(&world);
    (world, observer, from..to)
}

#[test]
fn a_linking_shows_nothing_that_is_elsewhere() {
    let (world, observer, during) = linking();
    for kind in ["code", "code's secret", "code's key", "linking", "string", "log", "credential"] {
        assert!(observer.kinds().contains(kind), "{kind}");
    }
    for kind in ["account", "installation", "key package", "inbox key", "card", "link"] {
        assert!(observer.kinds().contains(kind), "{kind}");
    }
    // Shapes, topics, times; runs of bytes that two envelopes share; and all secrets.
    assert_eq!(observer.findings(&world.network.observed, &world.params), Vec::<String>::new());
    // Both sides spoke, and what they said is of sizes that others are too.
    let said = &world.network.observed[during.clone()];
    assert_eq!(said.iter().map(|it| it.by).collect::<BTreeSet<_>>(), [PHONE, TABLET].into());
    assert!(said.len() >= 7, "{}", said.len());
    assert!(!said.iter().any(|message| is_doorbell(message, &world.params)));
    let others =
        world.network.observed[..during.start].iter().chain(&world.network.observed[during.end..]);
    let usual: BTreeSet<usize> = others.clone().map(|message| message.payload.len()).collect();
    for message in said {
        assert!(usual.contains(&message.payload.len()), "{} of {usual:?}", message.payload.len());
    }
    // Nobody else was ever heard at the meeting place, and nobody meets there again.
    let places: BTreeSet<&str> = said.iter().map(|message| message.topic.as_str()).collect();
    let met = others.filter(|message| places.contains(message.topic.as_str()));
    let slots = |message: &Observed| message.timestamp_ns / 5_000_000_000;
    let last = said.iter().map(slots).max().unwrap();
    assert!(met.clone().all(|message| slots(message) <= last), "{:?}", met.count());
}

/// The observer is worth something only if it finds what is wrong.
#[test]
fn what_a_linking_gives_away_is_found() {
    let (world, observer, during) = linking();
    let found = |what: &str, tamper: &dyn Fn(&mut [Observed])| {
        let mut observed = world.network.observed.clone();
        tamper(&mut observed[during.clone()]);
        let findings = observer.findings(&observed, &world.params);
        assert!(findings.iter().any(|found| found.contains(what)), "{what}: {findings:?}");
    };
    let show = |all: &mut [Observed], secret: &[u8]| {
        all[2].payload[70..70 + secret.len()].copy_from_slice(secret);
    };
    for device in [PHONE, TABLET] {
        let identity = world.machine(device).identity().unwrap();
        found("a secret shows: installation", &|all| show(all, identity.installation.as_bytes()));
        found("a secret shows: account", &|all| show(all, &identity.account.as_bytes()[5..13]));
    }
    let log = world.machine(PHONE).insider_log();
    found("a secret shows: ", &|all| show(all, &log[40..48]));
    let known = world.machine(TABLET).installations().unwrap();
    let name = known.into_iter().find_map(|it| it.name).unwrap();
    found("a secret shows: device name", &|all| show(all, &name.as_bytes()[..8]));
    let earlier = world.network.observed[during.start - 1].payload[30..38].to_vec();
    found("in common", &|all| show(all, &earlier));
    found("no class", &|all| all[3].payload.truncate(1000));
    found("another slot", &|all| {
        let topic = world.network.observed[0].topic.clone();
        all[1].topic = topic;
    });
}
