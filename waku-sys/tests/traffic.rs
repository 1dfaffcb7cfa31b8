//! Many messages from one node to another, each exactly once, and none is kept.
//!
//! `WAKU_STRESS_MESSAGES` makes it a run of another length.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use common::{SHARD, Usage, heard, meshed, message, setting, soon, start};
use tokio::sync::Semaphore;
use waku_sys::testing::{self, awaited_answers, queued_calls, say};
use waku_sys::{Events, Node};

/// Messages of a usual run, which takes half a minute.
const MESSAGES: usize = 100_000;

/// Messages that may be under way. A node loses some of a burst of 2,000; this is far below.
const WINDOW: usize = 32;

/// What one message may leave in this process, which has both nodes: its hash in what each has
/// seen, which gossipsub keeps for two minutes, with room. A message that were kept itself would be
/// 1 KiB in each, and half more as JSON.
const LEFT: usize = 700;

/// What gossipsub of both nodes has for peers that missed it, in bytes: messages of the last six
/// heartbeats, of a second each, with half as much again for everything around them.
fn held(rate: f64, sent: usize) -> usize {
    ((rate * 7.0) as usize).min(sent) * 2 * 1536
}

/// Publishes these, with as many under way as allowed, and counts what arrives.
async fn send(from: &Node, own: &mut Events, to: &mut Events, range: std::ops::Range<usize>) {
    let window = Semaphore::new(WINDOW);
    let mut seen = vec![false; range.len()];
    let sending = async {
        let mut calls = futures::stream::FuturesUnordered::new();
        for n in range.clone() {
            window.acquire().await.unwrap().forget();
            calls.push(async move { from.publish(SHARD, &message(&n.to_string())).await });
            // Those that are done, without waiting.
            while let Some(Some(done)) = next(&mut calls) {
                done.expect("it is published");
            }
        }
        while let Some(done) = futures::StreamExt::next(&mut calls).await {
            done.expect("it is published");
        }
    };
    let receiving = async {
        for _ in range.clone() {
            let n: usize = heard(to).await.parse().unwrap();
            assert!(!std::mem::replace(&mut seen[n - range.start], true), "{n} came twice");
            window.add_permits(1);
        }
    };
    // A publisher hears itself.
    let hearing = async {
        for _ in range.clone() {
            heard(own).await;
        }
    };
    tokio::join!(sending, receiving, hearing);
    assert!(seen.iter().all(|seen| *seen));
}

/// The next of these that is there already.
fn next<S: futures::Stream + Unpin>(stream: &mut S) -> Option<Option<S::Item>> {
    futures::FutureExt::now_or_never(futures::StreamExt::next(stream))
}

#[tokio::test]
async fn every_message_comes_once_and_none_is_kept() {
    let Some(library) = testing::library("traffic") else { return };
    let messages = setting("WAKU_STRESS_MESSAGES", MESSAGES);
    let (one, mut own, _) = start(&library).await;
    let (two, mut events, address) = start(&library).await;
    one.connect(&address).await.unwrap();
    meshed(&one, 1).await;
    meshed(&two, 1).await;

    let warm_up = messages / 2;
    let mut began = Instant::now();
    let mut rate = |messages: usize| {
        let rate = messages as f64 / began.elapsed().as_secs_f64();
        began = Instant::now();
        rate
    };
    send(&one, &mut own, &mut events, 0..warm_up).await;
    let (before, first) = (Usage::now(), rate(warm_up));
    send(&one, &mut own, &mut events, warm_up..messages).await;
    let second = rate(messages - warm_up);
    say(&format!("{messages} messages of 1 KiB, {first:.0} and {second:.0} a second"));
    // If it went faster than before, there is more to gossip about.
    let gossip = held(second, messages).saturating_sub(held(first, warm_up));
    let room = (24 << 20) + gossip + (messages - warm_up) * LEFT;
    Usage::now().assert_not_above(&before, room, "messages");
    assert_eq!(awaited_answers(), 0);
    assert_eq!(queued_calls(&one), 0);
    // And not one more.
    one.publish(SHARD, &message("the last one")).await.unwrap();
    assert_eq!(heard(&mut events).await, "the last one");
    for node in [one, two] {
        soon("it ends", node.destroy()).await.unwrap();
    }
}
