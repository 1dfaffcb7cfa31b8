//! `demo`: the whole program at work, in one command.
//!
//! A relay with a Store and three members, each a process of its own on this machine, on embedded nodes
//! or on libwaku. An outsider on the relay, always on the embedded node, sees what a relay sees, which is
//! shown beside what the members see. Nothing waits for a fixed time: every step waits for its effect,
//! and fails if that does not come.

mod member;
mod nodes;
mod observer;
mod process;
mod relay;
mod stage;
mod story;
mod summary;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nodes::Nodes;
use process::failure;

use crate::config::NodeKind;
use crate::error::{CliError, file};
use crate::files;
use crate::global::Global;
use crate::out::Out;
use crate::signals::stop_requested;

/// The longest time that a demo may take.
const LIMIT: Duration = Duration::from_secs(115);
/// The same on libwaku, which may take ten seconds to stop a node, and five nodes are stopped.
const LIMIT_LIBWAKU: Duration = Duration::from_secs(180);

/// The arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Keep logs and databases in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The arguments of `demo-relay`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoRelay {
    /// File to store messages in
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
}

/// Runs `demo-relay`.
pub(crate) async fn run_relay(global: &Global, out: Out, args: DemoRelay) -> Result<(), CliError> {
    relay::run_libwaku(global, out, &args.store).await
}

/// Runs `demo`, in a temporary directory or in one that is kept.
pub(crate) async fn run(global: &Global, out: Out, args: Demo) -> Result<(), CliError> {
    let nodes = Nodes::new(global)?;
    match args.keep {
        Some(path) => {
            files::make_directory(&path)?;
            let path = path.canonicalize().map_err(file("cannot use", &path))?;
            if path.join("relay.db").exists() {
                return Err(CliError::Usage(format!(
                    "{} holds the files of another demo: name another directory",
                    path.display()
                )));
            }
            let ran = play(out, &path, &nodes).await;
            out.progress(&format!(
                "Logs and databases are in {}; the passphrase is {:?}.",
                path.display(),
                process::PASSPHRASE
            ));
            ran
        }
        None => {
            let directory = tempfile::tempdir()
                .map_err(|source| CliError::System { what: "cannot create a directory", source })?;
            play(out, directory.path(), &nodes).await
        }
    }
}

async fn play(out: Out, directory: &Path, nodes: &Nodes) -> Result<(), CliError> {
    let limit = match nodes.kind {
        NodeKind::Embedded => LIMIT,
        NodeKind::Libwaku => LIMIT_LIBWAKU,
    };
    let started = Instant::now();
    // However this ends, the processes are dropped with the story, which ends them.
    let summary = tokio::select! {
        told = tokio::time::timeout(limit, story::tell(out, directory, nodes)) => {
            told.map_err(|_| failure(format!("the demo took longer than {} s", limit.as_secs())))??
        }
        stopped = stop_requested() => {
            stopped?;
            return Err(failure("the demo was interrupted"));
        }
    };
    let summary = summary.took(started.elapsed());
    out.result(&summary, || summary.show())?;
    match summary.wrong() {
        0 => Ok(()),
        wrong => Err(failure(format!("{wrong} checks failed; --keep DIR keeps the logs"))),
    }
}
