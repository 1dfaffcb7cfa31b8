//! Two people meet and chat, with one command at a time, over a real relay.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Running, account, libwaku, relay, run};

#[test]
fn two_people_meet_and_talk() {
    meet_and_talk(&[]);
}

#[test]
fn two_people_on_different_nodes_meet_and_talk() {
    let Some(library) = libwaku() else { return };
    meet_and_talk(&["--node", "libwaku", "--libwaku", &library]);
}

/// Two people meet and chat. Alice's `init` has the options `alices` in addition.
fn meet_and_talk(alices: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let (node, address) = relay(dir.path());
    let alice = dir.path().join("alice");
    let init = ["init", "--network", "fast", "--peer", &address];
    assert_eq!(run(&alice, &[&init, alices].concat()).code, 0);
    let (bob, bob_id) = account(dir.path(), "bob", Some(&address));

    let link = run(&bob, &["--json", "contact", "link"]).json();
    let link = link["link"].as_str().unwrap();
    let added = run(&alice, &["--json", "contact", "add", link, "--name", "Bob"]).json();
    assert_eq!(added["account"], bob_id.as_str());

    let created = run(&alice, &["--json", "group", "create", "Picnic", "Bob"]).json();
    let group = created["group"]["id"].as_str().unwrap().to_owned();
    let requests = run(&bob, &["--json", "requests", "list"]).json();
    assert_eq!(requests[0]["group_name"], "Picnic");
    let joined = run(&bob, &["--json", "requests", "accept", "Picnic"]).json();
    assert_eq!(joined["group"]["id"], group.as_str());

    // By name, by the end of the id, and with words that need no quotes.
    let end = &group[group.len() - 8..];
    assert_eq!(
        run(&alice, &["--json", "send", "Picnic", "Who", "comes?"]).json()["published"],
        true
    );
    assert_eq!(run(&bob, &["--json", "send", end, "I do"]).json()["published"], true);
    assert_eq!(run(&alice, &["group", "rename", "Picnic", "Big picnic"]).code, 0);

    let history = run(&bob, &["--json", "history", "Big picnic"]).json();
    let texts: Vec<_> =
        history["messages"].as_array().unwrap().iter().map(|m| &m["text"]).collect();
    assert_eq!(texts, ["Who comes?", "I do"]);
    assert_eq!(history["missing"].as_array().unwrap().len(), 0);
    let shown = run(&alice, &["history", "Big picnic"]);
    assert!(shown.out.contains("you: Who comes?") && shown.out.contains("Bob: I do"));

    // A conversation, and events that are shown once.
    let mut chat = Running::start(&bob, &["--quiet", "chat", "Big picnic"]);
    chat.until(|line| line.contains("I do"));
    chat.write("/members");
    chat.until(|line| line.contains("you"));
    chat.write("See you there");
    chat.write("/nonsense");
    chat.until(|line| line.contains("no such command"));
    chat.write("/quit");
    assert_eq!(chat.finish().0, 0);
    let history = run(&alice, &["--json", "history", &group, "-n", "1"]).json();
    assert_eq!(history["messages"][0]["text"], "See you there");
    let heard = Running::start(&alice, &["--json", "listen", "--count", "1"]).json();
    let cursor = heard["cursor"].as_u64().unwrap();
    assert!(heard["event"]["type"].is_string());
    let next = run(&alice, &["--json", "listen", "--count", "1", "--keep"]).json();
    assert!(next["cursor"].as_u64().unwrap() >= cursor);

    // The last admin makes the other one an admin, and leaves.
    assert_eq!(run(&alice, &["group", "promote", &group, "Bob"]).code, 0);
    let members = run(&bob, &["--json", "group", "members", &group]).json();
    assert!(members.as_array().unwrap().iter().all(|member| member["admin"].is_u64()));
    assert_eq!(run(&alice, &["--json", "group", "leave", &group]).code, 0);
    assert_eq!(node.finish().0, 0);
}

#[test]
fn a_short_link_is_enough_where_there_is_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let (node, address) = relay(dir.path());
    let (alice, _) = account(dir.path(), "alice", Some(&address));
    let (bob, bob_id) = account(dir.path(), "bob", Some(&address));
    let link = run(&bob, &["--json", "contact", "link", "--no-card"]).json();
    let link = link["link"].as_str().unwrap();
    assert!(link.len() < 200);
    let added = run(&alice, &["--json", "contact", "add", link, "--name", "Bob"]).json();
    assert_eq!(added["account"], bob_id.as_str());
    assert_eq!(added["pending"], true);

    // Bob's installation runs, and publishes its card within a slot.
    let running = Running::start(&bob, &["rpc"]);
    let mut tries = 0;
    let created = loop {
        let created = run(&alice, &["--json", "group", "create", "Picnic", "Bob"]);
        if created.code == 0 {
            break created.json();
        }
        tries += 1;
        assert!(tries < 60, "{}", created.err);
    };
    assert_eq!(created["group"]["accounts"], 2);
    let contacts = run(&alice, &["--json", "contact", "list"]).json();
    assert_eq!(contacts[0]["pending"], false);
    assert_eq!(running.finish().0, 0);
    assert_eq!(run(&bob, &["--json", "requests", "list"]).json()[0]["group_name"], "Picnic");
    assert_eq!(node.finish().0, 0);
}
