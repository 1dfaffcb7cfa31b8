//! Commands of one go against a relay that reads slowly, that stands still, or while they are being
//! stopped: whatever is answered as published is in the Store, and nothing is lost.
//!
//! `WAKU_CHAT_COMMANDS` sets how many commands there are for each kind of trouble.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[path = "../../waku-node/tests/common/proxy.rs"]
mod proxy;

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Ran, Running, account, program, relay, run};
use proxy::{Pace, Proxy};
use serde_json::Value;

/// Commands for each kind of trouble: as many as a test run bears.
fn commands() -> u64 {
    let wanted = std::env::var("WAKU_CHAT_COMMANDS").ok();
    wanted.map_or(6, |wanted| wanted.parse().unwrap())
}

/// Processes that only take time, so that all others get it late.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let busy = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..6).map(|_| busy()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn signal(process: u32, signal: &str) {
    // The process may have ended.
    let _ =
        Command::new("kill").args([signal, &process.to_string()]).stderr(Stdio::null()).status();
}

/// A relay with a Store; Alice, who reaches it through a proxy; and Bob, who reaches it directly.
struct Scene {
    relay: Running,
    proxy: Proxy,
    alice: PathBuf,
    bob: PathBuf,
    /// What was answered as published: texts, and names of groups.
    published: BTreeSet<String>,
    /// Everything that was stored at Alice's.
    stored: BTreeSet<String>,
    runtime: tokio::runtime::Runtime,
}

const TIMEOUT: [&str; 2] = ["--timeout", "60"];

impl Scene {
    fn new(directory: &Path) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (relay, address) = relay(directory);
        let parts: Vec<_> = address.split('/').collect();
        let port = parts[4].parse().unwrap();
        let proxy = runtime.block_on(Proxy::to(port));
        let through = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", proxy.port(), parts[6]);
        let (alice, _) = account(directory, "alice", Some(&through));
        let (bob, _) = account(directory, "bob", Some(&address));
        for (of, to, name) in [(&alice, &bob, "Alice"), (&bob, &alice, "Bob")] {
            let link = run(of, &["--json", "contact", "link"]).json();
            let link = link["link"].as_str().unwrap();
            assert_eq!(run(to, &["contact", "add", link, "--name", name]).code, 0);
        }
        let (published, stored) = (BTreeSet::new(), BTreeSet::new());
        Self { relay, proxy, alice, bob, published, stored, runtime }
    }

    /// Starts a command of Alice's.
    fn start(&self, args: &[&str]) -> Child {
        let mut command = program(&self.alice);
        command.arg("--json").args(TIMEOUT).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Takes note of what a command answered.
    fn ended(&mut self, child: Child, what: &str) -> Ran {
        let ran = Ran::from(child.wait_with_output().unwrap());
        if ran.code == 0 {
            let answer: Value = serde_json::from_str(&ran.out).unwrap();
            self.stored.insert(what.to_owned());
            if answer["published"] == true {
                self.published.insert(what.to_owned());
            }
        }
        ran
    }

    fn command(&mut self, args: &[&str], what: &str) -> Ran {
        let child = self.start(args);
        self.ended(child, what)
    }

    /// A group with Bob in it, made before the trouble begins.
    fn first_group(&mut self) {
        let made = self.command(&["group", "create", "first", "Bob"], "first");
        assert_eq!(made.code, 0, "{}", made.err);
        assert!(self.published.contains("first"), "an idle network: {}", made.out);
    }

    /// Checks what Bob finds in the Store, which is all that he has.
    fn bob_has(&self, what: &BTreeSet<String>) {
        let mut has = BTreeSet::new();
        // An invitation takes a second look: the first finds the doorbell.
        for _ in 0..10 {
            has = self.what_bob_has();
            if what.is_subset(&has) {
                return;
            }
        }
        let lacks: Vec<_> = what.difference(&has).collect();
        panic!("Bob lacks {lacks:?} of {}", what.len());
    }

    fn what_bob_has(&self) -> BTreeSet<String> {
        let groups = run(&self.bob, &["--json", "--timeout", "60", "group", "list"]).json();
        let groups = groups.as_array().unwrap();
        let names = groups.iter().map(|group| group["name"].as_str().unwrap().to_owned());
        let mut has: BTreeSet<_> = names.collect();
        if has.contains("first") {
            let read = run(&self.bob, &["--json", "--offline", "history", "first", "-n", "1000"]);
            let texts = read.json();
            let texts = texts["messages"].as_array().unwrap();
            has.extend(texts.iter().filter_map(|it| it["text"].as_str().map(str::to_owned)));
        }
        has
    }

    /// After the trouble: further commands see to what is not confirmed, until Bob has all.
    fn nothing_is_lost(&mut self) {
        self.proxy.set(Pace::Free);
        for n in 0..20 {
            let name = format!("after {n}");
            self.command(&["send", "first", &name], &name);
            if self.stored.is_subset(&self.what_bob_has()) {
                return;
            }
        }
        self.bob_has(&self.stored.clone());
    }
}

/// Runs commands with a kind of trouble around each.
fn with_trouble(trouble: impl Fn(&Scene, &Child, u64)) {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(dir.path());
    scene.first_group();
    let load = Load::start();
    for n in 0..commands() {
        let name = format!("item {n}");
        let args = match n % 3 {
            0 => vec!["group", "create", &name, "Bob"],
            _ => vec!["send", "first", &name],
        };
        let child = scene.start(&args);
        trouble(&scene, &child, n);
        scene.ended(child, &name);
    }
    drop(load);
    println!("{} of {} published", scene.published.len(), scene.stored.len());
    // First what was answered, before any further command could mend it.
    scene.bob_has(&scene.published.clone());
    scene.nothing_is_lost();
}

/// A number that is different for each command, to spread the moments of trouble: milliseconds.
fn moment(n: u64, most: u64) -> Duration {
    Duration::from_millis((n * 617 + 13) % most)
}

#[test]
fn a_relay_that_reads_slowly_has_what_is_published() {
    with_trouble(|scene, _, n| {
        let pace = if n % 2 == 0 { Pace::Bytes(4000) } else { Pace::Bytes(900) };
        scene.proxy.set(pace);
    });
}

/// Until the trouble is over the relay takes nothing: two seconds from the first bytes on.
#[test]
fn a_relay_that_reads_late_has_what_is_published() {
    with_trouble(|scene, _, n| {
        scene.proxy.set(Pace::Free);
        let mut came = scene.proxy.came();
        came.mark_unchanged();
        scene.runtime.block_on(async {
            let _ = tokio::time::timeout(Duration::from_secs(60), came.changed()).await;
            tokio::time::sleep(moment(n, 300)).await;
            scene.proxy.set(Pace::Nothing);
            tokio::time::sleep(Duration::from_secs(2)).await;
            scene.proxy.set(Pace::Free);
        });
    });
}

#[test]
fn a_relay_that_is_stopped_for_two_seconds_has_what_is_published() {
    with_trouble(|scene, _, n| {
        std::thread::sleep(moment(n, 700));
        signal(scene.relay.child.id(), "-STOP");
        std::thread::sleep(Duration::from_secs(2));
        signal(scene.relay.child.id(), "-CONT");
    });
}

#[test]
fn a_command_that_is_terminated_is_lost_or_answered_and_never_both() {
    let terminated = AtomicBool::new(false);
    with_trouble(|_, child, n| {
        std::thread::sleep(moment(n, 3000));
        signal(child.id(), "-TERM");
        terminated.store(true, Ordering::SeqCst);
    });
    assert!(terminated.into_inner());
}

/// On an idle network, with the figures for whoever asks for them.
#[test]
fn a_command_on_an_idle_network_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(dir.path());
    scene.first_group();
    let mut times: Vec<_> = (0..commands())
        .map(|n| {
            let begun = std::time::Instant::now();
            let name = format!("item {n}");
            let sent = scene.command(&["send", "first", &name], &name);
            assert_eq!(sent.json()["state"], "published", "{}", sent.err);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("median {:?}, slowest {:?}", times[times.len() / 2], times[times.len() - 1]);
    scene.bob_has(&scene.published.clone());
}
