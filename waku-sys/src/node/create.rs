//! Nodes of our own: making, starting, stopping and destroying them.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use super::context::{Address, Context, Owner, refused};
use super::handle::{Inner, Node, NodeOptions, TURN};
use crate::bindings::{RET_ERR, RET_OK, WakuCallBack};
use crate::config::NodeConfig;
use crate::error::{CallError, NewNodeError};
use crate::event::{self, Events, on_event};
use crate::lanes::{Lane, submit};
use crate::library::Library;
use crate::pending::{self, Answer, Pending, on_answer, unique_id, user_data};
use crate::symbols::Symbols;

/// A function of the library that begins or ends what a node does.
type LifeFunction = unsafe extern "C" fn(*mut c_void, WakuCallBack, *mut c_void) -> c_int;

/// How long a node has to stop before it is destroyed all the same.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

impl Node {
    /// Makes a node, which does nothing before [`start`](Self::start), and the queue of its events.
    ///
    /// In one process, nodes are made, started, stopped and destroyed one at a time: libwaku v0.37.1
    /// was seen to crash where several of that happened at once. So this waits for its turn.
    ///
    /// # Errors
    ///
    /// [`NewNodeError`]; then nothing is left of the node.
    pub async fn new(
        library: &Library,
        config: &NodeConfig,
        options: NodeOptions,
    ) -> Result<(Self, Events), NewNodeError> {
        let json = config.to_json()?;
        let secret = config.key.as_ref().map(|key| key.to_hex());
        let library = library.clone();
        let (sender, made) = oneshot::channel();
        let job = move || {
            let made = create(&library, &json, &options).map(|(address, id, events)| {
                let owner = Owner::Us { started: AtomicBool::new(false) };
                let context = Arc::new(Context::new(library, id, address, owner));
                (Self { inner: Arc::new(Inner { context, options }) }, events)
            });
            // If the caller has stopped waiting, dropping the node destroys it.
            drop(sender.send(made));
        };
        if !submit(Lane::Life, Box::new(job)) {
            return Err(NewNodeError::Refused(
                "there is no thread to call libwaku from".to_owned(),
            ));
        }
        let made = timeout(TURN, made).await.map_err(|_| NewNodeError::Timeout)?;
        match made.unwrap_or(Err(NewNodeError::Timeout)) {
            Err(NewNodeError::Refused(text)) => Err(NewNodeError::Refused(match secret {
                // The library quotes a value that it refuses.
                Some(secret) => text.replace(secret.as_str(), "(the key)"),
                None => text,
            })),
            made => made,
        }
    }

    /// Starts to listen, and subscribes to the configured shards. Waits for its turn, as
    /// [`new`](Self::new) does.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::Invalid`] for a host's node.
    pub async fn start(&self) -> Result<(), CallError> {
        let started = self.started()?;
        // Set even if starting fails or takes too long, because half a start has to be stopped too.
        started.store(true, Ordering::Release);
        self.alone(|symbols| symbols.waku_start).await
    }

    /// Stops what [`start`](Self::start) has started. Waits for its turn, as [`new`](Self::new) does.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::Invalid`] for a host's node.
    pub async fn stop(&self) -> Result<(), CallError> {
        let started = self.started()?;
        self.alone(|symbols| symbols.waku_stop).await?;
        started.store(false, Ordering::Release);
        Ok(())
    }

    /// Calls a function of the library and holds up the life of all other nodes of the process until
    /// it has answered, even if the caller stops waiting.
    async fn alone(&self, function: fn(&Symbols) -> LifeFunction) -> Result<(), CallError> {
        let context = Arc::clone(&self.inner.context);
        let limit = self.inner.options.start_timeout;
        let (sender, answer) = oneshot::channel();
        let job = move || {
            let answer = match context.gate.enter() {
                None => Err(CallError::Destroyed),
                Some(entered) => {
                    let function = function(context.library.symbols());
                    let (answer, ()) = ask(context.id, limit, |user_data| {
                        let context = entered.address.as_ptr();
                        // SAFETY: the gate keeps the context alive; the callback may be called with
                        // any number at any time.
                        (unsafe { function(context, Some(on_answer), user_data) }, ())
                    });
                    answer
                }
            };
            // The caller may have stopped waiting.
            let _ = sender.send(answer);
        };
        if !submit(Lane::Life, Box::new(job)) {
            return Err(CallError::Destroyed);
        }
        match timeout(TURN, answer).await {
            Ok(answer) => answer.unwrap_or(Err(CallError::Destroyed)).map(drop),
            Err(_) => Err(CallError::Timeout),
        }
    }

    fn started(&self) -> Result<&AtomicBool, CallError> {
        match &self.inner.context.owner {
            Owner::Us { started } => Ok(started),
            Owner::Host { .. } => {
                Err(CallError::Invalid("only the host starts and stops its node"))
            }
        }
    }
}

impl Context {
    /// Stops a node of our own if it was started, and destroys it. On the thread of [`Lane::Life`].
    pub(super) fn destroy(&self) {
        let Owner::Us { started } = &self.owner else { return };
        let Some(address) = self.gate.close() else { return };
        self.turns.close();
        // For a call of the other thread, which may be inside.
        self.gate.wait(None);
        let symbols = self.library.symbols();
        if started.load(Ordering::Acquire) {
            let stopped = ask(unique_id(), STOP_PATIENCE, |user_data| {
                // SAFETY: the context lives, and no other call is let in.
                let ret =
                    unsafe { (symbols.waku_stop)(address.as_ptr(), Some(on_answer), user_data) };
                (ret, ())
            });
            if let Err(error) = stopped.0 {
                tracing::warn!(%error, "a node did not stop before it was destroyed");
            }
        }
        // SAFETY: it was made by `create`, and the gate is closed, so that no one uses the address.
        unsafe { destroy(symbols, address) };
        event::close(self.id);
        pending::abandon(self.id);
    }
}

/// Makes a node, on the thread of [`Lane::Life`]. If the library refuses the configuration, what it
/// made is destroyed.
fn create(
    library: &Library,
    json: &Zeroizing<String>,
    options: &NodeOptions,
) -> Result<(Address, usize, Events), NewNodeError> {
    let symbols = library.symbols();
    let id = unique_id();
    let config = CString::new(json.as_bytes())
        .map_err(|_| NewNodeError::Refused("a NUL character in the configuration".to_owned()))?;
    let (answer, address) = ask(id, options.start_timeout, |user_data| {
        // SAFETY: the text ends with NUL and lives until it was copied; the callback may be called
        // with any number at any time.
        let address = unsafe { (symbols.waku_new)(config.as_ptr(), Some(on_answer), user_data) };
        let address = NonNull::new(address).map(Address::new);
        // The answer, which comes later, tells whether it worked.
        (if address.is_some() { RET_OK } else { RET_ERR }, address)
    });
    config.into_bytes().zeroize();
    let error = match (answer, address) {
        (Ok(_), Some(address)) => {
            let events = event::open(id, options.events);
            // SAFETY: the context lives and nothing runs in it yet; the callback may be called with
            // any number at any time.
            unsafe {
                (symbols.waku_set_event_callback)(address.as_ptr(), Some(on_event), user_data(id));
            }
            return Ok((address, id, events));
        }
        (answer, address) => {
            // A node that comes with an error must not be started, and has to be destroyed.
            if let Some(address) = address {
                // SAFETY: it was just made, and no one else has the address.
                unsafe { destroy(symbols, address) };
            }
            answer.err().unwrap_or(CallError::Malformed("neither a node nor an error"))
        }
    };
    Err(match error {
        CallError::Timeout => NewNodeError::Timeout,
        CallError::Failed(text) => NewNodeError::Refused(text),
        other => NewNodeError::Refused(other.to_string()),
    })
}

/// Destroys a node. That takes up to 11 s for a young node.
///
/// # Safety
///
/// The node lives, is ours, and is not used by anyone else, now or later.
unsafe fn destroy(symbols: &Symbols, address: Address) {
    let (destroyed, ()) = ask(unique_id(), Duration::ZERO, |user_data| {
        // SAFETY: as required of the caller.
        (unsafe { (symbols.waku_destroy)(address.as_ptr(), Some(on_answer), user_data) }, ())
    });
    match destroyed {
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "libwaku did not destroy a node"),
    }
}

/// Calls a function on the present thread, and blocks it until the answer comes.
fn ask<T>(
    node: usize,
    limit: Duration,
    function: impl FnOnce(*mut c_void) -> (c_int, T),
) -> (Answer, T) {
    let (sender, answers) = sync_channel(1);
    let pending = Pending::new(node, move |answer| drop(sender.try_send(answer)));
    let (ret, value) = function(user_data(pending.id));
    refused(pending.id, ret);
    // An answer that has come already is taken even if the limit is zero.
    (answers.recv_timeout(limit).unwrap_or(Err(CallError::Timeout)), value)
}
