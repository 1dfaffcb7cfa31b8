//! The thread in which the machine lives: SQLite blocks, so it stays away from the runtime. The
//! machine is that of an account, or that of a new device which waits to be linked to one.
//!
//! Everything reaches it through one bounded channel, so that whoever is too fast waits. What it
//! wants done outside goes to the driver through another one.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chat_core::machine::{
    Answer, Command, CommandId, Inbound, Input, Machine, Newcomer, OutboxId, Output,
    PublishFailure, QueryId, StepError,
};
use chat_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::Error;

/// Requests that wait for the machine; whoever has more waits.
const REQUESTS: usize = 64;
/// Outputs that wait for the driver.
const OUTPUTS: usize = 64;
/// Pauses before a step that failed for a passing reason (a busy file, a full disk) is tried again.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_millis(1000)];

/// What can be driven: it takes inputs and says what is to happen outside.
pub(crate) trait Driven: Send + 'static {
    /// See [`Machine::step`].
    fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Output>, StepError>;
    /// See [`Machine::next_wake`].
    fn next_wake(&self) -> Option<Timestamp>;
}

impl Driven for Machine {
    fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Output>, StepError> {
        Machine::step(self, now, input)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        Machine::next_wake(self)
    }
}

impl Driven for Newcomer {
    fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Output>, StepError> {
        Newcomer::step(self, now, input)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        Newcomer::next_wake(self)
    }
}

/// What the thread is asked.
pub(crate) enum Request<D = Machine> {
    /// Something happened on the network.
    Network(NetworkInput),
    /// The application wants something done.
    Command(Command, oneshot::Sender<Result<Answer, Error>>),
    /// The application wants to know something.
    Query(Box<dyn FnOnce(&D) + Send>),
    /// End, and give the machine back to whoever joins the thread.
    Close,
}

/// A [`Input`] of the network that can be made again for another try.
#[derive(Debug, Clone)]
pub(crate) enum NetworkInput {
    Envelope(Envelope),
    Page { query: QueryId, messages: Vec<Envelope>, cursor: Option<[u8; 32]> },
    HistoryFailed { query: QueryId, reason: String, no_store: bool },
    Published { outbox: OutboxId, failure: Option<PublishFailure> },
    Connection(bool),
    Missed,
    ObservedTime(i64),
    Tick,
}

/// A message from outside; its payload is shared, not copied.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) timestamp_ns: i64,
}

impl From<&Envelope> for Inbound {
    fn from(envelope: &Envelope) -> Self {
        Inbound {
            topic: envelope.topic.clone(),
            payload: envelope.payload.to_vec(),
            timestamp_ns: envelope.timestamp_ns,
        }
    }
}

impl NetworkInput {
    fn input(&self) -> Input {
        match self {
            Self::Envelope(envelope) => Input::Envelope(envelope.into()),
            Self::Page { query, messages, cursor } => Input::HistoryPage {
                query: *query,
                messages: messages.iter().map(Inbound::from).collect(),
                cursor: *cursor,
            },
            Self::HistoryFailed { query, reason, no_store } => {
                Input::HistoryFailed { query: *query, reason: reason.clone(), no_store: *no_store }
            }
            Self::Published { outbox, failure } => {
                Input::Published { outbox: *outbox, failure: *failure }
            }
            Self::Connection(connected) => Input::Connection { connected: *connected },
            Self::Missed => Input::Missed,
            Self::ObservedTime(timestamp_ns) => Input::ObservedTime { timestamp_ns: *timestamp_ns },
            Self::Tick => Input::Tick,
        }
    }

    /// What the machine is owed when it could not take this: something small that has it ask for
    /// the rest again.
    fn remainder(&self) -> Option<NetworkInput> {
        match self {
            Self::Envelope(_) => Some(Self::Missed),
            Self::Page { query, .. } => Some(Self::HistoryFailed {
                query: *query,
                reason: "the page could not be stored".to_owned(),
                no_store: false,
            }),
            Self::Tick | Self::ObservedTime(_) => None,
            small => Some(small.clone()),
        }
    }
}

/// What everybody may watch of the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The last event's cursor, once there was one since the start.
    pub(crate) last_event: u64,
    /// When the machine was told of the present connection; none while there is none.
    pub(crate) connected_at: Option<Timestamp>,
    /// Set while the last answer to a history query was that there is no Store.
    pub(crate) no_store: bool,
    /// When the machine wants to be woken.
    pub(crate) next_wake: Option<Timestamp>,
    /// Ticks that it has dealt with.
    pub(crate) ticks: u64,
    /// Whether the last of them failed.
    pub(crate) tick_failed: bool,
    /// Steps that it has taken.
    pub(crate) steps: u64,
    /// The last local failure on an input of the network, for people.
    pub(crate) failure: Option<String>,
}

/// The handles of a running thread.
pub(crate) struct Worker<D = Machine> {
    pub(crate) requests: mpsc::Sender<Request<D>>,
    pub(crate) outputs: mpsc::Receiver<Output>,
    pub(crate) progress: watch::Receiver<Progress>,
    /// None where it could not be opened.
    pub(crate) thread: JoinHandle<Option<D>>,
}

/// The present, by the system's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
}

/// Starts the thread; the machine is opened in it.
pub(crate) async fn start<D: Driven>(
    open: impl FnOnce() -> Result<D, Error> + Send + 'static,
) -> Result<Worker<D>, Error> {
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let (outbox, outputs) = mpsc::channel(OUTPUTS);
    let (progress_out, progress) = watch::channel(Progress::default());
    let (opened, is_open) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("waku-chat".to_owned())
        .spawn(move || {
            let machine = match open() {
                Ok(machine) => machine,
                Err(error) => {
                    // Whoever asked may be gone.
                    let _ = opened.send(Err(error));
                    return None;
                }
            };
            let mut thread = Thread {
                machine,
                outputs: outbox,
                progress: progress_out,
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

struct Thread<D> {
    machine: D,
    outputs: mpsc::Sender<Output>,
    progress: watch::Sender<Progress>,
    /// Inputs that the machine could not take yet; small, and no more than publications in flight.
    owed: VecDeque<NetworkInput>,
    next_command: u64,
}

impl<D: Driven> Thread<D> {
    fn run(&mut self, mut inbox: mpsc::Receiver<Request<D>>) {
        while let Some(request) = inbox.blocking_recv() {
            match request {
                Request::Network(input) => {
                    self.pay();
                    self.network(input);
                }
                Request::Command(command, reply) => {
                    let answer = self.command(command);
                    // Whoever asked may have stopped waiting; what was done is done.
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
        let outputs = self.machine.step(now(), Input::Command(id, command))?;
        let mut answer = Err(Error::Internal("the machine did not answer a command"));
        self.carry_out(outputs, |_, result| answer = result.map_err(Error::Command));
        self.show(|_| ());
        answer
    }

    /// Gives the machine what it is owed, as far as it takes it now.
    fn pay(&mut self) {
        while let Some(input) = self.owed.pop_front() {
            match self.step(&input) {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    self.owed.push_front(input);
                    return;
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn network(&mut self, input: NetworkInput) {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.step(&input) {
                Ok(()) => return,
                Err(error) => error,
            };
            // While something is owed already the trouble lasts, and waiting more helps nobody.
            match pauses.next().filter(|_| error.is_retryable() && self.owed.is_empty()) {
                Some(pause) => std::thread::sleep(*pause),
                None => {
                    self.failed(&error);
                    let owed = input.remainder();
                    let known = matches!(owed, Some(NetworkInput::Missed))
                        && self.owed.iter().any(|i| matches!(i, NetworkInput::Missed));
                    if error.is_retryable() && !known {
                        self.owed.extend(owed);
                    }
                    return;
                }
            }
        }
    }

    fn step(&mut self, input: &NetworkInput) -> Result<(), StepError> {
        let now = now();
        let outputs = self.machine.step(now, input.input())?;
        self.carry_out(outputs, |id, _| {
            tracing::error!(id = id.0, "an answer to no command");
        });
        self.show(|progress| match input {
            NetworkInput::Connection(connected) => {
                progress.connected_at = connected.then_some(now);
                progress.no_store = false;
            }
            NetworkInput::HistoryFailed { no_store, .. } => progress.no_store = *no_store,
            NetworkInput::Page { .. } => progress.no_store = false,
            NetworkInput::Tick => {
                progress.ticks += 1;
                progress.tick_failed = false;
            }
            _ => {}
        });
        Ok(())
    }

    fn carry_out(
        &mut self,
        outputs: Vec<Output>,
        mut answered: impl FnMut(CommandId, Result<Answer, chat_core::machine::CommandError>),
    ) {
        for output in outputs {
            match output {
                Output::Answer(id, result) => answered(id, result),
                Output::Event { cursor, .. } => {
                    self.progress.send_modify(|p| p.last_event = p.last_event.max(cursor));
                }
                Output::Disposed(disposition) => tracing::trace!(?disposition, "envelope"),
                output => {
                    // The driver ends before the thread only when the client was dropped; then
                    // nothing goes out any more, and the outbox keeps what was to.
                    let _ = self.outputs.blocking_send(output);
                }
            }
        }
    }

    fn show(&mut self, change: impl FnOnce(&mut Progress)) {
        let next_wake = self.machine.next_wake();
        self.progress.send_modify(|progress| {
            progress.next_wake = next_wake;
            progress.steps += 1;
            change(progress);
        });
    }

    fn failed(&mut self, error: &StepError) {
        tracing::error!(code = error.code(), %error, "an input could not be taken");
        let text = error.to_string();
        self.progress.send_modify(|progress| {
            // A tick that fails is over too, or none would ever come again.
            progress.ticks += 1;
            progress.tick_failed = true;
            progress.failure = Some(text);
        });
    }
}
