//! `demo`: the main job in one command.
//!
//! A relay with a Store and three members, each a process of its own on loopback, on the embedded
//! node or on libwaku; and an outsider on the relay, always on the embedded node, whose view is
//! shown beside the members'. Nothing waits for a fixed time: every
//! step waits for what it brings about, and fails when that does not come.

mod child;
mod nodes;
mod observer;
mod stage;
mod story;
mod summary;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use child::off;
use nodes::Nodes;
pub(crate) use nodes::relay;

use crate::args::Global;
use crate::error::CliError;
use crate::home;
use crate::nodes::NodeKind;
use crate::out::Out;

/// Longest time for all of it.
const LIMIT: Duration = Duration::from_secs(115);
/// The same on libwaku: it may take ten seconds to let go of a node, and five times somebody leaves.
const LIMIT_LIBWAKU: Duration = Duration::from_secs(180);

/// Runs the demo in a temporary directory, or in `keep`, which is then kept.
pub(crate) async fn demo(global: &Global, out: Out, keep: Option<PathBuf>) -> Result<(), CliError> {
    let nodes = Nodes::new(global)?;
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
            let ran = run(out, &path, &nodes).await;
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
            run(out, directory.path(), &nodes).await
        }
    }
}

async fn run(out: Out, directory: &Path, nodes: &Nodes) -> Result<(), CliError> {
    let limit = match nodes.kind {
        NodeKind::Embedded => LIMIT,
        NodeKind::Libwaku => LIMIT_LIBWAKU,
    };
    let started = Instant::now();
    // Whichever way this ends, the processes are dropped with the story, and so ended.
    let summary = tokio::select! {
        told = tokio::time::timeout(limit, story::tell(out, directory, nodes)) => {
            told.map_err(|_| off(format!("the demo took longer than {} s", limit.as_secs())))??
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
