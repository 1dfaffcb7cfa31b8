//! `node`: a Waku relay, with a Store if asked for.

use std::path::Path;

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use waku_node::{Node, NodeConfig, NodeEvent, NodeKey, StoreConfig};

use crate::args;
use crate::error::{CliError, file};
use crate::home;
use crate::out::Out;

/// Runs a node until it is told to stop.
pub(crate) async fn node(out: Out, args: args::Node) -> Result<(), CliError> {
    let network = home::network(&args.network)?;
    if let Some(path) = args.store.as_ref().filter(|path| !path.exists()) {
        // SQLite gives its other files the rights of this one.
        home::write_private(path, &[])?;
    }
    let key = args.key.as_deref().map(key).transpose()?;
    let config = NodeConfig {
        listen: args.listen,
        key,
        cluster_id: args.cluster.unwrap_or(network.cluster),
        shards: if args.shards.is_empty() { vec![network.shard()] } else { args.shards },
        static_peers: args.peers,
        store: args.store.map(|path| StoreConfig {
            path: Some(path),
            retention: args.retention,
            ..StoreConfig::default()
        }),
        ..NodeConfig::default()
    };
    let (cluster, shards) = (config.cluster_id, config.shards.clone());
    let node = Node::start(config).await?;
    let mut events = node.events();
    let addresses: Vec<String> = node.listen_addresses().iter().map(ToString::to_string).collect();
    let ran = async {
        out.result(
            &json!({
                "listening": addresses,
                "peer_id": node.peer_id().to_string(),
                "cluster": cluster,
                "shards": shards,
            }),
            || addresses.join("\n"),
        )?;
        out.progress(&format!("relaying shards {shards:?} of cluster {cluster}; Ctrl-C ends it"));
        let (stopped, closed) = (crate::signal(), stdin_closed());
        tokio::pin!(stopped, closed);
        loop {
            tokio::select! {
                stopped = &mut stopped => return stopped,
                () = &mut closed, if args.with_stdin => return Ok(()),
                event = events.recv() => match event {
                    Some(NodeEvent::PeerConnected { peer }) => tracing::info!(%peer, "connected"),
                    Some(NodeEvent::PeerDisconnected { peer }) => tracing::info!(%peer, "gone"),
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
    }
    .await;
    node.shutdown().await;
    ran
}

/// Waits for the end of standard input; what comes before it is passed over.
async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 256];
    while stdin.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// The key in a file, as 64 hexadecimal digits; a new one is made if there is no file.
fn key(path: &Path) -> Result<NodeKey, CliError> {
    use std::fmt::Write as _;
    if !path.exists() {
        let key = NodeKey::generate();
        let mut text = zeroize::Zeroizing::new(String::with_capacity(65));
        for byte in key.expose() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        home::write_private(path, text.as_bytes())?;
        return Ok(key);
    }
    let text = zeroize::Zeroizing::new(home::read(path)?);
    parse_key(text.trim()).ok_or_else(|| {
        file("cannot use", path)(std::io::Error::other("a key is 64 hexadecimal digits"))
    })
}

fn parse_key(text: &str) -> Option<NodeKey> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut secret = zeroize::Zeroizing::new([0u8; 32]);
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(pair[0])? * 16 + nibble(pair[1])?).ok()?;
    }
    Some(NodeKey::from_bytes(*secret))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_gives_the_same_key_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let first = key(&path).unwrap();
        assert_eq!(key(&path).unwrap().expose(), first.expose());
        std::fs::write(&path, "zz").unwrap();
        assert!(key(&path).is_err());
        assert!(parse_key(&"é".repeat(32)).is_none());
    }
}
