//! Filter: the requests of this node, those of peers, and pushes in both directions.

use std::collections::HashSet;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::request_response::{Event, Message};
use tokio::time::Instant;

use super::command::FilterReply;
use super::driver::Driver;
use super::push::Pushed;
use super::requests::{MAX_REQUESTS, PendingFilter, RequestError, request_error};
use super::servers::service_peer;
use super::turns::Answered;
use crate::events::NodeEvent;
use crate::filter::{
    FilterError, FilterKind, FilterRequest, FilterResponse, SUBSCRIBE_PROTOCOL, criterion,
    decode_push, decode_request, decode_response, encode_push, encode_request, encode_response,
};
use crate::message::{MessageHash, WakuMessage, message_hash};
use crate::status::{AtomicCounters, FilterStatus};

impl Driver {
    /// Sends a request to a filter server.
    pub(super) fn filter_request(
        &mut self,
        peer: Option<PeerId>,
        request: FilterRequest,
        reply: FilterReply,
    ) {
        let target = self.ready_peer(peer).and_then(|named| {
            let any = || service_peer(&self.peers, |p| p.offers(SUBSCRIBE_PROTOCOL));
            named.or_else(any).ok_or(RequestError::NoPeer)
        });
        let peer = match target {
            Ok(_) if self.swarm.behaviour().ask_filter.len() >= MAX_REQUESTS => {
                return drop(reply.send(Err(FilterError::Busy)));
            }
            Ok(peer) => peer,
            Err(e) => return drop(reply.send(Err(e.into()))),
        };
        let pubsub_topic = request.pubsub_topic.as_deref().unwrap_or_default();
        let criteria: HashSet<_> =
            request.content_topics.iter().map(|t| criterion(pubsub_topic, t)).collect();
        let mut fresh = HashSet::new();
        if request.kind == FilterKind::Subscribe {
            // Recorded before the answer, which the first push may overtake.
            let held = self.filter_subscribed.entry(peer).or_default();
            fresh = criteria.iter().filter(|c| held.insert(**c)).copied().collect();
        }
        let body = encode_request(&request);
        let FilterRequest { request_id, kind, .. } = request;
        let pending = PendingFilter { request_id, kind, criteria, fresh, reply };
        self.swarm.behaviour_mut().ask_filter.send(peer, body, pending);
    }

    /// The servers that have subscriptions of this node.
    pub(super) fn filter_servers(&self) -> Vec<PeerId> {
        self.filter_subscribed.keys().copied().collect()
    }

    pub(super) fn on_filter(&mut self, event: Event<Bytes, Bytes>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                if let Some(body) = self.serve_filter(peer, request) {
                    AtomicCounters::add(&self.shared.counters.filter_served, 1);
                    // An error means that the peer is gone.
                    let _ = self.swarm.behaviour_mut().filter.send_response(channel, body);
                }
            }
            Event::InboundFailure { error, .. } => {
                tracing::debug!(%error, "a filter request failed");
                AtomicCounters::add(&self.shared.counters.requests_failed, 1);
            }
            // `ask_filter` sends this node's requests.
            Event::ResponseSent { .. }
            | Event::Message { message: Message::Response { .. }, .. }
            | Event::OutboundFailure { .. } => {}
        }
    }

    pub(super) fn on_filter_asked(&mut self, asked: Answered<Bytes, PendingFilter>) {
        let Answered { peer, tag, result } = asked;
        let PendingFilter { request_id, kind, criteria, fresh, reply } = tag;
        let answer = result.map_err(request_error);
        self.count_service(peer, answer.is_ok());
        let outcome = answer.map_err(FilterError::from).and_then(|body| {
            let r = decode_response(body).map_err(|_| FilterError::BadResponse("malformed"))?;
            if r.status_code != 200 {
                return Err(FilterError::Status {
                    code: r.status_code,
                    description: r.status_desc,
                });
            }
            if r.request_id != request_id {
                return Err(FilterError::BadResponse("it answers another request"));
            }
            Ok(())
        });
        // A server that answers 404 has forgotten the subscriptions: its pushes are not asked for.
        let unknown = matches!(outcome, Err(FilterError::Status { code: 404, .. }));
        let held = self.filter_subscribed.entry(peer).or_default();
        match kind {
            FilterKind::Subscribe if outcome.is_ok() => held.extend(criteria),
            FilterKind::Subscribe => held.retain(|c| !fresh.contains(c)),
            FilterKind::Unsubscribe if outcome.is_ok() || unknown => {
                held.retain(|c| !criteria.contains(c));
            }
            FilterKind::UnsubscribeAll if outcome.is_ok() => held.clear(),
            _ if unknown => held.clear(),
            _ => {}
        }
        if held.is_empty() {
            self.filter_subscribed.remove(&peer);
        }
        let _ = reply.send(outcome.map(|()| peer));
    }

    pub(super) fn on_pushed(&mut self, Pushed { peer, body }: Pushed) {
        let counters = &self.shared.counters;
        let wanted = decode_push(body).ok().filter(|push| {
            self.filter_subscribed.get(&peer).is_some_and(|held| {
                held.contains(&criterion(&push.pubsub_topic, &push.message.content_topic))
            })
        });
        let Some(push) = wanted else {
            tracing::debug!(%peer, "dropped a filter push that was malformed or not asked for");
            return AtomicCounters::add(&counters.filter_unwanted, 1);
        };
        AtomicCounters::add(&counters.filter_received, 1);
        self.shared.events.push(&NodeEvent::FilterMessage {
            peer,
            hash: message_hash(&push.pubsub_topic, &push.message),
            pubsub_topic: push.pubsub_topic,
            message: push.message,
        });
    }

    fn serve_filter(&mut self, peer: PeerId, body: Bytes) -> Option<Bytes> {
        let service = self.filter_server.as_mut()?;
        let refusal = |request_id, status_code, description: &str| FilterResponse {
            request_id,
            status_code,
            status_desc: description.to_owned(),
        };
        let now = Instant::now();
        let response = match decode_request(body) {
            Err((id, e)) => refusal(id, 400, &e.to_string()),
            Ok(r) if !self.peers.get_mut(&peer).is_some_and(|p| p.requests.take(1, now)) => {
                refusal(r.request_id, 429, "too many requests")
            }
            Ok(request) => {
                let peers = &self.peers;
                let response = service.handle(peer, request, now, |p| peers.contains_key(p));
                self.publish_filter();
                response
            }
        };
        Some(encode_response(&response))
    }

    /// Removes subscribers that have been silent for too long.
    pub(super) fn expire_filter(&mut self) {
        if self.filter_server.as_mut().is_some_and(|s| s.expire(Instant::now())) {
            self.publish_filter();
        }
    }

    pub(super) fn publish_filter(&self) {
        let status = self.filter_server.as_ref().map(|s| {
            let (subscribers, criteria) = s.size();
            FilterStatus { subscribers, criteria }
        });
        self.shared.update(|v| v.filter = status);
    }

    /// Hands a message that passed through relay to the node's own archive and filter subscribers.
    pub(super) fn deliver(&mut self, pubsub_topic: &str, hash: MessageHash, message: &WakuMessage) {
        if let Some(archive) = &self.archive {
            archive.insert(pubsub_topic, hash, message);
        }
        let Some(service) = &self.filter_server else { return };
        let subscribers = service.subscribers(pubsub_topic, &message.content_topic);
        if subscribers.is_empty() {
            return;
        }
        let body = encode_push(pubsub_topic, message);
        let push = &mut self.swarm.behaviour_mut().push;
        let missed = subscribers.into_iter().filter(|peer| !push.send(*peer, body.clone())).count();
        AtomicCounters::add(&self.shared.counters.filter_push_failed, missed as u64);
    }
}
