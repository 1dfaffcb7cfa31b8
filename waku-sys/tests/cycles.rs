//! Nodes come and go, and nothing of them stays: no thread, no descriptor, no memory.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Usage, config, free_port, setting, soon, start};
use waku_sys::testing::{self, awaited_answers, is_foreign, kept_queues};
use waku_sys::{Library, Node, NodeOptions};

/// Cycles to measure, after a tenth of that to warm up. A real libwaku takes up to 11 s to destroy
/// a node.
const CYCLES: usize = 1000;
const CYCLES_FOREIGN: usize = 20;

/// What a cycle may leave behind, in bytes, on top of 2 MiB for allocators that have not yet seen
/// their worst moment. It is less than a thread's smallest stack, and than any buffer or queue.
const LEFT: usize = 1024;
/// A real libwaku is not ours to mend.
const LEFT_FOREIGN: usize = 4 << 20;

/// Every tenth node is started, and every second one of those is stopped before it is destroyed.
async fn cycle(library: &Library, n: usize) {
    if n.is_multiple_of(10) {
        let (node, mut events, _) = start(library).await;
        if n.is_multiple_of(20) {
            node.stop().await.unwrap();
        }
        node.destroy().await.unwrap();
        soon("its events end", async { while events.next().await.is_some() {} }).await;
    } else {
        let config = config(free_port());
        let (node, _events) = Node::new(library, &config, NodeOptions::default()).await.unwrap();
        node.peer_id().await.unwrap();
        node.destroy().await.unwrap();
    }
}

#[tokio::test]
async fn a_thousand_nodes_leave_nothing_behind() {
    let Some(library) = testing::library("cycles") else { return };
    let (usual, left) = if is_foreign() { (CYCLES_FOREIGN, LEFT_FOREIGN) } else { (CYCLES, LEFT) };
    let cycles = setting("WAKU_STRESS_CYCLES", usual);
    for n in 0..(cycles / 10).max(2) {
        cycle(&library, n * 5).await;
    }
    let before = Usage::now();
    for n in 0..cycles {
        cycle(&library, n).await;
    }
    let what = format!("{cycles} cycles");
    Usage::now().assert_not_above(&before, (2 << 20) + cycles * left, &what);
    assert_eq!((awaited_answers(), kept_queues()), (0, 0));
}
