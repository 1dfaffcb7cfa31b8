//! The calls of a node that runs.
//!
//! The library dictates which thread a call comes from. It is compiled with a garbage collector
//! (`--mm:refc`) that has a heap for each thread and does not look for references in other threads.
//! A handler for messages is made on the heap of the thread that registers it, and is collected once
//! that thread has allocated some megabytes: hence a crash after a large publish from the thread that
//! made the node. So every call that registers a handler (new, relay subscribe, filter subscribe)
//! comes from a thread that does little else, and every call that is large or frequent comes from
//! the other thread. The same holds for a host's node, because the host's own threads have heaps of
//! their own.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;

use libwaku_json::{ConnectedPeers, Message, StoreAnswer, StoreQuery};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::arguments::{
    c_string, content_topics, list, message_hash, millis, nanoseconds, peer_address, string, text,
    truth,
};
use super::context::Call;
use super::handle::{Node, TURN};
use crate::error::CallError;
use crate::lanes::{Lane, submit};
use crate::pending::{Answer, Pending};
use crate::{message, store};

/// Calls a function of the library with the given arguments between context and callback. An
/// argument is a text, passed as a pointer, or a number.
macro_rules! call {
    ($node:expr, $lane:expr, $limit:expr, $name:ident $(, text $text:ident)* $(, number $number:expr)*) => {
        $node.call($lane, $limit, move |call: &Call<'_>| {
            // SAFETY: the context lives for as long as it is lent to this closure; texts end with
            // NUL and live until the function has copied them; the callback may be called with any
            // number at any time.
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
    /// Subscribes to a shard over relay; its messages come as events.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn subscribe(&self, pubsub_topic: &str) -> Result<(), CallError> {
        let (topic, limit) = (text(pubsub_topic)?, self.inner.options.start_timeout);
        call!(self, Lane::Life, limit, waku_relay_subscribe, text topic).await?;
        Ok(())
    }

    /// Publishes a message over relay and returns its hash, as the library computes it. Success means
    /// that the message was queued for at least one peer.
    ///
    /// # Errors
    ///
    /// [`CallError`]. A failure that says `NoPeersToPublish` means that there is no peer on the shard,
    /// or that this node has seen the message within two minutes.
    pub async fn publish(
        &self,
        pubsub_topic: &str,
        message: &Message,
    ) -> Result<[u8; 32], CallError> {
        let (topic, json) = (text(pubsub_topic)?, c_string(message::checked_json(message)?)?);
        let hash = call!(self, Lane::Traffic, self.limit(), waku_relay_publish, text topic, text json, number 0);
        message_hash(&hash.await?)
    }

    /// Has a peer publish a message, over lightpush, and returns the message's hash.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn lightpush(
        &self,
        pubsub_topic: &str,
        message: &Message,
    ) -> Result<[u8; 32], CallError> {
        let (topic, json) = (text(pubsub_topic)?, c_string(message::checked_json(message)?)?);
        let hash =
            call!(self, Lane::Traffic, self.limit(), waku_lightpush_publish, text topic, text json);
        message_hash(&hash.await?)
    }

    /// Subscribes to at most 100 content topics at a peer that serves filter; their messages come as
    /// events. For nodes without relay.
    ///
    /// The library adds a receiver with each call, so that after N calls each message comes N times.
    /// The server forgets the topics 5 minutes after the last request. Success does not mean that the
    /// server is alive.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::Invalid`] for no topic, for more than 100, and for a topic with a
    /// comma.
    pub async fn filter_subscribe(
        &self,
        pubsub_topic: &str,
        topics: &[String],
    ) -> Result<(), CallError> {
        let (topic, topics) = (text(pubsub_topic)?, content_topics(topics)?);
        // Registers a handler.
        let lane = Lane::Life;
        call!(self, lane, self.limit(), waku_filter_subscribe, text topic, text topics).await?;
        Ok(())
    }

    /// Ends subscriptions of [`filter_subscribe`](Self::filter_subscribe) at the server. The library's
    /// receivers stay.
    ///
    /// # Errors
    ///
    /// As for [`filter_subscribe`](Self::filter_subscribe).
    pub async fn filter_unsubscribe(
        &self,
        pubsub_topic: &str,
        topics: &[String],
    ) -> Result<(), CallError> {
        let (topic, topics) = (text(pubsub_topic)?, content_topics(topics)?);
        let lane = Lane::Traffic;
        call!(self, lane, self.limit(), waku_filter_unsubscribe, text topic, text topics).await?;
        Ok(())
    }

    /// Ends all subscriptions at one filter server, which the library picks.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn filter_unsubscribe_all(&self) -> Result<(), CallError> {
        call!(self, Lane::Traffic, self.limit(), waku_filter_unsubscribe_all).await?;
        Ok(())
    }

    /// Queries the Store of a peer at a multiaddress that ends with the peer's id.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn store_query(
        &self,
        peer: &str,
        query: &StoreQuery,
    ) -> Result<StoreAnswer, CallError> {
        let (json, peer) = (c_string(store::checked_json(query)?)?, peer_address(peer)?);
        let limit = millis(self.limit());
        let answer = call!(self, Lane::Traffic, self.limit(), waku_store_query, text json, text peer, number limit);
        store::answer(&answer.await?)
    }

    /// Dials a peer at a multiaddress that ends with the peer's id. Success means that dialling has
    /// ended; events and [`connected_peers`](Self::connected_peers) tell with what result.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn connect(&self, peer: &str) -> Result<(), CallError> {
        let peer = peer_address(peer)?;
        call!(self, Lane::Traffic, self.limit(), waku_connect, text peer, number 0).await?;
        Ok(())
    }

    /// The round-trip time to a peer at a multiaddress that ends with the peer's id, which is dialled
    /// if need be. Unlike [`connect`](Self::connect) this fails if the peer is not there.
    ///
    /// # Errors
    ///
    /// [`CallError`]; for a peer that does not answer within `limit`, [`CallError::Timeout`] or the
    /// library's own [`CallError::Failed`].
    pub async fn ping(&self, peer: &str, limit: Duration) -> Result<Duration, CallError> {
        let (peer, time) = (peer_address(peer)?, millis(limit));
        let answer = call!(self, Lane::Traffic, limit, waku_ping_peer, text peer, number time);
        nanoseconds(&answer.await?)
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

    /// Ids of all connected peers.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn connected_peers(&self) -> Result<Vec<String>, CallError> {
        list(call!(self, Lane::Traffic, self.limit(), waku_get_connected_peers).await?)
    }

    /// Connected peers with their protocols and addresses, by peer id.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn peers(&self) -> Result<ConnectedPeers, CallError> {
        let json = call!(self, Lane::Traffic, self.limit(), waku_get_connected_peers_info).await?;
        serde_json::from_slice(&json).map_err(|_| CallError::Malformed("not a list of peers"))
    }

    /// Ids of connected peers that speak a protocol, named as in libp2p.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn peers_by_protocol(&self, protocol: &str) -> Result<Vec<String>, CallError> {
        let protocol = text(protocol)?;
        let lane = Lane::Traffic;
        let peers = call!(self, lane, self.limit(), waku_get_peerids_by_protocol, text protocol);
        list(peers.await?)
    }

    /// Ids of connected peers that are subscribed to a shard.
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

    /// The node's own peer id.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn peer_id(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_get_my_peerid).await?)
    }

    /// The node's ENR, its signed record for discovery.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn enr(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_get_my_enr).await?)
    }

    /// Multiaddresses that the node says it listens on. Peers may be unable to dial them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn listen_addresses(&self) -> Result<Vec<String>, CallError> {
        list(call!(self, Lane::Traffic, self.limit(), waku_listen_addresses).await?)
    }

    /// Whether the node takes itself to be connected to the network.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn is_online(&self) -> Result<bool, CallError> {
        truth(&call!(self, Lane::Traffic, self.limit(), waku_is_online).await?)
    }

    /// The version of the library.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn version(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_version).await?)
    }

    /// Metrics of all nodes of the library together, in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn metrics(&self) -> Result<String, CallError> {
        string(call!(self, Lane::Traffic, self.limit(), waku_get_metrics).await?)
    }

    fn limit(&self) -> Duration {
        self.inner.options.call_timeout
    }

    /// Has a lane's thread call a function of the library, in turn, and waits for the answer.
    async fn call(
        &self,
        lane: Lane,
        limit: Duration,
        function: impl FnOnce(&Call<'_>) -> c_int + Send + 'static,
    ) -> Answer {
        let context = Arc::clone(&self.inner.context);
        let (sender, answer) = oneshot::channel();
        // The caller may have stopped waiting.
        let pending = Pending::new(context.id, move |answer| drop(sender.send(answer)));
        let (id, turns) = (pending.id, Arc::clone(&context.turns));
        let (began, turn) = oneshot::channel::<()>();
        let wait = async {
            let Ok(permit) = turns.acquire_owned().await else { return false };
            let job = move || {
                // From here on it no longer counts as queued.
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
