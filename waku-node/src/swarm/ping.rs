//! Pings that a handle asks for.

use std::time::Duration;

use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundFailure};

use super::command::PingReply;
use super::driver::Driver;
use super::requests::{MAX_REQUESTS, PendingPing, request_error};
use crate::ping::PingError;

impl Driver {
    pub(super) fn ping(&mut self, peer: PeerId, reply: PingReply) {
        if let Err(error) = self.ready_peer(Some(peer)) {
            return drop(reply.send(Err(error.into())));
        }
        if let Some(pending) = self.pings.get_mut(&peer).filter(|p| p.replies.len() < MAX_REQUESTS)
        {
            return pending.replies.push(reply);
        }
        if self.pings.len() >= MAX_REQUESTS || self.pings.contains_key(&peer) {
            return drop(reply.send(Err(PingError::Busy)));
        }
        let request = self.swarm.behaviour_mut().asked_ping.send_request(&peer, ());
        self.pings.insert(peer, PendingPing { request, replies: vec![reply], again: false });
    }

    pub(super) fn on_asked_ping(&mut self, event: Event<(), Duration>) {
        let (peer, request, result) = match event {
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => (peer, request_id, Ok(response)),
            Event::OutboundFailure { peer, request_id, error, .. } => {
                (peer, request_id, Err(error))
            }
            // This side serves no pings.
            _ => return,
        };
        let Some(pending) = self.pings.get_mut(&peer).filter(|p| p.request == request) else {
            return;
        };
        if let Err(OutboundFailure::Io(error)) = &result
            && !pending.again
            && error.kind() != std::io::ErrorKind::InvalidData
        {
            pending.again = true;
            pending.request = self.swarm.behaviour_mut().asked_ping.send_request(&peer, ());
            return;
        }
        let result = result.map_err(request_error);
        let Some(pending) = self.pings.remove(&peer) else { return };
        for reply in pending.replies {
            let _ = reply.send(result.clone().map_err(PingError::from));
        }
    }
}
