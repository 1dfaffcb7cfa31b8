//! Using the filter and lightpush services of others, as a node without relay does.

use libp2p::PeerId;

use super::handle::Node;
use crate::filter::{FilterError, FilterKind, FilterRequest, MAX_FILTER_TOPICS};
use crate::lightpush::{LightpushError, LightpushRequest};
use crate::message::{MAX_MESSAGE_SIZE, MessageHash, WakuMessage, frame_size, message_hash};
use crate::random;
use crate::swarm::Command;
use crate::topic::{MAX_CONTENT_TOPIC_SIZE, TopicError, parse_pubsub_topic};

impl Node {
    /// Asks a filter server to push the messages of some content topics, which arrive as
    /// [`crate::NodeEvent::FilterMessage`]. Returns the server.
    ///
    /// Without `peer`, a connected peer that offers filter is chosen, the same one each time. More
    /// than [`MAX_FILTER_TOPICS`] topics take several requests. Subscribing again is not an error, and
    /// is necessary after a connection was lost. A server forgets subscriptions after five minutes
    /// without a request; [`Node::filter_ping`] prevents that.
    ///
    /// # Errors
    /// See [`FilterError`]. Of several requests, those before the one that failed stay in force.
    pub async fn filter_subscribe(
        &self,
        peer: Option<PeerId>,
        pubsub_topic: &str,
        content_topics: &[String],
    ) -> Result<PeerId, FilterError> {
        self.filter_topics(FilterKind::Subscribe, peer, pubsub_topic, content_topics).await
    }

    /// Ends subscriptions to some content topics at `peer`, or at all servers that have a subscription
    /// of this node.
    ///
    /// # Errors
    /// See [`FilterError`].
    pub async fn filter_unsubscribe(
        &self,
        peer: Option<PeerId>,
        pubsub_topic: &str,
        content_topics: &[String],
    ) -> Result<(), FilterError> {
        for peer in self.filter_servers(peer).await? {
            let kind = FilterKind::Unsubscribe;
            self.filter_topics(kind, Some(peer), pubsub_topic, content_topics).await?;
        }
        Ok(())
    }

    /// Ends all subscriptions at `peer`, or at all servers.
    ///
    /// # Errors
    /// See [`FilterError`].
    pub async fn filter_unsubscribe_all(&self, peer: Option<PeerId>) -> Result<(), FilterError> {
        for peer in self.filter_servers(peer).await? {
            self.filter_plain(FilterKind::UnsubscribeAll, peer).await?;
        }
        Ok(())
    }

    /// Keeps the subscriptions at `peer`, or at all servers, from expiring.
    ///
    /// # Errors
    /// [`FilterError::Status`] with code 404 if a server has no subscription of this node, which must
    /// then subscribe again. See [`FilterError`] for others.
    pub async fn filter_ping(&self, peer: Option<PeerId>) -> Result<(), FilterError> {
        for peer in self.filter_servers(peer).await? {
            self.filter_plain(FilterKind::Ping, peer).await?;
        }
        Ok(())
    }

    /// Has a peer publish a message by relay, with version 3 of lightpush, or version 2 if the peer
    /// offers no other. Without `peer`, one that offers lightpush is chosen, the same one each time.
    ///
    /// # Errors
    /// See [`LightpushError`]. With version 3, success means that the server relayed the message to at
    /// least one peer.
    pub async fn lightpush_publish(
        &self,
        peer: Option<PeerId>,
        pubsub_topic: &str,
        message: WakuMessage,
    ) -> Result<MessageHash, LightpushError> {
        self.check_cluster(pubsub_topic)?;
        message.validate()?;
        let size = frame_size(pubsub_topic, message.encode().len());
        if size > MAX_MESSAGE_SIZE {
            return Err(LightpushError::TooLarge { size, limit: MAX_MESSAGE_SIZE });
        }
        let hash = message_hash(pubsub_topic, &message);
        let request = LightpushRequest {
            request_id: request_id(),
            pubsub_topic: Some(pubsub_topic.to_owned()),
            message,
        };
        self.ask(|reply| Command::Lightpush { peer, request, reply })
            .await
            .ok_or(LightpushError::Stopped)??;
        Ok(hash)
    }

    async fn filter_topics(
        &self,
        kind: FilterKind,
        mut peer: Option<PeerId>,
        pubsub_topic: &str,
        content_topics: &[String],
    ) -> Result<PeerId, FilterError> {
        self.check_cluster(pubsub_topic)?;
        if content_topics.iter().any(|t| t.is_empty() || t.len() > MAX_CONTENT_TOPIC_SIZE) {
            return Err(FilterError::ContentTopics);
        }
        for topics in content_topics.chunks(MAX_FILTER_TOPICS) {
            let request = FilterRequest {
                request_id: request_id(),
                kind,
                pubsub_topic: Some(pubsub_topic.to_owned()),
                content_topics: topics.to_vec(),
            };
            peer = Some(self.filter(peer, request).await?);
        }
        peer.filter(|_| !content_topics.is_empty()).ok_or(FilterError::ContentTopics)
    }

    async fn filter_plain(&self, kind: FilterKind, peer: PeerId) -> Result<PeerId, FilterError> {
        let request = FilterRequest {
            request_id: request_id(),
            kind,
            pubsub_topic: None,
            content_topics: Vec::new(),
        };
        self.filter(Some(peer), request).await
    }

    async fn filter(
        &self,
        peer: Option<PeerId>,
        request: FilterRequest,
    ) -> Result<PeerId, FilterError> {
        self.ask(|reply| Command::Filter { peer, request, reply })
            .await
            .ok_or(FilterError::Stopped)?
    }

    /// The server that was named, or all servers that have a subscription of this node.
    async fn filter_servers(&self, peer: Option<PeerId>) -> Result<Vec<PeerId>, FilterError> {
        let servers = match peer {
            Some(peer) => vec![peer],
            None => self.ask(Command::FilterServers).await.ok_or(FilterError::Stopped)?,
        };
        if servers.is_empty() { Err(FilterError::NoPeer) } else { Ok(servers) }
    }

    fn check_cluster(&self, pubsub_topic: &str) -> Result<(), TopicError> {
        match parse_pubsub_topic(pubsub_topic)? {
            (cluster, _) if cluster == self.cluster_id() => Ok(()),
            _ => Err(TopicError::OtherCluster),
        }
    }
}

/// A random id. A counter would tell a server how many other requests there were.
fn request_id() -> String {
    format!("{:016x}", random::number())
}
