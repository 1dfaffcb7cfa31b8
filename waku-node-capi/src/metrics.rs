//! What `waku_get_metrics` answers, in the text format of Prometheus.

use waku_node::Node;

/// The metrics of a node; little while it does not run. The first two have the names that they have
/// in libwaku.
pub(crate) fn text(node: Option<&Node>) -> String {
    let peers = node.map_or(0, |n| n.peers().len());
    format!(
        "# HELP waku_version the version of the library\n# TYPE waku_version gauge\n\
         waku_version{{version=\"{}\"}} 1\n\
         # HELP libp2p_peers connected peers\n# TYPE libp2p_peers gauge\nlibp2p_peers {peers}\n{}",
        env!("CARGO_PKG_VERSION"),
        node.map(Node::metrics).unwrap_or_default()
    )
}
