//! Vectors of what is inside an envelope: frames, contents of messages, headers of commits.

use chat_core::ids::{InstallationId, IntentId, ItemHash};
use chat_core::params::NetworkParams;
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::chain::{ChainLink, HeadRef};
use chat_core::wire::content::{Body, Content};
use chat_core::wire::frame::{Frame, FrameKind, Segment};
use chat_core::wire::header::{CommitHeader, Cut, Warrant};
use chat_core::wire::item::message_id;
use serde_json::{Value, json};

use crate::outside::counting;

pub(crate) fn frames() -> Value {
    let good: Vec<Value> = [
        Frame::commit([0xa1; 8], vec![1, 2, 3]),
        Frame::new(FrameKind::Message, vec![4, 5, 6]),
        Frame::new(FrameKind::Invitation, vec![7]),
        Frame::new(FrameKind::Card, vec![8]),
        Frame::new(FrameKind::Doorbell, vec![9]),
        Frame::new(FrameKind::Linking, vec![10]),
    ]
    .iter()
    .map(|frame| {
        json!({
            "kind": frame.kind as u32,
            "parent": frame.parent.map(hex::encode),
            "body": hex::encode(&frame.body),
            "encoded": hex::encode(frame.encode()),
        })
    })
    .collect();
    let mut segment = Frame::new(FrameKind::Segment, vec![1; 4]);
    segment.segment = Some(Segment {
        index: 1,
        count: 7,
        parity: 1,
        total: 800_000,
        merkle_root: counting(0),
        proof: counting(0x60).to_vec(),
    });
    let refused =
        |why: &str, encoded: Vec<u8>| json!({"why": why, "encoded": hex::encode(encoded)});
    json!({
        "frames": good,
        "refused": [
            refused("a segment, which version 1 does not put together", segment.encode()),
            refused("version 2", vec![0x08, 2, 0x10, 2, 0x22, 1, 0]),
            refused("no version", vec![0x10, 2, 0x22, 1, 0]),
            refused("kind 8", vec![0x08, 1, 0x10, 8, 0x22, 1, 0]),
            refused("a commit without a parent", vec![0x08, 1, 0x10, 1, 0x22, 1, 0]),
            refused("a message with a parent", vec![
                0x08, 1, 0x10, 2, 0x1a, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x22, 1, 0,
            ]),
            refused("a parent of seven bytes", vec![
                0x08, 1, 0x10, 1, 0x1a, 7, 0, 0, 0, 0, 0, 0, 0, 0x22, 1, 0,
            ]),
            refused("no body", vec![0x08, 1, 0x10, 2]),
            refused("the kind twice", vec![0x08, 1, 0x10, 2, 0x10, 2, 0x22, 1, 0]),
            refused("a body that ends too early", vec![0x08, 1, 0x10, 2, 0x22, 2, 0]),
        ],
    })
}

fn link(seq: u64) -> ChainLink {
    ChainLink {
        seq,
        previous: (seq > 1).then(|| ItemHash(counting(0x80))),
        prev_in_epoch: (seq > 2).then(|| seq - 2),
        heads: vec![
            HeadRef { leaf: 3, epoch: None, seq: 300, hash: [0x11; 8] },
            HeadRef { leaf: 200, epoch: Some([0xe1; 8]), seq: 1, hash: [0x12; 8] },
            HeadRef { leaf: 4, epoch: Some([0xe1; 8]), seq: 16_383, hash: [0x13; 8] },
            HeadRef { leaf: 4, epoch: Some([0xe2; 8]), seq: u64::MAX, hash: [0x14; 8] },
        ],
    }
}

fn first() -> ChainLink {
    ChainLink { seq: 1, ..ChainLink::default() }
}

fn chain_json(link: &ChainLink) -> Value {
    let heads: Vec<Value> = link
        .heads
        .iter()
        .map(|head| {
            json!({
                "leaf": head.leaf,
                "epoch": head.epoch.map(hex::encode),
                // As text: JSON numbers are not safe beyond 2^53.
                "seq": head.seq.to_string(),
                "hash": hex::encode(head.hash),
            })
        })
        .collect();
    json!({
        "seq": link.seq,
        "previous": link.previous.map(|hash| hex::encode(hash.0)),
        "prev_in_epoch": link.prev_in_epoch,
        "heads": heads,
    })
}

pub(crate) fn sample_contents() -> Vec<Content> {
    let at = Timestamp(1_800_000_123_456);
    [
        (Some(first()), Body::Text("Hello".into())),
        (Some(link(7)), Body::Text("Grüße an alle".into())),
        (Some(link(2)), Body::LeaveWish(vec![0x5a; 16])),
        (None, Body::Heartbeat),
        (Some(link(3)), Body::Sync(vec![0x0a, 0x02, 0x08, 0x63])),
        (Some(first()), Body::Unknown(9)),
    ]
    .map(|(chain, body)| {
        let salt = if chain.is_some() { [0x5a; 16] } else { [0; 16] };
        Content { chain, salt, sent_at: at, body }
    })
    .into()
}

pub(crate) fn contents() -> Value {
    let (network, sender) = (NetworkParams::fast().id(), InstallationId(counting(0x20)));
    let all: Vec<Value> = sample_contents()
        .iter()
        .map(|content| {
            let (kind, body) = match &content.body {
                Body::Text(text) => (1, text.as_bytes().to_vec()),
                Body::LeaveWish(statement) => (2, statement.clone()),
                Body::Heartbeat => (3, vec![]),
                Body::Sync(items) => (4, items.clone()),
                Body::Unknown(kind) => (*kind, vec![]),
            };
            json!({
                "chain": content.chain.as_ref().map(chain_json),
                "salt": hex::encode(content.salt),
                // Of the network "fast", sent by the installation that is given.
                "installation": hex::encode(sender.0),
                "message_id": hex::encode(message_id(&network, &sender, &content.salt).0),
                "sent_at_ms": content.sent_at.millis(),
                "kind": kind,
                "body": hex::encode(body),
                "encoded": hex::encode(content.encode()),
            })
        })
        .collect();
    let refused = |why: &str, encoded: &[u8]| json!({"why": why, "encoded": hex::encode(encoded)});
    json!({
        "contents": all,
        "refused": [
            refused("no kind", &[]),
            refused("a text that is not UTF-8", &[0x18, 1, 0x22, 1, 0xff]),
            refused("number 0", &[0x0a, 0, 0x18, 1]),
            refused("the number twice", &[0x0a, 4, 8, 1, 8, 2, 0x18, 1]),
            refused("number 1 with a number before it", &[0x0a, 4, 8, 1, 0x18, 1, 0x18, 1]),
            refused("heads with the unused code 3", &[
                0x0a, 16, 8, 1, 0x22, 12, 0, 3, 5, 7, 1, 1, 1, 1, 1, 1, 1, 1, 0x18, 1,
            ]),
            refused("heads with a number in two bytes where one would do", &[
                0x0a, 17, 8, 1, 0x22, 13, 0, 0, 5, 0x87, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0x18, 1,
            ]),
        ],
    })
}

pub(crate) fn sample_headers() -> Vec<CommitHeader> {
    vec![
        CommitHeader { chain: first(), slot: Slot(500_000), ..CommitHeader::default() },
        CommitHeader {
            chain: link(7),
            slot: Slot(500_001),
            rotate: true,
            intents: vec![IntentId([1; 16]), IntentId([2; 16])],
            warrants: vec![Warrant::Leave(vec![3; 8]), Warrant::Revoke(vec![4; 8])],
            cuts: vec![
                Cut {
                    installation: InstallationId(counting(0xa0)),
                    seq: 12,
                    hash: Some(ItemHash(counting(0xc0))),
                },
                Cut { installation: InstallationId(counting(0xb0)), seq: 0, hash: None },
            ],
        },
    ]
}

pub(crate) fn headers() -> Value {
    let all: Vec<Value> = sample_headers()
        .iter()
        .map(|header| {
            let warrants: Vec<Value> = header
                .warrants
                .iter()
                .map(|warrant| match warrant {
                    Warrant::Leave(statement) => {
                        json!({"kind": 1, "statement": hex::encode(statement)})
                    }
                    Warrant::Revoke(suffix) => json!({"kind": 2, "statement": hex::encode(suffix)}),
                })
                .collect();
            let cuts: Vec<Value> = header
                .cuts
                .iter()
                .map(|cut| {
                    json!({
                        "installation": hex::encode(cut.installation.0),
                        "seq": cut.seq,
                        "hash": cut.hash.map(|hash| hex::encode(hash.0)),
                    })
                })
                .collect();
            json!({
                "chain": chain_json(&header.chain),
                "slot": header.slot.0,
                "rotate": header.rotate,
                "intents": header.intents.iter().map(|id| hex::encode(id.0)).collect::<Vec<_>>(),
                "warrants": warrants,
                "cuts": cuts,
                "encoded": hex::encode(header.encode()),
            })
        })
        .collect();
    let chain: &[u8] = &[0x0a, 2, 8, 1];
    let refused = |why: &str, rest: &[u8]| json!({"why": why, "encoded": hex::encode([chain, rest].concat())});
    json!({
        "headers": all,
        "refused": [
            refused("a warrant of kind 3", &[0x2a, 2, 8, 3]),
            refused("half an intent", &[0x22, 1, 0]),
            refused("two chain links", chain),
            refused("a cut with a short installation", &[0x32, 3, 0x0a, 1, 0]),
        ],
    })
}
