//! The test vectors of docs/vectors/wire.json, held equal to the code.
//!
//! `UPDATE_VECTORS=1 cargo test -p chat-core --test vectors` writes the file anew. A change of a
//! vector is a change of the protocol: members of the old and the new do not understand each other.

mod inside;
mod mls;
mod outside;

use std::path::PathBuf;

use chat_core::ids::ItemHash;
use chat_core::params::{NetworkId, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::chain::{ChainLink, HeadRef};
use chat_core::wire::content::{Body, Content};
use chat_core::wire::envelope::{EnvelopeKey, check_timestamp, class_for, open};
use chat_core::wire::frame::{Frame, FrameKind};
use chat_core::wire::header::CommitHeader;
use chat_core::wire::item::{commit_id, item_hash, message_hash};
use chat_core::wire::roots::Root;
use chat_core::wire::topic::ContentTopic;
use serde_json::{Value, json};

use inside::{contents, frames, headers, sample_contents, sample_headers};
use mls::{group, items, mls_messages, provider};
use outside::{cards, derivations, envelopes, networks, roots, topics};

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
            salt: [9; 16],
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
