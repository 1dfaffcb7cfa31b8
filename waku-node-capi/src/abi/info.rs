//! Names of topics, and what a node tells about itself.

use super::call::functions;
use crate::requests::Request;

/// What `waku_version` answers.
const VERSION: &str =
    concat!("version / git commit hash: waku-node-capi ", env!("CARGO_PKG_VERSION"));
/// The topic that libwaku regards as its default.
const DEFAULT_TOPIC: &str = "/waku/2/rs/0/0";

functions! {
    constant;

    /// Answers with the version, on the caller's thread.
    fn waku_version() {
        Ok(VERSION.into())
    }

    /// Answers with `/appName/appVersion/contentTopicName/encoding`, on the caller's thread.
    fn waku_content_topic(
        appName: text,
        appVersion: c_uint,
        contentTopicName: text,
        encoding: text
    ) {
        Ok(format!("/{appName}/{appVersion}/{contentTopicName}/{encoding}"))
    }

    /// Answers with `/waku/2/` and the name, on the caller's thread.
    fn waku_pubsub_topic(topicName: text) {
        Ok(format!("/waku/2/{topicName}"))
    }

    /// Answers with libwaku's default pubsub topic, on the caller's thread.
    fn waku_default_pubsub_topic() {
        Ok(DEFAULT_TOPIC.into())
    }
}

functions! {
    request;

    /// Answers with the addresses of this node, separated by commas.
    fn waku_listen_addresses() {
        Ok(Request::ListenAddresses)
    }

    /// Answers with the node record (ENR) of this node, `enr:…`.
    fn waku_get_my_enr() {
        Ok(Request::Enr)
    }

    /// Answers with the peer id of this node.
    fn waku_get_my_peerid() {
        Ok(Request::PeerId)
    }

    /// Answers with the metrics of this node, in the text format of Prometheus.
    fn waku_get_metrics() {
        Ok(Request::Metrics)
    }

    /// Answers with "true" or "false": whether any peer is connected.
    fn waku_is_online() {
        Ok(Request::Online)
    }
}
