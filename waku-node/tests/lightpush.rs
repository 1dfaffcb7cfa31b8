//! Lightpush between real nodes.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/raw.rs"]
mod raw;

use common::*;
use futures::StreamExt;
use libp2p::request_response::{Event, Message};
use libp2p::swarm::SwarmEvent;
use raw::{AttackerEvent, Raw};
use waku_node::lightpush_wire::{
    LightpushRequest, LightpushResponse, decode_response, decode_response_v2, encode_request,
    encode_request_v2,
};
use waku_node::{
    Bytes, LightpushError, MAX_MESSAGE_SIZE, Node, StoreConfig, StoreQuery, WakuMessage,
    message_hash,
};

async fn server() -> Node {
    node(|c| {
        c.lightpush = true;
        c.store = Some(StoreConfig::default());
    })
    .await
}

async fn edge() -> Node {
    node(|c| {
        c.relay = false;
        c.listen.clear();
    })
    .await
}

#[tokio::test]
async fn a_message_is_relayed_archived_and_seen_by_the_server() {
    let (relay, server, client) = (node(|_| {}).await, server().await, edge().await);
    link(&relay, &server, TOPIC).await;
    connect(&client, &server).await;
    assert!(client.peers()[0].lightpush);
    let (mut at_relay, mut at_server) = (relay.events(), server.events());
    for n in 0..20 {
        let m = hello(n);
        let hash = client.lightpush_publish(None, TOPIC, m.clone()).await.unwrap();
        assert_eq!(hash, message_hash(TOPIC, &m));
        assert_eq!(message(&mut at_relay).await, m);
        assert_eq!(message(&mut at_server).await, m);
        let query = StoreQuery { hashes: vec![hash], ..StoreQuery::default() };
        let page = server.store_query(Some(server.peer_id()), query).await.unwrap();
        assert_eq!(page.messages.len(), 1);
    }
    // As large as relay carries.
    let large = WakuMessage { payload: vec![1; 145 * 1024].into(), ..hello(0) };
    client.lightpush_publish(Some(server.peer_id()), TOPIC, large.clone()).await.unwrap();
    assert_eq!(message(&mut at_relay).await, large);
    assert_eq!(client.status().counters.lightpush_published, 21);
    assert_eq!(server.status().counters.lightpush_served, 21);
}

#[tokio::test]
async fn a_server_says_why_it_does_not_relay() {
    let (server, client) = (server().await, edge().await);
    connect(&client, &server).await;
    let status = |r: Result<_, LightpushError>| match r {
        Err(LightpushError::Status { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    let m = hello(1);
    // Nobody to relay to, which is no reason to refuse it later.
    assert_eq!(status(client.lightpush_publish(None, TOPIC, m.clone()).await), 505);
    let relay = node(|_| {}).await;
    link(&relay, &server, TOPIC).await;
    client.lightpush_publish(None, TOPIC, m.clone()).await.unwrap();
    assert_eq!(status(client.lightpush_publish(None, TOPIC, m).await), 420, "seen already");
    assert_eq!(server.status().counters.lightpush_refused, 2);

    let mute = node(|c| {
        c.lightpush = true;
        c.relay = false;
    })
    .await;
    connect(&client, &mute).await;
    let refused = client.lightpush_publish(Some(mute.peer_id()), TOPIC, hello(2)).await;
    assert_eq!(status(refused), 503);
}

#[tokio::test]
async fn what_cannot_be_published_is_an_error() {
    let (relay, server, client) = (node(|_| {}).await, server().await, edge().await);
    let absent = Some(server.peer_id());
    let publish = |peer, topic: &'static str, m| client.lightpush_publish(peer, topic, m);
    assert!(matches!(publish(None, TOPIC, hello(1)).await, Err(LightpushError::NoPeer)));
    let refused = publish(absent, TOPIC, hello(1)).await;
    assert!(matches!(refused, Err(LightpushError::NotConnected(_))));
    connect(&client, &relay).await;
    let refused = publish(Some(relay.peer_id()), TOPIC, hello(1)).await;
    assert!(matches!(refused, Err(LightpushError::Unsupported)));
    let empty = WakuMessage { payload: Bytes::new(), ..hello(1) };
    assert!(matches!(publish(None, TOPIC, empty).await, Err(LightpushError::Invalid(_))));
    let refused = publish(None, "/waku/2/rs/67/0", hello(1)).await;
    assert!(matches!(refused, Err(LightpushError::Topic(_))));
    let huge = WakuMessage { payload: vec![0; MAX_MESSAGE_SIZE].into(), ..hello(1) };
    assert!(matches!(publish(None, TOPIC, huge).await, Err(LightpushError::TooLarge { .. })));
    let handle = client.clone();
    client.clone().shutdown().await;
    let refused = handle.lightpush_publish(None, TOPIC, hello(1)).await;
    assert!(matches!(refused, Err(LightpushError::Stopped)));
}

/// The bodies of the answers to raw requests, one after the other.
async fn ask(server: &Node, protocol: &'static str, bodies: Vec<Bytes>) -> Vec<Bytes> {
    let mut client = raw::stream_attacker(protocol);
    client.dial(address(server)).unwrap();
    let mut bodies = bodies.into_iter();
    let mut answers = Vec::new();
    patient("answers", async {
        loop {
            let (peer, answer) = match client.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => (peer_id, None),
                SwarmEvent::Behaviour(AttackerEvent::Raw(Event::Message {
                    peer,
                    message: Message::Response { response, .. },
                    ..
                })) => (peer, Some(response)),
                SwarmEvent::Behaviour(event) => {
                    raw::answer_metadata(&mut client, event);
                    continue;
                }
                _ => continue,
            };
            if let Some(answer) = answer {
                // These answers are short, so their length is one byte.
                assert_eq!(usize::from(answer[0]), answer.len() - 1);
                answers.push(Bytes::from(answer).slice(1..));
            }
            match bodies.next() {
                Some(body) => drop(
                    client.behaviour_mut().raw.send_request(&peer, Raw::Write(raw::framed(&body))),
                ),
                None => break,
            }
        }
    })
    .await;
    answers
}

fn request(n: usize) -> LightpushRequest {
    LightpushRequest {
        request_id: format!("id {n}"),
        pubsub_topic: Some(TOPIC.into()),
        message: hello(n),
    }
}

#[tokio::test]
async fn version_3_answers_with_the_statuses_of_the_specification() {
    let (relay, server) = (node(|_| {}).await, server().await);
    link(&relay, &server, TOPIC).await;
    let nowhere = LightpushRequest { pubsub_topic: None, ..request(2) };
    let foreign = LightpushRequest { pubsub_topic: Some("/waku/2/rs/67/0".into()), ..request(3) };
    let mut odd = request(4);
    odd.message.content_topic = "odd".into();
    let mut huge = request(5);
    huge.message.payload = vec![0; MAX_MESSAGE_SIZE - 60].into();
    let bodies = vec![
        encode_request(&request(1)),
        encode_request(&nowhere),
        encode_request(&foreign),
        encode_request(&odd),
        encode_request(&huge),
        Bytes::from_static(b"\xff\xff"),
    ];
    let answers = ask(&server, "/vac/waku/lightpush/3.0.0", bodies).await;
    let answers: Vec<_> = answers.into_iter().map(|a| decode_response(a).unwrap()).collect();
    let statuses: Vec<_> = answers.iter().map(|a| a.status_code).collect();
    assert_eq!(statuses, [200, 420, 421, 420, 413, 400]);
    assert_eq!(answers[0].relay_peer_count, Some(1));
    assert_eq!(answers[3].request_id, "id 4");
    assert!(answers[1..].iter().all(|a| a.status_desc.is_some() && a.relay_peer_count.is_none()));
}

#[tokio::test]
async fn version_2_is_served() {
    let (relay, server) = (node(|_| {}).await, server().await);
    link(&relay, &server, TOPIC).await;
    let mut events = relay.events();
    let again = encode_request_v2(&request(1));
    let bodies = vec![again.clone(), again, Bytes::new()];
    let answers = ask(&server, "/vac/waku/lightpush/2.0.0-beta1", bodies).await;
    let answers: Vec<LightpushResponse> =
        answers.into_iter().map(|a| decode_response_v2(a).unwrap()).collect();
    assert_eq!(answers[0].request_id, "id 1");
    assert_eq!(answers.iter().map(|a| a.status_code).collect::<Vec<_>>(), [200, 0, 0]);
    assert_eq!(message(&mut events).await.payload, "hello 1");
}
