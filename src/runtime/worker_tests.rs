//! The thread alone, around a machine that fails as a test says.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chat_core::database::DatabaseError;
use chat_core::machine::{Inbound, OutboxId, PublishFailure};
use tokio::sync::Semaphore;

use super::*;

type Fails = Box<dyn FnMut(&[Input]) -> Option<StepError> + Send>;

/// Notes what it took in each step.
struct Fake {
    steps: Arc<Mutex<Vec<Vec<Input>>>>,
    fails: Fails,
}

impl StateMachine for Fake {
    fn step_all(
        &mut self,
        _: Timestamp,
        _: Entropy,
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StepError> {
        match (self.fails)(&inputs) {
            Some(error) => Err(error),
            None => {
                self.steps.lock().unwrap().push(inputs);
                Ok(Vec::new())
            }
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        None
    }
}

struct Rig {
    worker: Worker<Fake>,
    steps: Arc<Mutex<Vec<Vec<Input>>>>,
    turns: Arc<Semaphore>,
}

impl Rig {
    async fn new(fails: impl FnMut(&[Input]) -> Option<StepError> + Send + 'static) -> Self {
        let steps = Arc::<Mutex<Vec<Vec<Input>>>>::default();
        let fake = Fake { steps: Arc::clone(&steps), fails: Box::new(fails) };
        let worker = start(move || Ok(fake)).await.unwrap();
        Self { worker, steps, turns: Arc::new(Semaphore::new(1)) }
    }

    /// Hands inputs over and waits until they were dealt with.
    async fn give(&self, inputs: Vec<Input>) {
        let turn = Arc::clone(&self.turns).acquire_owned().await.unwrap();
        let batch = Batch { inputs, turn };
        assert!(self.worker.requests.send(Request::Network(batch)).await.is_ok());
        drop(self.turns.acquire().await.unwrap());
    }

    /// The steps that succeeded, in short.
    fn taken(&self) -> Vec<String> {
        let steps = std::mem::take(&mut *self.steps.lock().unwrap());
        steps.iter().map(|inputs| inputs.iter().map(short).collect::<Vec<_>>().join(" ")).collect()
    }
}

fn short(input: &Input) -> &'static str {
    match input {
        Input::Envelope(_) => "envelope",
        Input::Published { .. } => "published",
        Input::Missed => "missed",
        Input::Tick => "tick",
        Input::Connection { connected: true } => "came",
        Input::Connection { connected: false } => "went",
        _ => "other",
    }
}

fn envelope() -> Input {
    Input::Envelope(Inbound { topic: String::new(), payload: vec![1].into(), timestamp_ns: 0 })
}

fn published() -> Input {
    Input::Published { outbox: OutboxId(1), failure: Some(PublishFailure::Retry) }
}

#[tokio::test]
async fn inputs_share_a_step() {
    let rig = Rig::new(|_| None).await;
    rig.give(vec![published(), envelope(), envelope(), Input::Tick]).await;
    assert_eq!(rig.taken(), ["published envelope envelope tick"]);
    assert_eq!(rig.worker.progress.borrow().ticks, 1);
}

#[tokio::test]
async fn an_input_that_fails_does_not_take_others_with_it() {
    let broken = || StepError::State("broken".to_owned());
    let bad = |inputs: &[Input]| inputs.iter().any(|it| matches!(it, Input::Missed));
    let rig = Rig::new(move |inputs| bad(inputs).then(broken)).await;
    rig.give(vec![envelope(), Input::Missed, published(), Input::Tick]).await;
    assert_eq!(rig.taken(), ["envelope", "published", "tick"]);
    let progress = rig.worker.progress.borrow().clone();
    assert_eq!((progress.ticks, progress.tick_failed), (1, false));
    assert!(progress.failure.unwrap().contains("broken"));
}

#[tokio::test]
async fn what_a_busy_database_refuses_is_owed() {
    // More often than a step is tried.
    let mut left = PAUSES.len() + 1;
    let rig = Rig::new(move |_| {
        left = left.checked_sub(1)?;
        Some(StepError::Database(DatabaseError::Busy))
    })
    .await;
    rig.give(vec![envelope(), published(), envelope(), Input::Tick]).await;
    assert!(rig.taken().is_empty());
    let progress = rig.worker.progress.borrow().clone();
    assert_eq!((progress.ticks, progress.tick_failed), (1, true), "the tick is over");
    // Envelopes are fetched again, and a result of publishing is not lost.
    rig.give(vec![Input::Tick]).await;
    assert_eq!(rig.taken(), ["missed", "published", "tick"]);
}

#[tokio::test]
async fn a_short_trouble_is_waited_for() {
    let mut left = 2_usize;
    let rig = Rig::new(move |_| {
        left = left.checked_sub(1)?;
        Some(StepError::Database(DatabaseError::Busy))
    })
    .await;
    rig.give(vec![envelope(), published()]).await;
    assert_eq!(rig.taken(), ["envelope published"]);
    assert!(rig.worker.progress.borrow().failure.is_none());
}

#[tokio::test]
async fn a_connection_that_came_is_not_overtaken_by_one_that_went() {
    let full = Arc::new(AtomicBool::new(true));
    let is_full = Arc::clone(&full);
    let rig = Rig::new(move |inputs| {
        // A connection that came writes nothing, and would be taken by a full disk.
        let came = |input: &Input| matches!(input, Input::Connection { connected: true });
        (is_full.load(Ordering::Relaxed) && !inputs.iter().all(came))
            .then_some(StepError::Database(DatabaseError::Full))
    })
    .await;
    let connection = |connected| Input::Connection { connected };
    rig.give(vec![published(), connection(false)]).await;
    for _ in 0..3 {
        rig.give(vec![connection(true)]).await;
        rig.give(vec![connection(false), connection(true)]).await;
    }
    assert!(rig.taken().is_empty());
    full.store(false, Ordering::Relaxed);
    rig.give(vec![Input::Tick]).await;
    assert_eq!(rig.taken(), ["published", "went", "came", "tick"]);
}
