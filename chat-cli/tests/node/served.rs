//! The node under test, as a process, and its endpoint.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use waku_node::{Multiaddr, PeerId};

use crate::PATIENCE;
use crate::common::Running;
use crate::prometheus::samples;

/// Asks the endpoint, and returns status, head and body.
pub(crate) fn ask(address: &str, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

pub(crate) fn health(address: &str) -> (u16, Value) {
    let (status, head, body) = ask(address, "GET", "/health");
    assert!(head.contains("content-type: application/json"), "{head}");
    (status, serde_json::from_str(&body).unwrap())
}

/// The parts with which `/health` reports a problem.
pub(crate) fn problems(report: &Value) -> Vec<&str> {
    report["problems"].as_array().unwrap().iter().map(|p| p["part"].as_str().unwrap()).collect()
}

/// A running node and its addresses.
pub(crate) struct Served {
    pub(crate) process: Running,
    pub(crate) peer: Multiaddr,
    pub(crate) id: PeerId,
    pub(crate) metrics: String,
}

impl Running {
    /// Runs a command that starts the program in its own way.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// Sends a signal, waits for the end, and returns the exit code.
    pub(crate) fn finish_by(mut self, signal: &str) -> i32 {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Served {
    pub(crate) fn start(directory: &Path, more: &[&str]) -> Self {
        let mut args = vec!["--json", "node", "--cluster", "66", "--shard", "0"];
        args.extend(["--listen", "/ip4/127.0.0.1/tcp/0", "--metrics", "127.0.0.1:0"]);
        args.extend(more);
        Self::of(Running::start(directory, &args))
    }

    pub(crate) fn of(mut process: Running) -> Self {
        let told = process.json();
        Self {
            process,
            peer: told["listening"][0].as_str().unwrap().parse().unwrap(),
            id: told["peer_id"].as_str().unwrap().parse().unwrap(),
            metrics: told["metrics"].as_str().unwrap().to_owned(),
        }
    }

    /// Waits until a sample of the metrics reaches a value.
    pub(crate) async fn reaches(&self, sample: &str, value: f64) {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let (status, _, body) = ask(&self.metrics, "GET", "/metrics");
                assert_eq!(status, 200);
                if samples(&body).iter().any(|(name, v)| name == sample && *v >= value) {
                    return;
                }
                // Another process has no events to wait for, so this polls.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{sample} does not reach {value}"));
    }

    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.child.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    }
}
