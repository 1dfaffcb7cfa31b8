//! Runs the program as its users do.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// The passphrase of all homes.
pub const PASSPHRASE: &str = "correct horse";

/// The program, with a home and the passphrase, and without the environment's other settings.
pub fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waku-chat"));
    command
        .env("WAKU_CHAT_PASSPHRASE", PASSPHRASE)
        .env_remove("WAKU_CHAT_HOME")
        .env_remove("RUST_LOG")
        .arg("--home")
        .arg(home)
        .stdin(Stdio::null());
    command
}

/// The outcome of a run.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Standard output as JSON, of a run that must have succeeded.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap()
    }

    /// The error as JSON, of a run with `--json` that must have failed.
    #[track_caller]
    pub fn error(&self) -> Value {
        assert_ne!(self.code, 0, "{}", self.out);
        let line = self.err.lines().last().unwrap();
        serde_json::from_str::<Value>(line).unwrap()["error"].take()
    }
}

/// Runs the program to its end.
pub fn run(home: &Path, args: &[&str]) -> Ran {
    program(home).args(args).output().unwrap().into()
}

/// Runs the program with something on its standard input.
pub fn run_with(home: &Path, args: &[&str], input: &str) -> Ran {
    let mut command = program(home);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// A running process, which is killed when the value is dropped.
pub struct Running {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(home: &Path, args: &[&str]) -> Self {
        let mut command = program(home);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// The next line that it writes.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the process has ended: {line:?}");
        line
    }

    /// Reads lines up to the one that passes a test.
    pub fn until(&mut self, test: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.line();
            if test(&line) {
                return line;
            }
        }
    }

    /// The next JSON document that it writes.
    pub fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    /// Closes its standard input, waits for its end, and returns the exit code and the rest of the output.
    pub fn finish(mut self) -> (i32, String) {
        self.stdin = None;
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a relay with a Store on a free port, and returns its address too.
pub fn relay(directory: &Path) -> (Running, String) {
    let store = directory.join("relay.db");
    let args = [
        "--json",
        "node",
        "--with-stdin",
        "--network",
        "fast",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--store",
        store.to_str().unwrap(),
    ];
    let mut relay = Running::start(directory, &args);
    let address = relay.json()["listening"][0].as_str().unwrap().to_owned();
    (relay, address)
}

/// Creates an account on the fast network, and returns its home and its id.
pub fn account(directory: &Path, name: &str, peer: Option<&str>) -> (PathBuf, String) {
    let home = directory.join(name);
    let mut args = vec!["--json", "init", "--network", "fast"];
    args.extend(peer.iter().flat_map(|peer| ["--peer", peer]));
    let made = run(&home, &args).json();
    (home, made["account"].as_str().unwrap().to_owned())
}

/// The file of a libwaku to test with: the one that `LIBWAKU_PATH` names, otherwise the drop-in. `None`
/// if there is none, after saying that the running test is skipped.
pub fn libwaku() -> Option<String> {
    let library = waku_sys::testing::library(env!("CARGO_CRATE_NAME"))?;
    Some(library.place().to_owned())
}
