//! Health and metrics.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use waku_node::pubsub_topic;

use crate::common::Running;
use crate::peers::{join, message, peer};
use crate::prometheus::samples;
use crate::served::{Served, ask, health, problems};
use crate::{CLUSTER, PATIENCE};

#[tokio::test]
async fn health_and_metrics_show_a_peer_and_messages() {
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
async fn a_store_that_cannot_be_written_is_reported() {
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
    // Relaying continues.
    assert_eq!(report["topics"][0]["mesh_peers"], 1);
    node.shutdown().await;
}

#[test]
fn slow_clients_do_not_delay_others() {
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
    // A proper client is answered while the slow ones hang, and these take only their share.
    for _ in 0..20 {
        assert_eq!(health(&served.metrics).0, 200);
        assert!(descriptors() <= before + 20, "{} descriptors, {before} before", descriptors());
    }
    // All slow clients are disconnected.
    for mut stream in slow {
        let mut rest = Vec::new();
        // A reset will do as well as an end.
        let _ = stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
    // A client sees the end of its connection before the process has closed the socket, and another
    // process has no events to wait for, so this polls.
    let start = Instant::now();
    while descriptors() > before + 4 {
        assert!(start.elapsed() < PATIENCE, "{} descriptors, {before} before", descriptors());
        std::thread::sleep(Duration::from_millis(20));
    }

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
