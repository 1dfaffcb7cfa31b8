//! `recover`: all installations are lost, and only the recovery phrase is left.

#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use std::path::Path;

use common::*;
use serde_json::json;

/// Waits until the account's card is published, which is when an account that just got a short link can
/// invite it. An account that asked too early asks again only after a minute, so each try has a new one.
fn publish_the_card(directory: &Path, home: &Path, peer: &str) {
    let link = run(home, &["--json", "--offline", "contact", "link", "--no-card"]).json();
    let link = link["link"].as_str().unwrap();
    let installation = Running::start(home, &["rpc"]);
    let found = (0..30).any(|at| {
        let (friend, _) = account(directory, &format!("friend {at}"), Some(peer));
        run(&friend, &["--json", "contact", "add", "--name", "a", link]).json();
        run(&friend, &["--json", "group", "create", "Found", "a"]).code == 0
    });
    assert!(found, "the card was not published");
    installation.finish();
}

#[test]
fn the_phrase_brings_the_account_back() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (_relay, peer) = relay(directory);
    let lost = directory.join("lost");
    let made = run(&lost, &["--json", "init", "--network", "fast", "--peer", &peer]).json();
    let (account, phrase) = (made["account"].as_str().unwrap(), made["phrase"].as_str().unwrap());

    publish_the_card(directory, &lost, &peer);
    std::fs::remove_dir_all(&lost).unwrap();

    let home = directory.join("new");
    let args = ["--json", "recover", "--phrase-file", "-", "--network", "fast", "--peer", &peer];
    let wrong = run_with(&home, &args, "nobody knows these words").error();
    assert_eq!(wrong["code"], "bad_phrase");
    assert!(!home.join("chat.db").exists());

    let found = run_with(&home, &args, phrase).json();
    assert_eq!(found["account"], account);
    assert_eq!(
        (&found["recovered"], found["revoked"].as_array().unwrap().len()),
        (&json!(true), 1)
    );
    assert_eq!(found["revoked"][0], made["installation"]);
    // From now on it is an account like any other, and there is nothing left to recover.
    assert_eq!(run(&home, &["--json", "whoami"]).json()["recovering"], false);
    assert_eq!(run(&home, &["--json", "recover"]).error()["code"], "account_exists");
}

#[test]
fn where_no_store_has_the_card_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (_relay, peer) = relay(directory);
    let elsewhere = directory.join("elsewhere");
    let made = run(&elsewhere, &["--json", "init", "--network", "fast", "--peer", &peer]).json();
    let phrase = made["phrase"].as_str().unwrap();

    let home = directory.join("new");
    let args = ["--json", "recover", "--phrase-file", "-", "--network", "fast", "--peer", &peer];
    assert_eq!(run_with(&home, &args, phrase).json()["recovered"], false);
    assert_eq!(run(&home, &["--json", "whoami"]).json()["recovering"], true);
    let given_up = run(&home, &["--json", "recover", "--give-up"]).json();
    assert_eq!((&given_up["account"], &given_up["recovered"]), (&made["account"], &json!(true)));
    assert_eq!(run(&home, &["--json", "whoami"]).json()["recovering"], false);
    // There is no peer to ask.
    let args = ["--json", "recover", "--phrase-file", "-", "--network", "fast"];
    let alone = run_with(&directory.join("third"), &args, phrase).error();
    assert_eq!(alone["code"], "not_connected");
}
