//! The processes of the demo: this program again, as a node and as members, spoken to over pipes.
//!
//! A child ends when it is told to, when its value is dropped, and, should this process be killed
//! outright, when its standard input closes with it.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::nodes::Nodes;
use crate::error::CliError;
use crate::nodes::NodeKind;
use crate::passphrase;

/// Longest time for any one step.
pub(super) const STEP: Duration = Duration::from_secs(30);
/// Time for a child to end by itself; libwaku may take eleven seconds to let go of a young node.
const ENDING: Duration = Duration::from_secs(25);
/// The passphrase of the demo's databases: they hold nothing worth a better one.
pub(super) const PASSPHRASE: &str = "demo";

/// Something of the demo went wrong.
pub(super) fn off(text: impl Into<String>) -> CliError {
    CliError::Demo(text.into())
}

/// Waits for something, but not for ever.
pub(super) async fn within<T>(
    what: impl std::fmt::Display,
    wait: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    match tokio::time::timeout(STEP, wait).await {
        Ok(result) => result,
        Err(_) => Err(off(format!("{what}: nothing came within {} s", STEP.as_secs()))),
    }
}

/// Starts this program with arguments; its log goes to `log`.
fn spawn(log: &Path, nodes: &Nodes, args: &[&str]) -> Result<Child, CliError> {
    let failed = |source| CliError::System { what: "cannot start a process of the demo", source };
    let log = File::options().append(true).create(true).open(log).map_err(failed)?;
    Command::new(std::env::current_exe().map_err(failed)?)
        .args(nodes.args())
        .args(args)
        .env(passphrase::VARIABLE, PASSPHRASE)
        .env_remove("WAKU_CHAT_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)
}

fn pipe<T>(pipe: Option<T>) -> Result<T, CliError> {
    pipe.ok_or_else(|| off("a process of the demo has no pipe"))
}

/// Ends a child: its standard input is closed already, or is about to be.
async fn end(name: &str, child: &mut Child) -> Result<(), CliError> {
    match tokio::time::timeout(ENDING, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(off(format!("{name} ended with {status}; see its log"))),
        Ok(Err(source)) => Err(CliError::System { what: "cannot wait for a process", source }),
        Err(_) => {
            // It is dropped, and so killed, by whoever is told of this.
            Err(off(format!("{name} did not end within {} s", ENDING.as_secs())))
        }
    }
}

/// The relay.
pub(super) struct Relay {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Where it listens.
    pub(super) address: String,
    /// Its process.
    pub(super) pid: Option<u32>,
}

impl Relay {
    /// Starts a relay with a Store, on a free port.
    pub(super) async fn start(directory: &Path, nodes: &Nodes) -> Result<Self, CliError> {
        let store = directory.join("relay.db").display().to_string();
        let mut args = vec!["--json", "-v"];
        match nodes.kind {
            NodeKind::Embedded => args.extend([
                "node",
                "--with-stdin",
                "--network",
                "fast",
                "--listen",
                "/ip4/127.0.0.1/tcp/0",
            ]),
            NodeKind::Libwaku => args.push("demo-relay"),
        }
        args.extend(["--store", &store]);
        let mut child = spawn(&directory.join("relay.log"), nodes, &args)?;
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(pipe(child.stdout.take())?).lines();
        let address = within("starting the relay", async {
            let line = lines.next_line().await.ok().flatten();
            let started: Value =
                line.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
            match started["listening"][0].as_str() {
                Some(address) => Ok(address.to_owned()),
                None => Err(off("the relay did not start; see its log")),
            }
        })
        .await?;
        let pid = child.id();
        Ok(Self { child, stdin, address, pid })
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> Result<(), CliError> {
        self.stdin = None;
        end("the relay", &mut self.child).await
    }
}

/// What a member's process has said.
#[derive(Default)]
struct Heard {
    ready: bool,
    /// Events in their order.
    events: Vec<Value>,
    last_cursor: u64,
    answers: HashMap<u64, oneshot::Sender<Value>>,
    ended: bool,
}

/// A member's process.
struct Process {
    child: Child,
    stdin: ChildStdin,
    /// Ends once all that the process has said was taken in.
    listening: JoinHandle<()>,
}

/// A member: a home directory, and a process while it is online.
pub(super) struct Member {
    /// What people call it.
    pub(super) name: &'static str,
    /// Its account.
    pub(super) account: String,
    home: PathBuf,
    log: PathBuf,
    nodes: Nodes,
    process: Option<Process>,
    heard: Arc<Mutex<Heard>>,
    /// Counts what was heard.
    news: watch::Sender<u64>,
    next: u64,
}

impl Member {
    /// Makes an account.
    pub(super) async fn create(
        name: &'static str,
        directory: &Path,
        relay: &str,
        nodes: &Nodes,
    ) -> Result<Self, CliError> {
        let home = directory.join(name.to_lowercase());
        let log = directory.join(format!("{}.log", name.to_lowercase()));
        let args = [
            "--json",
            "--home",
            &home.display().to_string(),
            "init",
            "--network",
            "fast",
            "--peer",
            relay,
        ];
        let mut child = spawn(&log, nodes, &args)?;
        drop(child.stdin.take());
        let mut lines = BufReader::new(pipe(child.stdout.take())?).lines();
        let made: Value = within(format_args!("making {name}'s account"), async {
            let line = lines.next_line().await.ok().flatten();
            end(name, &mut child).await?;
            Ok(line.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default())
        })
        .await?;
        match made["account"].as_str() {
            Some(account) => Ok(Self {
                name,
                account: account.to_owned(),
                home,
                log,
                nodes: nodes.clone(),
                process: None,
                heard: Arc::default(),
                news: watch::channel(0).0,
                next: 0,
            }),
            None => Err(off(format!("{name} has no account; see {}", log.display()))),
        }
    }

    /// Starts its process, and returns once it is connected and has caught up.
    pub(super) async fn online(&mut self) -> Result<(), CliError> {
        let after = {
            let mut heard = lock(&self.heard);
            heard.ready = false;
            heard.ended = false;
            heard.last_cursor
        };
        let args = [
            "--home",
            &self.home.display().to_string(),
            "-v",
            "rpc",
            "--after",
            &after.to_string(),
        ];
        let mut child = spawn(&self.log, &self.nodes, &args)?;
        let stdin = pipe(child.stdin.take())?;
        let stdout = pipe(child.stdout.take())?;
        let listening = tokio::spawn(listen(stdout, Arc::clone(&self.heard), self.news.clone()));
        self.process = Some(Process { child, stdin, listening });
        self.until("the start", |heard| heard.ready.then_some(())).await?;
        self.call("wait_connected", json!({})).await?;
        self.call("wait_caught_up", json!({})).await.map(drop)
    }

    /// Ends its process; what it said until then is in its events.
    pub(super) async fn offline(&mut self) -> Result<(), CliError> {
        let Some(Process { mut child, stdin, listening }) = self.process.take() else {
            return Ok(());
        };
        drop(stdin);
        end(self.name, &mut child).await?;
        listening.await.map_err(|_| off("a part of the demo panicked"))
    }

    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(|process| process.child.id())
    }

    /// Has it do something.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Result<Value, CliError> {
        let answer = self.ask(method, params).await?;
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => Err(off(format!("{} cannot {method}: {}", self.name, error["message"]))),
        }
    }

    /// Has it do something, and gives the whole answer.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> Result<Value, CliError> {
        self.next += 1;
        let (reply, answer) = oneshot::channel();
        lock(&self.heard).answers.insert(self.next, reply);
        let line = json!({"id": self.next, "method": method, "params": params});
        let gone = |name| off(format!("{name}'s process has ended; see its log"));
        let Some(process) = &mut self.process else { return Err(gone(self.name)) };
        let written = process.stdin.write_all(format!("{line}\n").as_bytes()).await;
        written.map_err(|_| gone(self.name))?;
        within(format_args!("{}: {method}", self.name), async {
            answer.await.map_err(|_| gone(self.name))
        })
        .await
    }

    /// Waits for an event, which may have come already.
    pub(super) async fn event(
        &self,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Value, CliError> {
        self.until(what, |heard| heard.events.iter().find(|event| is_it(event)).cloned()).await
    }

    /// All events so far.
    pub(super) fn events(&self) -> Vec<Value> {
        lock(&self.heard).events.clone()
    }

    /// Counts what it says, for those who wait for news of any kind.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    async fn until<T>(
        &self,
        what: &str,
        test: impl Fn(&Heard) -> Option<T>,
    ) -> Result<T, CliError> {
        let mut news = self.news.subscribe();
        within(format_args!("{}, waiting for {what}", self.name), async {
            loop {
                news.borrow_and_update();
                {
                    let heard = lock(&self.heard);
                    if let Some(found) = test(&heard) {
                        return Ok(found);
                    }
                    if heard.ended {
                        return Err(off(format!("{}'s process has ended; see its log", self.name)));
                    }
                }
                // The sender is this value's own.
                let _ = news.changed().await;
            }
        })
        .await
    }
}

/// Takes in what a member's process says, until it ends.
async fn listen(stdout: ChildStdout, heard: Arc<Mutex<Heard>>, news: watch::Sender<u64>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(mut said) = serde_json::from_str::<Value>(&line) else { continue };
        let mut heard = lock(&heard);
        if said.get("ready").is_some() {
            heard.ready = true;
        } else if let Some(cursor) = said["cursor"].as_u64() {
            heard.last_cursor = cursor;
            heard.events.push(said["event"].take());
        } else if let Some(reply) = said["id"].as_u64().and_then(|id| heard.answers.remove(&id)) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(said);
        }
        drop(heard);
        news.send_modify(|count| *count += 1);
    }
    let mut heard = lock(&heard);
    heard.ended = true;
    heard.answers.clear();
    drop(heard);
    news.send_modify(|count| *count += 1);
}

/// Nothing here leaves its data inconsistent by panicking.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
