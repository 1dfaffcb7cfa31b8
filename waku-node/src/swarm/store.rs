//! Store: the queries of this node and those of peers.

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::request_response::{Event, InboundRequestId, Message, OutboundFailure};

use super::command::{StoreAnswer, StoreReply};
use super::driver::Driver;
use super::requests::MAX_REQUESTS;
use super::servers::store_peer;
use super::turns::Answered;
use crate::status::AtomicCounters;
use crate::store::{Answer, StoreError, StoreQuery, encode_request};

impl Driver {
    pub(super) fn store_query(
        &mut self,
        peer: Option<PeerId>,
        request_id: &str,
        query: StoreQuery,
        reply: StoreReply,
    ) {
        let own = *self.swarm.local_peer_id();
        let target = match peer {
            Some(id) if id == own => None,
            Some(id) if !self.peers.get(&id).is_some_and(|p| p.is_ready()) => {
                return drop(reply.send(Err(StoreError::NotConnected(id))));
            }
            Some(id) => Some(id),
            None => store_peer(&self.peers),
        };
        match (target, &self.archive) {
            (Some(_), _) if self.swarm.behaviour().ask_store.len() >= MAX_REQUESTS => {
                drop(reply.send(Err(StoreError::Busy)))
            }
            (Some(id), _) => {
                let body = encode_request(request_id, &query);
                self.swarm.behaviour_mut().ask_store.send(id, body, reply);
            }
            (None, Some(archive)) => drop(reply.send(Ok(StoreAnswer::Own(archive.query(query))))),
            (None, None) => drop(reply.send(Err(StoreError::NoPeer))),
        }
    }

    pub(super) fn on_store(&mut self, event: Event<Bytes, Bytes>) {
        match event {
            Event::Message {
                message: Message::Request { request_id, request, channel }, ..
            } => {
                let Some(archive) = &self.archive else { return };
                if let Err(refusal) =
                    self.store_server.on_request(archive, request_id, channel, request)
                {
                    AtomicCounters::add(&self.shared.counters.store_refused, 1);
                    self.send_store_answer(refusal);
                }
            }
            Event::InboundFailure { request_id, error, .. } => {
                tracing::debug!(%error, "a Store request failed");
                AtomicCounters::add(&self.shared.counters.requests_failed, 1);
                self.on_store_finished(request_id);
            }
            Event::ResponseSent { request_id, .. } => {
                AtomicCounters::add(&self.shared.counters.store_served, 1);
                self.on_store_finished(request_id);
            }
            // `ask_store` sends this node's requests.
            Event::Message { message: Message::Response { .. }, .. }
            | Event::OutboundFailure { .. } => {}
        }
    }

    pub(super) fn on_store_asked(&mut self, asked: Answered<Bytes, StoreReply>) {
        let Answered { peer, tag: reply, result } = asked;
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.store_failures =
                if result.is_ok() { 0 } else { peer.store_failures.saturating_add(1) };
        }
        let _ = reply.send(result.map(StoreAnswer::Peer).map_err(|error| match error {
            OutboundFailure::Timeout => StoreError::Timeout,
            OutboundFailure::UnsupportedProtocols => StoreError::Unsupported,
            other => StoreError::Connection(other.to_string()),
        }));
    }

    pub(super) fn on_store_answer(&mut self, answer: Option<Answer>) {
        if let Some(answer) = answer {
            self.send_store_answer(answer);
        }
        if let Some(archive) = &self.archive {
            self.store_server.start(archive);
        }
    }

    fn send_store_answer(&mut self, Answer { id, channel, body }: Answer) {
        let size = body.len();
        // An error means that the peer is gone; no event about this answer will follow.
        if self.swarm.behaviour_mut().store.send_response(channel, body).is_ok() {
            self.store_server.on_writing(id, size);
        }
    }

    fn on_store_finished(&mut self, id: InboundRequestId) {
        self.store_server.on_finished(id);
        if let Some(archive) = &self.archive {
            self.store_server.start(archive);
        }
    }
}
