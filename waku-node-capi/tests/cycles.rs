//! Nodes come and go, and nothing of them stays. One test, because it counts what the process has.

#![allow(unsafe_code)]

mod common;

use common::{Host, ask};
use serde_json::json;

const CYCLES: usize = 1000;
/// What a thousand nodes may add to the memory of the process, in bytes. The allocator gives pages back
/// as it likes, which is some hundred kilobytes up or down; 4 KiB left behind by each node would show.
const GROWTH: usize = 4 << 20;

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).expect("a Linux system").count()
}

/// Resident memory in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a line of that");
    let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kilobytes << 10
}

#[test]
fn a_thousand_nodes_leave_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}/store.sqlite3", dir.path().display());
    let cycle = |n: usize| match n % 4 {
        // Created alone; with a configuration that is no good; started; started and stopped.
        0 => drop(Host::create(&json!({ "filter": true })).1.expect("a good configuration")),
        1 => drop(Host::create(&json!({ "clusterId": "?" })).1.expect_err("no good")),
        2 => drop(Host::start(&json!({ "store": true, "storeMessageDbUrl": url }))),
        _ => {
            let host = Host::start(&json!({ "lightpush": true }));
            ask!(waku_stop(host.ctx)).expect("stopped");
        }
    };
    // What is made once in a process, and the allocator's arenas.
    (0..100).for_each(cycle);
    let (threads, descriptors, before) = (count("task"), count("fd"), memory());
    (0..CYCLES).for_each(cycle);
    assert!(count("task") <= threads, "{} threads, {threads} before", count("task"));
    assert!(count("fd") <= descriptors, "{} descriptors, {descriptors} before", count("fd"));
    let after = memory();
    println!("{CYCLES} cycles: {before} bytes before, {after} after");
    assert!(after <= before + GROWTH, "{after} bytes, {before} before");
}
