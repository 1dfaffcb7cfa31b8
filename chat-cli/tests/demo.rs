//! The demo: it must succeed, and leave no process behind, however it ends.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Running, libwaku, run};
use serde_json::{Value, json};

/// Checks the summary of a demo that was kept in `keep`.
#[track_caller]
fn assert_good(summary: &Value, keep: &Path) {
    assert_eq!(summary["ok"], true, "{summary:#}");
    let checks = summary["checks"].as_array().unwrap();
    assert!(checks.len() == 12 && checks.iter().all(|check| check["ok"] == true), "{summary:#}");
    let members = summary["members"].as_array().unwrap();
    let of = |name: &str| members.iter().find(|member| member["name"] == name).unwrap();
    assert_eq!(of("Alice")["epoch_id"], of("Carol")["epoch_id"]);
    assert_ne!(of("Alice")["epoch_id"], of("Bob")["epoch_id"]);
    assert_eq!(of("Bob")["membership"], "removed");
    assert!(of("Bob")["messages"].as_u64() < of("Carol")["messages"].as_u64());
    // One Waku message for each message and each commit, and two for the one invitation.
    let count = |value: &Value| value.as_u64().unwrap();
    let group = count(&summary["messages"]) + count(&summary["commits"]);
    // Accounts publish their daily cards at their scheduled times.
    let cards = count(&summary["waku"]["cards"]);
    assert!(cards <= 3);
    assert_eq!(count(&summary["waku"]["messages"]), group + 2 + cards);
    for log in ["relay.log", "alice.log", "bob.log", "carol.log"] {
        assert!(keep.join(log).exists(), "{log}");
    }
}

#[test]
fn the_demo_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let keep = dir.path().join("kept");
    let summary = run(dir.path(), &["--json", "demo", "--keep", keep.to_str().unwrap()]).json();
    assert_good(&summary, &keep);
    assert_eq!(summary["nodes"], json!({"kind": "embedded"}));
    assert!(summary["seconds"].as_f64().unwrap() < 120.0);
    let again = run(dir.path(), &["demo", "--keep", keep.to_str().unwrap()]);
    assert_eq!(again.code, 2);
}

#[test]
fn the_demo_succeeds_on_libwaku() {
    let Some(library) = libwaku() else { return };
    let library = library.as_str();
    let dir = tempfile::tempdir().unwrap();
    let keep = dir.path().join("kept");
    let kept = keep.to_str().unwrap();
    let args = ["--json", "demo", "--node", "libwaku", "--libwaku", library, "--keep", kept];
    let summary = run(dir.path(), &args).json();
    assert_good(&summary, &keep);
    assert_eq!(summary["nodes"], json!({"kind": "libwaku", "library": library}));
    // All four say that their node is one of that library.
    for name in ["relay", "alice", "bob", "carol"] {
        let log = std::fs::read_to_string(keep.join(format!("{name}.log"))).unwrap();
        assert!(log.contains("starting a libwaku node") && log.contains(library), "{name}: {log}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_that_is_killed_leaves_no_process_behind() {
    assert_nothing_is_left(&["demo"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_on_libwaku_that_is_killed_leaves_no_process_behind() {
    let Some(library) = libwaku() else { return };
    assert_nothing_is_left(&["demo", "--libwaku", &library]);
}

/// Kills a demo once its processes run, and waits for their end.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_nothing_is_left(args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Running::start(dir.path(), args);
    let mut pids = Vec::new();
    while pids.len() < 4 {
        let line = demo.line();
        if let Some((_, rest)) = line.split_once("(process ") {
            pids.push(rest.split(')').next().unwrap().parse::<u32>().unwrap());
        }
    }
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    // Their standard inputs are closed now, which ends them. The end of processes that are not
    // children of this one is no event, so it is polled for, with a limit.
    let alive = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains("waku-chat"))
    };
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while pids.iter().any(alive) {
        assert!(std::time::Instant::now() < limit, "still there: {pids:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
