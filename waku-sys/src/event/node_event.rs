//! The events of a node, read from the library's JSON.

use libwaku_json::{Event, Message, PeerEvent, TopicHealth};

/// Something that a node reports by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// A message came in. A message that this node published itself comes back as an event too, even
    /// if publishing failed.
    Message {
        /// The shard that it was published on, `/waku/2/rs/<cluster>/<shard>`.
        pubsub_topic: String,
        /// The message itself.
        message: Message,
    },
    /// A peer connected or disconnected.
    Connection {
        /// The peer's id, as text.
        peer_id: String,
        /// True for a peer that connected, false for one that left.
        joined: bool,
    },
    /// The mesh of a shard gained or lost peers.
    TopicHealth {
        /// The shard, `/waku/2/rs/<cluster>/<shard>`.
        pubsub_topic: String,
        /// How full its mesh is now.
        health: TopicHealth,
    },
    /// The node has not accepted a request for some seconds.
    NotResponding,
    /// Events came faster than they were read, and the oldest were dropped.
    Dropped {
        /// How many events were dropped.
        count: u64,
    },
    /// An event that this version of the crate does not know.
    Unknown,
}

impl NodeEvent {
    /// Reads the text that the library gave to the event callback.
    pub(super) fn parse(text: &[u8]) -> Self {
        match serde_json::from_slice(text) {
            // The hash is the node's claim. Users compute it from the message.
            Ok(Event::Message { pubsub_topic, waku_message, message_hash: _ }) => {
                Self::Message { pubsub_topic, message: waku_message }
            }
            Ok(Event::ConnectionChange { peer_id, peer_event }) => match peer_event {
                PeerEvent::Joined => Self::Connection { peer_id, joined: true },
                PeerEvent::Left => Self::Connection { peer_id, joined: false },
                PeerEvent::Other => Self::Unknown,
            },
            Ok(Event::RelayTopicHealthChange { pubsub_topic, topic_health }) => {
                Self::TopicHealth { pubsub_topic, health: topic_health }
            }
            Ok(Event::WakuNotResponding) => Self::NotResponding,
            Err(error) => {
                tracing::debug!(%error, "libwaku reported an event that cannot be read");
                Self::Unknown
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_all_kinds() {
        let (id, topic) = ("16U".to_owned(), "t".to_owned());
        let cases = [
            (
                r#"{"eventType":"message","pubsubTopic":"/waku/2/rs/66/0","messageHash":"0x00","wakuMessage":{"payload":"AQI=","contentTopic":"/a/1/b/c","version":0,"timestamp":5,"ephemeral":true,"meta":"","proof":""}}"#,
                NodeEvent::Message {
                    pubsub_topic: "/waku/2/rs/66/0".to_owned(),
                    message: Message {
                        payload: vec![1, 2].into(),
                        content_topic: "/a/1/b/c".to_owned(),
                        timestamp: 5,
                        ephemeral: true,
                        ..Message::default()
                    },
                },
            ),
            (
                r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Joined"}"#,
                NodeEvent::Connection { peer_id: id.clone(), joined: true },
            ),
            (
                r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Left"}"#,
                NodeEvent::Connection { peer_id: id, joined: false },
            ),
            (
                r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Identified"}"#,
                NodeEvent::Unknown,
            ),
            (
                r#"{"eventType":"relay_topic_health_change","pubsubTopic":"t","topicHealth":"MinimallyHealthy"}"#,
                NodeEvent::TopicHealth {
                    pubsub_topic: topic,
                    health: TopicHealth::MinimallyHealthy,
                },
            ),
            (r#"{"eventType":"waku_not_responding"}"#, NodeEvent::NotResponding),
            (r#"{"eventType":"news"}"#, NodeEvent::Unknown),
            ("[]", NodeEvent::Unknown),
        ];
        for (text, want) in cases {
            assert_eq!(NodeEvent::parse(text.as_bytes()), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>) {
            NodeEvent::parse(&text);
        }
    }
}
