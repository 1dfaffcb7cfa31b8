//! Store v3 between real nodes.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use waku_node::{
    MessageHash, Node, NodeError, StoreConfig, StoreError, StorePage, StoreQuery, StoredMessage,
    WakuMessage, message_hash,
};

const OTHER: &str = "/waku-node-test/1/b/proto";

/// Message `n` of a history, a millisecond after the one before; every third on another topic.
fn item(start: i64, n: usize) -> WakuMessage {
    WakuMessage {
        payload: format!("item {n}").into(),
        content_topic: if n.is_multiple_of(3) { OTHER } else { CONTENT }.into(),
        timestamp: Some(start + n as i64 * 1_000_000),
        ..WakuMessage::default()
    }
}

/// Publishes to a Store, and returns once its archive has everything.
async fn fill(publisher: &Node, store: &Node, messages: &[WakuMessage]) {
    let mut events = store.events();
    for m in messages {
        publisher.publish(TOPIC, m.clone()).await.unwrap();
        // One at a time, so that the order of arrival is that of publishing.
        assert_eq!(message(&mut events).await, *m);
    }
}

fn hashes(messages: &[WakuMessage]) -> Vec<MessageHash> {
    messages.iter().map(|m| message_hash(TOPIC, m)).collect()
}

fn found(messages: &[StoredMessage]) -> Vec<MessageHash> {
    messages.iter().map(|m| m.hash).collect()
}

/// Follows the cursors of a query and gives the pages.
async fn pages(client: &Node, mut q: StoreQuery) -> Vec<StorePage> {
    let mut all = Vec::new();
    loop {
        let page = patient("a page", client.store_query(None, q.clone())).await.unwrap();
        q.cursor = page.cursor;
        all.push(page);
        if q.cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn history_is_paged_in_both_directions_and_by_every_condition() {
    let (publisher, store, client) =
        (node(|_| {}).await, store_node().await, node(|c| c.relay = false).await);
    link(&publisher, &store, TOPIC).await;
    connect(&client, &store).await;
    let start = now() - 1_000_000_000;
    let messages: Vec<_> = (0..300).map(|n| item(start, n)).collect();
    fill(&publisher, &store, &messages).await;
    let all = hashes(&messages);

    let forward = pages(&client, StoreQuery { limit: Some(70), ..StoreQuery::default() }).await;
    assert_eq!(forward.iter().map(|p| p.messages.len()).collect::<Vec<_>>(), [70, 70, 70, 70, 20]);
    let in_order: Vec<_> = forward.iter().flat_map(|p| found(&p.messages)).collect();
    assert_eq!(in_order, all);
    let bodies = forward.into_iter().flat_map(|p| p.messages).map(|m| m.message.unwrap());
    assert!(bodies.eq(messages.iter().cloned()));

    // Backward: the newest page first, each page oldest first.
    let backward =
        pages(&client, StoreQuery { forward: false, limit: Some(100), ..StoreQuery::default() })
            .await;
    assert_eq!(backward.len(), 3);
    for (page, want) in backward.iter().zip(all.chunks(100).rev()) {
        assert_eq!(found(&page.messages), want);
    }
    let newest_first = StoreQuery { forward: false, include_data: false, ..StoreQuery::default() };
    let collected = client.store_collect(None, newest_first, 250).await.unwrap();
    assert_eq!(found(&collected), all.iter().rev().take(250).copied().collect::<Vec<_>>());
    assert!(collected.iter().all(|m| m.message.is_none() && m.pubsub_topic.is_none()));

    // Page sizes: 20 unless said otherwise, 100 at most.
    for (asked, got) in [(None, 20), (Some(0), 20), (Some(7), 7), (Some(1_000_000), 100)] {
        let page = client
            .store_query(None, StoreQuery { limit: asked, ..StoreQuery::default() })
            .await
            .unwrap();
        assert_eq!(page.messages.len(), got);
    }

    // By time alone, both ends included.
    let range = StoreQuery {
        time_start: messages[100].timestamp,
        time_end: messages[150].timestamp,
        limit: Some(100),
        ..StoreQuery::default()
    };
    assert_eq!(found(&client.store_query(None, range).await.unwrap().messages), all[100..=150]);

    // By content topic, with pages.
    let by_topic = StoreQuery {
        pubsub_topic: Some(TOPIC.into()),
        content_topics: vec![OTHER.into(), "/never/1/used/proto".into()],
        ..StoreQuery::default()
    };
    let got = client.store_collect(None, by_topic.clone(), 1000).await.unwrap();
    assert_eq!(found(&got), all.iter().step_by(3).copied().collect::<Vec<_>>());
    let elsewhere = StoreQuery { pubsub_topic: Some("/waku/2/rs/66/5".into()), ..by_topic };
    assert_eq!(client.store_query(None, elsewhere).await.unwrap(), StorePage::default());

    // By hash.
    let wanted = vec![all[7], all[250], MessageHash([0; 32])];
    let by_hash = StoreQuery { hashes: wanted, ..StoreQuery::default() };
    assert_eq!(
        found(&client.store_query(None, by_hash).await.unwrap().messages),
        [all[7], all[250]]
    );

    // Any message is a cursor, exclusive, in both directions; an empty page ends it.
    let after = |n: usize, forward| StoreQuery {
        cursor: Some(all[n]),
        forward,
        limit: Some(5),
        ..StoreQuery::default()
    };
    assert_eq!(
        found(&client.store_query(None, after(41, true)).await.unwrap().messages),
        all[42..47]
    );
    assert_eq!(
        found(&client.store_query(None, after(41, false)).await.unwrap().messages),
        all[36..41]
    );
    assert_eq!(client.store_query(None, after(299, true)).await.unwrap(), StorePage::default());
    assert_eq!(client.store_query(None, after(0, false)).await.unwrap(), StorePage::default());

    // Ten content topics with a cursor, 400 without.
    let topics = |n: usize| (0..n).map(|i| format!("/a/1/{i}/proto")).collect::<Vec<_>>();
    let many = StoreQuery { content_topics: topics(400), ..StoreQuery::default() };
    assert!(client.store_query(None, many).await.is_ok());
    let ten = StoreQuery { content_topics: topics(10), ..after(1, true) };
    assert!(client.store_query(None, ten).await.is_ok());
    let eleven = StoreQuery { content_topics: topics(11), ..after(1, true) };
    assert!(matches!(client.store_query(None, eleven).await, Err(StoreError::InvalidQuery(_))));
    let unknown = StoreQuery { cursor: Some(MessageHash([9; 32])), ..StoreQuery::default() };
    assert!(matches!(
        client.store_query(None, unknown).await,
        Err(StoreError::Status { code: 400, .. })
    ));
}

#[tokio::test]
async fn the_archive_leaves_out_what_waku_leaves_out() {
    let (publisher, store) = (node(|_| {}).await, store_node().await);
    link(&publisher, &store, TOPIC).await;
    let second = 1_000_000_000;
    let with = |name: &'static str, timestamp, ephemeral| WakuMessage {
        payload: name.into(),
        timestamp,
        ephemeral,
        ..hello(0)
    };
    let messages = [
        with("ok", Some(now()), None),
        with("ephemeral", Some(now()), Some(true)),
        with("not ephemeral", Some(now() + 5), Some(false)),
        with("a minute ago", Some(now() - 60 * second), None),
        with("in a minute", Some(now() + 60 * second), None),
        with("ten seconds ago", Some(now() - 10 * second), None),
        with("no timestamp", None, None),
    ];
    fill(&publisher, &store, &messages).await;
    let mut kept: Vec<_> = publisher
        .store_collect(Some(store.peer_id()), StoreQuery::default(), 100)
        .await
        .unwrap()
        .into_iter()
        .map(|m| m.message.unwrap())
        .collect();
    kept.sort_by_key(|m| messages.iter().position(|x| x == m));
    let want: Vec<_> = [0, 2, 5, 6].iter().map(|i: &usize| messages[*i].clone()).collect();
    assert_eq!(kept, want);
    let archive = store.status().archive.unwrap();
    assert_eq!((archive.skipped_ephemeral, archive.skipped_timestamp, archive.messages), (1, 2, 4));
}

#[tokio::test]
async fn own_messages_are_archived_and_found_without_a_peer() {
    let (store, peer) = (store_node().await, node(|_| {}).await);
    // What reached nobody is tried again by whoever published it, so it is not archived yet.
    store.publish(TOPIC, hello(0)).await.unwrap_err();
    link(&store, &peer, TOPIC).await;
    let hash = store.publish(TOPIC, hello(1)).await.unwrap();
    for target in [None, Some(store.peer_id())] {
        let page = store.store_query(target, StoreQuery::default()).await.unwrap();
        assert_eq!(found(&page.messages), [hash]);
    }
    assert!(matches!(
        store.store_query(Some(peer.peer_id()), StoreQuery::default()).await,
        Err(StoreError::Unsupported)
    ));
    let nobody = waku_node::PeerId::random();
    assert!(matches!(
        store.store_query(Some(nobody), StoreQuery::default()).await,
        Err(StoreError::NotConnected(id)) if id == nobody
    ));
    let alone = node(|_| {}).await;
    assert!(matches!(
        alone.store_query(None, StoreQuery::default()).await,
        Err(StoreError::NoPeer)
    ));
}

#[tokio::test]
async fn sixty_queries_at_once_are_all_answered() {
    let publisher = node(|_| {}).await;
    // Room for few answers at once, so that most requests wait.
    let store = node(|c| {
        c.store = Some(StoreConfig::default());
        c.limits.store_in_flight_bytes = 9 * 1024 * 1024;
    })
    .await;
    link(&publisher, &store, TOPIC).await;
    let large = |n: usize| WakuMessage { payload: vec![n as u8; 25_000].into(), ..hello(n) };
    let messages: Vec<_> = (0..20).map(large).collect();
    fill(&publisher, &store, &messages).await;
    let queries = (0..60).map(|_| publisher.store_query(None, StoreQuery::default()));
    let answers = patient("60 answers", futures::future::join_all(queries)).await;
    for page in answers {
        assert_eq!(page.unwrap().messages.len(), 20);
    }
    assert_eq!(store.status().counters.store_served, 60);
}

#[tokio::test]
async fn pages_of_large_messages_are_cut_and_go_on() {
    let (publisher, store) = (node(|_| {}).await, store_node().await);
    link(&publisher, &store, TOPIC).await;
    let start = now();
    let large =
        |n: usize| WakuMessage { payload: vec![n as u8; 140 * 1024].into(), ..item(start, n) };
    let messages: Vec<_> = (0..60).map(large).collect();
    fill(&publisher, &store, &messages).await;
    let got = pages(&publisher, StoreQuery { limit: Some(100), ..StoreQuery::default() }).await;
    assert!(got.len() > 1, "8 MiB do not fit one page");
    assert_eq!(got.iter().flat_map(|p| found(&p.messages)).collect::<Vec<_>>(), hashes(&messages));
}

#[tokio::test]
async fn what_is_too_old_is_not_returned_and_then_deleted() {
    let publisher = node(|_| {}).await;
    let retention = Duration::from_secs(3);
    let store = node(|c| c.store = Some(StoreConfig { retention, ..StoreConfig::default() })).await;
    link(&publisher, &store, TOPIC).await;
    let second = 1_000_000_000;
    let aged = |n: usize, age: i64| WakuMessage { timestamp: Some(now() - age), ..hello(n) };
    // Within the clock's tolerance, but past the retention already.
    fill(&publisher, &store, &[aged(1, 5 * second), aged(2, 0)]).await;
    let page = publisher.store_query(None, StoreQuery::default()).await.unwrap();
    assert_eq!(page.messages.len(), 1);
    assert_eq!(page.messages[0].message.as_ref().unwrap().payload, "hello 2");
    // The sweep has no event; its counter says when it was there.
    patient("the sweep", async {
        while store.status().archive.unwrap().messages > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let page = publisher.store_query(None, StoreQuery::default()).await.unwrap();
    assert_eq!(page, StorePage::default());
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many() {
    let publisher = node(|_| {}).await;
    let store =
        node(|c| c.store = Some(StoreConfig { max_messages: 10, ..StoreConfig::default() })).await;
    link(&publisher, &store, TOPIC).await;
    let start = now();
    let messages: Vec<_> = (0..50).map(|n| item(start, n)).collect();
    fill(&publisher, &store, &messages).await;
    let got = publisher.store_collect(None, StoreQuery::default(), 100).await.unwrap();
    assert_eq!(found(&got), hashes(&messages[40..]));
}

#[tokio::test]
async fn a_file_outlives_the_node_and_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        StoreConfig { path: Some(dir.path().join("store.sqlite3")), ..StoreConfig::default() };
    let publisher = node(|_| {}).await;
    let store = node(|c| c.store = Some(config.clone())).await;
    link(&publisher, &store, TOPIC).await;
    let start = now();
    let messages: Vec<_> = (0..30).map(|n| item(start, n)).collect();
    fill(&publisher, &store, &messages).await;

    let second = waku_node::NodeConfig { store: Some(config.clone()), ..Default::default() };
    assert!(matches!(Node::start(second).await, Err(NodeError::Archive(_))));

    store.shutdown().await;
    let again = node(|c| c.store = Some(config)).await;
    let got = again.store_collect(None, StoreQuery::default(), 100).await.unwrap();
    assert_eq!(found(&got), hashes(&messages));
}

#[tokio::test]
async fn a_file_that_is_no_archive_is_an_error_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite3");
    let garbage = b"this is no database, and somebody may want it".repeat(100);
    std::fs::write(&path, &garbage).unwrap();
    let config = waku_node::NodeConfig {
        store: Some(StoreConfig { path: Some(path.clone()), ..StoreConfig::default() }),
        ..Default::default()
    };
    assert!(matches!(Node::start(config).await, Err(NodeError::Archive(_))));
    assert_eq!(std::fs::read(path).unwrap(), garbage);
}

#[tokio::test]
async fn whether_the_archive_can_write_can_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite3");
    let config = StoreConfig { path: Some(path.clone()), ..StoreConfig::default() };
    let store = node(|c| c.store = Some(config)).await;
    store.check_archive().await.unwrap();
    let written = || std::fs::metadata(path.with_extension("sqlite3-wal")).unwrap().len();
    let before = written();
    store.check_archive().await.unwrap();
    assert!(written() > before, "it does write");
    node(|_| {}).await.check_archive().await.unwrap();
    let handle = store.clone();
    store.shutdown().await;
    assert!(matches!(handle.check_archive().await, Err(waku_node::StoreError::Stopped)));
}
