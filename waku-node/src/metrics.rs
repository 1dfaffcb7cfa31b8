//! A node's state in the text format of Prometheus.

use std::fmt::{Display, Write as _};

use crate::status::NodeStatus;

/// Builds the text. Every metric's name begins with this.
const PREFIX: &str = "waku_node_";

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let help = help.trim().replace('\\', "\\\\").replace('\n', " ");
        let _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}");
        let _ = writeln!(self.0, "# TYPE {PREFIX}{name} {kind}");
    }

    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: impl Display) {
        let _ = match label {
            Some((label, text)) => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                writeln!(self.0, "{PREFIX}{name}{{{label}=\"{text}\"}} {value}")
            }
            None => writeln!(self.0, "{PREFIX}{name} {value}"),
        };
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, None, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let name = format!("{name}_total");
        self.family(&name, "counter", help);
        self.sample(&name, None, value);
    }
}

/// The text for a status. `in_mesh` is the number of peers in the mesh of any topic.
pub(crate) fn text(status: &NodeStatus, in_mesh: usize) -> String {
    let mut t = Text(String::new());
    t.family("info", "gauge", "Always 1; the version is a label.");
    t.sample("info", Some(("version", env!("CARGO_PKG_VERSION"))), 1);
    t.gauge(
        "connected_peers",
        "Connected peers that passed the metadata exchange.",
        status.connected_peers,
    );
    t.gauge("mesh_peers_any", "Peers in the mesh of any topic.", in_mesh);
    t.family("mesh_peers", "gauge", "Peers in the mesh of a topic.");
    for topic in &status.topics {
        t.sample("mesh_peers", Some(("pubsub_topic", &topic.pubsub_topic)), topic.mesh_peers);
    }
    t.family("topic_peers", "gauge", "Connected peers that subscribe to a topic.");
    for topic in &status.topics {
        t.sample("topic_peers", Some(("pubsub_topic", &topic.pubsub_topic)), topic.topic_peers);
    }
    t.gauge("static_peers", "Static peers that are configured.", status.static_peers.len());
    t.gauge(
        "static_peers_connected",
        "Static peers that are connected.",
        status.static_peers.iter().filter(|p| p.peer.is_some()).count(),
    );
    for (name, help, value) in status.counters.each() {
        t.counter(name, help, value);
    }
    if let Some(a) = &status.archive {
        t.gauge("archive_messages", "Messages in the archive.", a.messages);
        t.gauge("archive_bytes", "Bytes of the messages in the archive.", a.bytes);
        t.family(
            "archive_skipped_total",
            "counter",
            "Messages that the archive did not take: ephemeral, with a timestamp too far from the \
             clock, or more than it can keep up with.",
        );
        for (reason, value) in [
            ("ephemeral", a.skipped_ephemeral),
            ("timestamp", a.skipped_timestamp),
            ("overflow", a.skipped_overflow),
        ] {
            t.sample("archive_skipped_total", Some(("reason", reason)), value);
        }
        t.counter("archive_failed", "Messages lost to errors of the database.", a.failed);
        t.gauge(
            "archive_failing",
            "Whether the last messages that came were lost like that.",
            u8::from(a.failing),
        );
    }
    if let Some(f) = &status.filter {
        t.gauge(
            "filter_subscribers",
            "Peers with subscriptions at the filter service.",
            f.subscribers,
        );
        t.gauge("filter_criteria", "Pairs of pubsub and content topic subscribed to.", f.criteria);
    }
    t.0
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
