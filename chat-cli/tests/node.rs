//! The node as its operators run it: configuration, health, metrics, mistakes, and its end.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Running, program, run};
use serde_json::Value;
use waku_node::{
    Multiaddr, Node, NodeConfig, NodeEvent, PeerId, StoreQuery, WakuMessage, pubsub_topic,
};

/// Longer than anything here takes, so that a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
const CLUSTER: u32 = 66;

/// Asks the endpoint; gives status, head and body.
fn ask(address: &str, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn health(address: &str) -> (u16, Value) {
    let (status, head, body) = ask(address, "GET", "/health");
    assert!(head.contains("content-type: application/json"), "{head}");
    (status, serde_json::from_str(&body).unwrap())
}

/// The parts of which `/health` has something to tell.
fn problems(report: &Value) -> Vec<&str> {
    report["problems"].as_array().unwrap().iter().map(|p| p["part"].as_str().unwrap()).collect()
}

/// A running node and its addresses.
struct Served {
    process: Running,
    peer: Multiaddr,
    id: PeerId,
    metrics: String,
}

impl Running {
    /// Runs another command than the plain program.
    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// Sends a signal and waits for the end; gives the exit code.
    fn finish_by(mut self, signal: &str) -> i32 {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Served {
    fn start(directory: &Path, more: &[&str]) -> Self {
        let mut args = vec!["--json", "node", "--cluster", "66", "--shard", "0"];
        args.extend(["--listen", "/ip4/127.0.0.1/tcp/0", "--metrics", "127.0.0.1:0"]);
        args.extend(more);
        Self::of(Running::start(directory, &args))
    }

    fn of(mut process: Running) -> Self {
        let told = process.json();
        Self {
            process,
            peer: told["listening"][0].as_str().unwrap().parse().unwrap(),
            id: told["peer_id"].as_str().unwrap().parse().unwrap(),
            metrics: told["metrics"].as_str().unwrap().to_owned(),
        }
    }

    /// Waits until a sample of the metrics has at least a value.
    async fn reaches(&self, sample: &str, value: f64) {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let (status, _, body) = ask(&self.metrics, "GET", "/metrics");
                assert_eq!(status, 200);
                if samples(&body).iter().any(|(name, v)| name == sample && *v >= value) {
                    return;
                }
                // Another process has no events to wait for.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{sample} does not reach {value}"));
    }

    fn signal(&self, name: &str) {
        let process = self.process.child.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    }
}

/// Reads the text format of Prometheus, strictly.
fn samples(text: &str) -> Vec<(String, f64)> {
    assert!(text.ends_with('\n'));
    let mut described = ("", "");
    let mut families = std::collections::HashSet::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(families.insert(name) && !help.is_empty(), "{line}");
            described = (name, "");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, described.0, "TYPE follows HELP");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            described.1 = kind;
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            assert_eq!(name, described.0, "samples follow their family");
            assert!(!described.1.is_empty());
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
            assert!(labels == "}" || labels.ends_with("\"}"), "{line}");
            found.push((sample.to_owned(), value.parse().unwrap()));
        }
    }
    found
}

async fn peer() -> Node {
    let config = NodeConfig { cluster_id: CLUSTER, shards: vec![0], ..NodeConfig::default() };
    Node::start(config).await.unwrap()
}

/// Connects, and waits until both relay to each other.
async fn join(node: &Node, served: &Served) {
    let mut events = node.events();
    node.connect(served.peer.clone()).await.unwrap();
    tokio::time::timeout(PATIENCE, async {
        while !matches!(events.recv().await.unwrap(), NodeEvent::MeshChanged { mesh_peers: 1, .. })
        {
        }
    })
    .await
    .unwrap();
}

fn message(n: usize, size: usize) -> WakuMessage {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let mut payload = vec![7; size];
    payload.extend(n.to_be_bytes());
    WakuMessage {
        payload: payload.into(),
        content_topic: "/operator/1/a/proto".into(),
        timestamp: Some(i64::try_from(now).unwrap()),
        ..WakuMessage::default()
    }
}

#[test]
fn a_file_and_the_command_line_make_one_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    let text = "# a node for others\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nnetwork = \"fast\"\n\
                store = \"here.sqlite3\"\nretention = \"12h\"\nfilter = true\nmax-per-ip = 8\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let print = |args: &[&str]| {
        let ran = run(dir.path(), args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    let line = ["node", "--config", file, "--print-config", "--filter=false", "--retention", "3d"];
    let printed = print(&line);
    let table: toml::Table = printed.parse().unwrap();
    assert_eq!(table["filter"].as_bool(), Some(false), "the command line goes before the file");
    assert_eq!(table["retention"].as_str(), Some("3d"));
    assert_eq!(table["store"].as_str(), Some("here.sqlite3"), "the file goes before defaults");
    assert_eq!(table["max-per-ip"].as_integer(), Some(8));
    assert_eq!(table["store-size"].as_str(), Some("512MiB"), "defaults are told too");
    assert!(!dir.path().join("here.sqlite3").exists(), "printing touches nothing");

    let again = dir.path().join("again.toml");
    std::fs::write(&again, &printed).unwrap();
    let again = again.to_str().unwrap();
    assert_eq!(print(&["node", "--config", again, "--print-config"]), printed);
    // With --json as JSON.
    let json: Value =
        serde_json::from_str(&print(&["--json", "node", "--config", again, "--print-config"]))
            .unwrap();
    assert_eq!(json["store-size"], "512MiB");

    // What is in the example is what the program reads.
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operators/node.toml");
    let table: toml::Table =
        print(&["node", "--config", example, "--print-config"]).parse().unwrap();
    let given: toml::Table = std::fs::read_to_string(example).unwrap().parse().unwrap();
    assert!(given.len() > 5 && given.iter().all(|(key, value)| table[key] == *value));
}

#[test]
fn mistakes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let fails = |args: &[&str], code: i32, name: &str, words: &[&str]| {
        let all: Vec<&str> = ["--json", "node"].into_iter().chain(args.iter().copied()).collect();
        let ran = run(dir.path(), &all);
        let error = ran.error();
        let text = error["message"].as_str().unwrap();
        assert_eq!((ran.code, error["code"].as_str().unwrap()), (code, name), "{args:?}: {text}");
        for words in words {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(ran.out, "");
    };
    let file = path("node.toml");
    for (text, words) in [
        ("listen = [\n  \"/ip4/127.0.0.1/tcp/0\"\nrelay = true\n", ["node.toml", "line 3"]),
        ("relay = true\n\nno-such-key = 1\n", ["line 3", "no-such-key"]),
        ("relay = true\nrelay = false\n", ["line 2", "duplicate key"]),
        ("store-size = \"much\"\n", ["line 1", "512MiB"]),
        ("retention = \"2mo\"\n", ["line 1", "12h"]),
        ("# here\nlisten = [\"nowhere\"]\n", ["line 2", "listen"]),
        ("metrics = \"9060\"\n", ["line 1", "socket address"]),
        ("log-format = \"xml\"\n", ["line 1", "json"]),
        ("shards = [-1]\n", ["line 1", "-1"]),
        ("relay = \"yes\"\n", ["line 1", "boolean"]),
    ] {
        std::fs::write(&file, text).unwrap();
        fails(&["--config", &file], 2, "config", &words);
    }
    std::fs::write(&file, format!("# {}\n", "x".repeat(300_000))).unwrap();
    fails(&["--config", &file], 2, "config", &["larger than"]);
    std::fs::write(&file, b"relay = \xff\n").unwrap();
    fails(&["--config", &file], 1, "file", &["node.toml"]);
    fails(&["--config", &path("none.toml")], 1, "file", &["none.toml"]);
    let free = |more: &[&str], code: i32, name: &str, words: &[&str]| {
        let args: Vec<&str> =
            ["--listen", "/ip4/127.0.0.1/tcp/0"].iter().chain(more).copied().collect();
        fails(&args, code, name, words);
    };
    free(&["--announce", "/ip4/0.0.0.0/tcp/1"], 2, "usage", &["no host"]);
    free(&["--shard", "5000"], 2, "usage", &["1024"]);
    free(&["--log-level", "a=b=c"], 2, "usage", &["log-level"]);
    let store = path("small.sqlite3");
    free(&["--store", &store, "--store-size", "1kB"], 2, "usage", &["512 KiB"]);

    // The node's key: no file but a directory, one that holds something else, no directory for it.
    std::fs::create_dir(path("directory")).unwrap();
    std::fs::write(path("key"), "0123456789abcdef").unwrap();
    for key in [path("directory"), path("key"), path("none/key")] {
        free(&["--key", &key], 8, "node_key", &["key file", &key]);
    }
    std::fs::write(path("zero"), "0".repeat(64)).unwrap();
    free(&["--key", &path("zero")], 8, "node_key", &["secp256k1"]);
    let shown = run(dir.path(), &["node", "--key", &path("key")]);
    assert!(!shown.err.contains("0123456789"), "what is in the file is not told: {}", shown.err);

    // The Store: the same, and one that another node uses.
    std::fs::write(path("text"), "this is no database".repeat(100)).unwrap();
    for store in [path("directory"), path("text"), path("none/store")] {
        free(&["--store", &store], 8, "node_store", &["the Store", &store]);
    }
    assert_eq!(
        std::fs::read(path("text")).unwrap(),
        "this is no database".repeat(100).into_bytes()
    );
    let store = path("store.sqlite3");
    let first = Served::start(dir.path(), &["--store", &store]);
    free(&["--store", &store], 8, "node_store", &["locked"]);

    // Ports.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = TcpListener::bind(taken).unwrap();
    fails(&["--listen", &format!("/ip4/127.0.0.1/tcp/{}", taken.port())], 1, "node", &["listen"]);
    free(&["--metrics", &taken.to_string()], 1, "node_metrics", &[&taken.to_string()]);
    free(&["--metrics", &first.metrics], 1, "node_metrics", &[]);
    drop(held);
    for usage in
        [&["--store", ""][..], &["--metrics", "here"], &["--relay=perhaps"], &["--peer", "x"]]
    {
        let all: Vec<&str> = ["node"].iter().chain(usage).copied().collect();
        assert_eq!(run(dir.path(), &all).code, 2, "{usage:?}");
    }
}

#[tokio::test]
async fn health_and_metrics_tell_of_a_peer_and_of_messages() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    let store = dir.path().join("store.sqlite3");
    let text = format!("store = {:?}\nhealth-peers = 1\nfilter = true\n", store.to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    let served = Served::start(dir.path(), &["--config", file.to_str().unwrap()]);
    let (status, report) = health(&served.metrics);
    assert_eq!((status, problems(&report)), (503, vec!["peers"]), "{report}");
    assert_eq!(report["healthy"], false);
    assert!(report["problems"][0]["reason"].as_str().unwrap().contains("1 are needed"));

    let node = peer().await;
    join(&node, &served).await;
    for n in 0..20 {
        node.publish(&pubsub_topic(CLUSTER, 0), message(n, 100)).await.unwrap();
    }
    served.reaches("waku_node_archive_messages", 20.0).await;
    served.reaches("waku_node_relay_received_total", 20.0).await;
    served.reaches("waku_node_mesh_peers{pubsub_topic=\"/waku/2/rs/66/0\"}", 1.0).await;
    let (_, head, body) = ask(&served.metrics, "GET", "/metrics");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(samples(&body).contains(&("waku_node_connected_peers".to_owned(), 1.0)));
    assert!(!body.contains(&node.peer_id().to_string()), "no peer is named");

    let (status, report) = health(&served.metrics);
    assert_eq!((status, report["healthy"].as_bool()), (200, Some(true)), "{report}");
    assert_eq!(report["peers"]["connected"], 1);
    assert_eq!(report["topics"][0]["mesh_peers"], 1);
    assert_eq!(
        (report["store"]["writable"].as_bool(), &report["store"]["messages"]),
        (Some(true), &20.into())
    );
    assert_eq!(report["listening"][0].as_str(), Some(served.peer.to_string().as_str()));
    assert_eq!(report["peer_id"].as_str(), Some(served.id.to_string().as_str()));

    for (method, path) in [
        ("GET", "/"),
        ("GET", "/metrics/"),
        ("GET", "/health/../metrics"),
        ("POST", "/metrics"),
        ("PUT", "/health"),
    ] {
        assert_eq!(ask(&served.metrics, method, path).0, 404, "{method} {path}");
    }
    let (status, _, body) = ask(&served.metrics, "HEAD", "/health?full");
    assert_eq!((status, body.as_str()), (200, ""));
    assert_eq!(served.process.finish_by("-TERM"), 0);
    node.shutdown().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    // Files of this process may not grow beyond 100 KiB, as if the disk were full.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_waku-chat"))
        .args(["--json", "node", "--cluster", "66", "--shard", "0", "--listen"])
        .args(["/ip4/127.0.0.1/tcp/0", "--metrics", "127.0.0.1:0", "--store"])
        .arg(dir.path().join("store.sqlite3"))
        .env_remove("RUST_LOG");
    let served = Served::of(Running::of(command));
    assert_eq!(health(&served.metrics).0, 200);
    let node = peer().await;
    join(&node, &served).await;
    for n in 0..300 {
        node.publish(&pubsub_topic(CLUSTER, 0), message(n, 1000)).await.unwrap();
    }
    served.reaches("waku_node_archive_failed_total", 1.0).await;
    let (status, report) = health(&served.metrics);
    assert_eq!((status, problems(&report)), (503, vec!["store"]), "{report}");
    assert_eq!(report["store"]["writable"], false);
    assert!(report["store"]["failed"].as_u64().unwrap() > 0);
    // The rest of it goes on.
    assert_eq!(report["topics"][0]["mesh_peers"], 1);
    node.shutdown().await;
}

#[tokio::test]
async fn ending_under_load_keeps_what_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store.sqlite3");
    let args = ["--store", store.to_str().unwrap(), "--lightpush"];
    let served = Served::start(dir.path(), &args);
    let node = peer().await;
    join(&node, &served).await;
    // Whoever gets an answer from lightpush was told that the node has the message.
    let (accepted, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let pushers: Vec<_> = (0..8)
        .map(|pusher| {
            let (node, accepted, id) = (node.clone(), accepted.clone(), served.id);
            tokio::spawn(async move {
                for n in 0.. {
                    let topic = pubsub_topic(CLUSTER, 0);
                    let pushed =
                        node.lightpush_publish(Some(id), &topic, message(n * 8 + pusher, 2000));
                    match pushed.await {
                        Ok(hash) => drop(accepted.send(hash)),
                        Err(_) => return,
                    }
                }
            })
        })
        .collect();
    drop(accepted);
    let mut hashes = Vec::new();
    let mut take = async |count: usize| {
        for _ in 0..count {
            hashes.push(tokio::time::timeout(PATIENCE, taken.recv()).await.unwrap().unwrap());
        }
    };
    take(2000).await;
    // Questions that look through all of the Store, for nothing: so it lags behind what comes in, and
    // has something left to write when it is to end.
    for _ in 0..64 {
        let (node, id) = (node.clone(), served.id);
        tokio::spawn(async move {
            let elsewhere = Some(pubsub_topic(CLUSTER, 1));
            let query = StoreQuery { pubsub_topic: elsewhere, ..StoreQuery::default() };
            while node.store_query(Some(id), query.clone()).await.is_ok() {}
        });
    }
    take(500).await;
    assert_eq!(served.process.finish_by("-TERM"), 0);
    for pusher in pushers {
        tokio::time::timeout(PATIENCE, pusher).await.unwrap().unwrap();
    }
    while let Some(hash) = taken.recv().await {
        hashes.push(hash);
    }
    let again = Served::start(dir.path(), &args);
    join(&node, &again).await;
    for hashes in hashes.chunks(100) {
        let query = StoreQuery {
            include_data: false,
            hashes: hashes.to_vec(),
            limit: Some(100),
            ..StoreQuery::default()
        };
        let page = node.store_query(Some(again.id), query).await.unwrap();
        assert_eq!(page.messages.len(), hashes.len(), "of {} that were taken", hashes.len());
    }
    again.signal("-INT");
    assert_eq!(again.process.finish().0, 0);
    node.shutdown().await;
}

#[test]
fn slow_clients_hold_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path(), &[]);
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", served.process.child.id())).unwrap().count();
    assert_eq!(health(&served.metrics).0, 200);
    let before = descriptors();
    let slow: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(&served.metrics).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    // Whoever asks properly is answered while they hang, and they take no more than their share.
    for _ in 0..20 {
        assert_eq!(health(&served.metrics).0, 200);
        assert!(descriptors() <= before + 20, "{} descriptors, {before} before", descriptors());
    }
    // All of them are cut off.
    for mut stream in slow {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
    assert!(descriptors() <= before + 4);

    let mut large = TcpStream::connect(&served.metrics).unwrap();
    large.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = large.write_all(
        format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)).as_bytes(),
    );
    let mut answer = Vec::new();
    let _ = large.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    assert_eq!(health(&served.metrics).0, 200);
    assert_eq!(served.process.finish_by("-TERM"), 0);
}

#[test]
fn the_log_is_written_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program(dir.path());
    command
        .args(["--json", "node", "--with-stdin", "--listen", "/ip4/127.0.0.1/tcp/0"])
        .args(["--log-level", "info", "--log-format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "listening"), "{log}");
    assert!(lines.iter().all(|line| line["level"] != "DEBUG"));
}
