//! Processes of the demo: this program again, spoken to over pipes.
//!
//! A child ends when its standard input closes, and is killed when its value is dropped. Should this
//! process be killed outright, its children's standard input closes with it.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::nodes::Nodes;
use crate::error::CliError;
use crate::secrets;

/// The longest time that any one step may take.
pub(super) const STEP: Duration = Duration::from_secs(30);
/// How long a child may take to end by itself. libwaku may take eleven seconds to stop a node that has
/// just started.
const ENDING: Duration = Duration::from_secs(25);
/// The passphrase of the demo's databases, which hold nothing that is worth a better one.
pub(super) const PASSPHRASE: &str = "demo";

/// The error of a demo in which something went wrong.
pub(super) fn failure(text: impl Into<String>) -> CliError {
    CliError::Demo(text.into())
}

/// Waits for something, with a time limit.
pub(super) async fn within<T>(
    what: impl std::fmt::Display,
    wait: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    match tokio::time::timeout(STEP, wait).await {
        Ok(result) => result,
        Err(_) => Err(failure(format!("{what}: nothing happened within {} s", STEP.as_secs()))),
    }
}

/// Starts this program with arguments. Its log goes to the file `log`.
pub(super) fn spawn(log: &Path, nodes: &Nodes, args: &[&str]) -> Result<Child, CliError> {
    let failed = |source| CliError::System { what: "cannot start a process of the demo", source };
    let log = File::options().append(true).create(true).open(log).map_err(failed)?;
    Command::new(std::env::current_exe().map_err(failed)?)
        .args(nodes.args())
        .args(args)
        .env(secrets::PASSPHRASE_VARIABLE, PASSPHRASE)
        .env_remove("WAKU_CHAT_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)
}

/// The pipe to or from a child.
pub(super) fn pipe<T>(pipe: Option<T>) -> Result<T, CliError> {
    pipe.ok_or_else(|| failure("a process of the demo has no pipe"))
}

/// Waits until a child ends by itself, as it does once its standard input is closed.
pub(super) async fn end(name: &str, child: &mut Child) -> Result<(), CliError> {
    match tokio::time::timeout(ENDING, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failure(format!("{name} ended with {status}; see its log"))),
        Ok(Err(source)) => Err(CliError::System { what: "cannot wait for a process", source }),
        Err(_) => {
            // The caller drops the child on this error, which kills it.
            Err(failure(format!("{name} did not end within {} s", ENDING.as_secs())))
        }
    }
}
