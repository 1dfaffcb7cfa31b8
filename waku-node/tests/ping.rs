//! Pings that are asked for, and limits on who connects.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::time::Duration;

use common::*;
use futures::StreamExt;
use libp2p::request_response::{Event, Message};
use libp2p::swarm::SwarmEvent;
use libp2p::{SwarmBuilder, identify, noise, tcp, yamux};
use waku_node::{PeerId, PingError};

#[tokio::test]
async fn a_peer_answers_as_often_as_it_is_asked() {
    let (a, b) = (node(|_| {}).await, node(|_| {}).await);
    let stranger = patient("an error", a.ping(b.peer_id())).await;
    assert!(matches!(stranger, Err(PingError::NotConnected(peer)) if peer == b.peer_id()));
    connect(&a, &b).await;
    // One after another; and at once, from both sides, beside the pings that the connections have.
    for _ in 0..20 {
        let took = patient("an answer", a.ping(b.peer_id())).await.unwrap();
        assert!(took > Duration::ZERO);
    }
    let (from_a, from_b) = patient("all answers", async {
        tokio::join!(
            futures::future::join_all((0..50).map(|_| a.ping(b.peer_id()))),
            futures::future::join_all((0..50).map(|_| b.ping(a.peer_id()))),
        )
    })
    .await;
    for answer in from_a.into_iter().chain(from_b) {
        answer.unwrap();
    }
    assert_eq!((a.peers().len(), b.peers().len()), (1, 1), "nobody was disconnected for it");
    let oneself = patient("an error", a.ping(a.peer_id())).await;
    assert!(matches!(oneself, Err(PingError::NotConnected(_))));
    b.shutdown().await;
    until(&a, "the end of the connection", |a| a.peers().is_empty()).await;
    assert!(patient("an error", a.ping(PeerId::random())).await.is_err());
    let handle = a.clone();
    a.shutdown().await;
    assert!(matches!(handle.ping(PeerId::random()).await, Err(PingError::Stopped)));
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_share() {
    let server = node(|c| c.limits.max_connections_per_ip = Some(2)).await;
    let (a, b, c) = (node(|_| {}).await, node(|_| {}).await, node(|_| {}).await);
    connect(&a, &server).await;
    connect(&b, &server).await;
    assert!(patient("a refusal", c.connect(address(&server))).await.is_err());
    assert!(server.status().counters.connections_refused >= 1);
    // This side may dial as it likes.
    connect(&server, &c).await;
    // A place that is left is free again.
    a.shutdown().await;
    until(&server, "the end of the connection", |s| s.peers().len() == 2).await;
    let d = node(|_| {}).await;
    connect(&d, &server).await;
}

/// What a peer makes of a ping: its answer to the bytes that came.
async fn pinged(answer: fn(Vec<u8>) -> Vec<u8>, limit: Duration) -> Result<Duration, PingError> {
    let victim = node(|c| c.limits.request_timeout = limit).await;
    let mut peer = raw::ping_server();
    let id = *peer.local_peer_id();
    peer.dial(address(&victim)).unwrap();
    let serve = async {
        loop {
            match peer.select_next_some().await {
                SwarmEvent::Behaviour(raw::AttackerEvent::Raw(Event::Message {
                    message: Message::Request { request: raw::Raw::Write(bytes), channel, .. },
                    ..
                })) => drop(peer.behaviour_mut().raw.send_response(channel, answer(bytes))),
                SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut peer, event),
                _ => {}
            }
        }
    };
    let ping = async {
        until(&victim, "the peer", |v| v.peers().iter().any(|p| p.peer_id == id)).await;
        patient("an answer", victim.ping(id)).await
    };
    tokio::select! {
        () = serve => unreachable!("it goes on for ever"),
        result = ping => result,
    }
}

#[tokio::test]
async fn only_a_true_answer_counts() {
    let long = Duration::from_secs(20);
    assert!(pinged(|bytes| bytes, long).await.is_ok());
    let wrong = pinged(|_| vec![7; 32], long).await;
    assert!(matches!(&wrong, Err(PingError::Connection(why)) if why.contains("not the bytes")));
    let cut = pinged(|bytes| bytes[..31].to_vec(), long).await;
    assert!(matches!(&cut, Err(PingError::Connection(_))), "{cut:?}");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_a_time_out() {
    let victim = node(|c| c.limits.request_timeout = Duration::from_millis(300)).await;
    let mut peer = raw::ping_server();
    let id = *peer.local_peer_id();
    peer.dial(address(&victim)).unwrap();
    let mut kept = Vec::new();
    let serve = async {
        loop {
            match peer.select_next_some().await {
                // Kept and never answered.
                SwarmEvent::Behaviour(raw::AttackerEvent::Raw(event)) => kept.push(event),
                SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut peer, event),
                _ => {}
            }
        }
    };
    let ping = async {
        until(&victim, "the peer", |v| v.peers().iter().any(|p| p.peer_id == id)).await;
        patient("an answer", victim.ping(id)).await
    };
    let result = tokio::select! {
        () = serve => unreachable!("it goes on for ever"),
        result = ping => result,
    };
    assert!(matches!(result, Err(PingError::Timeout)), "{result:?}");
}

#[tokio::test]
async fn what_is_announced_reaches_peers() {
    let announced = "/dns4/relay.example.org/tcp/443/wss";
    let server = node(|c| c.announce = vec![announced.parse().unwrap()]).await;
    let mut peer = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| {
            identify::Behaviour::new(identify::Config::new("/ipfs/0.1.0".into(), key.public()))
        })
        .unwrap()
        .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    peer.dial(address(&server)).unwrap();
    let told = patient("what the node says of itself", async {
        loop {
            if let SwarmEvent::Behaviour(identify::Event::Received { info, .. }) =
                peer.select_next_some().await
            {
                return info.listen_addrs;
            }
        }
    })
    .await;
    assert!(told.iter().any(|a| a.to_string().starts_with(announced)), "{told:?}");
}
