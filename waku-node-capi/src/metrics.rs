//! What `waku_get_metrics` answers, in the text format of Prometheus.

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use waku_node::Node;

/// The metrics of a node; only the first two while it does not run. Those have the names that they
/// have in libwaku.
pub(crate) fn text(node: Option<&Node>) -> String {
    let mut registry = Registry::default();
    let version = Family::<[(&str, &str); 1], Gauge>::default();
    version.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    registry.register("waku_version", "The version of the library, as a label", version);
    let peers = node.map_or(0, |n| n.peers().len());
    registry.register("libp2p_peers", "Connected peers", ConstGauge::new(peers as u64));
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text + &node.map(Node::metrics).unwrap_or_default()
}
