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
use super::{Inner, Node, NodeOptions, TURN};
use crate::bindings::{RET_ERR, RET_OK};
use crate::config::NodeConfig;
use crate::error::{CallError, NewNodeError};
use crate::event::{self, Events, on_event};
use crate::lanes::{Lane, submit};
use crate::library::Library;
use crate::pending::{self, Answer, Pending, on_answer, unique_id, user_data};
use crate::symbols::Symbols;

/// How long a node has to stop before it is destroyed without having stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

impl Node {
    /// Makes a node, which does nothing before [`start`](Self::start), and the queue of its events.
    ///
    /// Nodes are made one after another.
    ///
    /// # Errors
    ///
    /// [`NewNodeError`]; then nothing is left of it.
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
            // If nobody waits any more, dropping it destroys the node.
            drop(sender.send(made));
        };
        if !submit(Lane::Life, Box::new(job)) {
            return Err(NewNodeError::Refused("there is no thread to call it from".to_owned()));
        }
        let made = timeout(TURN, made).await.map_err(|_| NewNodeError::Timeout)?;
        match made.unwrap_or(Err(NewNodeError::Timeout)) {
            Err(NewNodeError::Refused(text)) => Err(NewNodeError::Refused(match secret {
                // The library quotes what it does not like.
                Some(secret) => text.replace(secret.as_str(), "(the key)"),
                None => text,
            })),
            made => made,
        }
    }

    /// Starts to listen, and takes part in the configured shards.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::Invalid`] for a host's node.
    pub async fn start(&self) -> Result<(), CallError> {
        let started = self.started()?;
        // Also if it fails or takes too long, or half a start would never be stopped.
        started.store(true, Ordering::Release);
        self.call_start().await
    }

    /// Stops what [`start`](Self::start) has started.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::Invalid`] for a host's node.
    pub async fn stop(&self) -> Result<(), CallError> {
        let started = self.started()?;
        self.call_stop().await?;
        started.store(false, Ordering::Release);
        Ok(())
    }

    fn started(&self) -> Result<&AtomicBool, CallError> {
        match &self.inner.context.owner {
            Owner::Us { started } => Ok(started),
            Owner::Host { .. } => {
                Err(CallError::Invalid("the node is a host's, which starts and stops it"))
            }
        }
    }
}

impl Context {
    /// Stops a node of our own if need be and destroys it, on the thread of [`Lane::Life`].
    pub(super) fn destroy(&self) {
        let Owner::Us { started } = &self.owner else { return };
        let Some(address) = self.gate.close() else { return };
        self.turns.close();
        // For the other thread, which may be inside; this one is here.
        self.gate.wait(None);
        let symbols = self.library.symbols();
        if started.load(Ordering::Acquire) {
            let stopped = ask(unique_id(), STOP_PATIENCE, |user_data| {
                // SAFETY: the context lives, and nobody else is let in any more.
                let ret =
                    unsafe { (symbols.waku_stop)(address.as_ptr(), Some(on_answer), user_data) };
                (ret, ())
            });
            if let Err(error) = stopped.0 {
                tracing::warn!(%error, "a node did not stop before it was destroyed");
            }
        }
        // SAFETY: it was made by `create`, and nobody has the address any more: the gate is closed.
        unsafe { destroy(symbols, address) };
        event::close(self.id);
        pending::abandon(self.id);
    }
}

/// Makes a node, on the thread of [`Lane::Life`]. One that the library does not want is destroyed.
fn create(
    library: &Library,
    json: &Zeroizing<String>,
    options: &NodeOptions,
) -> Result<(Address, usize, Events), NewNodeError> {
    let symbols = library.symbols();
    let id = unique_id();
    let config = CString::new(json.as_bytes())
        .map_err(|_| NewNodeError::Refused("zero in the configuration".to_owned()))?;
    let (answer, address) = ask(id, options.start_timeout, |user_data| {
        // SAFETY: the text ends with zero, and lives until it was copied; the callback may be
        // called with any number at any time.
        let address = unsafe { (symbols.waku_new)(config.as_ptr(), Some(on_answer), user_data) };
        let address = NonNull::new(address).map(Address::new);
        // Whether it worked is told by the answer, which comes later.
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
            // Also where it came with an error: it must not be started, but it is there.
            if let Some(address) = address {
                // SAFETY: it was just made, and nobody else has the address.
                unsafe { destroy(symbols, address) };
            }
            answer.err().unwrap_or(CallError::Malformed("no node, and no error"))
        }
    };
    Err(match error {
        CallError::Timeout => NewNodeError::Timeout,
        CallError::Failed(text) => NewNodeError::Refused(text),
        other => NewNodeError::Refused(other.to_string()),
    })
}

/// Destroys a node. Takes seconds if it is young.
///
/// # Safety
///
/// The node lives, is ours, and is not used by anybody else, now or later.
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

/// Calls a function, on the thread that this is, and waits there for its answer.
fn ask<T>(
    node: usize,
    limit: Duration,
    function: impl FnOnce(*mut c_void) -> (c_int, T),
) -> (Answer, T) {
    let (sender, answers) = sync_channel(1);
    let pending = Pending::new(node, move |answer| drop(sender.try_send(answer)));
    let (ret, value) = function(user_data(pending.id));
    refused(pending.id, ret);
    // One that is there already is taken even if the limit is zero.
    (answers.recv_timeout(limit).unwrap_or(Err(CallError::Timeout)), value)
}
