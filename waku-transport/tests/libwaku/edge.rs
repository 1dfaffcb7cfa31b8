//! What is particular to nodes at the edge: what the server knows, forgets, and is told again.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures::StreamExt;
use waku_node::{FilterConfig, Node, StoreConfig};
use waku_transport::conformance::{Harness, soon};
use waku_transport::libwaku::{EdgeOptions, LibwakuOptions, LibwakuTransport};
use waku_transport::{Event, EventLimits, EventStream, Message, Transport, TransportError};

use crate::SHARD;
use crate::endpoints::{connected_once, message, options, until};
use crate::harness::LibwakuHarness;
use crate::library::library;
use crate::nodes::{config, dialable, neighbour, node_config, socket_address, turn};
use crate::proxy::Proxy;

fn edge(edge: EdgeOptions) -> LibwakuOptions {
    LibwakuOptions { edge, ..options(EventLimits::default()) }
}

fn topic(name: impl std::fmt::Display) -> String {
    format!("/edge/1/{name}/proto")
}

/// A node that serves filter and lightpush, and forgets subscribers after this time.
async fn server(subscription_timeout: Duration) -> Node {
    let config = waku_node::NodeConfig {
        filter: true,
        lightpush: true,
        store: Some(StoreConfig::default()),
        filter_config: FilterConfig { subscription_timeout, ..FilterConfig::default() },
        ..node_config()
    };
    let node = Node::start(config).await.expect("a node starts");
    node.subscribe(SHARD).await.expect("it takes the shard");
    node
}

/// Publishes from a relay, which takes no time and no Store.
async fn publish(from: &Node, message: Message) {
    let message = waku_node::WakuMessage {
        payload: message.payload,
        content_topic: message.content_topic,
        timestamp: Some(message.timestamp_ns),
        ..waku_node::WakuMessage::default()
    };
    from.publish(SHARD, message).await.expect("it has somebody to publish to");
}

/// Waits until a relay has a neighbour to publish to.
async fn meshed(relay: &Node) {
    until("the relay is in a mesh", || async { relay.peers().iter().any(|p| p.in_mesh) }).await;
}

async fn received(events: &mut EventStream) -> Message {
    let received = async {
        loop {
            if let Some(Event::Message(m)) = events.next().await {
                let (content_topic, payload) = (m.content_topic, m.payload);
                return Message { content_topic, payload, timestamp_ns: m.timestamp_ns };
            }
        }
    };
    soon("a message", received).await
}

async fn knows(server: &Node, criteria: usize) {
    until("the server knows what is watched, and nothing else", || async {
        server.status().filter.is_some_and(|filter| filter.criteria == criteria)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_rotate_reach_the_server_in_few_requests_and_leave_it_again() {
    let Some(mut h) = LibwakuHarness::edge().await else { return };
    let a = h.endpoint(EventLimits::default()).await;
    let relay = h.relay.as_ref().expect("it runs");
    let mut events = a.events();
    let (rounds, each) = (50, 30);
    for round in 0..rounds {
        let topics = |round: usize| (0..each).map(move |n| topic(round * each + n)).collect();
        // One after another, without waiting for each other: far more than a server would take.
        let (watched, unwatched) = tokio::join!(a.watch(topics(round)), async {
            match round.checked_sub(2) {
                Some(old) => a.unwatch(topics(old)).await,
                None => Ok(()),
            }
        });
        assert_eq!((watched, unwatched), (Ok(()), Ok(())));
        if round == 3 {
            // The rest comes at once.
            break;
        }
    }
    let changes = (4..rounds).map(|round| {
        let a = &a;
        async move {
            let topics = |round: usize| (0..each).map(move |n| topic(round * each + n)).collect();
            a.unwatch(topics(round - 2)).await.expect("good topics");
            a.watch(topics(round)).await.expect("good topics");
        }
    });
    soon("all of it", futures::future::join_all(changes)).await;
    knows(relay, 2 * each).await;
    assert_eq!(relay.status().counters.requests_failed, 0);

    meshed(relay).await;
    for n in [(rounds - 3) * each, (rounds - 2) * each, rounds * each - 1] {
        publish(relay, Message { content_topic: topic(n), ..message(format!("{n}")) }).await;
    }
    // The first of them is no longer watched, and each of the others comes once. Pushes may overtake
    // each other.
    let mut topics = [received(&mut events).await, received(&mut events).await]
        .map(|message| message.content_topic);
    topics.sort_unstable();
    assert_eq!(topics, [(rounds - 2) * each, rounds * each - 1].map(topic));
    a.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_would_forget_is_reminded() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let server = server(Duration::from_secs(2)).await;
    let second = neighbour(server.listen_addresses()[0].clone()).await;
    meshed(&second).await;
    let start = async |refresh| {
        let edge = edge(EdgeOptions { refresh, ..EdgeOptions::default() });
        let at = vec![dialable(&server)];
        let endpoint = LibwakuTransport::edge(&library, config(), 0, at, edge).await;
        let endpoint = endpoint.expect("it starts");
        connected_once(&endpoint).await;
        endpoint.watch(vec![topic("a")]).await.expect("a good topic");
        endpoint
    };
    let forgotten = start(Duration::from_secs(3600)).await;
    knows(&server, 1).await;
    // So this is what happens.
    knows(&server, 0).await;
    assert!(forgotten.status().await.connected_peers > 0);
    forgotten.shutdown().await;

    let reminding = start(Duration::from_millis(900)).await;
    let mut events = reminding.events();
    // For longer than twice the time in which it would be forgotten.
    let mut again = tokio::time::interval(Duration::from_millis(250));
    for n in 0..20 {
        again.tick().await;
        let sent = Message { content_topic: topic("a"), ..message(format!("{n}")) };
        publish(&second, sent.clone()).await;
        assert_eq!(received(&mut events).await, sent);
    }
    reminding.shutdown().await;
    server.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_subscribed_too_often_is_replaced() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let server = server(Duration::from_secs(300)).await;
    let second = neighbour(server.listen_addresses()[0].clone()).await;
    meshed(&second).await;
    let few = edge(EdgeOptions { max_subscriptions: 3, ..EdgeOptions::default() });
    let config = config();
    let endpoint = LibwakuTransport::edge(&library, config, 0, vec![dialable(&server)], few).await;
    let endpoint = endpoint.expect("it starts");
    connected_once(&endpoint).await;
    let mut events = endpoint.events();
    let mut ids = HashSet::from([endpoint.status().await.peer_id]);
    for n in 0..8 {
        endpoint.watch(vec![topic(n)]).await.expect("a good topic");
        until("the server knows it", || {
            // Those before it have left.
            let known = server.status().filter.is_some_and(|f| f.criteria == n + 1);
            let connected = async { endpoint.status().await.connected_peers > 0 };
            async move { known && connected.await }
        })
        .await;
        ids.insert(endpoint.status().await.peer_id);
        let sent = Message { content_topic: topic(n / 2), ..message(format!("{n}")) };
        publish(&second, sent.clone()).await;
        assert_eq!(received(&mut events).await, sent);
        // It publishes as before, too.
        let own = Message { content_topic: topic("own"), ..message(format!("own {n}")) };
        endpoint.publish(own).await.expect("it is connected");
    }
    // After 3 subscriptions, and after two more each time, since the first one is for all.
    assert!((3..=5).contains(&ids.len()), "{}", ids.len());
    endpoint.shutdown().await;
    knows(&server, 0).await;
    server.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_server_goes_away_the_next_one_serves() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let first = server(Duration::from_secs(300)).await;
    let next = server(Duration::from_secs(300)).await;
    let second = neighbour(next.listen_addresses()[0].clone()).await;
    meshed(&second).await;
    let impatient =
        edge(EdgeOptions { server_patience: Duration::from_millis(300), ..EdgeOptions::default() });
    let servers = vec![dialable(&first), dialable(&next)];
    let endpoint = LibwakuTransport::edge(&library, config(), 0, servers, impatient).await;
    let endpoint = endpoint.expect("it starts");
    connected_once(&endpoint).await;
    endpoint.watch(vec![topic("a")]).await.expect("a good topic");
    knows(&first, 1).await;
    // One at a time: the other server is not to know.
    assert!(next.peers().iter().all(|peer| peer.peer_id == second.peer_id()));

    let mut events = endpoint.events();
    first.shutdown().await;
    knows(&next, 1).await;
    let again = async {
        while events.next().await != Some(Event::Disconnected) {}
        while !matches!(events.next().await, Some(Event::Connected { .. })) {}
    };
    soon("the next connection", again).await;
    let sent = Message { content_topic: topic("a"), ..message("by the next one") };
    publish(&second, sent.clone()).await;
    assert_eq!(received(&mut events).await, sent);
    endpoint.shutdown().await;
    next.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_fallen_silent_is_connected_with_anew() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let server = server(Duration::from_secs(300)).await;
    let second = neighbour(server.listen_addresses()[0].clone()).await;
    meshed(&second).await;
    let line = Proxy::start(socket_address(&dialable(&server))).await;
    let at = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", line.address.port(), server.peer_id());
    let soon_asked = edge(EdgeOptions {
        ping: Duration::from_millis(200),
        refresh: Duration::from_secs(5),
        ..EdgeOptions::default()
    });
    let endpoint = LibwakuTransport::edge(&library, config(), 0, vec![at], soon_asked).await;
    let endpoint = endpoint.expect("it starts");
    connected_once(&endpoint).await;
    endpoint.watch(vec![topic("a")]).await.expect("a good topic");
    knows(&server, 1).await;
    let mut events = endpoint.events();
    line.stall();
    let again = async {
        while events.next().await != Some(Event::Disconnected) {}
        while !matches!(events.next().await, Some(Event::Connected { .. })) {}
    };
    soon("the next connection", again).await;
    let sent = Message { content_topic: topic("a"), ..message("heard again") };
    publish(&second, sent.clone()).await;
    assert_eq!(received(&mut events).await, sent);
    endpoint.shutdown().await;
    server.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_the_library_would_take_for_several_are_refused() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    // Watching does not wait for a server that is not there.
    let nobody = format!("/ip4/{}/tcp/1/p2p/16Uiu2HAm", Ipv4Addr::LOCALHOST);
    let options = edge(EdgeOptions::default());
    let endpoint = LibwakuTransport::edge(&library, config(), 0, vec![nobody], options).await;
    let endpoint = endpoint.expect("it starts");
    let refused = endpoint.watch(vec![topic("a,b")]).await;
    assert!(matches!(refused, Err(TransportError::Invalid(_))));
    soon("an answer", endpoint.watch(vec![topic("a")])).await.expect("a good topic");
    let status = endpoint.status().await;
    assert!(!status.can_publish && status.connected_peers == 0);
    endpoint.shutdown().await;
}
