//! Relay: publishing, receiving, and watching the mesh.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, TopicHash};
use tokio::time::Instant;

use super::driver::Driver;
use crate::error::{NodeError, PublishError};
use crate::events::NodeEvent;
use crate::message::{MAX_MESSAGE_SIZE, MessageHash, WakuMessage, message_hash, relayed_by_others};
use crate::status::{AtomicCounters, TopicStatus};
use crate::topic::{TopicError, parse_pubsub_topic};

impl Driver {
    pub(super) fn publish(
        &mut self,
        pubsub_topic: &str,
        hash: MessageHash,
        encoded: Bytes,
        message: &WakuMessage,
    ) -> Result<(), PublishError> {
        let relay = self.swarm.behaviour_mut().relay.as_mut().ok_or(PublishError::RelayDisabled)?;
        match relay.publish(TopicHash::from_raw(pubsub_topic), encoded) {
            Ok(_) => {}
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => {
                return Err(PublishError::NoPeers);
            }
            Err(gossipsub::PublishError::Duplicate) => return Err(PublishError::Duplicate),
            Err(gossipsub::PublishError::MessageTooLarge) => {
                return Err(PublishError::TooLarge {
                    size: message.payload.len(),
                    limit: MAX_MESSAGE_SIZE,
                });
            }
            // The remaining errors are about signing and compression, which are not used.
            Err(_) => return Err(PublishError::Overloaded),
        }
        AtomicCounters::add(&self.shared.counters.relay_published, 1);
        self.deliver(pubsub_topic, hash, message);
        Ok(())
    }

    pub(super) fn subscribe(&mut self, pubsub_topic: String) -> Result<(), NodeError> {
        let shard = self.own_shard(&pubsub_topic)?;
        let relay = self.swarm.behaviour_mut().relay.as_mut().ok_or(NodeError::RelayDisabled)?;
        match relay.subscribe(&IdentTopic::new(&pubsub_topic)) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(_) => return Err(TopicError::PubsubTopic.into()),
        }
        if !self.metadata.shards.contains(&shard) {
            self.metadata.shards.push(shard);
        }
        self.topics.push(pubsub_topic);
        self.look_at_mesh();
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, pubsub_topic: &str) -> Result<(), NodeError> {
        let shard = self.own_shard(pubsub_topic)?;
        let relay = self.swarm.behaviour_mut().relay.as_mut().ok_or(NodeError::RelayDisabled)?;
        relay.unsubscribe(&IdentTopic::new(pubsub_topic));
        self.metadata.shards.retain(|s| *s != shard);
        self.topics.retain(|t| t != pubsub_topic);
        self.look_at_mesh();
        Ok(())
    }

    pub(super) fn own_shard(&self, pubsub_topic: &str) -> Result<u32, TopicError> {
        match parse_pubsub_topic(pubsub_topic)? {
            (cluster, shard) if cluster == self.cluster_id => Ok(shard),
            _ => Err(TopicError::OtherCluster),
        }
    }

    pub(super) fn on_relay(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let acceptance = self.on_message(propagation_source, message);
                self.report(&message_id, propagation_source, acceptance);
            }
            gossipsub::Event::Subscribed { .. } | gossipsub::Event::Unsubscribed { .. } => {
                self.look_at_mesh()
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "too slow for relay");
                AtomicCounters::add(&self.shared.counters.relay_slow_peer, 1);
            }
            gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    fn report(&mut self, id: &MessageId, source: PeerId, acceptance: MessageAcceptance) {
        let rejected = matches!(acceptance, MessageAcceptance::Reject);
        if let Some(relay) = self.swarm.behaviour_mut().relay.as_mut() {
            relay.report_message_validation_result(id, &source, acceptance);
        }
        if rejected {
            AtomicCounters::add(&self.shared.counters.relay_invalid, 1);
            let now = Instant::now();
            let struck = self
                .peers
                .get_mut(&source)
                .is_some_and(|p| p.refused.is_none() && !p.strikes.take(1, now));
            if struck {
                AtomicCounters::add(&self.shared.counters.peers_struck, 1);
                self.refuse(source, "it sends invalid messages".into());
            }
        }
    }

    fn on_message(&mut self, source: PeerId, raw: gossipsub::Message) -> MessageAcceptance {
        let data = Bytes::from(raw.data);
        let message = match WakuMessage::decode(data.clone()) {
            Ok(message) => message,
            // The sender may be honest: other implementations demand less of a message.
            Err(error) if relayed_by_others(data) => {
                tracing::debug!(peer = %source, %error, "relay message ignored");
                AtomicCounters::add(&self.shared.counters.relay_ignored, 1);
                return MessageAcceptance::Ignore;
            }
            Err(error) => {
                tracing::debug!(peer = %source, %error, "invalid relay message");
                return MessageAcceptance::Reject;
            }
        };
        let pubsub_topic = raw.topic.into_string();
        let hash = message_hash(&pubsub_topic, &message);
        AtomicCounters::add(&self.shared.counters.relay_received, 1);
        self.deliver(&pubsub_topic, hash, &message);
        self.shared.events.push(&NodeEvent::Message { pubsub_topic, hash, message });
        MessageAcceptance::Accept
    }

    /// Connected peers that subscribe to a topic.
    pub(super) fn subscribers(&self, pubsub_topic: &str) -> impl Iterator<Item = &PeerId> {
        let hash = TopicHash::from_raw(pubsub_topic);
        let relay = self.swarm.behaviour().relay.as_ref();
        let peers = relay.into_iter().flat_map(|r| r.all_peers());
        peers.filter(move |(_, topics)| topics.contains(&&hash)).map(|(peer, _)| peer)
    }

    /// How many connected peers subscribe to a topic.
    pub(super) fn topic_peers(&self, pubsub_topic: &str) -> usize {
        self.subscribers(pubsub_topic).count()
    }

    /// Compares the mesh with its last known state, and reports changes. Counting is not enough, because
    /// one peer may have taken the place of another.
    pub(super) fn look_at_mesh(&mut self) {
        let Some(relay) = self.swarm.behaviour().relay.as_ref() else {
            return;
        };
        let mesh: HashMap<String, HashSet<PeerId>> = self
            .topics
            .iter()
            .map(|topic| {
                let hash = TopicHash::from_raw(topic.as_str());
                (topic.clone(), relay.mesh_peers(&hash).copied().collect())
            })
            .collect();
        let now: Vec<TopicStatus> = self
            .topics
            .iter()
            .map(|topic| TopicStatus {
                pubsub_topic: topic.clone(),
                mesh_peers: mesh.get(topic).map_or(0, HashSet::len),
                topic_peers: self.topic_peers(topic),
            })
            .collect();
        let before = self.shared.read(|v| v.topics.clone());
        if now == before && mesh == self.mesh {
            return;
        }
        let changed: Vec<_> = now
            .iter()
            .filter(|t| {
                let topic = &t.pubsub_topic;
                !before.contains(t) || mesh.get(topic) != self.mesh.get(topic)
            })
            .cloned()
            .collect();
        self.mesh = mesh;
        self.shared.update(|v| v.topics = now);
        // The list comes before the events, so that a reader of an event finds the change in it.
        self.publish_peers();
        for topic in changed {
            self.shared.events.push(&NodeEvent::MeshChanged {
                pubsub_topic: topic.pubsub_topic,
                mesh_peers: topic.mesh_peers,
                topic_peers: topic.topic_peers,
            });
        }
    }

    /// Publishes the list of ready peers.
    pub(super) fn publish_peers(&self) {
        let mesh: HashSet<PeerId> = match self.swarm.behaviour().relay.as_ref() {
            Some(relay) => relay.all_mesh_peers().copied().collect(),
            None => HashSet::new(),
        };
        let mut peers: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, p)| p.is_ready())
            .map(|(id, p)| p.info(*id, mesh.contains(id)))
            .collect();
        peers.sort_by_key(|p| p.peer_id);
        let statics = self.statics.status();
        self.shared.update(|v| {
            v.peers = peers;
            v.static_peers = statics;
        });
    }
}
