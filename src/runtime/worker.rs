//! The thread in which a machine lives: SQLite blocks, so it stays away from the runtime.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_core::machine::{Answer, Command, CommandError, CommandId, Input, Output, StepError};
use chat_core::random::Entropy;
use chat_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::progress::Progress;
use super::request::{Batch, Request};
use super::state_machine::StateMachine;
use crate::error::Error;
use crate::random::random;

/// Requests that wait for the machine: enough that it never idles while callers have something for it,
/// and few enough that the last one does not wait long.
const REQUESTS: usize = 64;
/// Outputs that wait for the bridge, which takes them faster than the machine makes them.
const OUTPUTS: usize = 64;
/// Pauses before a step that failed for a passing reason (a busy file, a full disk) is tried again.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_millis(1000)];

/// The handles of a running thread.
pub(super) struct Worker<M> {
    pub(super) requests: mpsc::Sender<Request<M>>,
    pub(super) outputs: mpsc::Receiver<Output>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) thread: JoinHandle<Option<M>>,
}

/// The present, by the system's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
}

/// Fresh randomness for a step.
fn entropy() -> Result<Entropy, StepError> {
    let bytes = random::<32>().map_err(|error| StepError::Randomness(error.to_string()))?;
    Ok(Entropy::new(*bytes))
}

/// Starts the thread; the machine is opened in it.
pub(super) async fn start<M: StateMachine>(
    open: impl FnOnce() -> Result<M, Error> + Send + 'static,
) -> Result<Worker<M>, Error> {
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let (outputs_in, outputs) = mpsc::channel(OUTPUTS);
    let (progress_in, progress) = watch::channel(Progress::default());
    let (opened, is_open) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("waku-chat".to_owned())
        .spawn(move || {
            let machine = match open() {
                Ok(machine) => machine,
                Err(error) => {
                    // The caller may be gone.
                    let _ = opened.send(Err(error));
                    return None;
                }
            };
            let mut thread = Thread {
                machine,
                outputs: outputs_in,
                progress: progress_in,
                owed: VecDeque::new(),
                next_command: 0,
            };
            thread.show(|_| ());
            if opened.send(Ok(())).is_ok() {
                thread.run(inbox);
            }
            Some(thread.machine)
        })
        .map_err(|error| Error::System { what: "a thread", reason: error.to_string() })?;
    is_open.await.unwrap_or(Err(Error::Internal("the machine's thread died while opening")))?;
    Ok(Worker { requests, outputs, progress, thread })
}

struct Thread<M> {
    machine: M,
    outputs: mpsc::Sender<Output>,
    progress: watch::Sender<Progress>,
    /// Inputs that the machine could not take yet, in order: small ones, no more than publications
    /// under way and a few. While there are some, later ones wait behind them.
    owed: VecDeque<Input>,
    next_command: u64,
}

impl<M: StateMachine> Thread<M> {
    fn run(&mut self, mut inbox: mpsc::Receiver<Request<M>>) {
        while let Some(request) = inbox.blocking_recv() {
            match request {
                Request::Network(Batch { inputs, turn }) => {
                    self.pay();
                    self.network(inputs);
                    drop(turn);
                }
                Request::Command(command, reply) => {
                    let answer = self.command(command);
                    // The caller may have stopped waiting; what was done is done.
                    let _ = reply.send(answer);
                }
                Request::Query(query) => query(&self.machine),
                Request::Close => break,
            }
        }
        tracing::debug!("machine closed");
    }

    fn command(&mut self, command: Command) -> Result<Answer, Error> {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        let outputs =
            self.machine.step_all(now(), entropy()?, vec![Input::Command(id, command)])?;
        let mut answer = Err(Error::Internal("the machine did not answer a command"));
        self.carry_out(outputs, |_, result| answer = result.map_err(Error::Command));
        self.show(|_| ());
        answer
    }

    /// Gives the machine what it is owed, as far as it takes it now.
    fn pay(&mut self) {
        while let Some(input) = self.owed.pop_front() {
            match self.step(std::slice::from_ref(&input)) {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    self.owed.push_front(input);
                    return;
                }
                Err(error) => self.failed(&[input], &error),
            }
        }
    }

    /// Has the machine take inputs in one step, or each in a step of its own if one of them fails.
    fn network(&mut self, inputs: Vec<Input>) {
        if !self.owed.is_empty() {
            return self.put_off(&inputs);
        }
        match self.try_to_take(&inputs) {
            Ok(()) => {}
            Err(error) if error.is_retryable() => {
                self.failed(&inputs, &error);
                inputs.iter().for_each(|input| self.owe(input));
            }
            Err(_) if inputs.len() > 1 => {
                inputs.into_iter().for_each(|input| self.network(vec![input]));
            }
            Err(error) => self.failed(&inputs, &error),
        }
    }

    /// Inputs that come while others are owed keep their order: a connection that came must not be
    /// overtaken by one that went before.
    fn put_off(&mut self, inputs: &[Input]) {
        self.progress.send_modify(|progress| {
            inputs.iter().for_each(|input| progress.given_up(input));
        });
        inputs.iter().for_each(|input| self.owe(input));
    }

    fn try_to_take(&mut self, inputs: &[Input]) -> Result<(), StepError> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.step(inputs) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match pauses.next().filter(|_| error.is_retryable()) {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(error),
            }
        }
    }

    /// Keeps what has the machine ask again for an input that it could not take.
    fn owe(&mut self, input: &Input) {
        match remainder(input) {
            // Once is enough.
            Some(Input::Missed) if self.owed.iter().any(|it| matches!(it, Input::Missed)) => {}
            // All that counts of its comings and goings is that it went, and how it is now.
            Some(Input::Connection { connected }) => {
                self.owed.retain(|it| !matches!(it, Input::Connection { .. }));
                self.owed.push_back(Input::Connection { connected: false });
                if connected {
                    self.owed.push_back(Input::Connection { connected });
                }
            }
            remainder => self.owed.extend(remainder),
        }
    }

    fn step(&mut self, inputs: &[Input]) -> Result<(), StepError> {
        let now = now();
        let outputs = self.machine.step_all(now, entropy()?, inputs.to_vec())?;
        self.carry_out(outputs, |id, _| {
            tracing::error!(id = id.0, "an answer without a command");
        });
        self.show(|progress| inputs.iter().for_each(|input| progress.taken(input, now)));
        Ok(())
    }

    fn carry_out(
        &mut self,
        outputs: Vec<Output>,
        mut answered: impl FnMut(CommandId, Result<Answer, CommandError>),
    ) {
        for output in outputs {
            match output {
                Output::Answer(id, result) => answered(id, result),
                Output::Event { cursor, .. } => {
                    self.progress.send_modify(|p| p.last_event = p.last_event.max(cursor));
                }
                Output::Disposed(disposition) => tracing::trace!(?disposition, "envelope"),
                output => {
                    // The bridge ends before the thread only when the client was dropped. Then
                    // nothing goes out any more, and the outbox keeps what was to be published.
                    let _ = self.outputs.blocking_send(output);
                }
            }
        }
    }

    /// Shows how far the machine is after a step.
    fn show(&mut self, change: impl FnOnce(&mut Progress)) {
        let next_wake = self.machine.next_wake();
        self.progress.send_modify(|progress| {
            progress.next_wake = next_wake;
            change(progress);
        });
    }

    fn failed(&mut self, inputs: &[Input], error: &StepError) {
        tracing::error!(code = error.code(), %error, inputs = inputs.len(), "inputs could not be taken");
        self.progress.send_modify(|progress| {
            inputs.iter().for_each(|input| progress.given_up(input));
            progress.failure = Some(error.to_string());
        });
    }
}

/// What the machine is owed when it could not take an input: something small that has it ask for the
/// rest again.
fn remainder(input: &Input) -> Option<Input> {
    match input {
        Input::Envelope(_) => Some(Input::Missed),
        Input::HistoryPage { query, .. } => Some(Input::HistoryFailed {
            query: *query,
            reason: "the page could not be stored".to_owned(),
            no_store: false,
        }),
        Input::Tick | Input::ObservedTime { .. } | Input::Command(..) => None,
        Input::HistoryFailed { .. }
        | Input::Sent { .. }
        | Input::Published { .. }
        | Input::Connection { .. }
        | Input::Missed => Some(input.clone()),
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
