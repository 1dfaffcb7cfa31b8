//! A node's state in the text format of Prometheus, version 0.0.4.

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Metric, Registry};

use crate::status::{ArchiveStatus, FilterStatus, NodeStatus};

/// The name of every metric begins with this and an underscore.
const PREFIX: &str = "waku_node";

/// One label of a sample: its name and its value.
type Label = [(&'static str, String); 1];

/// The text for a status. `in_mesh` is the number of peers in the mesh of any topic.
pub(crate) fn text(status: &NodeStatus, in_mesh: usize) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    let r = &mut registry;
    let info = Family::<Label, Gauge>::default();
    info.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
    add(r, "info", "Always 1; the version is a label.", info);
    let peers = "Connected peers that passed the metadata exchange.";
    gauge(r, "connected_peers", peers, status.connected_peers as u64);
    gauge(r, "mesh_peers_any", "Peers in the mesh of any topic.", in_mesh as u64);
    let mesh_peers = Family::<Label, Gauge>::default();
    let topic_peers = Family::<Label, Gauge>::default();
    for topic in &status.topics {
        let label = [("pubsub_topic", topic.pubsub_topic.clone())];
        mesh_peers.get_or_create(&label).set(signed(topic.mesh_peers));
        topic_peers.get_or_create(&label).set(signed(topic.topic_peers));
    }
    add(r, "mesh_peers", "Peers in the mesh of a topic.", mesh_peers);
    let subscribed = "Connected peers that subscribe to a topic.";
    add(r, "topic_peers", subscribed, topic_peers);
    let statics = &status.static_peers;
    gauge(r, "static_peers", "Static peers that are configured.", statics.len() as u64);
    let connected = statics.iter().filter(|p| p.peer.is_some()).count();
    gauge(r, "static_peers_connected", "Static peers that are connected.", connected as u64);
    for (name, help, value) in status.counters.each() {
        add(r, name, help, ConstCounter::new(value));
    }
    if let Some(status) = &status.archive {
        archive(r, status);
    }
    if let Some(status) = &status.filter {
        filter(r, status);
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

fn archive(r: &mut Registry, a: &ArchiveStatus) {
    gauge(r, "archive_messages", "Messages in the archive.", a.messages);
    gauge(r, "archive_bytes", "Bytes of the messages in the archive.", a.bytes);
    let skipped = Family::<Label, Counter>::default();
    for (reason, value) in [
        ("ephemeral", a.skipped_ephemeral),
        ("timestamp", a.skipped_timestamp),
        ("overflow", a.skipped_overflow),
    ] {
        skipped.get_or_create(&[("reason", reason.to_owned())]).inc_by(value);
    }
    let reasons = "Messages that the archive did not take: ephemeral, with a timestamp too far from \
                   the clock, or more than it can keep up with.";
    add(r, "archive_skipped", reasons, skipped);
    let failed = "Messages lost to errors of the database.";
    add(r, "archive_failed", failed, ConstCounter::new(a.failed));
    let failing = "Whether the most recent messages were lost to such errors.";
    gauge(r, "archive_failing", failing, a.failing.into());
}

fn filter(r: &mut Registry, f: &FilterStatus) {
    let subscribers = "Peers with subscriptions at the filter service.";
    gauge(r, "filter_subscribers", subscribers, f.subscribers as u64);
    let criteria = "Pairs of pubsub and content topic subscribed to.";
    gauge(r, "filter_criteria", criteria, f.criteria as u64);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    add(registry, name, help, ConstGauge::new(value));
}

/// Registers a metric. The registry appends the full stop of `help`, and `_total` to counters.
fn add<M: Metric>(registry: &mut Registry, name: &str, help: &str, metric: M) {
    registry.register(name, help.trim().trim_end_matches('.'), metric);
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{ArchiveStatus, Counters, TopicStatus};

    #[test]
    fn every_line_is_of_the_format_and_every_family_is_described_once() {
        let status = NodeStatus {
            connected_peers: 3,
            topics: ["/waku/2/rs/66/0", "odd\"\\\ntopic"]
                .map(|t| TopicStatus { pubsub_topic: t.into(), mesh_peers: 2, topic_peers: 3 })
                .to_vec(),
            counters: Counters { relay_received: 7, ..Counters::default() },
            archive: Some(ArchiveStatus { messages: 5, skipped_overflow: 2, ..Default::default() }),
            ..NodeStatus::default()
        };
        let text = text(&status, 2);
        let mut families = std::collections::HashSet::new();
        let mut described = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("name and help");
                assert!(families.insert(name), "{name} is described twice");
                assert!(help.len() > 10 && !help.starts_with(' '), "{line}");
                described = name;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("name and type");
                assert_eq!(name, described);
                assert!(matches!(kind, "gauge" | "counter"));
                assert_eq!(kind == "counter", name.ends_with("_total"));
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a sample");
                assert!(value.parse::<u64>().is_ok(), "{line}");
                assert_eq!(name.split('{').next(), Some(described));
            }
        }
        for line in [
            "waku_node_connected_peers 3",
            "waku_node_mesh_peers{pubsub_topic=\"/waku/2/rs/66/0\"} 2",
            "waku_node_mesh_peers{pubsub_topic=\"odd\\\"\\\\\\ntopic\"} 2",
            "waku_node_relay_received_total 7",
            "waku_node_archive_messages 5",
            "waku_node_archive_skipped_total{reason=\"overflow\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
