//! Nodes of a host, to which these tests are guests.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::time::Duration;

use super::fake::{
    LOGS, Log, context, done, library, node as own_node, not_busy, options, until_busy,
};
use crate::pending::count;
use crate::{CallError, EventInlet, Events, Node, NodeEvent};

/// Only one test at a time may keep the library busy.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A node that a host has made.
fn host(cluster: u16) -> NonNull<c_void> {
    let context = context(cluster);
    LOGS.lock().expect("nobody panics with it").insert(context.addr(), Log::new());
    NonNull::new(context).expect("not null")
}

fn guest(context: NonNull<c_void>) -> (Node, Events, EventInlet) {
    // SAFETY: the library above takes numbers, and ends the process if one is not alive.
    unsafe { Node::attach(&library(), context, options()) }
}

const EVENT: &[u8] = br#"{"eventType":"waku_not_responding"}"#;

#[tokio::test]
async fn a_guest_calls_and_hears_and_leaves_the_node_alone() {
    let context = host(20);
    let (one, mut events, inlet) = guest(context);
    let (two, mut others, second) = guest(context);
    assert!(one.is_attached());
    for ended in [one.start().await, one.stop().await] {
        assert!(matches!(ended, Err(CallError::Invalid(_))));
    }
    let ids = futures::future::join(one.peer_id(), two.peer_id()).await;
    assert_eq!(ids, (Ok("16Uiu2".to_owned()), Ok("16Uiu2".to_owned())));
    inlet.push(EVENT);
    inlet.lost(3);
    inlet.push(&[b' '; 2 << 20]);
    inlet.push(b"nonsense");
    second.push(EVENT);
    one.destroy().await.expect("nothing is under way");
    one.destroy().await.expect("as before");
    one.detach_blocking(Duration::ZERO).expect("as before");
    inlet.push(EVENT);
    inlet.lost(1);
    assert_eq!(events.next().await, Some(NodeEvent::Dropped { count: 4 }));
    assert_eq!(events.next().await, Some(NodeEvent::NotResponding));
    assert_eq!(events.next().await, Some(NodeEvent::Unknown));
    assert_eq!(events.next().await, None);
    assert_eq!(one.peer_id().await, Err(CallError::Destroyed));
    // The other one goes on.
    assert_eq!(two.peer_id().await.as_deref(), Ok("16Uiu2"));
    assert_eq!(others.next().await, Some(NodeEvent::NotResponding));
    assert!(!second.wait_detached(Duration::from_millis(1)));
    drop(two);
    assert!(second.wait_detached(Duration::from_secs(60)));
    assert_eq!(others.next().await, None);
    assert_eq!(done(20), ["peer id", "peer id", "peer id"]);
    // A node of our own cannot be detached.
    let (ours, _events) = own_node(21, options()).await;
    assert!(!ours.is_attached());
    assert!(matches!(ours.detach_blocking(Duration::ZERO), Err(CallError::Invalid(_))));
    ours.destroy().await.expect("it ends");
}

#[tokio::test]
async fn detaching_waits_for_the_call_that_is_under_way_and_begins_no_other() {
    let _one = ONE.lock().await;
    let (node, mut events, inlet) = guest(host(22));
    let inside = tokio::spawn({
        let node = node.clone();
        async move { node.connect("/busy/p2p/16U").await }
    });
    tokio::task::spawn_blocking(until_busy).await.expect("it gets there");
    let queued = futures::future::join_all((0..20).map(|_| node.connect("/good/p2p/16U")));
    let detached = async {
        // From another thread, while it is inside.
        inlet.push(EVENT);
        let brief = Duration::from_millis(10);
        assert_eq!(node.detach_blocking(brief), Err(CallError::Timeout));
        assert!(!inlet.wait_detached(brief));
        let mut end = std::pin::pin!(node.destroy());
        assert!(futures::poll!(end.as_mut()).is_pending());
        not_busy();
        end.await
    };
    // Calls are polled first, so all of them are queued.
    let (queued, detached) = tokio::join!(biased; queued, detached);
    detached.expect("it has left");
    assert!(inlet.wait_detached(Duration::ZERO));
    assert_eq!(queued, vec![Err(CallError::Destroyed); 20]);
    assert_eq!(inside.await.expect("no panic"), Err(CallError::Destroyed));
    assert_eq!(events.next().await, Some(NodeEvent::NotResponding));
    assert_eq!(events.next().await, None);
    // A job that is submitted to that thread now comes after those that were queued.
    let (after, _events) = own_node(23, options()).await;
    after.peer_id().await.expect("it answers");
    after.destroy().await.expect("it ends");
    assert_eq!(done(22), ["connect"]);
    assert_eq!(count(node.id()), 0);
}

#[tokio::test]
async fn who_just_drops_a_guest_can_wait_for_it() {
    let _one = ONE.lock().await;
    let (node, events, inlet) = guest(host(24));
    let call = tokio::spawn(async move { node.connect("/busy/p2p/16U").await });
    tokio::task::spawn_blocking(until_busy).await.expect("it gets there");
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    drop(events);
    assert!(!inlet.wait_detached(Duration::from_millis(10)));
    // Without a reader, nothing is kept.
    inlet.push(EVENT);
    let waiting = tokio::task::spawn_blocking(move || inlet.wait_detached(Duration::from_secs(60)));
    not_busy();
    assert!(waiting.await.expect("no panic"));
    assert_eq!(done(24), ["connect"]);
}
