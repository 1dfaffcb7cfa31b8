//! The end of a node under load.

use waku_node::{StoreQuery, pubsub_topic};

use crate::peers::{join, message, peer};
use crate::served::Served;
use crate::{CLUSTER, PATIENCE};

#[tokio::test]
async fn ending_under_load_keeps_what_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store.sqlite3");
    let args = ["--store", store.to_str().unwrap(), "--lightpush"];
    let served = Served::start(dir.path(), &args);
    let (node, id) = (peer().await, served.id);
    join(&node, &served).await;
    // An answer from lightpush says that the node has the message.
    let (accepted, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let pushers: Vec<_> = (0..8)
        .map(|pusher| {
            let (node, accepted, id) = (node.clone(), accepted.clone(), served.id);
            tokio::spawn(async move {
                for n in 0.. {
                    let topic = pubsub_topic(CLUSTER, 0);
                    let pushed =
                        node.lightpush_publish(Some(id), &topic, message(n * 8 + pusher, 2000));
                    match pushed.await {
                        Ok(hash) => drop(accepted.send(hash)),
                        Err(_) => return,
                    }
                }
            })
        })
        .collect();
    drop(accepted);
    let mut hashes = Vec::new();
    let mut take = async |count: usize| {
        for _ in 0..count {
            hashes.push(tokio::time::timeout(PATIENCE, taken.recv()).await.unwrap().unwrap());
        }
    };
    take(2000).await;
    // Queries that search all of the Store in vain. They make it lag behind, so that it has something
    // left to write when it is told to stop.
    for _ in 0..64 {
        let (node, id) = (node.clone(), served.id);
        tokio::spawn(async move {
            let elsewhere = Some(pubsub_topic(CLUSTER, 1));
            let query = StoreQuery { pubsub_topic: elsewhere, ..StoreQuery::default() };
            while node.store_query(Some(id), query.clone()).await.is_ok() {}
        });
    }
    take(500).await;
    assert_eq!(served.process.finish_by("-TERM"), 0);
    for pusher in pushers {
        tokio::time::timeout(PATIENCE, pusher).await.unwrap().unwrap();
    }
    while let Some(hash) = taken.recv().await {
        hashes.push(hash);
    }
    let again = Served::start(dir.path(), &args);
    // Those who were told where it is find it again.
    assert_eq!(again.id, id);
    join(&node, &again).await;
    for hashes in hashes.chunks(100) {
        let query = StoreQuery {
            include_data: false,
            hashes: hashes.to_vec(),
            limit: Some(100),
            ..StoreQuery::default()
        };
        let page = node.store_query(Some(again.id), query).await.unwrap();
        assert_eq!(page.messages.len(), hashes.len(), "of {} that were taken", hashes.len());
    }
    again.signal("-INT");
    assert_eq!(again.process.finish().0, 0);
    node.shutdown().await;
}
