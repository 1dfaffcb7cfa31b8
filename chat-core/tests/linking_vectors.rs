//! The test vectors of linking, `docs/vectors/linking.json`: made anew from fixed inputs and
//! compared, and read back as a second implementation would read them.
//!
//! `UPDATE_VECTORS=1` writes the file.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use chat_core::contact::CardSecret;
use chat_core::identity::linking::info;
use chat_core::identity::linking::{
    Admission, Arrival, EndCode, Ending, Grant, Introduction, LinkingAnswer, LinkingCode,
    LinkingKey, LinkingString, Reveal, Sealed, Step, Transcript, commitment, seal,
};
use chat_core::identity::log::EntrySigner;
use chat_core::identity::{InstallationKey, Log, RecoveryPhrase};
use chat_core::params::{NetworkId, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::roots::linking_roots;
use chat_core::wire::topic::lanes;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_800_000_123_000);

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors/linking.json")
}

fn network() -> NetworkId {
    NetworkParams::public().id()
}

fn hex_of(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array_of<const N: usize>(value: &Value) -> [u8; N] {
    hex_of(value).try_into().unwrap()
}

fn key(byte: u8) -> LinkingKey {
    LinkingKey::from_secret(&[byte; 32])
}

fn installation(byte: u8) -> InstallationKey {
    InstallationKey::from_bytes(Zeroizing::new([byte; 32]))
}

/// All vectors, from fixed secrets.
fn build() -> Value {
    let network = network();
    let slot_secs = NetworkParams::public().slot_secs;
    let (newcomer, grantor) = (key(0x61), key(0x62));
    let code = LinkingCode::from_parts(NOW, Zeroizing::new([0x63; 32]), newcomer.public());
    let phrase = RecoveryPhrase::parse(&format!("{}art", "abandon ".repeat(23))).unwrap();
    let account = phrase.account_key();
    let (old, new) = (installation(1), installation(2));
    let mut log = Log::new(account.id(), network);
    log.insert(log.create(&account, &old, NOW).unwrap()).unwrap();
    let possession = new.prove_possession(&account.id(), &network);
    let added = log.add(EntrySigner::Installation(&old), new.id(), possession, NOW).unwrap();
    log.insert(added).unwrap();

    let nonce = [0x64; 32];
    let answer = LinkingAnswer {
        key: grantor.public(),
        account: account.id(),
        installation: old.id(),
        commitment: commitment(&nonce, &network),
    };
    let name = "Ada's tablet".to_string();
    let introduction = Introduction::new([0x65; 32], &new, name, &account.id(), &network);
    let card_secret = Zeroizing::new(*CardSecret::as_bytes(&phrase.card_secret()));
    let grant = Grant { log: log.encode(), card_secret };
    let said = [
        (Step::Answer, answer.encode()),
        (Step::Introduction, introduction.encode()),
        (Step::Reveal, Reveal { nonce }.encode()),
        (Step::Grant, grant.encode().to_vec()),
        (Step::Arrival, Arrival { key_package: b"an MLS key package".to_vec() }.encode()),
        (Step::Admission, Admission { invitation: b"an invitation".to_vec() }.encode()),
        (Step::Done, Vec::new()),
    ];
    let begin = code.transcript(&network);
    let mut so_far = begin;
    let mut string = None;
    let mut messages = Vec::new();
    let mut message = |step: Step, before: &Transcript, text: &[u8]| {
        let to = if step.by_grantor() { newcomer.public() } else { grantor.public() };
        let mut rng = ChaCha20Rng::from_seed([step as u8; 32]);
        let body = seal(&mut rng, &to, step, before, text, &network).unwrap();
        messages.push(json!({
            "step": step as u8,
            "by": if step.by_grantor() { "grantor" } else { "newcomer" },
            "before": hex::encode(before.as_bytes()),
            "info": hex::encode(info(step, before, &network)),
            "text": hex::encode(text),
            "after": hex::encode(before.then(step, text, &network).as_bytes()),
            "body": hex::encode(body),
        }));
    };
    let mut answered = begin;
    for (step, text) in &said {
        message(*step, &so_far, text);
        so_far = so_far.then(*step, text, &network);
        match step {
            Step::Answer => answered = so_far,
            Step::Introduction => {
                string = Some(LinkingString::derive(&so_far, &nonce, &network).to_string());
            }
            _ => {}
        }
    }
    let ending = Ending { code: EndCode::WrongString, answer: answered }.encode();
    message(Step::EndByGrantor, &begin, &ending);
    let ending = Ending { code: EndCode::AnsweredTwice, answer: answered }.encode();
    message(Step::EndByNewcomer, &begin, &ending);

    let first = Slot::at(NOW, slot_secs).previous();
    let roots: Vec<Value> = [0, 1, 2]
        .map(|steps| {
            let slot = Slot(first.0 + steps);
            let roots = linking_roots(code.secret(), first, &network).at(slot, &network).unwrap();
            let topics = lanes(&roots.topic, &network);
            json!({
                "slot": slot.0,
                "topic_root": hex::encode(roots.topic.expose()),
                "seal_root": hex::encode(roots.seal.expose()),
                "topics": topics.map(|topic| topic.to_string()),
            })
        })
        .into();
    let text = code.to_text(&network).to_string();
    let mut changed = text.clone();
    changed.replace_range(60..61, if &text[60..61] == "A" { "B" } else { "A" });
    let other = code.to_text(&NetworkParams::fast().id()).to_string();
    json!({
        "about": "Test vectors of linking a device; docs/protocol/linking.md explains them. Bytes \
                  are in hexadecimal.",
        "network": hex::encode(network.0),
        "slot_secs": slot_secs,
        "code": {
            "made_at_secs": NOW.secs(),
            "secret": hex::encode(code.secret()),
            "newcomer_secret_key": hex::encode(*newcomer.secret()),
            "newcomer_key": hex::encode(code.key()),
            "text": text,
            "id": hex::encode(code.id(&network).0),
            "refused": [
                {"why": "of another network", "text": other},
                {"why": "a character changed", "text": changed},
                {"why": "cut", "text": text[..144]},
                {"why": "another version", "text": text.replacen("/1/", "/2/", 1)},
                {"why": "a contact link", "text": text.replacen("LINK", "CONTACT", 1)},
            ],
        },
        "roots": roots,
        "commitment": {
            "nonce": hex::encode(nonce),
            "commitment": hex::encode(commitment(&nonce, &network)),
        },
        "grantor_secret_key": hex::encode(*grantor.secret()),
        "messages": messages,
        "string": string,
    })
}

fn file() -> Value {
    if std::env::var_os("UPDATE_VECTORS").is_some_and(|v| v == "1") {
        static WRITTEN: std::sync::Once = std::sync::Once::new();
        WRITTEN.call_once(|| {
            let text = serde_json::to_string_pretty(&build()).unwrap();
            std::fs::write(path(), text + "\n").unwrap();
        });
    }
    serde_json::from_slice(&std::fs::read(path()).unwrap()).unwrap()
}

#[test]
fn the_file_is_what_the_code_makes() {
    let (file, made) = (file(), build());
    for (section, value) in made.as_object().unwrap() {
        assert_eq!(&file[section], value, "section {section}");
    }
    assert_eq!(file, made);
}

#[test]
fn the_code_is_read_and_others_are_refused() {
    let file = file();
    let network = NetworkId(array_of(&file["network"]));
    let vector = &file["code"];
    let code = LinkingCode::parse(vector["text"].as_str().unwrap(), &network).unwrap();
    assert_eq!(code.made_at().secs(), vector["made_at_secs"].as_u64().unwrap());
    assert_eq!(code.secret(), &array_of(&vector["secret"]));
    assert_eq!(code.key(), &array_of(&vector["newcomer_key"]));
    assert_eq!(code.id(&network).0, array_of(&vector["id"]));
    let refused = vector["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 5);
    for bad in refused {
        let text = bad["text"].as_str().unwrap();
        assert_ne!(text, vector["text"].as_str().unwrap(), "{bad}");
        assert!(LinkingCode::parse(text, &network).is_err(), "{bad}");
    }
}

#[test]
fn the_messages_open_and_give_the_string() {
    let file = file();
    let network = NetworkId(array_of(&file["network"]));
    let code = LinkingCode::parse(file["code"]["text"].as_str().unwrap(), &network).unwrap();
    let newcomer = LinkingKey::from_secret(&array_of(&file["code"]["newcomer_secret_key"]));
    let grantor = LinkingKey::from_secret(&array_of(&file["grantor_secret_key"]));
    let begin = code.transcript(&network);
    let mut so_far = begin;
    let mut introduced = begin;
    let mut answer = None;
    for message in file["messages"].as_array().unwrap() {
        let sealed = Sealed::decode(&hex_of(&message["body"])).unwrap();
        assert_eq!(u64::from(sealed.step as u8), message["step"].as_u64().unwrap());
        let ends = matches!(sealed.step, Step::EndByGrantor | Step::EndByNewcomer);
        let before = if ends { begin } else { so_far };
        assert_eq!(before.as_bytes(), &array_of(&message["before"]));
        let key = if sealed.step.by_grantor() { &newcomer } else { &grantor };
        let text = sealed.open(key, &before, &network).unwrap();
        assert_eq!(*text, hex_of(&message["text"]));
        if ends {
            let ending = Ending::decode(&text).unwrap();
            assert_eq!(Some(ending.answer), answer.as_ref().map(|(_, answered)| *answered));
            continue;
        }
        so_far = so_far.then(sealed.step, &text, &network);
        match sealed.step {
            Step::Answer => answer = Some((LinkingAnswer::decode(&text).unwrap(), so_far)),
            Step::Introduction => {
                let account = answer.as_ref().unwrap().0.account;
                Introduction::decode_and_verify(&text, &account, &network).unwrap();
                introduced = so_far;
            }
            Step::Reveal => {
                let nonce = Reveal::decode(&text).unwrap().nonce;
                let committed = answer.as_ref().unwrap().0.commitment;
                assert_eq!(commitment(&nonce, &network), committed);
                let string = LinkingString::derive(&introduced, &nonce, &network);
                assert_eq!(string.to_string(), file["string"].as_str().unwrap());
                assert_eq!(LinkingString::parse(file["string"].as_str().unwrap()), Ok(string));
            }
            Step::Grant => {
                let log = Log::decode(&Grant::decode(&text).unwrap().log, &network).unwrap();
                assert_eq!(log.state().active.len(), 2);
            }
            _ => {}
        }
    }
}
