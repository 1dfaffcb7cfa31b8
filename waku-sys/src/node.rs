//! A node that lives in the library.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use crate::bindings::{RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
use crate::config::NodeConfig;
use crate::error::{CallError, NewNodeError};
use crate::event::{self, EventQueueLimits, Events, on_event};
use crate::lanes::{Lane, submit};
use crate::library::Library;
use crate::message::WakuMessage;
use crate::pending::{self, Answer, Pending, on_answer, unique_id, user_data};
use crate::store::{StoreAnswer, StoreQuery, from_hex};
use crate::symbols::Symbols;

/// Most calls of one node that wait for their turn. Further ones wait to be allowed to wait.
const MAX_QUEUED: usize = 256;

/// How long calls about a node's life may wait until others had their turn: ten nodes that are
/// being destroyed, at 11 s each, and some more.
const TURN: Duration = Duration::from_secs(180);

/// Longest text argument other than messages and queries, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// How a node behaves towards its user.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Bounds on events that wait to be read.
    pub events: EventQueueLimits,
    /// How long starting and stopping may take, not counting the wait for other nodes'.
    pub start_timeout: Duration,
    /// How long every other call may take.
    pub call_timeout: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            events: EventQueueLimits::default(),
            start_timeout: Duration::from_secs(30),
            // The library itself gives up dialling after 10 s.
            call_timeout: Duration::from_secs(15),
        }
    }
}

/// What a node knows of a connected peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PeerInfo {
    /// Protocols that it speaks.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Where it says that it listens.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// A node of a library. Cheap to clone; when the last one is dropped the node is stopped and
/// destroyed, without anybody waiting for it.
///
/// All methods may be cancelled by dropping their future. What was asked for may happen then or
/// not.
#[derive(Clone, Debug)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    context: Arc<Context>,
    options: NodeOptions,
}

/// What both threads share of a node.
struct Context {
    library: Library,
    /// The number under which its events are kept and its calls are counted.
    id: usize,
    /// None once it is being destroyed. Held for reading during a call, so nothing is called
    /// afterwards.
    address: RwLock<Option<Address>>,
    /// Whether there is something to stop.
    started: AtomicBool,
    turns: Arc<Semaphore>,
}

/// The library's address of a node. Owned: nobody else destroys it.
struct Address(NonNull<c_void>);

// SAFETY: the library locks a node's requests itself; which threads may make them is seen to by
// `lanes`.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

/// What a call consists of: the functions, a context that lives, and where to answer to.
struct Call<'a> {
    symbols: &'a Symbols,
    context: *mut c_void,
    callback: WakuCallBack,
    user_data: *mut c_void,
}

/// Calls a function of the library with these arguments between context and callback. An argument
/// is text, lent out as a pointer, or a number.
macro_rules! call {
    ($node:expr, $lane:expr, $limit:expr, $name:ident $(, text $text:ident)* $(, number $number:expr)*) => {
        $node.call($lane, $limit, move |call: &Call<'_>| {
            // SAFETY: the context lives for as long as it is lent to this closure; texts end with
            // zero and live until the function has copied them; the callback may be called with
            // any number at any time.
            unsafe {
                (call.symbols.$name)(
                    call.context
                    $(, $text.as_ptr())*
                    $(, $number)*
                    , call.callback, call.user_data,
                )
            }
        })
    };
}

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
                let context = Arc::new(Context {
                    library,
                    id,
                    address: RwLock::new(Some(address)),
                    started: AtomicBool::new(false),
                    turns: Arc::new(Semaphore::new(MAX_QUEUED)),
                });
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
    /// [`CallError`].
    pub async fn start(&self) -> Result<(), CallError> {
        let limit = self.inner.options.start_timeout;
        // Also if it fails or takes too long, or half a start would never be stopped.
        self.inner.context.started.store(true, Ordering::Release);
        call!(self, Lane::Life, limit, waku_start).await?;
        Ok(())
    }

    /// Stops what [`start`](Self::start) has started.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn stop(&self) -> Result<(), CallError> {
        let limit = self.inner.options.start_timeout;
        call!(self, Lane::Life, limit, waku_stop).await?;
        self.inner.context.started.store(false, Ordering::Release);
        Ok(())
    }

    /// Stops the node and destroys it. Calls that are under way end with
    /// [`CallError::Destroyed`], and so do all later ones. Doing it again is no error, and returns
    /// when it is done.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if the library does not return. It is destroyed as soon as it can be.
    pub async fn destroy(&self) -> Result<(), CallError> {
        let (sender, done) = oneshot::channel();
        let context = Arc::clone(&self.inner.context);
        let job = move || {
            context.destroy();
            // Nobody may wait for it.
            let _ = sender.send(());
        };
        if !submit(Lane::Life, Box::new(job)) {
            return Err(CallError::Timeout);
        }
        timeout(TURN, done).await.map_err(|_| CallError::Timeout)?.map_err(|_| CallError::Timeout)
    }

    /// Takes part in a shard; its messages come as events.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn subscribe(&self, pubsub_topic: &str) -> Result<(), CallError> {
        let (topic, limit) = (text(pubsub_topic)?, self.inner.options.start_timeout);
        call!(self, Lane::Life, limit, waku_relay_subscribe, text topic).await?;
        Ok(())
    }

    /// Publishes a message; answers with its hash, as the library sees it. That it succeeds means
    /// that the message was queued for some peer.
    ///
    /// # Errors
    ///
    /// [`CallError`]. One that says `NoPeersToPublish` is about a message for which there was no
    /// peer, or which this node has seen within two minutes.
    pub async fn publish(
        &self,
        pubsub_topic: &str,
        message: &WakuMessage,
    ) -> Result<[u8; 32], CallError> {
        let (topic, json) = (text(pubsub_topic)?, c_string(message.to_json()?)?);
        let hash = call!(self, Lane::Traffic, self.limit(), waku_relay_publish, text topic, text json, number 0);
        message_hash(&hash.await?)
    }

    /// Has a peer publish a message, over lightpush; answers with its hash.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn lightpush(
        &self,
        pubsub_topic: &str,
        message: &WakuMessage,
    ) -> Result<[u8; 32], CallError> {
        let (topic, json) = (text(pubsub_topic)?, c_string(message.to_json()?)?);
        let hash =
            call!(self, Lane::Traffic, self.limit(), waku_lightpush_publish, text topic, text json);
        message_hash(&hash.await?)
    }

    /// Asks the Store of a peer, at a multiaddress that ends with its id.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn store_query(
        &self,
        peer: &str,
        query: &StoreQuery,
    ) -> Result<StoreAnswer, CallError> {
        let (json, peer) = (c_string(query.to_json()?)?, peer_address(peer)?);
        let limit = query_limit(self.limit());
        let answer = call!(self, Lane::Traffic, self.limit(), waku_store_query, text json, text peer, number limit);
        StoreAnswer::from_json(&answer.await?)
    }

    /// Dials a peer, at a multiaddress that ends with its id. That it succeeds means that dialling
    /// has ended; events and [`connected_peers`](Self::connected_peers) tell how.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn connect(&self, peer: &str) -> Result<(), CallError> {
        let peer = peer_address(peer)?;
        call!(self, Lane::Traffic, self.limit(), waku_connect, text peer, number 0).await?;
        Ok(())
    }

    /// Closes the connections to a peer.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn disconnect(&self, peer_id: &str) -> Result<(), CallError> {
        let peer = text(peer_id)?;
        call!(self, Lane::Traffic, self.limit(), waku_disconnect_peer_by_id, text peer).await?;
        Ok(())
    }

    /// Ids of connected peers, each once.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn connected_peers(&self) -> Result<Vec<String>, CallError> {
        list(call!(self, Lane::Traffic, self.limit(), waku_get_connected_peers).await?)
    }

    /// Connected peers and what is known of them, by id.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn peers(&self) -> Result<HashMap<String, PeerInfo>, CallError> {
        let json = call!(self, Lane::Traffic, self.limit(), waku_get_connected_peers_info).await?;
        serde_json::from_slice(&json).map_err(|_| CallError::Malformed("peers that are none"))
    }

    /// Ids of connected peers that take part in a shard.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn relay_peers(&self, pubsub_topic: &str) -> Result<Vec<String>, CallError> {
        let topic = text(pubsub_topic)?;
        let peers =
            call!(self, Lane::Traffic, self.limit(), waku_relay_get_connected_peers, text topic);
        list(peers.await?)
    }

    /// Ids of the peers in the mesh of a shard.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn mesh_peers(&self, pubsub_topic: &str) -> Result<Vec<String>, CallError> {
        let topic = text(pubsub_topic)?;
        let peers =
            call!(self, Lane::Traffic, self.limit(), waku_relay_get_peers_in_mesh, text topic);
        list(peers.await?)
    }

    /// The node's own id.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn peer_id(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_get_my_peerid).await?)
    }

    /// The node's record.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn enr(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_get_my_enr).await?)
    }

    /// The version of the library.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn version(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_version).await?)
    }

    /// Metrics of all nodes of the library, in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn metrics(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_get_metrics).await?)
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> usize {
        self.inner.context.id
    }

    fn limit(&self) -> Duration {
        self.inner.options.call_timeout
    }

    /// Has a thread call a function once it is its turn, and waits for the answer.
    async fn call(
        &self,
        lane: Lane,
        limit: Duration,
        function: impl FnOnce(&Call<'_>) -> c_int + Send + 'static,
    ) -> Answer {
        let context = Arc::clone(&self.inner.context);
        let (sender, answer) = oneshot::channel();
        // Who has given up is not there to hear.
        let pending = Pending::new(context.id, move |answer| drop(sender.send(answer)));
        let (id, turns) = (pending.id, Arc::clone(&context.turns));
        let (began, turn) = oneshot::channel::<()>();
        let wait = async {
            let Ok(permit) = turns.acquire_owned().await else { return false };
            let job = move || {
                // Until here it counts as queued, and no longer than that.
                let _permit = permit;
                let _ = began.send(());
                context.run(id, function);
            };
            submit(lane, Box::new(job)) && turn.await.is_ok()
        };
        let patience = if lane == Lane::Life { TURN } else { limit };
        match timeout(patience, wait).await {
            Ok(true) => {}
            Ok(false) => return Err(CallError::Destroyed),
            Err(_) => return Err(CallError::Timeout),
        }
        match timeout(limit, answer).await {
            Ok(answer) => answer.unwrap_or(Err(CallError::Destroyed)),
            Err(_) => Err(CallError::Timeout),
        }
    }
}

impl Context {
    /// Calls a function, on the thread of a lane.
    fn run(&self, id: usize, function: impl FnOnce(&Call<'_>) -> c_int) {
        if !pending::is_awaited(id) {
            return;
        }
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner);
        let Some(address) = &*address else {
            pending::answer(id, Err(CallError::Destroyed));
            return;
        };
        let ret = function(&Call {
            symbols: self.library.symbols(),
            context: address.0.as_ptr(),
            callback: Some(on_answer),
            user_data: user_data(id),
        });
        refused(id, ret);
    }

    /// Stops the node if need be and destroys it, on the thread of [`Lane::Life`].
    fn destroy(&self) {
        let address = self.address.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(address) = address else { return };
        self.turns.close();
        let symbols = self.library.symbols();
        if self.started.load(Ordering::Acquire) {
            let stopped = ask(unique_id(), Duration::from_secs(15), |user_data| {
                // SAFETY: the context lives, and is not lent to anybody else any more.
                let ret =
                    unsafe { (symbols.waku_stop)(address.0.as_ptr(), Some(on_answer), user_data) };
                (ret, ())
            });
            if let Err(error) = stopped.0 {
                tracing::warn!(%error, "a node did not stop before it was destroyed");
            }
        }
        destroy(symbols, address);
        event::close(self.id);
        pending::abandon(self.id);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let context = Arc::clone(&self.context);
        submit(Lane::Life, Box::new(move || context.destroy()));
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.context.library.place();
        f.debug_struct("Node").field("library", &place).finish_non_exhaustive()
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
        let address = NonNull::new(address).map(Address);
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
                (symbols.waku_set_event_callback)(
                    address.0.as_ptr(),
                    Some(on_event),
                    user_data(id),
                );
            }
            return Ok((address, id, events));
        }
        (answer, address) => {
            // Also where it came with an error: it must not be started, but it is there.
            if let Some(address) = address {
                destroy(symbols, address);
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
fn destroy(symbols: &Symbols, address: Address) {
    let (destroyed, ()) = ask(unique_id(), Duration::ZERO, |user_data| {
        // SAFETY: the context lives; `address` was its only owner and ends here.
        (unsafe { (symbols.waku_destroy)(address.0.as_ptr(), Some(on_answer), user_data) }, ())
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

/// Answers a call that returned an error without ever calling back.
fn refused(id: usize, ret: c_int) {
    match ret {
        RET_OK => {}
        RET_MISSING_CALLBACK => pending::answer(id, Err(CallError::Malformed("no callback"))),
        _ => pending::answer(id, Err(CallError::Failed("it did not take the call".to_owned()))),
    }
}

fn c_string(text: String) -> Result<CString, CallError> {
    CString::new(text).map_err(|_| CallError::Invalid("a zero in a text"))
}

fn text(text: &str) -> Result<CString, CallError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(CallError::Invalid("a text that is too long"));
    }
    c_string(text.to_owned())
}

/// One address, of one peer: the library would take a comma for the end of it.
fn peer_address(address: &str) -> Result<CString, CallError> {
    let peer = address.rsplit_once("/p2p/").filter(|(at, id)| !at.is_empty() && !id.is_empty());
    match peer {
        Some((_, id)) if !address.contains(',') && !id.contains('/') => text(address),
        _ => Err(CallError::Invalid("not the address of a peer, /…/p2p/<id>")),
    }
}

fn string(answer: Vec<u8>) -> Result<String, CallError> {
    String::from_utf8(answer).map_err(|_| CallError::Malformed("text that is not UTF-8"))
}

/// A list that is separated by commas, each entry once.
fn list(answer: Vec<u8>) -> Result<Vec<String>, CallError> {
    let answer = string(answer)?;
    let mut entries: Vec<_> =
        answer.split(',').map(str::trim).filter(|e| !e.is_empty()).map(str::to_owned).collect();
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}

fn message_hash(answer: &[u8]) -> Result<[u8; 32], CallError> {
    let hash = std::str::from_utf8(answer).ok().and_then(from_hex);
    hash.ok_or(CallError::Malformed("a hash that is not one"))
}

/// The library ignores it; a later one may not.
fn query_limit(limit: Duration) -> c_int {
    c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX)
}
