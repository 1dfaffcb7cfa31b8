//! `demo`: the main job in one command.
//!
//! A relay with a Store and three members, each a process of its own on loopback; and an outsider
//! on the relay, whose view is shown beside the members'. Nothing waits for a fixed time: every
//! step waits for what it brings about, and fails when that does not come.

mod child;
mod observer;
mod stage;
mod story;
mod summary;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use child::off;

use crate::error::CliError;
use crate::home;
use crate::out::Out;

/// Longest time for all of it.
const LIMIT: Duration = Duration::from_secs(115);

/// Runs the demo in a temporary directory, or in `keep`, which is then kept.
pub(crate) async fn demo(out: Out, keep: Option<PathBuf>) -> Result<(), CliError> {
    match keep {
        Some(path) => {
            home::make_directory(&path)?;
            let path = path.canonicalize().map_err(crate::error::file("cannot use", &path))?;
            if path.join("relay.db").exists() {
                return Err(CliError::Usage(format!(
                    "{} holds the files of another demo: name another directory",
                    path.display()
                )));
            }
            let ran = run(out, &path).await;
            out.progress(&format!(
                "Logs and databases are in {}; the passphrase is {:?}.",
                path.display(),
                child::PASSPHRASE
            ));
            ran
        }
        None => {
            let directory = tempfile::tempdir()
                .map_err(|source| CliError::System { what: "cannot make a directory", source })?;
            run(out, directory.path()).await
        }
    }
}

async fn run(out: Out, directory: &Path) -> Result<(), CliError> {
    let started = Instant::now();
    // Whichever way this ends, the processes are dropped with the story, and so ended.
    let summary = tokio::select! {
        told = tokio::time::timeout(LIMIT, story::tell(out, directory)) => {
            told.map_err(|_| off(format!("the demo took longer than {} s", LIMIT.as_secs())))??
        }
        stopped = crate::signal() => {
            stopped?;
            return Err(off("the demo was interrupted"));
        }
    };
    let summary = summary.took(started.elapsed());
    out.result(&summary, || summary.show())?;
    match summary.wrong() {
        0 => Ok(()),
        wrong => Err(off(format!("{wrong} checks have failed; --keep DIR keeps the logs"))),
    }
}
