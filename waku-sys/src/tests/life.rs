//! How nodes come and go, and the library with them.

use std::time::Duration;

use futures::FutureExt;

use super::fake::{
    EVENTS, begun, config, context, destroyed, done, late, library, log, node, options,
};
use crate::{
    CallError, Library, LoadError, NewNodeError, Node, NodeConfig, NodeEvent, NodeKey, NodeOptions,
    RET_OK, Source,
};

#[tokio::test]
async fn a_life() {
    let (node, mut events) = node(1, options()).await;
    node.start().await.expect("it starts");
    assert_eq!(node.peer_id().await.as_deref(), Ok("16Uiu2"));
    let back =
        EVENTS.lock().expect("good").iter().find(|e| e.0 == context(1).addr()).expect("set").1;
    back.call(RET_OK, r#"{"eventType":"waku_not_responding"}"#);
    assert_eq!(events.next().await, Some(NodeEvent::NotResponding));
    node.destroy().await.expect("it ends");
    node.destroy().await.expect("it has ended");
    back.call(RET_OK, r#"{"eventType":"waku_not_responding"}"#);
    assert_eq!(events.next().await, None);
    assert_eq!(node.peer_id().await, Err(CallError::Destroyed));
    assert_eq!(node.start().await, Err(CallError::Destroyed));
    drop(node);
    let (life, traffic) = ("libwaku-life".to_owned(), "libwaku-traffic".to_owned());
    let want = [
        ("new", life.clone()),
        ("events", life.clone()),
        ("start", life.clone()),
        ("peer id", traffic),
        ("stop", life.clone()),
        ("destroy", life),
    ];
    assert_eq!(log(1), want);
}

#[tokio::test]
async fn what_was_refused_is_destroyed_and_never_started() {
    let connections = |n: u16| n.try_into().expect("not 0");
    let null = NodeConfig { max_connections: connections(1), ..config(2) };
    let made = Node::new(&library(), &null, options()).await;
    assert_eq!(made.err(), Some(NewNodeError::Refused("no thread".to_owned())));
    assert!(log(2).is_empty());

    let key = NodeKey::from_bytes([0x5a; 32]).expect("a key");
    let refused = NodeConfig { max_connections: connections(2), key: Some(key), ..config(2) };
    let made = Node::new(&library(), &refused, options()).await;
    // The library quotes the key, which must not go further.
    let text = "cannot parse \"(the key)\"".to_owned();
    assert_eq!(made.err(), Some(NewNodeError::Refused(text)));
    assert_eq!(done(2), ["new", "destroy"]);

    let silent = NodeConfig { max_connections: connections(3), ..config(3) };
    let hurry = NodeOptions { start_timeout: Duration::from_millis(10), ..options() };
    let made = Node::new(&library(), &silent, hurry).await;
    assert_eq!(made.err(), Some(NewNodeError::Timeout));
    assert_eq!(done(3), ["new", "destroy"]);

    let bad = NodeConfig { shards: vec![0, 0], ..config(4) };
    let made = Node::new(&library(), &bad, options()).await;
    assert!(matches!(made, Err(NewNodeError::Config(_))));
    assert!(log(4).is_empty());
}

#[tokio::test]
async fn dropping_destroys() {
    let (first, _events) = node(7, options()).await;
    let second = first.clone();
    drop(first);
    assert_eq!(second.connect("/good/p2p/16U").await, Ok(()));
    drop(second);
    destroyed(7).await;
    // Its maker has stopped waiting.
    let library = library();
    let config = config(8);
    drop(Node::new(&library, &config, options()).now_or_never());
    destroyed(8).await;
    assert_eq!(done(8), ["new", "events", "destroy"]);
}

#[test]
fn a_missing_library_says_where_was_looked() {
    let nowhere = Source::Path("/nonexistent/libwaku.so".into());
    let error = Library::load(&nowhere).expect_err("it is not there").to_string();
    assert!(error.contains("/nonexistent/libwaku.so"), "{error}");
    let directory = tempfile::tempdir().expect("a directory");
    let nonsense = directory.path().join("libwaku.so");
    std::fs::write(&nonsense, "no library").expect("it is written");
    let error = Library::load(&Source::Path(nonsense.clone())).expect_err("nonsense").to_string();
    assert!(error.contains(&*nonsense.to_string_lossy()), "{error}");
    // This process does not have libwaku.
    let error = Library::load(&Source::Process);
    let Err(LoadError::MissingSymbols { place, missing }) = error else { panic!("{error:?}") };
    assert_eq!((place.as_str(), missing.len()), ("the running process", 42));
    let error = LoadError::MissingSymbols { place, missing: missing[..2].to_vec() }.to_string();
    assert_eq!(error, "the running process does not have waku_new, waku_start");
}

/// In the whole process, one node at a time is made, started, stopped or destroyed.
#[tokio::test]
async fn a_node_that_starts_holds_up_the_making_of_another() {
    let (slow, _events) = node(30, options()).await;
    let start = tokio::spawn({
        let slow = slow.clone();
        async move { slow.start().await }
    });
    begun(30, "start").await;
    let (library, config) = (library(), config(31));
    let mut other = std::pin::pin!(Node::new(&library, &config, options()));
    let early = tokio::time::timeout(Duration::from_millis(50), other.as_mut()).await;
    assert!(early.is_err() && log(31).is_empty());
    // Even if its caller has gone, until the library has answered.
    start.abort();
    assert!(start.await.expect_err("aborted").is_cancelled());
    let early = tokio::time::timeout(Duration::from_millis(50), other.as_mut()).await;
    assert!(early.is_err() && log(31).is_empty());
    late(30).into_iter().for_each(|back| back.call(RET_OK, ""));
    let (other, _events) = other.await.expect("it is its turn");
    other.destroy().await.expect("it ends");
    slow.destroy().await.expect("it ends");
    assert_eq!(done(30), ["new", "events", "start", "stop", "destroy"]);
}
