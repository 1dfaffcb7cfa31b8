//! One account on several installations, by commands, over a real relay with a Store.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{Ran, Running, account, program, relay, run};
use serde_json::Value;

/// A new installation that is being linked: its home, its process, and its linking code.
struct New {
    home: PathBuf,
    process: Running,
    code: String,
}

/// Starts a new installation, or starts it again.
fn new_installation(dir: &Path, name: &str, peer: &str) -> New {
    let home = dir.join(name);
    let args = [
        "--json",
        "installations",
        "linking-code",
        "--name",
        name,
        "--network",
        "fast",
        "--peer",
        peer,
    ];
    let mut process = Running::start(&home, &args);
    let first = process.json();
    let code = first["code"].as_str().unwrap_or_default().to_owned();
    New { home, process, code }
}

impl New {
    /// Reads lines up to the one with its authentication string.
    fn string(&mut self) -> String {
        loop {
            let line = self.process.json();
            if let Some(string) = line["linking"]["string"].as_str() {
                return string.to_owned();
            }
        }
    }

    /// Waits for its end, and returns the exit code and the last line.
    fn end(self) -> (i32, Value) {
        let (code, rest) = self.process.finish();
        let last = rest.lines().last().map(|line| serde_json::from_str(line).unwrap());
        (code, last.unwrap_or_default())
    }
}

/// Starts `add` on an installation of the account, up to where it asks for the string.
fn answering(home: &Path, code: &str, more: &[&str]) -> Running {
    let args = [&["--json", "installations", "add", code], more].concat();
    let mut adding = Running::start(home, &args);
    let asks = adding.json();
    assert_eq!(asks["state"], "awaits_string", "{asks}");
    adding
}

/// Links a new installation from one of the account, and returns its home and its id.
fn link(dir: &Path, from: &Path, name: &str, peer: &str, more: &[&str]) -> (PathBuf, String) {
    let mut new = new_installation(dir, name, peer);
    let mut adding = answering(from, &new.code, more);
    let string = new.string();
    adding.write(&string);
    let (code, said) = adding.finish_open();
    assert_eq!(code, 0, "{said}");
    let home = new.home.clone();
    let (code, last) = new.end();
    assert_eq!(code, 0, "{last}");
    let last_said: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let id = last["installation"].as_str().unwrap().to_owned();
    assert_eq!(last_said["installation"]["installation"], id.as_str(), "{said}");
    assert_eq!(last_said["installation"]["name"], name);
    (home, id)
}

trait Open {
    /// Waits for the end without closing standard input first.
    fn finish_open(self) -> (i32, String);
}

impl Open for Running {
    fn finish_open(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), rest)
    }
}

fn texts(home: &Path, group: &str) -> Vec<(String, bool)> {
    let history = run(home, &["--json", "history", group]).json();
    let messages = history["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|m| (m["text"].as_str().unwrap().to_owned(), m["own"].as_bool().unwrap()))
        .collect()
}

/// Alice's phone and Bob, who are in a group and have talked.
fn alice_and_bob(dir: &Path, address: &str) -> (PathBuf, PathBuf) {
    let (phone, _) = account(dir, "phone", Some(address));
    let (bob, _) = account(dir, "bob", Some(address));
    let link = run(&bob, &["--json", "contact", "link"]).json();
    let link = link["link"].as_str().unwrap();
    run(&phone, &["--json", "contact", "add", link, "--name", "Bob"]).json();
    run(&phone, &["--json", "group", "create", "Picnic", "Bob"]).json();
    run(&bob, &["--json", "requests", "accept", "Picnic"]).json();
    run(&phone, &["--json", "send", "Picnic", "Before"]).json();
    (phone, bob)
}

/// Messages sent within one second come from a Store in the Store's order, so they are sorted.
fn sorted(mut texts: Vec<(String, bool)>) -> Vec<(String, bool)> {
    texts.sort();
    texts
}

#[test]
fn a_laptop_is_linked_talks_and_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let (node, address) = relay(dir.path());
    let (phone, bob) = alice_and_bob(dir.path(), &address);
    let (laptop, id) = link(dir.path(), &phone, "laptop", &address, &["--now"]);

    let joined = run(&laptop, &["--json", "group", "list"]).json();
    assert_eq!(joined[0]["name"], "Picnic");
    assert_eq!(run(&laptop, &["--json", "contact", "list"]).json()[0]["name"], "Bob");
    run(&bob, &["--json", "send", "Picnic", "Hello both"]).json();
    run(&laptop, &["--json", "send", "Picnic", "From the laptop"]).json();
    let said = |all: &[(&str, bool)]| -> Vec<(String, bool)> {
        sorted(all.iter().map(|(text, own)| ((*text).to_owned(), *own)).collect())
    };
    let alices = said(&[("Before", true), ("Hello both", false), ("From the laptop", true)]);
    assert_eq!(sorted(texts(&phone, "Picnic")), alices);
    // Messages from before came from the phone, and are marked so.
    assert_eq!(sorted(texts(&laptop, "Picnic")), alices);
    let history = run(&laptop, &["--json", "history", "Picnic", "--mark-read"]).json();
    assert!(history["messages"][0]["transferred_by"].is_string(), "{history}");
    assert!(history["messages"][1]["transferred_by"].is_null(), "{history}");
    let bobs = said(&[("Before", false), ("Hello both", true), ("From the laptop", false)]);
    assert_eq!(sorted(texts(&bob, "Picnic")), bobs);

    let list = run(&phone, &["--json", "installations", "list"]).json();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!((&list[0]["own"], &list[1]["name"]), (&true.into(), &"laptop".into()));
    assert_eq!(list[1]["groups"], 1);
    assert_eq!(list[1]["may_revoke"], true);
    let shown = run(&laptop, &["installations", "list"]).out;
    assert!(shown.contains("laptop  (this one)") && shown.contains("in 1 of 1 groups"), "{shown}");
    run(&phone, &["--json", "installations", "name", "laptop", "Old laptop"]).json();

    // A junior installation cannot revoke a senior one, and nothing is revoked without a yes.
    let own = list[0]["installation"].as_str().unwrap();
    let senior = run(&laptop, &["--json", "installations", "revoke", own, "--yes"]);
    assert_eq!((senior.code, senior.error()["code"].as_str()), (1, Some("not_senior")));
    let unasked = run(&phone, &["--json", "installations", "revoke", &id]);
    assert_eq!((unasked.code, unasked.error()["code"].as_str()), (2, Some("usage")));

    let revoke = ["--json", "installations", "revoke", "Old laptop", "--yes", "--now"];
    let revoked = run(&phone, &revoke);
    assert_eq!(revoked.code, 0, "{}", revoked.err);
    let last: Value = serde_json::from_str(revoked.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["done"], &last["revoked"][0]["groups"]), (&true.into(), &0.into()));
    let status = run(&phone, &["--json", "installations", "status"]).json();
    assert_eq!((&status[0]["done"], &status[0]["name"]), (&true.into(), &"Picnic".into()));
    run(&phone, &["--json", "send", "Picnic", "Without it"]).json();
    let refused = run(&laptop, &["--json", "send", "Picnic", "Still me"]);
    assert!(
        ["revoked", "not_member"].contains(&refused.error()["code"].as_str().unwrap()),
        "{}",
        refused.err
    );
    assert!(!texts(&laptop, "Picnic").iter().any(|(text, _)| text == "Without it"));
    assert!(!texts(&bob, "Picnic").iter().any(|(text, _)| text == "Still me"));
    assert!(texts(&bob, "Picnic").iter().any(|(text, _)| text == "Without it"));
    assert_eq!(node.finish().0, 0);
}

#[test]
fn failures_are_reported_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let (node, address) = relay(dir.path());
    let (phone, _) = account(dir.path(), "phone", Some(&address));
    let add = |code: &str, more: &[&str]| -> Ran {
        run(&phone, &[&["--json", "installations", "add", code], more].concat())
    };
    let error = |ran: Ran, exit: i32| {
        assert_eq!(ran.code, exit, "{}", ran.err);
        ran.error()["code"].as_str().unwrap().to_owned()
    };

    let mut new = new_installation(dir.path(), "tablet", &address);
    let mut mistyped = new.code.clone();
    let last = if mistyped.pop() == Some('A') { 'B' } else { 'A' };
    mistyped.push(last);
    assert_eq!(error(add(&mistyped, &[]), 1), "linking_code_mistyped");
    assert_eq!(error(add("hello", &[]), 1), "bad_linking_code");
    // A mistyped string costs nothing; a wrong one ends the linking.
    let mut adding = answering(&phone, &new.code, &[]);
    let string = new.string();
    adding.write("12345");
    assert!(adding.json()["mistyped"].is_string());
    // Nine zeros are a valid string, and very probably not this one.
    assert!(string.chars().any(|digit| digit.is_ascii_digit() && digit != '0'));
    adding.write("000000000");
    assert_eq!(adding.finish_open().0, 9);
    assert_eq!(new.end().0, 9);
    // The home can be used again, with another linking code.
    let used = {
        let mut again = new_installation(dir.path(), "tablet", &address);
        assert!(!again.code.is_empty());
        let mut adding = answering(&phone, &again.code, &["--no-history"]);
        again.string();
        adding.write("no");
        assert_eq!(adding.finish_open().0, 9);
        let code = again.code.clone();
        assert_eq!(again.end().0, 9);
        code
    };
    assert_eq!(error(add(&used, &[]), 1), "linking_code_used");
    // While it waits, the home has no account. A home with an account cannot be linked.
    let waiting = new_installation(dir.path(), "watch", &address);
    let home = waiting.home.clone();
    drop(waiting);
    assert_eq!(error(run(&home, &["--json", "whoami"]), 6), "linking");
    assert_eq!(
        error(run(&phone, &["--json", "installations", "linking-code"]), 6),
        "account_exists"
    );
    let offline = program(&home)
        .args(["--json", "--offline", "installations", "linking-code"])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(error(offline.into(), 2), "usage");
    assert_eq!(node.finish().0, 0);
}

/// Killed at once, as if the power had failed.
fn kill(mut process: Running) {
    process.child.kill().unwrap();
    process.child.wait().unwrap();
}

#[test]
fn linking_continues_after_a_kill_on_either_side() {
    let dir = tempfile::tempdir().unwrap();
    let (node, address) = relay(dir.path());
    let (phone, _) = alice_and_bob(dir.path(), &address);

    // Killed while the code waits, while the string is asked for, and after it was typed.
    let new = new_installation(dir.path(), "tablet", &address);
    let code = new.code.clone();
    kill(new.process);
    let mut new = new_installation(dir.path(), "tablet", &address);
    assert_eq!(new.code, code);
    let adding = answering(&phone, &code, &[]);
    let string = new.string();
    kill(new.process);
    kill(adding);
    let mut adding = answering(&phone, &code, &["--authentication-string", &string, "--now"]);
    let granted = adding.json();
    assert_eq!(granted["state"], "granted", "{granted}");
    kill(adding);
    let home = dir.path().join("tablet");
    let new = Running::start(&home, &["--json", "installations", "linking-code"]);
    let adding = Running::start(&phone, &["--json", "installations", "add", &code, "--now"]);
    let (exit, said) = adding.finish_open();
    assert_eq!(exit, 0, "{said}");
    let (exit, said) = new.finish_open();
    assert_eq!(exit, 0, "{said}");
    assert_eq!(texts(&home, "Picnic"), [("Before".to_owned(), true)]);
    // Running it once more does no harm.
    assert_eq!(run(&home, &["--json", "installations", "linking-code"]).code, 0);
    assert_eq!(node.finish().0, 0);
}

#[test]
fn a_lost_phone_is_revoked_with_the_phrase() {
    let dir = tempfile::tempdir().unwrap();
    let (node, address) = relay(dir.path());
    let phone = dir.path().join("phone");
    let made = run(&phone, &["--json", "init", "--network", "fast", "--peer", &address]).json();
    run(&phone, &["--json", "group", "create", "Notes"]).json();
    let (laptop, _) = link(dir.path(), &phone, "laptop", &address, &["--now", "--no-history"]);
    let end = made["installation"].as_str().unwrap();
    let end = &end[end.len() - 8..];

    let words = dir.path().join("phrase");
    let file = words.to_str().unwrap();
    let revoke = |text: &str| -> Ran {
        std::fs::write(&words, text).unwrap();
        let args = ["revoke", end, "--phrase-file", file, "--yes", "--now"];
        run(&laptop, &[&["--json", "installations"][..], &args].concat())
    };
    let none = revoke("correct horse battery staple");
    assert_eq!((none.code, none.error()["code"].as_str()), (2, Some("bad_phrase")));
    assert!(!none.err.contains("staple"), "{}", none.err);
    let other = run(&dir.path().join("other"), &["--json", "init", "--network", "fast"]).json();
    let wrong = revoke(other["phrase"].as_str().unwrap());
    assert_eq!((wrong.code, wrong.error()["code"].as_str()), (1, Some("wrong_phrase")));
    let right = revoke(&format!("{}\n", made["phrase"].as_str().unwrap()));
    assert_eq!(right.code, 0, "{}", right.err);
    let list = run(&laptop, &["installations", "list"]).out;
    assert!(list.contains("REVOKED") && list.contains("by the recovery phrase"), "{list}");
    let refused = run(&phone, &["--json", "send", "Notes", "Still me"]);
    assert!(
        ["revoked", "not_member"].contains(&refused.error()["code"].as_str().unwrap()),
        "{}",
        refused.err
    );
    assert_eq!(node.finish().0, 0);
}
