//! Relay: messages, pubsub topics, and the peers of topics.

use super::arguments::message;
use super::call::functions;
use crate::requests::{Among, Request};

functions! {
    request;

    /// Publishes a message. Answers with its hash. The time-out has no effect: nothing is waited for.
    fn waku_relay_publish(pubSubTopic: text, jsonWakuMessage: text, _timeoutMs: c_uint) {
        Ok(Request::Publish { topic: pubSubTopic, message: message(&jsonWakuMessage)? })
    }

    /// Subscribes to a pubsub topic, now or once the node is started. The answer is empty.
    fn waku_relay_subscribe(pubSubTopic: text) {
        Ok(Request::Subscribe { topic: pubSubTopic })
    }

    /// Ends the subscription to a pubsub topic. The answer is empty.
    fn waku_relay_unsubscribe(pubSubTopic: text) {
        Ok(Request::Unsubscribe { topic: pubSubTopic })
    }

    /// Would accept only signed messages on a shard; not served.
    fn waku_relay_add_protected_shard(_clusterId: c_int, _shardId: c_int, publicKey: mut_text) {
        drop(publicKey);
        Ok(Request::NotServed("protected shards are not served"))
    }

    /// Answers with the number of connected peers on a topic; of all topics if it is empty or NULL.
    fn waku_relay_get_num_connected_peers(pubSubTopic: optional_text) {
        let topic = pubSubTopic.unwrap_or_default();
        Ok(Request::CountPeers { topic, among: Among::Connected })
    }

    /// Answers with the ids of the connected peers on a topic, separated by commas.
    fn waku_relay_get_connected_peers(pubSubTopic: optional_text) {
        let topic = pubSubTopic.unwrap_or_default();
        Ok(Request::ListPeers { topic, among: Among::Connected })
    }

    /// Answers with the number of peers in the mesh of a topic.
    fn waku_relay_get_num_peers_in_mesh(pubSubTopic: optional_text) {
        let topic = pubSubTopic.unwrap_or_default();
        Ok(Request::CountPeers { topic, among: Among::Mesh })
    }

    /// Answers with the ids of the peers in the mesh of a topic, separated by commas.
    fn waku_relay_get_peers_in_mesh(pubSubTopic: optional_text) {
        let topic = pubSubTopic.unwrap_or_default();
        Ok(Request::ListPeers { topic, among: Among::Mesh })
    }
}
