//! What is asked for without a connection is kept, and made when it goes out: commits and messages
//! belong to the epoch that others are in by then.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

use std::collections::BTreeMap;
use std::time::Duration;

use chat_core::ids::IntentId;
use chat_core::machine::{Event, MessageView};
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario, Who};
use chat_sim::world::ByHand;

/// Friends of whom the first three are in a group that the first of them made.
fn hikers<const N: usize>(
    seed: u64,
    names: [&str; N],
    members: usize,
) -> (Scenario, [Person; N], GroupHandle) {
    let scenario = Scenario::new(seed);
    let people = scenario.friends(names);
    let all: Vec<&dyn Who> = people[..members].iter().map(|it| it as &dyn Who).collect();
    let hikers = people[0].phone.create_group("hikers", &all[1..]);
    scenario.settle_until(|| hikers.is_agreed(&all));
    (scenario, people, hikers)
}

/// What an installation was told of a change: that it was published, and that it failed.
fn told_of(installation: &Installation, intent: IntentId) -> (usize, usize) {
    let published =
        |event: &Event| matches!(event, Event::ChangePublished { intent: it, .. } if *it == intent);
    let failed =
        |event: &Event| matches!(event, Event::ChangeFailed { intent: it, .. } if *it == intent);
    (installation.count_events(published), installation.count_events(failed))
}

fn left_a_branch(event: &Event) -> bool {
    matches!(event, Event::BranchChanged { .. })
}

/// The message with a text, which has to be there once.
fn message(at: &Installation, group: &GroupHandle, text: &str) -> MessageView {
    let mut found = at.messages(group);
    found.retain(|message| message.text.as_deref() == Some(text));
    assert_eq!(found.len(), 1, "{text:?} at {}", at.name());
    found.remove(0)
}

#[test]
fn two_commands_given_offline_undo_none_of_ten_commits() {
    let names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
    let (scenario, people, hikers) = hikers(1, names, 4);
    let [alice, bob, carol, dave, erin, frank, grace, heidi] = &people;
    let before = carol.phone.view(&hikers).epoch;
    assert_eq!(carol.phone.outbox(), 0);

    carol.phone.offline();
    let described = carol
        .phone
        .attempt(|it| it.describe(hikers.id(), None, Some("by carol, on a train")))
        .unwrap();
    let account = heidi.account();
    let added = carol.phone.attempt(|it| it.add_members(hikers.id(), vec![account])).unwrap();

    assert_eq!(carol.phone.outbox(), 2, "both wait");

    let mut online: Vec<&dyn Who> = vec![alice, bob, dave];
    for name in 1..=3 {
        alice.phone.rename(&hikers, &format!("name {name}"));
        scenario.settle_until(|| hikers.is_agreed(&online));
    }
    for new in [erin, frank, grace] {
        bob.phone.add(&hikers, &[new]);
        online.push(new);
        scenario.settle_until(|| hikers.is_agreed(&online));
    }
    alice.phone.remove(&hikers, &[dave]);
    online.remove(2);
    scenario.settle_until(|| hikers.is_agreed(&online) && !dave.phone.is_member(&hikers));
    for (by, name) in [(bob, "name 4"), (erin, "name 5"), (alice, "name 6")] {
        by.phone.rename(&hikers, name);
        scenario.settle_until(|| hikers.is_agreed(&online));
    }
    assert_eq!(alice.phone.view(&hikers).epoch, before + 10, "ten commits");
    assert_eq!(carol.phone.view(&hikers).epoch, before, "and carol has none of them");

    carol.phone.online();
    online.extend([carol as &dyn Who, heidi]);
    scenario.settle_until(|| hikers.is_agreed(&online));
    scenario.settle();
    hikers.assert_agreed(&online);
    for member in &online {
        let view = member.installation().view(&hikers);
        assert_eq!(view.epoch, before + 12, "all ten, and two on top of them");
        assert_eq!((&*view.name, &*view.description), ("name 6", "by carol, on a train"));
        assert_eq!(view.accounts, 7);
    }
    assert!(!dave.phone.is_member(&hikers));
    for person in &people {
        assert_eq!(person.phone.count_events(left_a_branch), 0, "{} undid commits", person.name);
    }
    assert_eq!(carol.phone.outbox(), 0);
    assert_eq!(told_of(&carol.phone, described), (1, 0));
    assert_eq!(told_of(&carol.phone, added), (1, 0));
    // What MLS exports is the same for all, and so is what is sealed with it.
    let roots = carol.phone.roots(&hikers);
    for member in &online {
        let theirs = member.installation().roots(&hikers);
        assert_eq!(theirs.topic.expose(), roots.topic.expose());
        assert_eq!(theirs.seal.expose(), roots.seal.expose());
    }
    let all: Vec<String> = online.iter().map(|it| it.installation().name().to_owned()).collect();
    for member in &online {
        member.installation().send(&hikers, &format!("from {}", member.installation().name()));
    }
    let texts: Vec<String> = all.iter().map(|name| format!("from {name}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    scenario.settle_until(|| hikers.is_read(&online, &texts));
    scenario.assert_no_failures();
}

#[test]
fn a_text_written_offline_is_encrypted_when_it_goes_out() {
    let (scenario, [alice, bob, carol], hikers) = hikers(2, ["alice", "bob", "carol"], 3);
    let before = carol.phone.view(&hikers);
    carol.phone.offline();
    let id = carol.phone.send(&hikers, "from the train");
    let waiting = message(&carol.phone, &hikers, "from the train");
    assert_eq!((waiting.message, waiting.seq, waiting.epoch_id), (id, None, None));
    assert_eq!(carol.phone.outbox(), 1, "it waits");

    for name in ["one", "two"] {
        bob.phone.rename(&hikers, name);
        scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob]));
    }
    let now = bob.phone.view(&hikers);
    assert_eq!(now.epoch, before.epoch + 2);
    assert_eq!(message(&carol.phone, &hikers, "from the train"), waiting);

    carol.phone.online();
    scenario.settle_until(|| bob.phone.reads(&hikers, "from the train"));
    scenario.settle();
    for person in [&alice, &bob, &carol] {
        let sent = message(&person.phone, &hikers, "from the train");
        assert_eq!((sent.message, sent.epoch_id), (id, Some(now.epoch_id)), "{}", person.name);
        assert_eq!((sent.seq, sent.failed), (Some(1), false));
        assert_eq!(sent.sent_at, waiting.sent_at, "it was written when it was");
    }
    let sent = message(&carol.phone, &hikers, "from the train");
    assert_eq!(sent.id, waiting.id, "it keeps its place in its author's history");
    let told = |event: &Event| matches!(event, Event::Published { message, .. } if *message == id);
    assert_eq!(carol.phone.count_events(told), 1);
    scenario.assert_no_failures();
}

#[test]
fn a_change_that_became_void_offline_is_told_once() {
    let (scenario, [alice, bob, carol], hikers) = hikers(3, ["alice", "bob", "carol"], 3);
    alice.phone.promote(&hikers, &carol);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
    scenario.settle();
    carol.phone.offline();
    let out = vec![bob.account()];
    let removal = carol.phone.attempt(|it| it.remove_members(hikers.id(), out)).unwrap();
    let lasting = carol.phone.attempt(|it| it.rename(hikers.id(), "walkers")).unwrap();
    alice.phone.demote(&hikers, &carol);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob]));

    carol.phone.online();
    scenario.settle_until(|| told_of(&carol.phone, removal) == (0, 1));
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
    assert_eq!(bob.phone.view(&hikers).name, "walkers", "the other one is in force");
    // It is not tried again, neither later nor in another process.
    carol.phone.restart();
    scenario.settle();
    assert_eq!(told_of(&carol.phone, removal), (0, 1));
    assert_eq!(told_of(&carol.phone, lasting), (1, 0));
    assert!(bob.phone.is_member(&hikers));
    scenario.assert_no_failures();
}

#[test]
fn a_change_that_others_overwrote_is_told_and_one_that_they_made_is_not() {
    let names = ["alice", "bob", "carol", "dave"];
    let (scenario, [alice, bob, carol, dave], hikers) = hikers(6, names, 3);
    carol.phone.offline();
    let renamed = carol.phone.attempt(|it| it.rename(hikers.id(), "by carol")).unwrap();
    let account = dave.account();
    let added = carol.phone.attempt(|it| it.add_members(hikers.id(), vec![account])).unwrap();
    bob.phone.rename(&hikers, "by bob");
    bob.phone.add(&hikers, &[&dave]);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &dave]));
    let epoch = bob.phone.view(&hikers).epoch_id;

    carol.phone.online();
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol, &dave]));
    scenario.settle();
    assert_eq!(told_of(&carol.phone, renamed), (0, 1));
    assert_eq!(told_of(&carol.phone, added), (0, 0), "it is as carol wanted it");
    let view = carol.phone.view(&hikers);
    assert_eq!((&*view.name, view.epoch_id), ("by bob", epoch), "carol has committed nothing");
    assert_eq!(carol.phone.outbox(), 0);
    scenario.assert_no_failures();
}

#[test]
fn changes_by_somebody_who_was_removed_meanwhile_are_told_as_failed() {
    let (scenario, [alice, bob, carol], hikers) = hikers(7, ["alice", "bob", "carol"], 3);
    carol.phone.offline();
    let renamed = carol.phone.attempt(|it| it.rename(hikers.id(), "walkers")).unwrap();
    let text = carol.phone.send(&hikers, "too late");
    alice.phone.remove(&hikers, &[&carol]);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob]));
    carol.phone.online();
    scenario.settle_until(|| !carol.phone.is_member(&hikers));
    scenario.settle();
    assert_eq!(told_of(&carol.phone, renamed), (0, 1));
    let failed =
        |event: &Event| matches!(event, Event::MessageFailed { message, .. } if *message == text);
    assert_eq!(carol.phone.count_events(failed), 1);
    let unsent = message(&carol.phone, &hikers, "too late");
    assert_eq!((unsent.failed, unsent.seq), (true, None));
    assert_eq!(carol.phone.outbox(), 0);
    assert_eq!(bob.phone.history(&hikers), Vec::<String>::new());
    scenario.assert_no_failures();
}

#[test]
fn what_waits_for_a_connection_survives_its_process() {
    let names = ["alice", "bob", "carol", "dave"];
    let (scenario, [alice, bob, carol, dave], hikers) = hikers(4, names, 3);
    carol.phone.offline();
    let first = carol.phone.send(&hikers, "first");
    let account = dave.account();
    let added = carol.phone.attempt(|it| it.add_members(hikers.id(), vec![account])).unwrap();
    let second = carol.phone.send(&hikers, "second");
    let renamed = carol.phone.attempt(|it| it.rename(hikers.id(), "walkers")).unwrap();
    let waiting = carol.phone.messages(&hikers);
    let waits = |it: &MessageView| (it.seq, it.epoch_id) == (None, None);
    assert!(waiting.len() == 2 && waiting.iter().all(waits));

    // Each process gets a connection, which it loses before it has caught up.
    for _ in 0..3 {
        carol.phone.restart();
        assert_eq!(carol.phone.messages(&hikers), waiting);
        assert_eq!(carol.phone.outbox(), 4);
        carol.phone.offline();
        scenario.pass(Duration::from_secs(20));
        assert_eq!(carol.phone.messages(&hikers), waiting);
    }
    assert!(!dave.phone.is_member(&hikers));

    carol.phone.online();
    let all: [&dyn Who; 4] = [&alice, &bob, &carol, &dave];
    scenario.settle_until(|| hikers.is_agreed(&all));
    scenario.settle();
    assert_eq!(alice.phone.view(&hikers).name, "walkers");
    assert_eq!((told_of(&carol.phone, added), told_of(&carol.phone, renamed)), ((1, 0), (1, 0)));
    for person in [&alice, &bob, &carol] {
        hikers.assert_read(&[person], &["first", "second"]);
        assert_eq!(message(&person.phone, &hikers, "first").message, first);
        assert_eq!(message(&person.phone, &hikers, "second").message, second);
    }
    scenario.assert_no_failures();
}

#[test]
fn a_refused_intent_publishes_nothing_twice() {
    let (scenario, [alice, bob, carol], hikers) = hikers(5, ["alice", "bob", "carol"], 3);
    alice.phone.promote(&hikers, &bob);
    scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
    scenario.settle();

    let demoted = bob.account();
    // From here on this test is bob's network, and it never says what became of a publication.
    let mut it = ByHand::from_world(&mut scenario.world(), bob.phone.number());
    it.connect(true);
    while let Some(query) = it.asked() {
        it.page(query.id, &[], None);
    }
    let account = carol.account();
    it.user().send(hikers.id(), "hello").unwrap();
    let promotion = it.user().set_admin(hikers.id(), account, true).unwrap();
    let under_way = it.told.published.len();
    assert!(under_way >= 2, "the text and the commit are under way");

    // Alice, who is senior, demotes bob meanwhile: his commit loses, and cannot be made again.
    let from = scenario.observed().len();
    alice.phone.attempt(|it| it.set_admin(hikers.id(), demoted, false)).unwrap();
    scenario.settle_until(|| alice.phone.view(&hikers).epoch == carol.phone.view(&hikers).epoch);
    for message in &scenario.observed()[from..] {
        it.deliver(message);
    }
    assert!(it.told.events.iter().any(left_a_branch), "bob follows alice's branch");
    let failed = |it: &ByHand| {
        let of_it = |event: &&Event| matches!(event, Event::ChangeFailed { intent, .. } if *intent == promotion);
        it.told.events.iter().filter(of_it).count()
    };
    for _ in 0..10_000 {
        if failed(&it) > 0 {
            break;
        }
        it.tick();
    }
    assert_eq!(failed(&it), 1);
    it.user().send(hikers.id(), "still here").unwrap();

    let mut times: BTreeMap<_, usize> = BTreeMap::new();
    for (outbox, _) in &it.told.published {
        *times.entry(outbox.0).or_default() += 1;
    }
    assert!(times.len() > under_way, "what came later is published");
    assert!(times.values().all(|times| *times == 1), "published twice: {times:?}");
}

#[test]
fn what_waits_is_committed_in_the_order_in_which_it_was_asked_for() {
    // Ids are random, so that an order by them would show in some of these.
    for seed in 30..34 {
        let (scenario, [alice, bob], hikers) = hikers(seed, ["alice", "bob"], 2);
        let both: [&dyn Who; 2] = [&alice, &bob];
        bob.phone.offline();
        let asked: Vec<IntentId> = ["one", "two", "three"]
            .map(|name| bob.phone.attempt(|it| it.describe(hikers.id(), Some(name), None)).unwrap())
            .into();
        bob.phone.online();
        scenario.settle_until(|| hikers.is_agreed(&both) && bob.phone.outbox() == 0);
        for member in both {
            assert_eq!(member.installation().view(&hikers).name, "three", "seed {seed}");
        }
        for intent in asked {
            assert_eq!(told_of(&bob.phone, intent), (1, 0), "seed {seed}");
        }
    }
}
