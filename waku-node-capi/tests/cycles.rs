//! Nodes come and go, and nothing of them stays. One test, because it counts what the process has.

#![allow(unsafe_code)]

mod common;

use common::{Host, ask};
use serde_json::json;

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).expect("a Linux system").count()
}

#[test]
fn two_hundred_nodes_leave_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}/store.sqlite3", dir.path().display());
    let cycle = |n: usize| {
        let host = Host::start(&json!({ "store": n.is_multiple_of(4), "storeMessageDbUrl": url }));
        if n.is_multiple_of(2) {
            ask!(waku_stop(host.ctx)).expect("stopped");
        }
    };
    // What is made once in a process.
    (0..8).for_each(cycle);
    let (threads, descriptors) = (count("task"), count("fd"));
    (0..200).for_each(cycle);
    assert!(count("task") <= threads, "{} threads, {threads} before", count("task"));
    assert!(count("fd") <= descriptors, "{} descriptors, {descriptors} before", count("fd"));
}
