//! A member of the demo's group, as a process that serves JSON methods.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::nodes::Nodes;
use super::process::{end, failure, pipe, spawn, within};
use crate::error::CliError;

/// What a member's process has written.
#[derive(Default)]
struct Heard {
    ready: bool,
    /// The events, in their order.
    events: Vec<Value>,
    last_cursor: u64,
    answers: HashMap<u64, oneshot::Sender<Value>>,
    ended: bool,
}

/// A member's process.
struct Process {
    child: Child,
    stdin: ChildStdin,
    /// Ends once everything that the process wrote was read.
    listening: JoinHandle<()>,
}

/// A member: a home directory and, while it is online, a process.
pub(super) struct Member {
    /// The name of the member.
    pub(super) name: &'static str,
    /// Its account id.
    pub(super) account: String,
    home: PathBuf,
    log: PathBuf,
    nodes: Nodes,
    process: Option<Process>,
    heard: Arc<Mutex<Heard>>,
    /// Counts the lines that were read.
    news: watch::Sender<u64>,
    next: u64,
}

impl Member {
    /// Creates an account.
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
        let made: Value = within(format_args!("creating {name}'s account"), async {
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
            None => Err(failure(format!("{name} has no account; see {}", log.display()))),
        }
    }

    /// Starts the member's process, and returns once it is connected and has caught up.
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

    /// Ends the member's process. What it wrote until then is among its events.
    pub(super) async fn offline(&mut self) -> Result<(), CliError> {
        let Some(Process { mut child, stdin, listening }) = self.process.take() else {
            return Ok(());
        };
        drop(stdin);
        end(self.name, &mut child).await?;
        listening.await.map_err(|_| failure("a task of the demo panicked"))
    }

    /// The id of its process, while it is online.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(|process| process.child.id())
    }

    /// Calls a JSON method, and returns its result.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Result<Value, CliError> {
        let answer = self.ask(method, params).await?;
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => {
                Err(failure(format!("{} cannot {method}: {}", self.name, error["message"])))
            }
        }
    }

    /// Calls a JSON method, and returns the whole answer.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> Result<Value, CliError> {
        self.next += 1;
        let (reply, answer) = oneshot::channel();
        lock(&self.heard).answers.insert(self.next, reply);
        let line = json!({"id": self.next, "method": method, "params": params});
        let gone = |name| failure(format!("{name}'s process has ended; see its log"));
        let Some(process) = &mut self.process else { return Err(gone(self.name)) };
        let written = process.stdin.write_all(format!("{line}\n").as_bytes()).await;
        written.map_err(|_| gone(self.name))?;
        within(format_args!("{}: {method}", self.name), async {
            answer.await.map_err(|_| gone(self.name))
        })
        .await
    }

    /// Waits for an event, which may have arrived already.
    pub(super) async fn event(
        &self,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Value, CliError> {
        self.until(what, |heard| heard.events.iter().find(|event| is_it(event)).cloned()).await
    }

    /// All events so far, in their order.
    pub(super) fn events(&self) -> Vec<Value> {
        lock(&self.heard).events.clone()
    }

    /// Counts the lines that the process writes, to wait for news of any kind.
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
                        return Err(failure(format!(
                            "{}'s process has ended; see its log",
                            self.name
                        )));
                    }
                }
                // The sender is this value's own.
                let _ = news.changed().await;
            }
        })
        .await
    }
}

/// Reads what a member's process writes, until it ends.
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
            // The caller may have stopped waiting.
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

/// Locks a mutex, also after a panic: nothing here leaves its data inconsistent by panicking.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
