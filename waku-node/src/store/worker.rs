//! The thread that owns the archive.
//!
//! Messages and queries arrive through one queue, so a query sees every message that was handed in
//! before it. Messages that wait in the queue are written together, in one transaction.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::archive::{Admission, Archive, NewMessage, admission};
use super::error::{ArchiveError, QueryError};
use super::proto::{Response, encode_response};
use super::query::{StorePage, StoreQuery};
use crate::config::StoreConfig;
use crate::message::{MessageHash, WakuMessage};

/// The most messages in one transaction.
const BATCH: usize = 512;
/// The shortest and the longest time between two sweeps.
const SWEEP_EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// What the archive holds, and what it did not take.
#[derive(Debug, Default)]
pub(crate) struct ArchiveCounters {
    pub(crate) ephemeral: AtomicU64,
    pub(crate) timestamp: AtomicU64,
    pub(crate) overflow: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Whether the last write failed.
    pub(crate) failing: AtomicBool,
    /// Messages that it holds, and their bytes.
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

enum Job {
    Insert(NewMessage),
    /// A query of this node itself.
    Query(StoreQuery, oneshot::Sender<Result<StorePage, QueryError>>),
    /// A query of a peer; the answer is encoded here, away from the network task.
    Serve(String, StoreQuery, oneshot::Sender<Bytes>),
    /// A trial write, to see whether the database can be written.
    Check(oneshot::Sender<Result<(), ArchiveError>>),
    Stop,
}

/// The handle of the archive's thread. Dropping it ends the thread, too; [`ArchiveWorker::stop`] also
/// waits for that.
pub(crate) struct ArchiveWorker {
    jobs: mpsc::Sender<Job>,
    queued: Arc<AtomicUsize>,
    max_queued: usize,
    counters: Arc<ArchiveCounters>,
    thread: Option<JoinHandle<()>>,
}

impl ArchiveWorker {
    /// Opens the archive and starts its thread. At most `max_queued` bytes of messages wait to be
    /// written.
    pub(crate) async fn start(
        config: StoreConfig,
        max_queued: usize,
    ) -> Result<Self, ArchiveError> {
        let (jobs, queue) = mpsc::channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let counters = Arc::new(ArchiveCounters::default());
        let (opened, is_open) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("waku-archive".into())
            .spawn({
                let (queued, counters) = (queued.clone(), counters.clone());
                move || match Archive::open(&config) {
                    Ok(archive) => {
                        // If the receiver is gone, so is the queue, and the loop ends at once.
                        let _ = opened.send(Ok(()));
                        Loop {
                            archive,
                            queue,
                            queued,
                            counters,
                            sweep_every: sweep_interval(config.retention),
                        }
                        .run();
                    }
                    Err(e) => drop(opened.send(Err(e))),
                }
            })
            .map_err(|_| ArchiveError::Stopped)?;
        is_open.await.map_err(|_| ArchiveError::Stopped)??;
        Ok(Self { jobs, queued, max_queued, counters, thread: Some(thread) })
    }

    pub(crate) fn counters(&self) -> Arc<ArchiveCounters> {
        self.counters.clone()
    }

    /// Hands a message in, unless the rules or the bound of the queue exclude it. Never waits.
    pub(crate) fn insert(&self, pubsub_topic: &str, hash: MessageHash, message: &WakuMessage) {
        let new = NewMessage {
            pubsub_topic: pubsub_topic.to_owned(),
            hash,
            message: message.clone(),
            arrived: now(),
        };
        let skipped = match admission(&new) {
            Admission::Ephemeral => &self.counters.ephemeral,
            Admission::Timestamp => &self.counters.timestamp,
            Admission::Keep
                if self.queued.load(Ordering::Relaxed) + new.size() > self.max_queued =>
            {
                &self.counters.overflow
            }
            Admission::Keep => {
                self.queued.fetch_add(new.size(), Ordering::Relaxed);
                match self.jobs.send(Job::Insert(new)) {
                    Ok(()) => return,
                    Err(_) => &self.counters.failed,
                }
            }
        };
        skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks the archive on behalf of this node.
    pub(crate) fn query(&self, q: StoreQuery) -> oneshot::Receiver<Result<StorePage, QueryError>> {
        let (reply, answer) = oneshot::channel();
        // If the thread has ended, the caller finds the channel closed.
        let _ = self.jobs.send(Job::Query(q, reply));
        answer
    }

    /// Asks the archive on behalf of a peer, for an encoded answer of any status.
    pub(crate) fn serve(&self, request_id: String, q: StoreQuery) -> oneshot::Receiver<Bytes> {
        let (reply, answer) = oneshot::channel();
        let _ = self.jobs.send(Job::Serve(request_id, q, reply));
        answer
    }

    /// Writes to the database to see whether that is possible.
    pub(crate) fn check(&self) -> oneshot::Receiver<Result<(), ArchiveError>> {
        let (reply, answer) = oneshot::channel();
        let _ = self.jobs.send(Job::Check(reply));
        answer
    }

    /// Writes what is queued, closes the database and waits for the thread to end.
    pub(crate) async fn stop(mut self) {
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the archive's thread panicked");
            }
        }
    }
}

struct Loop {
    archive: Archive,
    queue: mpsc::Receiver<Job>,
    queued: Arc<AtomicUsize>,
    counters: Arc<ArchiveCounters>,
    sweep_every: Duration,
}

impl Loop {
    fn run(mut self) {
        let mut next_sweep = Instant::now();
        let mut batch = Vec::new();
        loop {
            if next_sweep <= Instant::now() {
                next_sweep =
                    Instant::now() + if self.sweep() { Duration::ZERO } else { self.sweep_every };
            }
            let job =
                match self.queue.recv_timeout(next_sweep.saturating_duration_since(Instant::now()))
                {
                    Ok(job) => job,
                    Err(mpsc::RecvTimeoutError::Timeout) => continue,
                    Err(mpsc::RecvTimeoutError::Disconnected) => Job::Stop,
                };
            // Messages first: other jobs may follow them, but must not overtake them.
            let mut job = Some(job);
            while let Some(Job::Insert(m)) = job {
                batch.push(m);
                job = if batch.len() < BATCH { self.queue.try_recv().ok() } else { None };
            }
            self.write(&mut batch);
            match job {
                None | Some(Job::Insert(_)) => {}
                Some(Job::Query(q, reply)) => drop(reply.send(self.archive.query(&q, now()))),
                Some(Job::Serve(id, q, reply)) => drop(reply.send(self.serve(id, &q))),
                Some(Job::Check(reply)) => drop(reply.send(self.archive.check())),
                Some(Job::Stop) => break,
            }
        }
        if let Err(e) = self.archive.close() {
            tracing::error!(error = %e, "closing the archive failed");
        }
    }

    fn write(&mut self, batch: &mut Vec<NewMessage>) {
        if batch.is_empty() {
            return;
        }
        let written = self.archive.insert(batch);
        self.counters.failing.store(written.is_err(), Ordering::Relaxed);
        if let Err(e) = written {
            tracing::error!(error = %e, messages = batch.len(), "archiving failed");
            self.counters.failed.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        let bytes = batch.drain(..).map(|m| m.size()).sum();
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
        // The bounds hold at once, not only after the next sweep.
        while self.archive.is_over_bounds() && self.sweep() {}
        self.publish_size();
    }

    /// Deletes one batch; returns whether there may be more to delete.
    fn sweep(&mut self) -> bool {
        match self.archive.sweep(now()) {
            Ok((deleted, more)) => {
                if deleted > 0 {
                    tracing::debug!(deleted, "archive swept");
                }
                self.publish_size();
                more
            }
            Err(e) => {
                tracing::error!(error = %e, "sweeping the archive failed");
                false
            }
        }
    }

    fn publish_size(&self) {
        let (messages, bytes) = self.archive.size();
        self.counters.messages.store(messages, Ordering::Relaxed);
        self.counters.bytes.store(bytes, Ordering::Relaxed);
    }

    fn serve(&self, request_id: String, q: &StoreQuery) -> Bytes {
        let (status_code, status_desc, page) = match self.archive.query(q, now()) {
            Ok(page) => (200, "OK", page),
            Err(QueryError::Bad(what)) => (400, what, StorePage::default()),
            Err(QueryError::Archive(e)) => {
                tracing::error!(error = %e, "a Store query failed");
                (500, "the archive failed", StorePage::default())
            }
        };
        encode_response(&Response {
            request_id,
            status_code,
            status_desc: status_desc.to_owned(),
            messages: page.messages,
            unreadable: 0,
            cursor: page.cursor,
        })
    }
}

fn sweep_interval(retention: Duration) -> Duration {
    (retention / 10).clamp(SWEEP_EVERY.0, SWEEP_EVERY.1)
}

/// The clock, in nanoseconds since the unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
