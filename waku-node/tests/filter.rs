//! Filter between real nodes.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::time::Duration;

use common::*;
use futures::StreamExt;
use libp2p::request_response::{Event, Message};
use libp2p::swarm::SwarmEvent;
use raw::{AttackerEvent, Raw};
use waku_node::filter_wire::{FilterResponse, decode_request, encode_push, encode_response};
use waku_node::{
    FilterConfig, FilterError, Node, NodeConfig, NodeEvent, PeerId, WakuMessage, message_hash,
};

const OTHER: &str = "/waku-node-test/1/b/proto";

fn topics(all: &[&str]) -> Vec<String> {
    all.iter().map(|t| (*t).to_owned()).collect()
}

fn on(content_topic: &str, n: usize) -> WakuMessage {
    WakuMessage { content_topic: content_topic.to_owned(), ..hello(n) }
}

async fn server(adjust: impl FnOnce(&mut NodeConfig)) -> Node {
    node(|c| {
        c.filter = true;
        adjust(c);
    })
    .await
}

/// A node without relay, as phones and browsers run.
async fn edge() -> Node {
    node(|c| {
        c.relay = false;
        c.listen.clear();
    })
    .await
}

async fn pushed(events: &mut waku_node::EventStream) -> (PeerId, WakuMessage) {
    event(events, "a push", |e| match e {
        NodeEvent::FilterMessage { peer, pubsub_topic, hash, message } => {
            assert_eq!(pubsub_topic, TOPIC);
            assert_eq!(hash, message_hash(TOPIC, &message));
            Some((peer, message))
        }
        NodeEvent::Message { .. } => panic!("an edge node has no relay"),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn subscribers_get_what_they_asked_for_until_they_do_not_want_it() {
    let (publisher, server, client) = (node(|_| {}).await, server(|_| {}).await, edge().await);
    link(&publisher, &server, TOPIC).await;
    connect(&client, &server).await;
    assert!(client.peers()[0].filter && !server.peers().iter().any(|p| p.filter));
    let mut events = client.events();

    let chosen = client.filter_subscribe(None, TOPIC, &topics(&[CONTENT])).await.unwrap();
    assert_eq!(chosen, server.peer_id());
    for n in 0..20 {
        publisher.publish(TOPIC, on(OTHER, n)).await.unwrap();
        let m = on(CONTENT, n);
        publisher.publish(TOPIC, m.clone()).await.unwrap();
        assert_eq!(pushed(&mut events).await, (server.peer_id(), m));
    }
    // What the server publishes itself is pushed as well.
    let own = on(CONTENT, 100);
    server.publish(TOPIC, own.clone()).await.unwrap();
    assert_eq!(pushed(&mut events).await.1, own);

    client.filter_subscribe(None, TOPIC, &topics(&[OTHER, CONTENT])).await.unwrap();
    client.filter_unsubscribe(None, TOPIC, &topics(&[CONTENT])).await.unwrap();
    publisher.publish(TOPIC, on(CONTENT, 101)).await.unwrap();
    publisher.publish(TOPIC, on(OTHER, 102)).await.unwrap();
    assert_eq!(pushed(&mut events).await.1.payload, "hello 102");

    client.filter_ping(None).await.unwrap();
    client.filter_unsubscribe_all(None).await.unwrap();
    assert_eq!(server.status().filter.unwrap().subscribers, 0);
    assert!(matches!(client.filter_ping(None).await, Err(FilterError::NoPeer)));
    let refused = client.filter_ping(Some(server.peer_id())).await;
    assert!(matches!(refused, Err(FilterError::Status { code: 404, .. })), "{refused:?}");
    assert_eq!(client.status().counters.filter_unwanted, 0);
    assert_eq!(server.status().counters.filter_pushed, 22);
    for n in [publisher, server, client] {
        n.shutdown().await;
    }
}

/// More pushes at once than one connection opens streams at a time, and larger ones.
#[tokio::test]
async fn bursts_arrive_whole() {
    let (publisher, server, client) = (node(|_| {}).await, server(|_| {}).await, edge().await);
    link(&publisher, &server, TOPIC).await;
    connect(&client, &server).await;
    client.filter_subscribe(None, TOPIC, &topics(&[CONTENT])).await.unwrap();
    let mut events = client.events();
    let count = 300;
    for n in 0..count {
        publisher.publish(TOPIC, on(CONTENT, n)).await.unwrap();
    }
    let mut got = std::collections::BTreeSet::new();
    while got.len() < count {
        got.insert(pushed(&mut events).await.1.payload);
    }
    let large = WakuMessage { payload: vec![7; 145 * 1024].into(), ..on(CONTENT, 0) };
    publisher.publish(TOPIC, large.clone()).await.unwrap();
    assert_eq!(pushed(&mut events).await.1, large);
    assert_eq!(server.status().counters.filter_push_failed, 0);
}

#[tokio::test]
async fn what_the_service_bounds_is_refused() {
    let server = server(|c| {
        c.filter_config =
            FilterConfig { max_peers: 1, max_criteria_per_peer: 150, ..FilterConfig::default() };
    })
    .await;
    let (a, b) = (edge().await, edge().await);
    connect(&a, &server).await;
    connect(&b, &server).await;
    let many: Vec<_> = (0..150).map(|n| format!("/test/1/{n}/proto")).collect();
    // Two requests, as one may name 100.
    a.filter_subscribe(None, TOPIC, &many).await.unwrap();
    let status = server.status();
    assert_eq!(status.filter.unwrap().criteria, 150);
    assert_eq!(status.counters.filter_served, 2);
    for refused in [
        a.filter_subscribe(None, TOPIC, &topics(&[CONTENT])).await,
        b.filter_subscribe(None, TOPIC, &topics(&[CONTENT])).await,
    ] {
        assert!(matches!(refused, Err(FilterError::Status { code: 503, .. })), "{refused:?}");
    }
    // Whoever leaves makes room for others.
    let left = a.peer_id();
    a.shutdown().await;
    until(&server, "the end of a connection", |s| !s.peers().iter().any(|p| p.peer_id == left))
        .await;
    b.filter_subscribe(None, TOPIC, &topics(&[CONTENT])).await.unwrap();
    assert_eq!(server.status().filter.unwrap().subscribers, 1);
}

#[tokio::test]
async fn what_cannot_be_asked_is_an_error() {
    let (server, relay, client) = (server(|_| {}).await, node(|_| {}).await, edge().await);
    let wanted = topics(&[CONTENT]);
    assert!(matches!(
        client.filter_subscribe(None, TOPIC, &wanted).await,
        Err(FilterError::NoPeer)
    ));
    let absent = Some(server.peer_id());
    assert!(matches!(
        client.filter_subscribe(absent, TOPIC, &wanted).await,
        Err(FilterError::NotConnected(_))
    ));
    connect(&client, &relay).await;
    assert!(matches!(
        client.filter_subscribe(None, TOPIC, &wanted).await,
        Err(FilterError::NoPeer)
    ));
    assert!(matches!(
        client.filter_subscribe(Some(relay.peer_id()), TOPIC, &wanted).await,
        Err(FilterError::Unsupported)
    ));
    connect(&client, &server).await;
    for bad in [vec![], vec![String::new()], vec!["x".repeat(1025)]] {
        let refused = client.filter_subscribe(None, TOPIC, &bad).await;
        assert!(matches!(refused, Err(FilterError::ContentTopics)), "{refused:?}");
    }
    for foreign in ["/waku/2/rs/67/0", "no topic"] {
        let refused = client.filter_subscribe(None, foreign, &wanted).await;
        assert!(matches!(refused, Err(FilterError::Topic(_))), "{refused:?}");
    }
    let handle = client.clone();
    client.shutdown().await;
    assert!(matches!(
        handle.filter_subscribe(None, TOPIC, &wanted).await,
        Err(FilterError::Stopped)
    ));
}

#[tokio::test]
async fn subscriptions_run_out_and_too_many_requests_are_refused() {
    let server = server(|c| {
        c.filter_config.subscription_timeout = Duration::from_millis(300);
        c.limits.service_requests_per_second = 1;
    })
    .await;
    let client = edge().await;
    connect(&client, &server).await;
    client.filter_subscribe(None, TOPIC, &topics(&[CONTENT])).await.unwrap();
    patient("the end of a subscription", async {
        while server.status().filter.unwrap().subscribers > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = client.filter_ping(None).await;
    assert!(matches!(refused, Err(FilterError::Status { code: 404, .. })), "{refused:?}");
    assert!(matches!(client.filter_ping(None).await, Err(FilterError::NoPeer)));
    let limited = patient("a refusal", async {
        loop {
            match client.filter_ping(Some(server.peer_id())).await {
                Err(FilterError::Status { code: 404, .. }) => {}
                other => break other,
            }
        }
    })
    .await;
    assert!(matches!(limited, Err(FilterError::Status { code: 429, .. })), "{limited:?}");
}

/// A server keeps subscriptions while the peer is away, and the client still wants them.
#[tokio::test]
async fn a_subscription_outlives_a_connection() {
    let (server, client) = (server(|_| {}).await, edge().await);
    let publisher = node(|_| {}).await;
    link(&publisher, &server, TOPIC).await;
    connect(&client, &server).await;
    client.filter_subscribe(None, TOPIC, &topics(&[CONTENT])).await.unwrap();
    client.disconnect(server.peer_id()).await;
    until(&client, "the end of a connection", |c| c.peers().is_empty()).await;
    until(&server, "the end of a connection", |s| s.peers().len() == 1).await;
    publisher.publish(TOPIC, on(CONTENT, 1)).await.unwrap();
    patient("a push that fails", async {
        while server.status().counters.filter_push_failed == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    connect(&client, &server).await;
    let mut events = client.events();
    publisher.publish(TOPIC, on(CONTENT, 2)).await.unwrap();
    assert_eq!(pushed(&mut events).await.1.payload, "hello 2");
}

/// nwaku writes all its pushes to one stream and keeps it; others close theirs.
#[tokio::test]
async fn many_pushes_on_one_stream_are_read_and_others_than_asked_for_left_out() {
    let mut server = raw::filter_server();
    server.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = patient("an address", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = server.select_next_some().await {
                break address;
            }
        }
    })
    .await;
    let server_id = *server.local_peer_id();
    let pushes = |range: std::ops::Range<usize>, content_topic: &str| -> Vec<u8> {
        range.flat_map(|n| raw::framed(&encode_push(TOPIC, &on(content_topic, n)))).collect()
    };
    let streams = [
        Raw::Write([pushes(0..3, CONTENT), pushes(3..4, OTHER), pushes(4..6, CONTENT)].concat()),
        // Half a push follows, and never ends.
        Raw::Hold([pushes(6..50, CONTENT), pushes(50..51, CONTENT)[..30].to_vec()].concat()),
    ];
    let serving = tokio::spawn(async move {
        loop {
            match server.select_next_some().await {
                SwarmEvent::Behaviour(AttackerEvent::Raw(Event::Message {
                    peer,
                    message: Message::Request { request: Raw::Write(request), channel, .. },
                    ..
                })) => {
                    let request = decode_request(request[1..].to_vec().into()).unwrap();
                    let body = encode_response(&FilterResponse {
                        request_id: request.request_id,
                        status_code: 200,
                        status_desc: "OK".into(),
                    });
                    let raw = &mut server.behaviour_mut().raw;
                    // The pushes overtake the answer.
                    for stream in streams.clone() {
                        raw.send_request(&peer, stream);
                    }
                    raw.send_response(channel, raw::framed(&body)).unwrap();
                }
                SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut server, event),
                _ => {}
            }
        }
    });
    let client = edge().await;
    let mut events = client.events();
    patient("a connection", client.connect(address)).await.unwrap();
    patient("a subscription", client.filter_subscribe(Some(server_id), TOPIC, &topics(&[CONTENT])))
        .await
        .unwrap();
    let mut got = std::collections::BTreeSet::new();
    while got.len() < 49 {
        let (peer, m) = pushed(&mut events).await;
        assert_eq!((peer, m.content_topic.as_str()), (server_id, CONTENT));
        got.insert(m.payload);
    }
    let counters = client.status().counters;
    assert_eq!((counters.filter_received, counters.filter_unwanted), (49, 1));
    serving.abort();
}
