//! A node that is driven over standard input and output, for tests against other implementations.
//!
//! Prints `{"type":"ready",…}` with its address, and `{"type":"message",…}` for each message
//! received. Commands are lines on standard input:
//!
//! - `publish <pubsub topic> <content topic> <text>`: answers `{"type":"published",…}`
//! - `fill <pubsub topic> <content topic> <count>`: publishes `item 0`, `item 1`, … a millisecond
//!   apart; answers `{"type":"filled",…}` with their hashes, once the archive has them
//! - `connect <address>`: answers `{"type":"connected",…}` once the peer is ready and subscribes
//! - `status`: answers `{"type":"status",…}`
//!
//! It ends when its standard input does. Arguments: the cluster, 66 by default; the request time-out
//! in milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use waku_node::{
    MessageHash, Node, NodeConfig, NodeEvent, PublishError, StoreConfig, StoreQuery, WakuMessage,
};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Logs go where they do not mix with the answers.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut args = std::env::args().skip(1);
    let mut config = NodeConfig {
        cluster_id: args.next().map_or(Ok(66), |a| a.parse())?,
        store: Some(StoreConfig::default()),
        filter: true,
        lightpush: true,
        ..NodeConfig::default()
    };
    config.listen.push("/ip4/127.0.0.1/tcp/0/ws".parse()?);
    if let Some(timeout) = args.next() {
        config.limits.request_timeout = Duration::from_millis(timeout.parse()?);
    }
    let node = Node::start(config).await?;
    let mut events = node.events();
    let address = |websocket: bool| {
        let all = node.listen_addresses().into_iter().map(|a| a.to_string());
        all.into_iter().find(|a| a.contains("/ws/") == websocket)
    };
    say(&json!({
        "type": "ready",
        "address": address(false),
        "wsAddress": address(true),
        "peerId": node.peer_id().to_string(),
    }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(NodeEvent::Message { pubsub_topic, hash, message }) => {
                    say(&described(&pubsub_topic, hash, &message));
                }
                Some(_) => {}
                None => break,
            },
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                let answer = command(&node, &line).await;
                say(&answer.unwrap_or_else(|e| json!({ "type": "error", "error": e.to_string() })));
            }
        }
    }
    node.shutdown().await;
    Ok(())
}

fn say(line: &Value) {
    println!("{line}");
}

fn described(pubsub_topic: &str, hash: MessageHash, m: &WakuMessage) -> Value {
    json!({
        "type": "message",
        "pubsubTopic": pubsub_topic,
        "contentTopic": m.content_topic,
        "payload": String::from_utf8_lossy(&m.payload),
        "timestamp": m.timestamp.map(|t| t.to_string()),
        "version": m.version,
        "ephemeral": m.ephemeral,
        "meta": m.meta.as_ref().map(|m| m.to_vec()),
        "hash": hash.to_string(),
    })
}

async fn command(node: &Node, line: &str) -> Result<Value, Failure> {
    let parts: Vec<&str> = line.splitn(4, ' ').collect();
    match parts.as_slice() {
        ["publish", pubsub_topic, content_topic, text] => {
            let hash = publish(node, pubsub_topic, message(content_topic, text, now()?)).await?;
            Ok(json!({ "type": "published", "hash": hash.to_string() }))
        }
        ["fill", pubsub_topic, content_topic, count] => {
            let count: usize = count.parse()?;
            let start = now()?;
            let mut hashes = Vec::new();
            for n in 0..count {
                let timestamp = start + i64::try_from(n)? * 1_000_000;
                let m = message(content_topic, &format!("item {n}"), timestamp);
                hashes.push(publish(node, pubsub_topic, m).await?);
            }
            // A query is answered after everything that was published before it.
            let own = StoreQuery {
                content_topics: vec![(*content_topic).to_owned()],
                ..StoreQuery::default()
            };
            let archived = node.store_collect(Some(node.peer_id()), own, count).await?.len();
            let hashes: Vec<_> = hashes.iter().map(ToString::to_string).collect();
            Ok(json!({ "type": "filled", "archived": archived, "hashes": hashes }))
        }
        ["connect", address] => {
            let mut events = node.events();
            let peer = node.connect(address.parse()?).await?;
            while node.status().topics.iter().any(|t| t.topic_peers == 0) {
                events.recv().await.ok_or("the node has stopped")?;
            }
            Ok(json!({ "type": "connected", "peerId": peer.to_string() }))
        }
        ["status"] => {
            let status = node.status();
            let peers: Vec<_> = node
                .peers()
                .iter()
                .map(|p| json!({ "peerId": p.peer_id.to_string(), "shards": p.shards, "agent": p.agent }))
                .collect();
            Ok(json!({
                "type": "status",
                "topics": status.topics.iter().map(|t| (t.pubsub_topic.clone(), json!(t.topic_peers))).collect::<Map<_, _>>(),
                "peers": peers,
                "metadataRefused": status.counters.metadata_refused,
                "storeServed": status.counters.store_served,
                "filterSubscribers": status.filter.map(|f| f.subscribers),
                "lightpushServed": status.counters.lightpush_served,
                "lightpushRefused": status.counters.lightpush_refused,
            }))
        }
        _ => Err("unknown command".into()),
    }
}

fn message(content_topic: &str, text: &str, timestamp: i64) -> WakuMessage {
    WakuMessage {
        payload: text.to_owned().into(),
        content_topic: content_topic.to_owned(),
        timestamp: Some(timestamp),
        ..WakuMessage::default()
    }
}

/// Publishes, and waits for a subscriber if there is none yet.
async fn publish(
    node: &Node,
    pubsub_topic: &str,
    m: WakuMessage,
) -> Result<MessageHash, PublishError> {
    let mut events = node.events();
    loop {
        match node.publish(pubsub_topic, m.clone()).await {
            Err(PublishError::NoPeers) => {
                if events.recv().await.is_none() {
                    return Err(PublishError::Stopped);
                }
            }
            other => return other,
        }
    }
}

fn now() -> Result<i64, Failure> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}
