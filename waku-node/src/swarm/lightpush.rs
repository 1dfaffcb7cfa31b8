//! Lightpush: the requests of this node and those of peers, in both versions.

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::request_response::{Event, Message};
use tokio::time::Instant;

use super::command::LightpushReply;
use super::driver::Driver;
use super::peers::Peer;
use super::requests::{MAX_REQUESTS, PendingLightpush, RequestError, request_error};
use super::servers::service_peer;
use super::turns::Answered;
use crate::error::PublishError;
use crate::events::NodeEvent;
use crate::lightpush::{
    BAD_REQUEST, INVALID_MESSAGE, LightpushError, LightpushRequest, LightpushResponse,
    LightpushVersion, PROTOCOL, TOO_LARGE, TOO_MANY_REQUESTS, decode_request, decode_request_v2,
    decode_response, decode_response_v2, encode_request, encode_request_v2, encode_response,
    encode_response_v2, status_of,
};
use crate::message::{MAX_MESSAGE_SIZE, MessageError, WakuMessage, frame_size, message_hash};
use crate::status::AtomicCounters;
use crate::wire::WireError;

impl Driver {
    /// Has a server publish a message.
    pub(super) fn lightpush_request(
        &mut self,
        peer: Option<PeerId>,
        request: &LightpushRequest,
        reply: LightpushReply,
    ) {
        let target = self.ready_peer(peer).and_then(|named| {
            let any = || service_peer(&self.peers, Peer::offers_lightpush);
            named.or_else(any).ok_or(RequestError::NoPeer)
        });
        let peer = match target {
            Ok(_) if self.lightpush_requests() >= MAX_REQUESTS => {
                return drop(reply.send(Err(LightpushError::Busy)));
            }
            Ok(peer) => peer,
            Err(e) => return drop(reply.send(Err(e.into()))),
        };
        let newest =
            self.peers.get(&peer).is_some_and(|p| p.offers(PROTOCOL) || !p.offers_lightpush());
        let behaviour = self.swarm.behaviour_mut();
        let pending = PendingLightpush { request_id: request.request_id.clone(), reply };
        if newest {
            behaviour.ask_lightpush.send(peer, encode_request(request), pending);
        } else {
            behaviour.ask_lightpush_v2.send(peer, encode_request_v2(request), pending);
        }
    }

    fn lightpush_requests(&self) -> usize {
        let behaviour = self.swarm.behaviour();
        behaviour.ask_lightpush.len() + behaviour.ask_lightpush_v2.len()
    }

    pub(super) fn on_lightpush(&mut self, version: LightpushVersion, event: Event<Bytes, Bytes>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let response = self.serve_lightpush(version, peer, request);
                let counters = &self.shared.counters;
                let counter = match response.status_code {
                    200 => &counters.lightpush_served,
                    _ => &counters.lightpush_refused,
                };
                AtomicCounters::add(counter, 1);
                let behaviour = self.swarm.behaviour_mut();
                // An error means that the peer is gone.
                let _ = match version {
                    LightpushVersion::V3 => {
                        behaviour.lightpush.send_response(channel, encode_response(&response))
                    }
                    LightpushVersion::V2 => {
                        behaviour.lightpush_v2.send_response(channel, encode_response_v2(&response))
                    }
                };
            }
            Event::InboundFailure { error, .. } => {
                tracing::debug!(%error, "a lightpush request failed");
                AtomicCounters::add(&self.shared.counters.requests_failed, 1);
            }
            // `ask_lightpush` and `ask_lightpush_v2` send this node's requests.
            Event::ResponseSent { .. }
            | Event::Message { message: Message::Response { .. }, .. }
            | Event::OutboundFailure { .. } => {}
        }
    }

    pub(super) fn on_lightpush_asked(
        &mut self,
        version: LightpushVersion,
        asked: Answered<Bytes, PendingLightpush>,
    ) {
        let Answered { peer, tag: PendingLightpush { request_id, reply }, result } = asked;
        let answer = result.map_err(request_error);
        self.count_service(peer, answer.is_ok());
        let outcome =
            answer.map_err(LightpushError::from).and_then(|body| judge(version, &request_id, body));
        if outcome.is_ok() {
            AtomicCounters::add(&self.shared.counters.lightpush_published, 1);
        }
        let _ = reply.send(outcome);
    }

    fn serve_lightpush(
        &mut self,
        version: LightpushVersion,
        peer: PeerId,
        body: Bytes,
    ) -> LightpushResponse {
        let refusal = |request_id, status_code, description: String| LightpushResponse {
            request_id,
            status_code,
            status_desc: Some(description),
            relay_peer_count: None,
        };
        let decoded = match version {
            LightpushVersion::V3 => decode_request(body),
            LightpushVersion::V2 => decode_request_v2(body),
        };
        let request = match decoded {
            Ok(request) => request,
            Err((id, e)) => {
                let status = match &e {
                    WireError::TooLarge | WireError::Message(MessageError::TooLarge { .. }) => {
                        TOO_LARGE
                    }
                    WireError::Message(_) => INVALID_MESSAGE,
                    _ => BAD_REQUEST,
                };
                return refusal(id, status, e.to_string());
            }
        };
        let now = Instant::now();
        if !self.peers.get_mut(&peer).is_some_and(|p| p.requests.take(1, now)) {
            return refusal(request.request_id, TOO_MANY_REQUESTS, "too many requests".into());
        }
        let Some(pubsub_topic) = request.pubsub_topic else {
            let what = "the pubsub topic must be given";
            return refusal(request.request_id, INVALID_MESSAGE, what.into());
        };
        match self.relay_for_peer(pubsub_topic, request.message) {
            Ok(peers) => LightpushResponse {
                request_id: request.request_id,
                status_code: 200,
                status_desc: Some("OK".into()),
                relay_peer_count: Some(u32::try_from(peers).unwrap_or(u32::MAX)),
            },
            Err(e) => refusal(request.request_id, status_of(&e), e.to_string()),
        }
    }

    /// Relays a peer's message, and hands it to this node's event streams too. Returns the number of
    /// peers that it went to.
    fn relay_for_peer(
        &mut self,
        pubsub_topic: String,
        message: WakuMessage,
    ) -> Result<usize, PublishError> {
        self.own_shard(&pubsub_topic)?;
        let encoded = message.encode();
        let size = frame_size(&pubsub_topic, encoded.len());
        if size > MAX_MESSAGE_SIZE {
            return Err(PublishError::TooLarge { size, limit: MAX_MESSAGE_SIZE });
        }
        let hash = message_hash(&pubsub_topic, &message);
        let peers = self.topic_peers(&pubsub_topic);
        self.publish(&pubsub_topic, hash, encoded, &message)?;
        self.shared.events.push(&NodeEvent::Message { pubsub_topic, hash, message });
        // Relay succeeded, so there is at least one peer.
        Ok(peers.max(1))
    }
}

/// Judges an answer. Success that reached no peer counts as a failure.
fn judge(version: LightpushVersion, request_id: &str, body: Bytes) -> Result<(), LightpushError> {
    let r = match version {
        LightpushVersion::V3 => decode_response(body),
        LightpushVersion::V2 => decode_response_v2(body),
    }
    .map_err(|_| LightpushError::BadResponse("malformed"))?;
    if r.status_code != 200 {
        let description = r.status_desc.unwrap_or_default();
        return Err(LightpushError::Status { code: r.status_code, description });
    }
    if r.request_id != request_id {
        return Err(LightpushError::BadResponse("it answers another request"));
    }
    match (version, r.relay_peer_count) {
        (LightpushVersion::V3, None | Some(0)) => Err(LightpushError::NotRelayed),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_that_reached_nobody_is_a_failure() {
        let answer = |status_code, relay_peer_count, id: &str| LightpushResponse {
            request_id: id.into(),
            status_code,
            status_desc: None,
            relay_peer_count,
        };
        let v3 = |r| judge(LightpushVersion::V3, "i", encode_response(&r));
        assert!(v3(answer(200, Some(1), "i")).is_ok());
        for nobody in [None, Some(0)] {
            assert!(matches!(v3(answer(200, nobody, "i")), Err(LightpushError::NotRelayed)));
        }
        assert!(matches!(v3(answer(200, Some(1), "j")), Err(LightpushError::BadResponse(_))));
        // A server that refuses before it reads the request cannot know its id.
        assert!(matches!(
            v3(answer(429, None, "N/A")),
            Err(LightpushError::Status { code: 429, .. })
        ));
        let v2 = |r| judge(LightpushVersion::V2, "i", encode_response_v2(&r));
        assert!(v2(answer(200, None, "i")).is_ok());
        assert!(matches!(v2(answer(505, None, "i")), Err(LightpushError::Status { code: 0, .. })));
    }
}
