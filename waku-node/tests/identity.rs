//! The identity of a node, which others know it by, over restarts.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use waku_node::{KeyFile, KeyFileError, Node, NodeConfig, NodeError, NodeKey, PeerId, StoreConfig};

fn with_store(path: &Path) -> NodeConfig {
    let store = StoreConfig { path: Some(path.to_owned()), ..StoreConfig::default() };
    NodeConfig { store: Some(store), ..NodeConfig::default() }
}

/// The peer id of one run.
async fn run(config: NodeConfig) -> PeerId {
    let node = Node::start(config).await.unwrap();
    let id = node.peer_id();
    node.shutdown().await;
    id
}

#[tokio::test]
async fn a_node_with_a_store_keeps_its_peer_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store.sqlite");
    let first = run(with_store(&store)).await;
    assert_eq!(run(with_store(&store)).await, first);
    assert!(dir.path().join("store.sqlite.key").exists());
    // It is told otherwise: by a key, by another file, by none.
    let key = NodeKey::generate();
    let given = NodeConfig { key: Some(key.clone()), ..with_store(&store) };
    let id = run(given.clone()).await;
    assert_ne!(id, first);
    assert_eq!(run(given).await, id);
    let elsewhere = dir.path().join("elsewhere");
    let config = NodeConfig { key_file: KeyFile::Path(elsewhere.clone()), ..with_store(&store) };
    let other = run(config.clone()).await;
    assert_ne!(other, first);
    let without_store = NodeConfig { store: None, ..config };
    assert_eq!(run(without_store).await, other);
    let nowhere = NodeConfig { key_file: KeyFile::Nowhere, ..with_store(&store) };
    assert_ne!(run(nowhere.clone()).await, run(nowhere).await);
    assert_eq!(run(with_store(&store)).await, first);
}

#[tokio::test]
async fn without_a_file_each_start_has_another_peer_id() {
    assert_ne!(run(NodeConfig::default()).await, run(NodeConfig::default()).await);
    let in_memory = || NodeConfig { store: Some(StoreConfig::default()), ..NodeConfig::default() };
    assert_ne!(run(in_memory()).await, run(in_memory()).await);
}

#[tokio::test]
async fn a_file_that_is_not_a_key_is_an_error_that_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store.sqlite");
    let file = dir.path().join("store.sqlite.key");
    std::fs::write(&file, "not a key").unwrap();
    let refused = Node::start(with_store(&store)).await.err();
    let malformed = Some(NodeError::KeyFile(KeyFileError::Malformed { path: file.clone() }));
    assert_eq!(format!("{refused:?}"), format!("{malformed:?}"));
    // The archive, which one node holds at a time, is free again.
    std::fs::remove_file(&file).unwrap();
    run(with_store(&store)).await;
}
