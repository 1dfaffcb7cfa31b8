//! What an outsider sees of an installation that is linked: envelopes like all others, with nothing in
//! them that is anywhere else.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use chat_core::contact::link::ContactLink;
use chat_core::identity::linking::LinkingCode;
use chat_sim::observer::{Observer, is_doorbell};
use chat_sim::scenario::{Installation, Scenario};
use chat_sim::world::Observed;

/// What the devices know, and what passes between them by other ways than the relay.
fn note(observer: &mut Observer, scenario: &Scenario, devices: &[&Installation]) {
    observer.add_secrets_of(&scenario.world());
    let network = scenario.world().params.id();
    for device in devices {
        if let Some(code) = device.linking_code() {
            observer.add_secret("code", code.as_bytes());
            let code = LinkingCode::parse(&code, &network).unwrap();
            observer.add_secret("code's secret", code.secret());
            observer.add_secret("code's key", code.key());
            observer.add_secret("linking", code.id(&network).as_bytes());
        }
        if let Some(string) = device.arrival().and_then(|view| view.string) {
            observer.add_secret("string", string.as_bytes());
            observer.add_secret("string", string.replace(' ', "").as_bytes());
        }
        if !device.has_account() {
            continue;
        }
        observer.add_secret("log", &device.machine(|it| it.insider_log()));
        let credential = device.machine(|it| it.insider_credential().encode());
        observer.add_secret("credential", &credential);
        for it in device.installations() {
            observer.add_secret("installation", it.installation.as_bytes());
            observer.add_secret("device name", it.name.unwrap_or_default().as_bytes());
        }
        let link = device.attempt(|it| it.at_once().contact_link()).unwrap();
        observer.add_secret("link", link.as_bytes());
        let link = ContactLink::parse(&link, &network, scenario.now()).unwrap();
        observer.add_secret("card", link.card.unwrap().encode());
    }
}

/// A tablet that is linked, as the relay sees it.
struct Linking {
    scenario: Scenario,
    phone: Installation,
    tablet: Installation,
    observer: Observer,
    /// Which of what the relay saw was between the first word of the linking and the last.
    during: Range<usize>,
}

/// A tablet is linked to an account that is in a group with another one.
fn linking() -> Linking {
    let scenario = Scenario::new(78);
    let mut observer = Observer::default();
    let [ada, friend] = scenario.friends(["ada", "friend"]);
    let (phone, friend) = (ada.phone, friend.phone);
    let group = phone.create_group("the name of the hiking group", &[&friend]);
    scenario.settle();
    for by in 0..4 {
        // People write little and much.
        let much = ". And so on".repeat(by % 2 * 200);
        let text = format!("a rather secret text of {}{much}", by % 2);
        [&phone, &friend][by % 2].send(&group, &text);
        scenario.pass(Duration::from_secs(4));
        note(&mut observer, &scenario, &[&phone, &friend]);
    }
    let from = scenario.observed().len();
    let tablet = scenario.newcomer("the small tablet");
    let all = [&phone, &friend, &tablet];
    for _ in 0..120 {
        note(&mut observer, &scenario, &all);
        let done = scenario.world().attend(phone.number(), tablet.number());
        if done {
            break;
        }
        scenario.pass(Duration::from_millis(400));
    }
    let to = scenario.observed().len();
    for by in [&tablet, &friend, &phone] {
        scenario.settle();
        by.send(&group, &format!("another secret text of {}", by.name()));
        note(&mut observer, &scenario, &all);
    }
    scenario.settle();
    note(&mut observer, &scenario, &all);
    assert_eq!(tablet.history(&group).len(), 3);
    scenario.assert_no_failures();
    Linking { scenario, phone, tablet, observer, during: from..to }
}

#[test]
fn a_linking_shows_nothing_that_is_elsewhere() {
    let Linking { scenario, phone, tablet, observer, during } = linking();
    let (observed, params) = (scenario.observed(), scenario.world().params.clone());
    for kind in ["code", "code's secret", "code's key", "linking", "string", "log", "credential"] {
        assert!(observer.kinds().contains(kind), "{kind}");
    }
    for kind in ["account", "installation", "key package", "inbox key", "card", "link"] {
        assert!(observer.kinds().contains(kind), "{kind}");
    }
    // Shapes, topics, times; runs of bytes that two envelopes share; and all secrets.
    assert_eq!(observer.findings(&observed, &params), Vec::<String>::new());
    // Both sides spoke, and what they said is of sizes that others are too.
    let said = &observed[during.clone()];
    assert_eq!(
        said.iter().map(|it| it.by).collect::<BTreeSet<_>>(),
        [phone.number(), tablet.number()].into()
    );
    assert!(said.len() >= 7, "{}", said.len());
    assert!(!said.iter().any(|message| is_doorbell(message, &params)));
    let others = observed[..during.start].iter().chain(&observed[during.end..]);
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
    let Linking { scenario, phone, tablet, observer, during } = linking();
    let (observed, params) = (scenario.observed(), scenario.world().params.clone());
    let found = |what: &str, tamper: &dyn Fn(&mut [Observed])| {
        let mut observed = observed.clone();
        tamper(&mut observed[during.clone()]);
        let findings = observer.findings(&observed, &params);
        assert!(findings.iter().any(|found| found.contains(what)), "{what}: {findings:?}");
    };
    let show = |all: &mut [Observed], secret: &[u8]| {
        all[2].payload[70..70 + secret.len()].copy_from_slice(secret);
    };
    for device in [&phone, &tablet] {
        let identity = device.machine(|it| it.identity()).unwrap();
        found("a secret shows: installation", &|all| show(all, identity.installation.as_bytes()));
        found("a secret shows: account", &|all| show(all, &identity.account.as_bytes()[5..13]));
    }
    let log = phone.machine(|it| it.insider_log());
    found("a secret shows: ", &|all| show(all, &log[40..48]));
    let known = tablet.installations();
    let name = known.into_iter().find_map(|it| it.name).unwrap();
    found("a secret shows: device name", &|all| show(all, &name.as_bytes()[..8]));
    let earlier = observed[during.start - 1].payload[30..38].to_vec();
    found("in common", &|all| show(all, &earlier));
    found("no class", &|all| all[3].payload.truncate(1000));
    found("another slot", &|all| {
        let topic = observed[0].topic.clone();
        all[1].topic = topic;
    });
}
