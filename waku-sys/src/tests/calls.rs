//! Calls and what becomes of them.

use std::time::Duration;

use super::fake::{done, late, log, node, options};
use crate::pending::{count, unique_id};
use crate::{CallError, NodeOptions, RET_OK};

#[tokio::test]
async fn every_answer_and_none_has_an_end() {
    let hurry = NodeOptions { call_timeout: Duration::from_millis(50), ..options() };
    let (node, _events) = node(5, hurry).await;
    assert_eq!(node.connect("/never/p2p/16U").await, Err(CallError::Timeout));
    assert_eq!(node.connect("/late/p2p/16U").await, Err(CallError::Timeout));
    let late = late(5);
    assert_eq!(late.len(), 1);
    late[0].call(RET_OK, "nobody is there");
    assert_eq!(node.connect("/twice/p2p/16U").await, Ok(()));
    let failed = |text: &str| Err(CallError::Failed(text.to_owned()));
    assert_eq!(node.connect("/error/p2p/16U").await, failed("bad address"));
    assert_eq!(node.connect("/silent-error/p2p/16U").await, failed("it did not take the call"));
    let malformed = node.connect("/missing/p2p/16U").await;
    assert!(matches!(malformed, Err(CallError::Malformed(_))));
    for bad in ["", "/ip4/1.2.3.4", "/a/p2p/", "/a/p2p/x,/b/p2p/y", "/a/p2p/x/", "/a\0/p2p/x"] {
        assert!(matches!(node.connect(bad).await, Err(CallError::Invalid(_))));
    }
    node.destroy().await.expect("it ends");
    // Only the six good ones were made.
    assert_eq!(done(5).iter().filter(|what| **what == "connect").count(), 6);
}

#[tokio::test]
async fn edge_calls_are_checked_and_come_from_the_right_thread() {
    let (node, _events) = node(10, options()).await;
    let topics = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    node.filter_subscribe("t", &topics(&["/a/1/b/c", "/d/1/e/f"])).await.expect("two topics");
    for bad in [topics(&[]), topics(&["/a/1/b/c,/d/1/e/f"]), vec!["x".to_owned(); 101]] {
        let refused = node.filter_subscribe("t", &bad).await;
        assert!(matches!(refused, Err(CallError::Invalid(_))));
        let refused = node.filter_unsubscribe("t", &bad).await;
        assert!(matches!(refused, Err(CallError::Invalid(_))));
    }
    let second = Duration::from_secs(1);
    assert_eq!(node.ping("/a/p2p/x", second).await, Ok(Duration::from_nanos(1000)));
    assert!(matches!(node.ping("/a/p2p/x,/b/p2p/y", second).await, Err(CallError::Invalid(_))));
    let log = log(10);
    let calls: Vec<_> = log[2..].iter().map(|(what, thread)| (*what, thread.as_str())).collect();
    // Calls that register a handler belong to one thread, and all others to the other thread.
    assert_eq!(calls, [("filter", "libwaku-life"), ("ping", "libwaku-traffic")]);
    node.destroy().await.expect("it ends");
}

#[tokio::test]
async fn destroying_ends_what_is_under_way() {
    let (node, _events) = node(6, options()).await;
    let calls = futures::future::join_all((0..20).map(|_| node.connect("/never/p2p/16U")));
    // Calls are polled first, so all of them are under way.
    let (results, destroyed) = tokio::join!(biased; calls, node.destroy());
    destroyed.expect("it ends");
    assert_eq!(results, vec![Err(CallError::Destroyed); 20]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_with_any_end_leave_nothing_behind() {
    let hurry = NodeOptions { call_timeout: Duration::from_millis(5), ..options() };
    let (node, _events) = node(9, hurry).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..10_000_u64 {
        if tasks.len() >= 200 {
            tasks.join_next().await.expect("there are some").expect("it does not panic");
        }
        let node = node.clone();
        tasks.spawn(async move {
            let call = node.connect("/random/p2p/16U");
            // Dropped at any point of its life.
            let _ = tokio::time::timeout(Duration::from_micros(n * 37 % 7000), call).await;
        });
        if n % 500 == 0 {
            late(9).into_iter().for_each(|back| back.call(RET_OK, "late"));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("it does not panic");
    }
    node.destroy().await.expect("it ends");
    let id = node.id();
    assert_eq!(count(id), 0);
    late(9).into_iter().for_each(|back| back.call(RET_OK, "after the end"));
    assert_ne!(unique_id(), id);
}
