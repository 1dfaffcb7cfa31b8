//! What a node tells its host without being asked.

use serde::{Deserialize, Serialize};

use crate::message::Message;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "eventType", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The node received a message, or published one.
    Message {
        /// The pubsub topic that it was published on.
        pubsub_topic: String,
        /// Its hash: `0x` and 64 hex digits.
        #[serde(default)]
        message_hash: String,
        /// The message itself.
        waku_message: Message,
    },
    /// A peer connected or disconnected.
    ConnectionChange {
        /// The peer's id.
        peer_id: String,
        /// What the peer did.
        peer_event: PeerEvent,
    },
    /// The mesh of a pubsub topic became better or worse.
    RelayTopicHealthChange {
        /// The pubsub topic.
        pubsub_topic: String,
        /// The health from now on.
        topic_health: TopicHealth,
    },
    /// libwaku: the node has not taken a request for some seconds. The drop-in: events were lost
    /// because the callback was too slow.
    WakuNotResponding,
}

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerEvent {
    /// It connected.
    Joined,
    /// Its last connection closed.
    Left,
    /// Something else, such as being identified.
    #[serde(other)]
    Other,
}

/// How well the mesh of a pubsub topic is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicHealth {
    /// No peer is in it.
    #[serde(alias = "UNHEALTHY")]
    UnHealthy,
    /// Fewer peers are in it than gossipsub wants.
    #[serde(alias = "MINIMALLY_HEALTHY")]
    MinimallyHealthy,
    /// Enough peers are in it.
    #[serde(alias = "SUFFICIENTLY_HEALTHY")]
    SufficientlyHealthy,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// Writes the event.
    pub fn to_json(&self) -> String {
        // Strings, numbers and flags only, which serde_json always writes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_reads_what_the_other_writes() {
        for (event, json) in [
            (
                Event::Message {
                    pubsub_topic: "/waku/2/rs/66/0".into(),
                    message_hash: "0x00".into(),
                    waku_message: Message {
                        payload: vec![1, 2].into(),
                        content_topic: "/a/1/b/c".into(),
                        timestamp: 5,
                        ephemeral: true,
                        ..Message::default()
                    },
                },
                r#"{"eventType":"message","pubsubTopic":"/waku/2/rs/66/0","messageHash":"0x00","wakuMessage":{"payload":"AQI=","contentTopic":"/a/1/b/c","version":0,"timestamp":5,"ephemeral":true}}"#,
            ),
            (
                Event::ConnectionChange { peer_id: "16U".into(), peer_event: PeerEvent::Joined },
                r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Joined"}"#,
            ),
            (
                Event::RelayTopicHealthChange {
                    pubsub_topic: "t".into(),
                    topic_health: TopicHealth::MinimallyHealthy,
                },
                r#"{"eventType":"relay_topic_health_change","pubsubTopic":"t","topicHealth":"MinimallyHealthy"}"#,
            ),
            (Event::WakuNotResponding, r#"{"eventType":"waku_not_responding"}"#),
        ] {
            assert_eq!(event.to_json(), json);
            assert_eq!(serde_json::from_str::<Event>(json).expect("an event"), event);
        }
    }

    #[test]
    fn unknown_words_are_told_from_malformed_events() {
        let read = |json: &str| serde_json::from_str::<Event>(json);
        let left = r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Identified"}"#;
        assert!(matches!(
            read(left),
            Ok(Event::ConnectionChange { peer_event: PeerEvent::Other, .. })
        ));
        let health =
            r#"{"eventType":"relay_topic_health_change","pubsubTopic":"t","topicHealth":"x"}"#;
        assert!(matches!(
            read(health),
            Ok(Event::RelayTopicHealthChange { topic_health: TopicHealth::Unknown, .. })
        ));
        for bad in ["", "[]", "{}", r#"{"eventType":"news"}"#, r#"{"eventType":"message"}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
