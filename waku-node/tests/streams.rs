//! How many streams of one protocol two nodes have open between them. nim-libp2p takes 10 from a peer,
//! and resets the next one without a word.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::collections::{BTreeSet, VecDeque};

use common::*;
use futures::StreamExt;
use libp2p::Swarm;
use libp2p::request_response::{Event, Message, OutboundRequestId, ResponseChannel};
use libp2p::swarm::SwarmEvent;
use raw::{Attacker, AttackerEvent, Raw};
use waku_node::filter_wire::{FilterKind, FilterRequest, decode_push, encode_request};
use waku_node::{Node, StoreQuery, store_wire};

/// What is promised: less than nim-libp2p takes.
const MOST: usize = 8;

type Open = ResponseChannel<Vec<u8>>;

/// The next stream that the node has opened and written to, and what was written. It stays open until
/// it is answered. Answers to requests of the swarm itself come out on the left.
async fn next(swarm: &mut Swarm<Attacker>) -> Result<OutboundRequestId, (Vec<u8>, Open)> {
    patient("a stream", async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::Behaviour(AttackerEvent::Raw(Event::Message { message, .. })) => {
                    return match message {
                        Message::Request { request: Raw::Write(bytes), channel, .. } => {
                            Err((bytes, channel))
                        }
                        Message::Request { .. } => panic!("the node holds nothing"),
                        Message::Response { request_id, .. } => Ok(request_id),
                    };
                }
                SwarmEvent::Behaviour(AttackerEvent::Raw(Event::OutboundFailure {
                    error, ..
                })) => panic!("the node refused: {error}"),
                SwarmEvent::Behaviour(event) => raw::answer_metadata(swarm, event),
                _ => {}
            }
        }
    })
    .await
}

/// Closes this side's half of a stream, as one who has read it.
fn close(swarm: &mut Swarm<Attacker>, stream: Open, answer: Vec<u8>) {
    swarm.behaviour_mut().raw.send_response(stream, answer).unwrap();
}

async fn ask(swarm: &mut Swarm<Attacker>, node: &Node, request: &FilterRequest) {
    let bytes = raw::framed(&encode_request(request));
    let raw = &mut swarm.behaviour_mut().raw;
    let asked = raw.send_request(&node.peer_id(), Raw::Write(bytes));
    assert_eq!(next(swarm).await.expect("nothing else is open"), asked);
}

/// A request that any filter server answers.
fn ping() -> FilterRequest {
    FilterRequest {
        request_id: "1".into(),
        kind: FilterKind::Ping,
        pubsub_topic: None,
        content_topics: Vec::new(),
    }
}

#[tokio::test]
async fn pushes_wait_for_a_slow_reader_and_none_is_lost() {
    let server = node(|c| c.filter = true).await;
    let publisher = node(|_| {}).await;
    link(&publisher, &server, TOPIC).await;
    let mut reader = raw::filter_client();
    reader.dial(address(&server)).unwrap();
    let subscribe = FilterRequest {
        kind: FilterKind::Subscribe,
        pubsub_topic: Some(TOPIC.into()),
        content_topics: vec![CONTENT.into()],
        ..ping()
    };
    let ready = until(&server, "the reader", |s| s.peers().len() == 2);
    tokio::select! {
        () = ready => {}
        _ = async { loop { let _ = next(&mut reader).await; } } => unreachable!(),
    }
    ask(&mut reader, &server, &subscribe).await;

    // The server sees once that this reader closes its halves.
    publisher.publish(TOPIC, hello(0)).await.unwrap();
    let (_, stream) = next(&mut reader).await.expect_err("a push");
    close(&mut reader, stream, Vec::new());

    let count = 100;
    let sent: Vec<_> = (1..=count).map(hello).collect();
    for message in &sent {
        publisher.publish(TOPIC, message.clone()).await.unwrap();
    }
    let (mut open, mut got) = (VecDeque::new(), BTreeSet::new());
    while got.len() < count {
        if open.len() == MOST {
            // What the server opens now would be there before the answer.
            ask(&mut reader, &server, &ping()).await;
            let oldest = open.pop_front().unwrap();
            close(&mut reader, oldest, Vec::new());
        }
        let (bytes, stream) = next(&mut reader).await.expect_err("a push");
        open.push_back(stream);
        // The length has two bytes or one.
        let at = if bytes[0] & 0x80 == 0 { 1 } else { 2 };
        let push = decode_push(bytes[at..].to_vec().into()).unwrap();
        assert!(got.insert(push.message.payload), "each comes once");
    }
    assert_eq!(got, sent.into_iter().map(|message| message.payload).collect());
    assert_eq!(server.status().counters.filter_push_failed, 0);
}

#[tokio::test]
async fn requests_wait_for_a_slow_server_and_none_is_lost() {
    let mut server = raw::store_server();
    server.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let at = patient("an address", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = server.select_next_some().await {
                break address;
            }
        }
    })
    .await;
    let id = *server.local_peer_id();
    let client = node(|c| (c.relay, c.filter) = (false, true)).await;
    let count = 60;
    let asking = async {
        patient("a connection", client.connect(at)).await.unwrap();
        let queries = (0..count).map(|_| client.store_query(Some(id), StoreQuery::default()));
        futures::future::join_all(queries).await
    };
    let serving = async {
        let (mut open, mut served) = (VecDeque::new(), 0);
        while served < count {
            if open.len() == MOST || served + open.len() == count {
                // What the client opens now would be there before the answer.
                ask(&mut server, &client, &ping()).await;
                let (bytes, stream): (Vec<u8>, Open) = open.pop_front().unwrap();
                let request = store_wire::decode_request(bytes[1..].to_vec().into()).unwrap();
                let body = store_wire::encode_response(&store_wire::Response {
                    request_id: request.0,
                    status_code: 200,
                    status_desc: "OK".into(),
                    messages: Vec::new(),
                    unreadable: 0,
                    cursor: None,
                });
                close(&mut server, stream, raw::framed(&body));
                served += 1;
                continue;
            }
            open.push_back(next(&mut server).await.expect_err("a query"));
        }
        loop {
            let _ = server.select_next_some().await;
        }
    };
    let answers = patient("all answers", async {
        tokio::select! {
            answers = asking => answers,
            () = serving => unreachable!(),
        }
    })
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// As nim-libp2p does, if it is told to.
#[tokio::test]
async fn a_stream_beyond_the_bound_is_reset_and_the_others_stay() {
    for protocol in [raw::FILTER_PUSH, raw::FILTER, raw::LIGHTPUSH] {
        let node = node(|c| {
            (c.filter, c.lightpush) = (true, true);
            c.limits.max_streams_per_protocol = 10;
        })
        .await;
        let mut peer = raw::stream_attacker(protocol);
        peer.dial(address(&node)).unwrap();
        let raw = &mut peer.behaviour_mut().raw;
        // A frame that begins and does not end.
        let opened: Vec<_> =
            (0..11).map(|_| raw.send_request(&node.peer_id(), Raw::Hold(vec![9]))).collect();
        let reset = patient("a reset", async {
            loop {
                match peer.select_next_some().await {
                    SwarmEvent::Behaviour(AttackerEvent::Raw(Event::OutboundFailure {
                        request_id,
                        ..
                    })) => break request_id,
                    SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut peer, event),
                    _ => {}
                }
            }
        })
        .await;
        assert!(opened.contains(&reset), "{protocol}");
    }
}
