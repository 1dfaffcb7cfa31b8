//! The two threads that call the library.
//!
//! libwaku keeps something for each thread that ever calls it, and cannot publish much from the
//! thread that made the node. So one thread of the process lives nodes' lives, another one carries
//! their traffic, and there is no third.
//!
//! Nodes share them: one that is stuck keeps the others waiting. That is the price of two threads
//! rather than two for each node, each of which would be leaked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

/// What a thread has to do. It may wait, for the library only.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Which of the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// New, start, subscribe, stop, destroy.
    Life,
    /// Publish, query, and whatever else.
    Traffic,
}

static LIFE: LazyLock<Option<Sender<Job>>> = LazyLock::new(|| spawn("libwaku-life"));
static TRAFFIC: LazyLock<Option<Sender<Job>>> = LazyLock::new(|| spawn("libwaku-traffic"));

fn spawn(name: &str) -> Option<Sender<Job>> {
    let (sender, jobs) = channel::<Job>();
    let run = move || {
        for job in jobs {
            // Others depend on this thread.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a call to libwaku panicked");
            }
        }
    };
    match std::thread::Builder::new().name(name.to_owned()).spawn(run) {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::error!(%error, name, "no thread to call libwaku from");
            None
        }
    }
}

/// Has a thread do something, after what was submitted to it before; false if there is none.
///
/// The queues have no bound of their own: whoever submits sees to that.
pub(crate) fn submit(lane: Lane, job: Job) -> bool {
    let sender = match lane {
        Lane::Life => &*LIFE,
        Lane::Traffic => &*TRAFFIC,
    };
    sender.as_ref().is_some_and(|sender| sender.send(job).is_ok())
}
