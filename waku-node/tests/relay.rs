//! Relay between real nodes.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::*;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use waku_node::{
    MAX_MESSAGE_SIZE, Node, NodeEvent, PublishError, WakuMessage, frame_size, message_hash,
};

#[tokio::test]
async fn messages_travel_both_ways_through_a_third_node() {
    let (a, b, c) = (node(|_| {}).await, node(|_| {}).await, node(|_| {}).await);
    link(&a, &b, TOPIC).await;
    connect(&c, &b).await;
    topic_peers(&c, TOPIC, 1).await;
    topic_peers(&b, TOPIC, 2).await;
    let (mut at_a, mut at_b, mut at_c) = (a.events(), b.events(), c.events());
    for n in 0..20 {
        let (there, back) = (hello(2 * n), hello(2 * n + 1));
        let hash = a.publish(TOPIC, there.clone()).await.unwrap();
        assert_eq!(hash, message_hash(TOPIC, &there));
        assert_eq!(message(&mut at_c).await, there);
        c.publish(TOPIC, back.clone()).await.unwrap();
        assert_eq!(message(&mut at_a).await, back);
        assert_eq!(message(&mut at_b).await, there);
        assert_eq!(message(&mut at_b).await, back);
    }
    assert_eq!(a.status().counters.relay_published, 20);
    assert_eq!(a.status().counters.relay_received, 20, "own messages are not looped back");
    for node in [a, b, c] {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn all_fields_survive() {
    let (a, b) = (node(|_| {}).await, node(|_| {}).await);
    link(&a, &b, TOPIC).await;
    let mut events = b.events();
    let full = WakuMessage {
        payload: vec![0, 255, 7].into(),
        content_topic: CONTENT.into(),
        version: 3,
        timestamp: Some(-5),
        meta: Some(vec![9; 64].into()),
        ephemeral: Some(true),
        rate_limit_proof: Some(vec![1; 300].into()),
    };
    let hash = a.publish(TOPIC, full.clone()).await.unwrap();
    let got = event(&mut events, "the message", |e| match e {
        NodeEvent::Message { pubsub_topic, hash, message } => Some((pubsub_topic, hash, message)),
        _ => None,
    })
    .await;
    assert_eq!(got, (TOPIC.to_owned(), hash, full));
}

#[tokio::test]
async fn shards_are_kept_apart() {
    let other = "/waku/2/rs/66/1";
    let (a, b) = (node(|c| c.shards = vec![0, 1]).await, node(|c| c.shards = vec![1]).await);
    link(&a, &b, other).await;
    let mut events = b.events();
    assert!(matches!(a.publish(TOPIC, hello(1)).await, Err(PublishError::NoPeers)));
    a.publish(other, hello(2)).await.unwrap();
    assert_eq!(message(&mut events).await.payload, "hello 2");

    // What is subscribed to later arrives, and what is unsubscribed does not.
    b.subscribe(TOPIC).await.unwrap();
    topic_peers(&a, TOPIC, 1).await;
    b.unsubscribe(other).await.unwrap();
    until(&a, "the end of a subscription", |a| {
        a.status().topics.iter().any(|t| t.pubsub_topic == other && t.topic_peers == 0)
    })
    .await;
    assert!(matches!(a.publish(other, hello(3)).await, Err(PublishError::NoPeers)));
    a.publish(TOPIC, hello(4)).await.unwrap();
    assert_eq!(message(&mut events).await.payload, "hello 4");

    let foreign = "/waku/2/rs/67/0";
    assert!(matches!(a.publish(foreign, hello(5)).await, Err(PublishError::Topic(_))));
    assert!(a.subscribe(foreign).await.is_err());
}

#[tokio::test]
async fn large_messages_pass_up_to_the_limit() {
    let (a, b) = (node(|_| {}).await, node(|_| {}).await);
    link(&a, &b, TOPIC).await;
    let mut events = b.events();
    let sized = |n: usize| WakuMessage { payload: vec![0x5a; n].into(), ..hello(n) };
    a.publish(TOPIC, sized(140 * 1024)).await.unwrap();
    assert_eq!(message(&mut events).await.payload.len(), 140 * 1024);

    // The largest frame that the network carries, to the byte.
    let overhead = frame_size(TOPIC, sized(140 * 1024).encode().len()) - 140 * 1024;
    let largest = MAX_MESSAGE_SIZE - overhead;
    a.publish(TOPIC, sized(largest)).await.unwrap();
    assert_eq!(message(&mut events).await.payload.len(), largest);
    for too_much in [largest + 1, 150 * 1024, 10 * 1024 * 1024] {
        let refused = a.publish(TOPIC, sized(too_much)).await;
        assert!(
            matches!(refused, Err(PublishError::TooLarge { size, .. }) if size > MAX_MESSAGE_SIZE),
            "{too_much}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_published_is_an_error() {
    let lonely = node(|_| {}).await;
    assert!(matches!(lonely.publish(TOPIC, hello(1)).await, Err(PublishError::NoPeers)));
    let peer = node(|_| {}).await;
    link(&lonely, &peer, TOPIC).await;
    let m = hello(1);
    // Not sent the first time, so not seen either.
    lonely.publish(TOPIC, m.clone()).await.unwrap();
    assert!(matches!(lonely.publish(TOPIC, m.clone()).await, Err(PublishError::Duplicate)));
    let empty = WakuMessage { payload: Default::default(), ..m.clone() };
    assert!(matches!(lonely.publish(TOPIC, empty).await, Err(PublishError::Invalid(_))));
    let nowhere = WakuMessage { content_topic: "no topic".into(), ..m.clone() };
    assert!(matches!(lonely.publish(TOPIC, nowhere).await, Err(PublishError::Invalid(_))));
    let mute = node(|c| c.relay = false).await;
    assert!(matches!(mute.publish(TOPIC, m.clone()).await, Err(PublishError::RelayDisabled)));
    let handle = lonely.clone();
    lonely.shutdown().await;
    assert!(matches!(handle.publish(TOPIC, m).await, Err(PublishError::Stopped)));
}

#[tokio::test]
async fn a_slow_reader_misses_events_and_holds_up_nobody() {
    let a = node(|_| {}).await;
    let b = node(|c| c.limits.event_queue_len = 10).await;
    link(&a, &b, TOPIC).await;
    let (mut slow, mut quick) = (b.events(), b.events());
    for n in 0..100 {
        a.publish(TOPIC, hello(n)).await.unwrap();
        message(&mut quick).await;
    }
    assert_eq!(slow.recv().await, Some(NodeEvent::Lagged(90)));
    assert_eq!(message(&mut slow).await.payload, "hello 90");
}

/// Messages that the library would pass on, but Waku does not: made by a node of another kind.
#[tokio::test]
async fn a_peer_that_keeps_sending_invalid_messages_is_disconnected() {
    let victim = node(|c| c.limits.invalid_messages_per_peer = 5).await;
    let mut attacker = raw::relay_attacker();
    attacker.dial(address(&victim)).unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let mut sent = 0u32;
    patient("the victim to hang up", async {
        loop {
            tokio::select! {
                event = attacker.select_next_some() => match event {
                    SwarmEvent::ConnectionClosed { .. } => break,
                    SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut attacker, event),
                    _ => {}
                },
                _ = tick.tick() => {
                    sent += 1;
                    // An error only means that the victim's subscription has not come yet.
                    let topic = libp2p::gossipsub::TopicHash::from_raw(TOPIC);
                    if let Some(relay) = attacker.behaviour_mut().relay.as_mut() {
                        let _ = relay.publish(topic, format!("nonsense {sent}"));
                    }
                }
            }
        }
    })
    .await;
    let counters = victim.status().counters;
    assert_eq!(counters.peers_struck, 1);
    assert!(counters.relay_invalid >= 5);
    assert_eq!(counters.relay_received, 0);

    let honest = node(|_| {}).await;
    link(&honest, &victim, TOPIC).await;
    let mut events = victim.events();
    honest.publish(TOPIC, hello(1)).await.unwrap();
    assert_eq!(message(&mut events).await.payload, "hello 1");
}

/// Other implementations ask less of a message: a peer that passes such messages on is honest.
#[tokio::test]
async fn a_peer_that_relays_what_others_accept_stays() {
    let victim = node(|c| c.limits.invalid_messages_per_peer = 5).await;
    let mut events = victim.events();
    let mut peer = raw::relay_attacker();
    peer.dial(address(&victim)).unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let mut sent = 0u32;
    patient("messages to be ignored", async {
        while victim.status().counters.relay_ignored < 20 {
            tokio::select! {
                event = peer.select_next_some() => match event {
                    SwarmEvent::ConnectionClosed { .. } => panic!("the victim hung up"),
                    SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut peer, event),
                    _ => {}
                },
                _ = tick.tick() => {
                    sent += 1;
                    // An error only means that the victim's subscription has not come yet.
                    let odd = WakuMessage {
                        content_topic: format!("no topic of the usual form {sent}"),
                        ..hello(1)
                    };
                    let topic = libp2p::gossipsub::TopicHash::from_raw(TOPIC);
                    if let Some(relay) = peer.behaviour_mut().relay.as_mut() {
                        let _ = relay.publish(topic, odd.encode().to_vec());
                    }
                }
            }
        }
        // The same peer is still heard.
        let topic = libp2p::gossipsub::TopicHash::from_raw(TOPIC);
        peer.behaviour_mut()
            .relay
            .as_mut()
            .unwrap()
            .publish(topic, hello(2).encode().to_vec())
            .unwrap();
        loop {
            tokio::select! {
                event = peer.select_next_some() => {
                    if let SwarmEvent::Behaviour(event) = event {
                        raw::answer_metadata(&mut peer, event);
                    }
                }
                m = message(&mut events) => break assert_eq!(m.payload, "hello 2"),
            }
        }
    })
    .await;
    let counters = victim.status().counters;
    assert_eq!((counters.relay_invalid, counters.peers_struck), (0, 0));
}

/// Who is in the mesh is told as it is, also where one peer takes the place of another.
#[tokio::test]
async fn the_mesh_is_told_by_peer() {
    let hub = node(|_| {}).await;
    let (a, b) = (node(|_| {}).await, node(|_| {}).await);
    let c = node(|c| c.shards = vec![1]).await;
    for other in [&a, &b, &c] {
        connect(other, &hub).await;
    }
    let in_mesh = |hub: &waku_node::Node| {
        let peers = hub.peers().into_iter().filter(|p| p.in_mesh);
        peers.map(|p| p.peer_id).collect::<BTreeSet<_>>()
    };
    let mesh = |peers: [&waku_node::Node; 2]| BTreeSet::from(peers.map(|p| p.peer_id()));
    until(&hub, "a mesh", |hub| in_mesh(hub) == mesh([&a, &b])).await;
    a.unsubscribe(TOPIC).await.unwrap();
    c.subscribe(TOPIC).await.unwrap();
    until(&hub, "another mesh", |hub| in_mesh(hub) == mesh([&b, &c])).await;
    assert_eq!(hub.status().topics[0].mesh_peers, 2);
    let metrics = hub.metrics();
    for line in [
        "waku_node_mesh_peers{pubsub_topic=\"/waku/2/rs/66/0\"} 2",
        "waku_node_connected_peers 3",
        "waku_node_relay_received_total 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in\n{metrics}");
    }
}

/// A peer that parts leaves the mesh at once, not at the next look at it. Otherwise one that is back by then
/// would seem never to have been away, and who waits for it would wait for ever.
#[tokio::test]
async fn a_peer_that_parts_is_out_of_the_mesh_at_once() {
    let hub = node(|_| {}).await;
    let mut events = hub.events();
    for round in 0..5 {
        let peer = node(|_| {}).await;
        connect(&peer, &hub).await;
        until(&hub, "a mesh", |hub| hub.status().topics[0].mesh_peers == 1).await;
        let id = peer.peer_id();
        peer.shutdown().await;
        let gone = |event| matches!(event, NodeEvent::PeerDisconnected { peer } if peer == id);
        event(&mut events, "its end", |e| gone(e).then_some(())).await;
        assert_eq!(hub.status().topics[0].mesh_peers, 0, "round {round}");
    }
}

/// As nim-libp2p does, if it is told to.
#[tokio::test]
async fn a_peer_that_comes_back_is_kept_out_of_the_mesh_and_hears_what_is_published() {
    let backoff = Duration::from_secs(2);
    let (a, b) = (node(|c| c.mesh_backoff = backoff).await, node(|_| {}).await);
    let in_mesh = |node: &Node| node.status().topics.iter().any(|t| t.mesh_peers > 0);
    connect(&a, &b).await;
    until(&a, "a mesh", in_mesh).await;
    until(&b, "a mesh", in_mesh).await;

    let left = Instant::now();
    a.disconnect(b.peer_id()).await;
    until(&a, "the end of a connection", |a| a.peers().is_empty()).await;
    until(&b, "the end of a connection", |b| b.peers().is_empty()).await;
    let mut events = b.events();
    link(&a, &b, TOPIC).await;
    // It goes to all peers on the topic, whoever is in the mesh.
    a.publish(TOPIC, hello(1)).await.unwrap();
    assert_eq!(message(&mut events).await.payload, "hello 1");
    until(&a, "the mesh again", in_mesh).await;
    assert!(left.elapsed() >= backoff);
    until(&b, "the mesh again", in_mesh).await;
    for n in [a, b] {
        n.shutdown().await;
    }
}
