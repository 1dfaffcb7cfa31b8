//! Calls of all kinds that end in all ways, on nodes that end meanwhile.
//!
//! `WAKU_STRESS_CALLS` makes it a run of another length, for one under valgrind.
#![allow(clippy::unwrap_used)]

mod common;

use std::pin::pin;
use std::time::Duration;

use common::{SHARD, TOPIC, Usage, message, run, setting, soon, until};
use tokio::task::JoinSet;
use waku_sys::testing::{self, awaited_answers, is_foreign, kept_queues, queued_calls};
use waku_sys::{CallError, Node, NodeOptions, StoreQuery};

const CALLS: usize = 10_000;
/// Nodes that the calls are spread over, one after another; fewer where destroying takes seconds.
const ROUNDS: usize = 20;
const ROUNDS_FOREIGN: usize = 4;
/// Calls under way at a time: more than may be queued.
const AT_ONCE: usize = 300;

/// A peer that is not there.
const DEAD: &str = "/ip4/127.0.0.1/tcp/1/p2p/16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ";

/// What may be left in memory, on top of what two rounds have needed. 10,000 calls that each left
/// 1 KiB, or one message of the 64 KiB that some have, would be more.
const ROOM: usize = 8 << 20;

/// The same numbers in each run, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // A linear congruential generator; its upper bits are good enough for this.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn call(node: &Node, kind: u64) -> Result<(), CallError> {
    let topics = [TOPIC.to_owned()];
    match kind {
        0 => node.peer_id().await.map(drop),
        1 => node.version().await.map(drop),
        2 => node.connected_peers().await.map(drop),
        3 => node.peers().await.map(drop),
        4 => node.mesh_peers(SHARD).await.map(drop),
        5 => node.publish(SHARD, &message("nobody hears this")).await.map(drop),
        6 => node.publish(SHARD, &message(&"x".repeat(64 << 10))).await.map(drop),
        7 => {
            let query = StoreQuery { pagination_limit: Some(100), ..StoreQuery::default() };
            node.store_query(DEAD, &query).await.map(drop)
        }
        8 => node.connect(DEAD).await,
        9 => node.ping(DEAD, Duration::from_millis(20)).await.map(drop),
        10 => node.filter_subscribe(SHARD, &topics).await,
        11 => node.lightpush(SHARD, &message("nobody takes this")).await.map(drop),
        12 => node.subscribe(SHARD).await,
        _ => node.metrics().await.map(drop),
    }
}

/// A call that is dropped when it was polled so often, or after some time, or never.
async fn cut_short(node: Node, kind: u64, polls: u64, micros: Option<u64>) {
    let mut call = pin!(call(&node, kind));
    for _ in 0..polls {
        if futures::poll!(call.as_mut()).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
    match micros {
        // Whatever comes of it: no peer is there, and the time is short.
        Some(0) => drop(call.await),
        Some(micros) => drop(tokio::time::timeout(Duration::from_micros(micros), call).await),
        None => {}
    }
}

async fn round(library: &waku_sys::Library, random: &mut Random, calls: usize) {
    let options = NodeOptions {
        call_timeout: Duration::from_millis(1 + random.below(40)),
        ..NodeOptions::default()
    };
    let (node, events, _) = run(library, options).await;
    let mut events = Some(events);
    // In the middle, towards the end, or afterwards.
    let end_at = calls / 3 + random.below(calls as u64) as usize;
    let mut ending = None;
    let mut tasks = JoinSet::new();
    for n in 0..calls {
        while tasks.len() >= AT_ONCE {
            tasks.join_next().await.unwrap().unwrap();
        }
        if n == end_at {
            let node = node.clone();
            ending = Some(tokio::spawn(async move { node.destroy().await }));
            if random.below(2) == 0 {
                events = None;
            }
        }
        let micros = match random.below(4) {
            0 => None,
            1 => Some(0),
            _ => Some(1 + random.below(30_000)),
        };
        tasks.spawn(cut_short(node.clone(), random.below(14), random.below(4), micros));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    match ending {
        Some(ending) => ending.await.unwrap().unwrap(),
        None => node.destroy().await.unwrap(),
    }
    assert_eq!(node.peer_id().await, Err(CallError::Destroyed));
    assert_eq!((awaited_answers(), kept_queues()), (0, 0));
    // A call that was given up while it was queued is dropped when its turn comes.
    until("all turns are back", || async { queued_calls(&node) == 0 }).await;
    if let Some(mut events) = events {
        soon("events end", async { while events.next().await.is_some() {} }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_any_end_on_nodes_with_any_end_leave_nothing_behind() {
    let Some(library) = testing::library("calls") else { return };
    let rounds = if is_foreign() { ROUNDS_FOREIGN } else { ROUNDS };
    let calls = setting("WAKU_STRESS_CALLS", CALLS) / rounds;
    let mut random = Random(42);
    for _ in 0..2 {
        round(&library, &mut random, calls).await;
    }
    let before = Usage::now();
    for _ in 0..rounds {
        round(&library, &mut random, calls).await;
    }
    Usage::now().assert_not_above(&before, ROOM, &format!("{} calls", rounds * calls));
}
