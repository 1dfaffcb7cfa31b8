//! The test vectors of docs/vectors/wire.json, held equal to the code.
//!
//! `UPDATE_VECTORS=1 cargo test -p chat-core --test vectors` writes the file anew. A change of a
//! vector is a change of the protocol: members of the old and the new do not understand each other.

use std::path::PathBuf;

use chat_core::contact::CardSecret;
use chat_core::contact::schedule::{card_time, card_topic};
use chat_core::group::crypto::{CIPHERSUITE, Provider, SharedRng};
use chat_core::group::rows::Rows;
use chat_core::ids::{InstallationId, IntentId, ItemHash};
use chat_core::params::{LANES, NetworkId, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::chain::{ChainLink, HeadRef};
use chat_core::wire::content::{Body, Content};
use chat_core::wire::envelope::{
    EnvelopeKey, SizeClass, check_timestamp, class_for, max_frame, open, seal,
};
use chat_core::wire::frame::{Frame, FrameKind, Segment};
use chat_core::wire::header::{CommitHeader, Cut, Warrant};
use chat_core::wire::item::{commit_id, epoch_id, item_hash, message_hash};
use chat_core::wire::labels::{self, Label};
use chat_core::wire::roots::{Root, Roots, card_roots, inbox_roots, invitation_roots};
use chat_core::wire::topic::ContentTopic;
use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::{
    BasicCredential, CredentialWithKey, LeafNodeParameters, MlsGroup, MlsGroupCreateConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

/// 32 bytes that count up from `first`.
fn counting(first: u8) -> [u8; 32] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/wire.json"))
}

fn read() -> Option<Value> {
    let text = std::fs::read_to_string(path()).ok()?;
    Some(serde_json::from_str(&text).expect("wire.json is JSON"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(value, key)).unwrap_or_else(|e| panic!("{key}: {e}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}"))
}

fn array<const N: usize>(value: &Value, key: &str) -> [u8; N] {
    bytes(value, key).try_into().expect("of the right size")
}

fn networks() -> Value {
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

fn derivations(network: &NetworkId) -> Value {
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

fn roots(network: &NetworkId) -> Value {
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

fn topics(network: &NetworkId) -> Value {
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
fn cards(network: &NetworkId) -> Value {
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

fn envelopes() -> Value {
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

fn frames() -> Value {
    let good: Vec<Value> = [
        Frame::commit([0xa1; 8], vec![1, 2, 3]),
        Frame::new(FrameKind::Message, vec![4, 5, 6]),
        Frame::new(FrameKind::Invitation, vec![7]),
        Frame::new(FrameKind::Card, vec![8]),
        Frame::new(FrameKind::Doorbell, vec![9]),
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
            refused("kind 7", vec![0x08, 1, 0x10, 7, 0x22, 1, 0]),
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

fn sample_contents() -> Vec<Content> {
    let at = Timestamp(1_800_000_123_456);
    [
        (Some(first()), Body::Text("Hello".into())),
        (Some(link(7)), Body::Text("Grüße an alle".into())),
        (Some(link(2)), Body::LeaveWish(vec![0x5a; 16])),
        (None, Body::Heartbeat),
        (Some(link(3)), Body::Sync(vec![0x0a, 0x02, 0x08, 0x63])),
        (Some(first()), Body::Unknown(9)),
    ]
    .map(|(chain, body)| Content { chain, sent_at: at, body })
    .into()
}

fn contents() -> Value {
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

fn sample_headers() -> Vec<CommitHeader> {
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

fn headers() -> Value {
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

struct Key(SigningKey);

impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// A real group of one member, set up as groups are where it matters for sizes.
fn group(provider: &Provider, key: &Key) -> MlsGroup {
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"vector".to_vec()).into(),
        signature_key: key.0.verifying_key().to_bytes().to_vec().into(),
    };
    let id = openmls::group::GroupId::from_slice(&counting(0x70));
    MlsGroup::new_with_group_id(provider, key, &config, id, credential).expect("a group")
}

fn provider() -> (Provider, Key) {
    let rng = SharedRng::new([1; 32]);
    let key = Key(SigningKey::from_bytes(&counting(1)));
    (Provider::new(&rng, Rows::default()), key)
}

/// A commit and an application message of a real group.
fn mls_messages() -> (Vec<u8>, Vec<u8>) {
    let (provider, key) = provider();
    let mut group = group(&provider, &key);
    group.set_aad(sample_headers()[1].encode());
    let commit =
        group.self_update(&provider, &key, LeafNodeParameters::default()).expect("a commit");
    let commit = commit.commit().to_bytes().expect("bytes");
    group.merge_pending_commit(&provider).expect("merged");
    group.set_aad(vec![]);
    let message =
        group.create_message(&provider, &key, &sample_contents()[1].encode()).expect("a message");
    (commit, message.to_bytes().expect("bytes"))
}

fn items(network: &NetworkId, commit: &[u8], message: &[u8]) -> Value {
    let epochs = [0x00, 0x30].map(|first| {
        let id = epoch_id(&counting(first), network);
        json!({
            "authenticator": hex::encode(counting(first)),
            "id": hex::encode(id.0),
            "text": id.to_string(),
        })
    });
    json!({
        "network": hex::encode(network.0),
        "epochs": epochs,
        "commit": {
            "mls_message": hex::encode(commit),
            "signed_from": 4,
            "signed_to": commit.len() - 66,
            "id": hex::encode(commit_id(commit, network).expect("a commit").0),
        },
        "message": {
            "mls_message": hex::encode(message),
            "hash": hex::encode(message_hash(message).expect("a message").0),
        },
        "other": {"bytes": "00", "hash": hex::encode(item_hash(&[0]).0)},
    })
}

fn vectors(commit: &[u8], message: &[u8]) -> Value {
    let network = NetworkParams::public().id();
    json!({
        "about": "Test vectors of the waku-chat protocol, version 1; docs/PROTOCOL.md explains \
                  them. Bytes are in hexadecimal.",
        "networks": networks(),
        "labels": derivations(&network),
        "roots": roots(&network),
        "topics": topics(&network),
        "cards": cards(&network),
        "envelopes": envelopes(),
        "frames": frames(),
        "contents": contents(),
        "headers": headers(),
        "items": items(&network, commit, message),
    })
}

/// The file; written anew first if the environment asks for it.
fn file() -> Value {
    if std::env::var_os("UPDATE_VECTORS").is_some_and(|v| v == "1") {
        static WRITTEN: std::sync::Once = std::sync::Once::new();
        WRITTEN.call_once(|| {
            // MLS messages hold fresh keys; those in the file stay as long as they are good.
            let kept = read().map(|file| {
                let items = &file["items"];
                (bytes(&items["commit"], "mls_message"), bytes(&items["message"], "mls_message"))
            });
            let (commit, message) = kept.unwrap_or_else(mls_messages);
            let text = serde_json::to_string_pretty(&vectors(&commit, &message)).expect("JSON");
            std::fs::create_dir_all(path().parent().expect("a parent")).expect("a folder");
            std::fs::write(path(), text + "\n").expect("wire.json is written");
        });
    }
    read().expect("docs/vectors/wire.json is there")
}

#[test]
fn the_file_is_what_the_code_makes() {
    let file = file();
    let commit = bytes(&file["items"]["commit"], "mls_message");
    let message = bytes(&file["items"]["message"], "mls_message");
    let made = vectors(&commit, &message);
    for (section, value) in made.as_object().expect("an object") {
        assert_eq!(&file[section], value, "section {section}");
    }
    assert_eq!(file, made);
}

#[test]
fn envelopes_open() {
    let file = file();
    let part = &file["envelopes"];
    let network = NetworkId(array(part, "network"));
    let slot = Slot(part["slot"].as_u64().expect("a slot"));
    let slot_secs = part["slot_secs"].as_u64().expect("a length");
    let key = EnvelopeKey::derive(&Root::new(slot, array(part, "seal_root")), &network);
    let sealed = list(part, "sealed");
    assert_eq!(sealed.len(), 2);
    for envelope in sealed {
        let topic = ContentTopic::parse(text(envelope, "topic")).expect("a topic");
        let frame = open(&key, &topic, &bytes(envelope, "payload")).expect("it opens");
        assert_eq!(frame, bytes(envelope, "frame"));
        assert!(Frame::decode(&frame).is_ok());
        let timestamp = Timestamp(envelope["timestamp_ms"].as_u64().expect("a time"));
        assert_eq!(check_timestamp(timestamp, slot, slot_secs), Ok(()));
    }
}

#[test]
fn what_is_good_is_read_and_what_is_bad_is_refused() {
    let file = file();
    for frame in list(&file["frames"], "frames") {
        let read = Frame::decode(&bytes(frame, "encoded")).expect("a frame");
        assert_eq!(read.body, bytes(frame, "body"));
        assert_eq!(u64::from(read.kind as u32), frame["kind"]);
    }
    for frame in list(&file["frames"], "refused") {
        assert!(Frame::decode(&bytes(frame, "encoded")).is_err(), "{frame}");
    }
    let contents = list(&file["contents"], "contents");
    for (content, expected) in contents.iter().zip(sample_contents()) {
        assert_eq!(Content::decode(&bytes(content, "encoded")), Ok(expected));
    }
    for content in list(&file["contents"], "refused") {
        assert!(Content::decode(&bytes(content, "encoded")).is_err(), "{content}");
    }
    let headers = list(&file["headers"], "headers");
    for (header, expected) in headers.iter().zip(sample_headers()) {
        assert_eq!(CommitHeader::decode(&bytes(header, "encoded")), Ok(expected));
    }
    for header in list(&file["headers"], "refused") {
        assert!(CommitHeader::decode(&bytes(header, "encoded")).is_err(), "{header}");
    }
}

#[test]
fn real_mls_messages_have_names() {
    let network = NetworkParams::fast().id();
    let (commit, message) = mls_messages();
    let id = commit_id(&commit, &network).expect("a commit");
    // The tags are not signed, and do not change the name; all else does.
    for at in [0, 40, commit.len() - 67, commit.len() - 40, commit.len() - 1] {
        let mut variant = commit.clone();
        variant[at] ^= 1;
        let same = commit_id(&variant, &network) == Ok(id);
        assert_eq!(same, at > commit.len() - 66, "byte {at}");
    }
    assert_eq!(message_hash(&message), Ok(item_hash(&message)));
    assert!(commit_id(&message, &network).is_err());
    assert!(message_hash(&commit).is_err());
    let view = chat_core::wire::item::CommitView::parse(&commit).expect("a commit");
    let header = CommitHeader::decode(view.authenticated_data);
    assert_eq!(header.as_ref(), Ok(&sample_headers()[1]));
}

#[test]
fn a_hundred_characters_with_eight_heads_are_one_small_envelope() {
    let (provider, key) = provider();
    let mut group = group(&provider, &key);
    for epoch in [None, Some([0xe1; 8])] {
        let content = Content {
            chain: Some(ChainLink {
                seq: 16_000,
                previous: Some(ItemHash([7; 32])),
                prev_in_epoch: Some(15_999),
                heads: (0..8)
                    .map(|leaf| HeadRef { leaf, epoch, seq: 16_000, hash: [1; 8] })
                    .collect(),
            }),
            sent_at: Timestamp(1_800_000_123_456),
            body: Body::Text("a".repeat(100)),
        };
        let message = group
            .create_message(&provider, &key, &content.encode())
            .expect("a message")
            .to_bytes()
            .expect("bytes");
        let frame = Frame::new(FrameKind::Message, message).encode();
        assert_eq!(class_for(frame.len()), Ok(512), "{} bytes", frame.len());
    }
}
