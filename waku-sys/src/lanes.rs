//! The two threads that call the library.
//!
//! libwaku leaks memory for each thread that ever calls it, and crashes after large publishes from
//! the thread that made the node. So one thread of the process makes, starts, stops and destroys all
//! nodes, another one carries their traffic, and there is no third.
//!
//! All nodes share the two threads, so a node that is stuck holds up the others. The alternative, two
//! threads for each node, would leak each of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

/// A job for a thread. It may block, but only for the library.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Names one of the two threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// New, start, subscribe, stop, destroy: one at a time in the whole process.
    Life,
    /// Publish, query, and all other calls.
    Traffic,
}

static LIFE: LazyLock<Option<Sender<Job>>> = LazyLock::new(|| spawn("libwaku-life"));
static TRAFFIC: LazyLock<Option<Sender<Job>>> = LazyLock::new(|| spawn("libwaku-traffic"));

fn spawn(name: &str) -> Option<Sender<Job>> {
    let (sender, jobs) = channel::<Job>();
    let run = move || {
        for job in jobs {
            // Other nodes depend on this thread.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a call to libwaku panicked");
            }
        }
    };
    match std::thread::Builder::new().name(name.to_owned()).spawn(run) {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::error!(%error, name, "the system started no thread to call libwaku from");
            None
        }
    }
}

/// Has a thread run a job after those that were submitted before; false if there is no such thread.
///
/// The queue has no bound of its own: callers bound what they submit.
pub(crate) fn submit(lane: Lane, job: Job) -> bool {
    let sender = match lane {
        Lane::Life => &*LIFE,
        Lane::Traffic => &*TRAFFIC,
    };
    sender.as_ref().is_some_and(|sender| sender.send(job).is_ok())
}
