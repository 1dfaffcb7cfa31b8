//! Vectors of what an observer of the network sees: topics and sealed envelopes, and the keys and
//! roots that they come from.

use chat_core::contact::CardSecret;
use chat_core::contact::schedule::{card_time, card_topic};
use chat_core::params::{LANES, NetworkId, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::envelope::{SizeClass, class_for, max_frame, seal};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::labels::{self, Label};
use chat_core::wire::roots::{Root, Roots, card_roots, inbox_roots, invitation_roots};
use chat_core::wire::topic::ContentTopic;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

/// 32 bytes that count up from `first`.
pub(crate) fn counting(first: u8) -> [u8; 32] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

pub(crate) fn networks() -> Value {
    let one = |params: NetworkParams| {
        json!({
            "name": params.name,
            "cluster": params.cluster,
            "shards": params.shards,
            "slot_secs": params.slot_secs,
            "invitation_delay_ms": params.invitation_delay_ms,
            "rank_delay_ms": params.rank_delay_ms,
            "id": hex::encode(params.id().0),
            "pubsub_topic": params.pubsub_topic(),
        })
    };
    json!([one(NetworkParams::public()), one(NetworkParams::fast())])
}

pub(crate) fn derivations(network: &NetworkId) -> Value {
    let secret = counting(0);
    let parts: [&[u8]; 3] = [b"\x01\x02", b"", b"part"];
    let outputs: Vec<Value> = Label::ALL
        .into_iter()
        .map(|label| {
            json!({
                "label": label.text(),
                "encoded": hex::encode(labels::encode(label, network, &parts)),
                "expand": hex::encode(*labels::expand::<32>(&secret, label, network, &parts)),
                "derive": hex::encode(*labels::derive::<32>(&secret, label, network, &parts)),
                "hash": hex::encode(labels::hash(label, network, &parts)),
            })
        })
        .collect();
    json!({
        "network": hex::encode(network.0),
        "secret": hex::encode(secret),
        "parts": parts.map(hex::encode),
        "outputs": outputs,
    })
}

pub(crate) fn roots(network: &NetworkId) -> Value {
    let both = |slot: Slot, roots: Roots| {
        json!({
            "slot": slot.0,
            "topic": hex::encode(roots.topic.expose()),
            "seal": hex::encode(roots.seal.expose()),
        })
    };
    let slots = [Slot(0), Slot(500_000), Slot(500_001)];
    let start = Root::new(Slot(500_000), counting(0x20));
    let ratchet: Vec<Value> = [0, 1, 2, 100]
        .map(|steps| {
            let root = start.at(Slot(500_000 + steps), network).expect("later");
            json!({"slot": root.slot().0, "value": hex::encode(root.expose())})
        })
        .into();
    json!({
        "network": hex::encode(network.0),
        "inbox": slots.map(|slot| both(slot, inbox_roots(network, slot))),
        "invitation": {
            "secret": hex::encode(counting(0x10)),
            "roots": slots.map(|slot| both(slot, invitation_roots(&counting(0x10), slot, network))),
        },
        "ratchet": ratchet,
    })
}

pub(crate) fn topics(network: &NetworkId) -> Value {
    let root = Root::new(Slot(500_000), counting(0x20));
    let topics: Vec<Value> = (0..LANES)
        .map(|lane| {
            let topic = ContentTopic::derive(&root, lane, network);
            json!({"lane": lane, "topic": topic.as_str()})
        })
        .collect();
    json!({
        "network": hex::encode(network.0),
        "root": hex::encode(root.expose()),
        "topics": topics,
    })
}

/// Where and when the cards of an account are.
pub(crate) fn cards(network: &NetworkId) -> Value {
    let secret = CardSecret::from_bytes(zeroize::Zeroizing::new(counting(0x60)));
    let periods: Vec<Value> = [0, 20_833, 20_834]
        .map(|period| {
            let roots = card_roots(secret.as_bytes(), period, Slot(0), network);
            json!({
                "period": period,
                "topic_root": hex::encode(roots.topic.expose()),
                "seal_root": hex::encode(roots.seal.expose()),
                "topic": card_topic(&secret, period, network).as_str(),
                "due_secs": card_time(&secret, period, network).secs(),
            })
        })
        .into();
    json!({
        "network": hex::encode(network.0),
        "secret": hex::encode(secret.as_bytes()),
        "periods": periods,
    })
}

pub(crate) fn envelopes() -> Value {
    let params = NetworkParams::public();
    let network = params.id();
    let now = Timestamp(1_800_000_123_456);
    let slot = Slot::at(now, params.slot_secs);
    let roots =
        Roots { topic: Root::new(slot, counting(0x20)), seal: Root::new(slot, counting(0x40)) };
    let sealed: Vec<Value> = [
        (1u8, SizeClass::Fit, Frame::new(FrameKind::Message, vec![7; 40])),
        (3, SizeClass::Doorbell, Frame::new(FrameKind::Doorbell, vec![8; 40])),
    ]
    .into_iter()
    .map(|(lane, class, frame)| {
        let frame = frame.encode();
        let mut rng = ChaCha20Rng::from_seed([lane; 32]);
        let envelope = seal(&mut rng, &roots, lane, &frame, class, now, &params).expect("it seals");
        json!({
            "lane": lane,
            "class": envelope.payload.len(),
            "now_ms": now.millis(),
            "frame": hex::encode(&frame),
            "nonce": hex::encode(&envelope.payload[..24]),
            "topic": envelope.topic.as_str(),
            "payload": hex::encode(&envelope.payload),
            "timestamp_ms": envelope.timestamp.millis(),
        })
    })
    .collect();
    let sizes = [0, 1, 468, 469, 980, 981, 65_492, 65_493, max_frame()];
    json!({
        "network": hex::encode(network.0),
        "slot_secs": params.slot_secs,
        "slot": slot.0,
        "topic_root": hex::encode(roots.topic.expose()),
        "seal_root": hex::encode(roots.seal.expose()),
        "key_derivation": "expand(seal_root, \"waku-chat/1 envelope\", network, [])",
        "sealed": sealed,
        "classes": sizes.map(|size| {
            json!({"frame": size, "class": class_for(size).expect("it fits")})
        }),
    })
}
