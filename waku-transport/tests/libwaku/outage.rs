//! Coming back after an outage: the mesh stays empty for a minute, and nobody waits for it.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures::StreamExt;
use waku_node::{Node, NodeEvent, StoreConfig};
use waku_transport::conformance::soon;
use waku_transport::libwaku::{LibwakuOptions, LibwakuTransport};
use waku_transport::{Event, EventLimits, HistoryQuery, Message, Transport};

use crate::SHARD;
use crate::endpoints::{TOPIC, message, options, until};
use crate::library::{is_real, library, skipped};
use crate::nodes::{config, dialable, neighbour, node_config, socket_address, turn};
use crate::proxy::Proxy;

/// How long the drop-in's mesh stays empty in [`the_suite_passes_on_a_library_whose_mesh_stays_empty`], in
/// seconds: more than a heartbeat, and less than a test may take.
const HOLE: &str = "3";

async fn publish(from: &Node, message: &Message) {
    let message = waku_node::WakuMessage {
        payload: message.payload.clone(),
        content_topic: message.content_topic.clone(),
        timestamp: Some(message.timestamp_ns),
        ..waku_node::WakuMessage::default()
    };
    from.publish(SHARD, message).await.expect("it has somebody to publish to");
}

/// The relay keeps whoever comes back out of its mesh, for longer than the test takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_mesh_keeps_nobody_from_catching_up_and_publishing() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let relay = Node::start(waku_node::NodeConfig {
        store: Some(StoreConfig::default()),
        mesh_backoff: Duration::from_secs(3600),
        ..node_config()
    });
    let relay = relay.await.expect("a node starts");
    let second = neighbour(relay.listen_addresses()[0].clone()).await;
    until("a mesh", || async { second.peers().iter().any(|p| p.in_mesh) }).await;

    let at = dialable(&relay);
    let line = Proxy::start(socket_address(&at)).await;
    let peer = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", line.address.port(), relay.peer_id());
    let options = LibwakuOptions {
        mesh_bridge: Duration::from_millis(200),
        ..options(EventLimits::default())
    };
    let endpoint = LibwakuTransport::new(&library, config(), 0, vec![peer], options).await;
    let endpoint = endpoint.expect("it starts");
    endpoint.watch(vec![TOPIC.to_owned()]).await.expect("a good topic");
    let (mut events, node) = (endpoint.events(), endpoint.node());
    let mesh = async || node.mesh_peers(SHARD).await.unwrap_or_default().len();
    until("the mesh", || async { mesh().await > 0 }).await;
    let id = node.peer_id().await.expect("it runs");
    until("the relay's mesh", || async {
        relay.peers().iter().any(|p| p.peer_id.to_string() == id && p.in_mesh)
    })
    .await;

    line.set_open(false);
    let gone = async { while events.next().await != Some(Event::Disconnected) {} };
    soon("the end of the connection", gone).await;
    let missed = message("missed");
    publish(&second, &missed).await;
    line.set_open(true);

    // It counts as connected, fetches history and publishes, though its mesh is empty.
    let back = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the connection", back).await;
    until("history", || async {
        let page = endpoint.history(HistoryQuery::default()).await;
        page.is_ok_and(|page| page.messages.iter().any(|m| m.payload == missed.payload))
    })
    .await;
    // Its graft is refused.
    until("an empty mesh", || async { mesh().await == 0 }).await;
    let status = endpoint.status().await;
    assert!(status.can_publish && status.store_available && status.connected_peers == 1);

    let mut at_second = second.events();
    let sent = message("from outside of the mesh");
    soon("publishing", endpoint.publish(sent.clone())).await.expect("it is connected");
    let heard = async {
        loop {
            match at_second.recv().await {
                Some(NodeEvent::Message { message, .. }) if message.payload == sent.payload => {
                    return;
                }
                Some(_) => {}
                None => panic!("the node has stopped"),
            }
        }
    };
    soon("the message", heard).await;

    // And it hears what others publish, each message once.
    let others: Vec<_> = (0..5).map(|n| message(format!("{n}"))).collect();
    for message in &others {
        publish(&second, message).await;
    }
    let mut received = Vec::new();
    while received.len() < others.len() {
        if let Event::Message(message) = soon("a message", events.next()).await.expect("it goes on")
            && message.payload != missed.payload
        {
            received.push(message.payload);
        }
    }
    received.sort_unstable();
    assert_eq!(received, others.into_iter().map(|m| m.payload).collect::<Vec<_>>());
    assert_eq!(mesh().await, 0);
    endpoint.shutdown().await;
    second.shutdown().await;
    relay.shutdown().await;
}

/// A real library's mesh stays empty anyway. The drop-in's does if the environment says so, which is that
/// of a whole process: so this runs the tests in question in one of their own.
#[tokio::test]
async fn the_suite_passes_on_a_library_whose_mesh_stays_empty() {
    if library().await.is_none() {
        return;
    }
    if is_real() {
        return skipped("the library has a mesh that stays empty, and the tests run on it");
    }
    let tests = [
        "relay_conformance::reconnects",
        "relay_conformance::survives_a_restart_of_the_relay",
        "owned::results_are_told_apart_that_the_library_does_not",
    ];
    let mut suite = Command::new(std::env::current_exe().expect("this program"));
    suite.args(["--exact", "--nocapture"]).args(tests).env("WAKU_NODE_CAPI_MESH_BACKOFF", HOLE);
    let run = tokio::task::spawn_blocking(move || suite.stdin(Stdio::null()).output());
    let output = run.await.expect("it does not panic").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{} passed", tests.len());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(&all), "{said}\n{errors}");
}
