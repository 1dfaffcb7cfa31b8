//! Ten nodes in one process, in one mesh.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use common::{SHARD, Usage, heard, meshed, message, soon, start, threads_named, until};
use waku_sys::testing::{self, awaited_answers};
use waku_sys::{Events, Node};

const NODES: usize = 10;
/// Messages of each.
const MESSAGES: usize = 10;

#[tokio::test]
async fn ten_nodes_chat_over_two_threads() {
    let Some(library) = testing::library("mesh") else { return };
    // What is made once in a process.
    let (first, _, _) = start(&library).await;
    first.destroy().await.unwrap();
    let before = Usage::now();

    let mut nodes: Vec<(Node, Events, String)> = Vec::new();
    for n in 0..NODES {
        let (node, events, address) = start(&library).await;
        // To all that were there before.
        for (_, _, other) in &nodes {
            node.connect(other).await.unwrap();
        }
        until("it has heard of all", || async { node.connected_peers().await.unwrap().len() == n })
            .await;
        nodes.push((node, events, address));
    }
    // A mesh has at least four of the nine.
    for (node, _, _) in &nodes {
        meshed(node, 4).await;
    }
    let publish = nodes.iter().enumerate().map(|(n, (node, _, _))| async move {
        for m in 0..MESSAGES {
            node.publish(SHARD, &message(&format!("{n}/{m}"))).await.unwrap();
        }
    });
    futures::future::join_all(publish).await;
    for (_, events, _) in &mut nodes {
        let mut texts = HashSet::new();
        for _ in 0..NODES * MESSAGES {
            let text = heard(events).await;
            assert!(texts.insert(text.clone()), "{text} came twice");
        }
    }
    assert_eq!(threads_named("libwaku-"), ["libwaku-life", "libwaku-traffic"]);

    let destroyed = nodes.iter().map(|(node, _, _)| node.destroy());
    for end in futures::future::join_all(destroyed).await {
        end.unwrap();
    }
    for (node, mut events, _) in nodes {
        soon("its events end", async { while events.next().await.is_some() {} }).await;
        node.peer_id().await.expect_err("it was destroyed");
    }
    assert_eq!(awaited_answers(), 0);
    // Ten nodes at once need more than one did; what each of them needs is no more than 16 MiB.
    Usage::now().assert_not_above(&before, NODES * (16 << 20), "ten nodes");
}
