//! A member's process is killed, ten times, in the middle of a conversation over a real relay:
//! no acknowledged message is lost, and no message is read twice.

#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// How long any step may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
const KILLS: u64 = 10;

fn program(home: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waku-chat"));
    command.env("WAKU_CHAT_PASSPHRASE", "test").env_remove("WAKU_CHAT_HOME");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(home) = home {
        command.arg("--home").arg(home);
    }
    command
}

/// A child process that is killed when the test is over, however it ends.
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else { continue };
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines }
    }

    fn next(&self, what: &str) -> Value {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(value) => value,
            Err(RecvTimeoutError::Timeout) => panic!("{what}: nothing came"),
            Err(RecvTimeoutError::Disconnected) => panic!("{what}: the process ended"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A member, spoken to over `rpc`.
struct Member {
    home: PathBuf,
    process: Process,
    next_id: u64,
    account: String,
}

impl Member {
    fn new(directory: &Path, name: &str, relay: &str) -> Self {
        let home = directory.join(name);
        let made = program(Some(&home))
            .args(["--quiet", "--json", "init", "--network", "fast", "--peer", relay])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let process = Self::launch(&home);
        let ready = process.next("starting a member");
        let account = ready["ready"]["account"].as_str().unwrap().to_owned();
        Self { home, process, next_id: 0, account }
    }

    fn launch(home: &Path) -> Process {
        let mut command = program(Some(home));
        command.arg("rpc");
        Process::start(command)
    }

    fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        let request = json!({"id": self.next_id, "method": method, "params": params});
        writeln!(self.process.stdin, "{request}").unwrap();
        self.next_id
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        loop {
            let line = self.process.next(method);
            if line["id"] == json!(id) {
                assert!(line["error"].is_null(), "{method}: {line}");
                return line["result"].clone();
            }
        }
    }

    /// Asks a question again at each event, until it has the wanted answer.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            let line = self.process.next(what);
            assert!(line["error"].is_null(), "{what}: {line}");
        }
    }

    /// Kills the process, as if the power had failed, and starts it again.
    fn kill_and_restart(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
        self.process = Self::launch(&self.home);
        self.process.next("starting again");
    }

    fn texts(&mut self, group: &str) -> Vec<String> {
        let history = self.call("history", json!({"group": group, "limit": 1000}));
        let messages = history.as_array().cloned().unwrap_or_default();
        messages.iter().filter_map(|m| m["text"].as_str().map(str::to_owned)).collect()
    }

    fn group(&mut self, id: &str) -> Value {
        self.call("group", json!({"group": id}))
    }
}

fn counted(texts: &[String]) -> BTreeMap<&str, usize> {
    let mut out = BTreeMap::new();
    for text in texts {
        *out.entry(text.as_str()).or_default() += 1;
    }
    out
}

#[test]
fn ten_kills_lose_nothing_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("relay.sqlite3");
    let mut node = program(None);
    node.args(["--json", "--quiet", "node", "--with-stdin", "--network", "fast"]);
    node.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--store"]).arg(&store);
    let node = Process::start(node);
    let started = node.next("starting the relay");
    let relay = started["listening"][0].as_str().unwrap().to_owned();

    let mut members: Vec<Member> =
        ["a", "b", "c"].map(|name| Member::new(directory.path(), name, &relay)).into();
    let links: Vec<Value> =
        members.iter_mut().map(|member| member.call("contact_link", json!({}))).collect();
    for (at, member) in members.iter_mut().enumerate() {
        for (_, link) in links.iter().enumerate().filter(|(of, _)| *of != at) {
            let link = link.as_str().or(link["link"].as_str()).unwrap();
            member.call("add_contact", json!({"link": link}));
        }
    }
    let others: Vec<String> = members[1..].iter().map(|member| member.account.clone()).collect();
    let made = members[0].call("create_group", json!({"name": "kills", "members": others}));
    let group = made["id"].as_str().unwrap().to_owned();
    for member in &mut members[1..] {
        member.until("joining", |member| {
            member.call("groups", json!({})).as_array().is_some_and(|groups| !groups.is_empty())
        });
    }

    // Acknowledged: the program answered that the message is sent.
    let mut acknowledged = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for round in 0..KILLS {
        let victim = (round % 3) as usize;
        for (at, member) in members.iter_mut().enumerate() {
            let text = format!("round {round} from {at}");
            member.call("send", json!({"group": group, "text": text}));
            acknowledged.insert(text.clone());
            asked.insert(text);
        }
        if round % 3 == 1 {
            let name = format!("kills {round}");
            members[0].call("describe_group", json!({"group": group, "name": name}));
        }
        // The kill falls somewhere into these; how far they came is up to the machine.
        for burst in 0..round {
            let text = format!("round {round} burst {burst}");
            members[victim].ask("send", json!({"group": group, "text": text}));
            asked.insert(text);
        }
        members[victim].kill_and_restart();
        let own = members[victim].texts(&group);
        for text in acknowledged.iter().filter(|t| t.ends_with(&format!("from {victim}"))) {
            assert!(own.contains(text), "{text:?} was acknowledged and is gone after the kill");
        }
    }

    // What the victims had stored before they were killed counts as sent, too.
    for member in &mut members {
        member.call("wait_published", json!({}));
        let written: Vec<String> =
            member.texts(&group).into_iter().filter(|text| asked.contains(text)).collect();
        acknowledged.extend(written);
    }
    for member in &mut members {
        let expected = acknowledged.clone();
        let id = group.clone();
        member.until("hearing everything", |member| {
            let texts = member.texts(&id);
            let found = counted(&texts);
            assert!(found.values().all(|count| *count == 1), "something is there twice: {found:?}");
            assert!(found.keys().all(|text| asked.contains(*text)), "nobody wrote this: {found:?}");
            expected.iter().all(|text| found.contains_key(text.as_str()))
        });
        let missing = member.call("missing", json!({"group": group}));
        assert!(missing.as_array().is_some_and(Vec::is_empty), "{missing}");
    }
    let last = members[0].group(&group);
    for member in &mut members {
        let wanted = last["epoch_id"].clone();
        let id = group.clone();
        member.until("the last state", |member| member.group(&id)["epoch_id"] == wanted);
        assert_eq!(member.group(&group)["name"], last["name"]);
    }
}
