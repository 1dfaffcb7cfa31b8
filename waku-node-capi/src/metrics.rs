//! A node's counters in the text format of Prometheus.

use std::fmt::Write;

use waku_node::{Node, NodeStatus};

/// The metrics of a node; zeros while it does not run.
pub(crate) fn text(node: Option<&Node>) -> String {
    let status = node.map_or_else(NodeStatus::default, Node::status);
    let c = status.counters;
    let archive = status.archive.unwrap_or_default();
    let mesh = status.topics.iter().map(|t| t.mesh_peers).sum::<usize>() as u64;
    let mut out = format!(
        "# HELP waku_version the version of the library\n# TYPE waku_version gauge\n\
         waku_version{{version=\"{}\"}} 1\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, kind, value, help) in [
        ("libp2p_peers", "gauge", status.connected_peers as u64, "connected peers"),
        ("libp2p_gossipsub_peers_mesh_sum", "gauge", mesh, "mesh peers, over all topics"),
        ("waku_relay_published_total", "counter", c.relay_published, "own messages relayed"),
        ("waku_relay_received_total", "counter", c.relay_received, "messages received by relay"),
        ("waku_relay_invalid_total", "counter", c.relay_invalid, "relay messages refused"),
        ("waku_relay_slow_peer_total", "counter", c.relay_slow_peer, "times a peer was too slow"),
        ("waku_peers_struck_total", "counter", c.peers_struck, "peers that sent too much rubbish"),
        ("waku_metadata_refused_total", "counter", c.metadata_refused, "peers of other networks"),
        ("waku_connections_refused_total", "counter", c.connections_refused, "inbound failures"),
        ("waku_reads_put_off_total", "counter", c.reads_put_off, "times reading was slowed down"),
        (
            "waku_requests_failed_total",
            "counter",
            c.requests_failed,
            "inbound requests that failed",
        ),
        ("waku_store_served_total", "counter", c.store_served, "Store requests answered"),
        ("waku_store_refused_total", "counter", c.store_refused, "Store requests refused"),
        ("waku_store_dropped_total", "counter", c.store_entries_dropped, "false Store entries"),
        ("waku_archive_messages", "gauge", archive.messages, "messages in the own archive"),
        ("waku_archive_bytes", "gauge", archive.bytes, "bytes in the own archive"),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    out
}
