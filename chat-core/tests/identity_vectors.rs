//! The test vectors of identity and contact, `docs/vectors/identity.json`: made anew from fixed
//! inputs and compared, and read back as a second implementation would read them.
//!
//! `UPDATE_VECTORS=1` writes the file.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use chat_core::contact::{
    Card, CardContent, CardKeyPackage, ContactLink, DoorbellContent, InboxKey, InboxPublic,
    Invitation, InvitationOffer, Purpose, answer, ring,
};
use chat_core::identity::{
    Author, Credential, Entry, EntryBody, EntrySigner, InstallationKey, LeaveWish, Log,
    RecoveryPhrase,
};
use chat_core::ids::{AccountId, EntryHash, EpochId, GroupId, InstallationId, ItemHash};
use chat_core::params::{KEY_PACKAGE_USE, NetworkId, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors/identity.json")
}

fn stored() -> Value {
    serde_json::from_slice(&std::fs::read(path()).unwrap()).unwrap()
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

fn installation(byte: u8) -> InstallationKey {
    InstallationKey::from_bytes(Zeroizing::new([byte; 32]))
}

fn entry_json(name: &str, entry: &Entry) -> Value {
    let (kind, last_valid) = match entry.body() {
        EntryBody::Create { .. } => ("create", None),
        EntryBody::Add { .. } => ("add", None),
        EntryBody::Revoke { last_valid, .. } => ("revoke", *last_valid),
        EntryBody::Checkpoint { .. } => ("checkpoint", None),
    };
    json!({
        "name": name,
        "kind": kind,
        "author": match entry.author() {
            Author::Account => "account".to_string(),
            Author::Installation(id) => hex::encode(id.0),
        },
        "installation": hex::encode(entry.body().installation().0),
        "parents": entry.parents().iter().map(|p| hex::encode(p.0)).collect::<Vec<_>>(),
        "last_valid": last_valid.map(|h| hex::encode(h.0)),
        "depth": entry.depth(),
        "issued_at": entry.issued_at().0,
        "encoded": hex::encode(entry.encode()),
        "hash": hex::encode(entry.hash().0),
    })
}

/// All vectors, from fixed secrets.
fn build() -> Value {
    let network = network();
    let phrase = RecoveryPhrase::parse(&format!("{}art", "abandon ".repeat(23))).unwrap();
    let account = phrase.account_key();
    let [first, second, third] = [1, 2, 3].map(installation);

    // The first adds the second, which adds the third and is then taken out; what it did until
    // then counts.
    let mut log = Log::new(account.id(), network);
    let mut entries = Vec::new();
    let mut take = |log: &mut Log, name: &str, entry: Entry| {
        entries.push(entry_json(name, &entry));
        log.insert(entry).unwrap();
        json!({ "after": name, "head": hex::encode(log.head().0) })
    };
    let proof = |key: &InstallationKey| key.prove_possession(&account.id(), &network);
    let entry = log.create(&account, &first, NOW).unwrap();
    let mut heads = vec![take(&mut log, "create first", entry)];
    let by_first = EntrySigner::Installation(&first);
    let by_second = EntrySigner::Installation(&second);
    let entry = log.add(by_first, second.id(), proof(&second), NOW).unwrap();
    heads.push(take(&mut log, "add second", entry));
    let entry = log.add(by_second, third.id(), proof(&third), NOW).unwrap();
    let last = entry.hash();
    heads.push(take(&mut log, "add third", entry));
    let entry = log.revoke(by_first, second.id(), Some(last), NOW).unwrap();
    heads.push(take(&mut log, "revoke second", entry));
    let state = log.state();
    let active: Vec<Value> = state
        .active
        .iter()
        .map(|(id, info)| json!({ "installation": hex::encode(id.0), "seniority": info.seniority }))
        .collect();

    // The same log, compacted by the first, and once more by the account key.
    let mut short = log.clone();
    let compacted: Vec<Value> = [by_first, EntrySigner::Account(&account)]
        .into_iter()
        .map(|signer| {
            let entry = short.checkpoint(signer, NOW).unwrap();
            let described = entry_json("checkpoint", &entry);
            short.insert(entry).unwrap();
            json!({
                "checkpoint": described,
                "encoded": hex::encode(short.encode()),
                "head": hex::encode(short.head().0),
            })
        })
        .collect();

    let credential = Credential::for_installation(&log, &third.id()).unwrap();
    let inbox = InboxKey::from_secret(&[0x21; 32], NOW);
    let content = CardContent {
        log: log.clone(),
        counter: Card::counter_at(NOW),
        inbox: InboxPublic { key: inbox.public(), usable_until: inbox.usable_until() },
        key_packages: vec![CardKeyPackage {
            installation: first.id(),
            usable_until: NOW + KEY_PACKAGE_USE,
            bytes: b"an MLS key package".to_vec(),
        }],
    };
    let card = Card::sign(content, &first).unwrap();
    let secret = phrase.card_secret();
    let bare = ContactLink { account: account.id(), secret: secret.clone(), card: None };
    let full = ContactLink { card: Some(card.clone()), ..bare.clone() };

    let wish = LeaveWish {
        group: GroupId([0x31; 32]),
        installation: first.id(),
        membership_start: EpochId([0x32; 32]),
        last_seq: 7,
        last_hash: Some(ItemHash([0x33; 32])),
    };
    let second_inbox = InboxKey::from_secret(&[0x22; 32], NOW);
    let stranger = InboxKey::from_secret(&[0x23; 32], NOW);
    let offer = InvitationOffer {
        secret: Zeroizing::new([0x41; 32]),
        slot: Slot(500_000),
        group_name: "Hill walkers ⛰".into(),
    };
    let content = DoorbellContent {
        inviter: Credential::for_installation(&log, &first.id()).unwrap(),
        purpose: Purpose::Invitation(offer),
    };
    let doorbell = ring(
        &mut ChaCha20Rng::seed_from_u64(1),
        &network,
        &[inbox.public(), second_inbox.public()],
        &content,
        &first,
    )
    .unwrap();
    let opened = answer(&doorbell, &[second_inbox], &network).unwrap().unwrap();
    let invitation = Invitation { welcome: b"a Welcome".to_vec(), tree: Some(b"a tree".to_vec()) };

    let keys: Vec<Value> = [&first, &second, &third]
        .map(|key| {
            json!({
                "secret": hex::encode(*key.to_bytes()),
                "public": hex::encode(key.id().0),
                "possession": hex::encode(proof(key)),
            })
        })
        .into();
    json!({
        "about": "Test vectors for docs/protocol/identity.md. Byte strings are hexadecimal.",
        "network": hex::encode(network.0),
        "now": NOW.0,
        "phrase": {
            "words": *phrase.words(),
            "account": account.id().to_string(),
            "account_hex": hex::encode(account.id().0),
            "card_secret": hex::encode(secret.as_bytes()),
        },
        "installations": keys,
        "log": {
            "entries": entries,
            "heads": heads,
            "compacted": compacted,
            "active": active,
            "revoked": state.revoked.keys().map(|id| hex::encode(id.0)).collect::<Vec<_>>(),
            "encoded": hex::encode(log.encode()),
        },
        "credential": {
            "installation": hex::encode(third.id().0),
            "seniority": 2,
            "log_head": hex::encode(log.head().0),
            "encoded": hex::encode(credential.encode()),
        },
        "card": {
            "counter": card.content().counter,
            "signer": hex::encode(first.id().0),
            "inbox_secret": hex::encode(*inbox.secret()),
            "inbox_public": hex::encode(inbox.public()),
            "inbox_until": inbox.usable_until().0,
            "key_package": hex::encode(&card.content().key_packages[0].bytes),
            "key_package_until": card.content().key_packages[0].usable_until.0,
            "encoded": hex::encode(card.encode()),
        },
        "link": {
            "without_card": *bare.to_text(&network).unwrap(),
            "with_card": *full.to_text(&network).unwrap(),
        },
        "leave": {
            "group": hex::encode(wish.group.0),
            "installation": hex::encode(wish.installation.0),
            "membership_start": hex::encode(wish.membership_start.0),
            "last_seq": wish.last_seq,
            "last_hash": hex::encode([0x33; 32]),
            "encoded": hex::encode(wish.sign(&first, &network)),
        },
        "doorbell": {
            "body": hex::encode(&doorbell),
            "recipient_secrets": [hex::encode([0x21; 32]), hex::encode([0x22; 32])],
            "stranger_secret": hex::encode(*stranger.secret()),
            "inviter": hex::encode(opened.inviter.installation.0),
            "request": hex::encode(opened.id.0),
            "secret": hex::encode([0x41; 32]),
            "slot": 500_000,
            "group_name": "Hill walkers ⛰",
        },
        "invitation": {
            "welcome": hex::encode(&invitation.welcome),
            "tree": hex::encode(b"a tree"),
            "encoded": hex::encode(invitation.encode().unwrap()),
        },
    })
}

#[test]
fn the_file_is_what_this_version_makes() {
    let built = build();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let mut text = serde_json::to_string_pretty(&built).unwrap();
        text.push('\n');
        std::fs::write(path(), text).unwrap();
    }
    assert_eq!(stored(), built, "UPDATE_VECTORS=1 writes the file anew");
}

#[test]
fn the_phrase_gives_the_account() {
    let all = stored();
    let phrase = RecoveryPhrase::parse(all["phrase"]["words"].as_str().unwrap()).unwrap();
    let id = phrase.account_key().id();
    assert_eq!(id.to_string(), all["phrase"]["account"].as_str().unwrap());
    assert_eq!(id.0, array_of(&all["phrase"]["account_hex"]));
    assert_eq!(*phrase.card_secret().as_bytes(), array_of::<32>(&all["phrase"]["card_secret"]));
}

#[test]
fn the_entries_make_the_log() {
    let all = stored();
    let account = AccountId(array_of(&all["phrase"]["account_hex"]));
    let network = NetworkId(array_of(&all["network"]));
    let mut log = Log::new(account, network);
    let entries = all["log"]["entries"].as_array().unwrap();
    let heads = all["log"]["heads"].as_array().unwrap();
    for (entry, head) in entries.iter().zip(heads) {
        let read = Entry::decode(&hex_of(&entry["encoded"]), &account, &network).unwrap();
        assert_eq!(read.hash().0, array_of(&entry["hash"]));
        assert_eq!(u64::from(read.depth()), entry["depth"].as_u64().unwrap());
        assert_eq!(read.body().installation().0, array_of(&entry["installation"]));
        log.insert(read).unwrap();
        assert_eq!(log.head().0, array_of(&head["head"]));
    }
    let active: Vec<(InstallationId, u64)> = all["log"]["active"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (InstallationId(array_of(&a["installation"])), a["seniority"].as_u64().unwrap()))
        .collect();
    let state = log.state();
    let found: Vec<(InstallationId, u64)> =
        state.active.iter().map(|(id, info)| (*id, info.seniority.into())).collect();
    assert_eq!(found, active);
    assert_eq!(Log::decode(&hex_of(&all["log"]["encoded"]), &network).unwrap(), log);
}

#[test]
fn the_checkpoints_compact_the_log() {
    let all = stored();
    let network = NetworkId(array_of(&all["network"]));
    let account = AccountId(array_of(&all["phrase"]["account_hex"]));
    let mut log = Log::decode(&hex_of(&all["log"]["encoded"]), &network).unwrap();
    let active = log.state().active.clone();
    for step in all["log"]["compacted"].as_array().unwrap() {
        let checkpoint = hex_of(&step["checkpoint"]["encoded"]);
        let checkpoint = Entry::decode(&checkpoint, &account, &network).unwrap();
        assert_eq!(checkpoint.hash().0, array_of(&step["checkpoint"]["hash"]));
        log.insert(checkpoint).unwrap();
        assert_eq!(log.head().0, array_of(&step["head"]));
        assert_eq!(log.state().active, active);
        let read = Log::decode(&hex_of(&step["encoded"]), &network).unwrap();
        assert_eq!((read.head(), read.state()), (log.head(), log.state()));
    }
}

#[test]
fn credential_card_and_link_are_read() {
    let all = stored();
    let network = NetworkId(array_of(&all["network"]));
    let account = AccountId(array_of(&all["phrase"]["account_hex"]));
    let c = &all["credential"];
    let key = hex_of(&c["installation"]);
    let member = Credential::decode_and_verify(&hex_of(&c["encoded"]), &key, &network).unwrap();
    assert_eq!((member.account, member.installation.0.to_vec()), (account, key));
    assert_eq!(u64::from(member.seniority), c["seniority"].as_u64().unwrap());
    assert_eq!(member.log_head, EntryHash(array_of(&c["log_head"])));

    let card = Card::decode_and_verify(&hex_of(&all["card"]["encoded"]), &network, NOW).unwrap();
    assert_eq!(card.content().inbox.key, array_of(&all["card"]["inbox_public"]));
    assert_eq!(card.signer().0, array_of(&all["card"]["signer"]));
    let parse = |name: &str| {
        ContactLink::parse(all["link"][name].as_str().unwrap(), &network, NOW).unwrap()
    };
    let (bare, full) = (parse("without_card"), parse("with_card"));
    assert_eq!((bare.account, full.account), (account, account));
    assert_eq!(*bare.secret.as_bytes(), array_of::<32>(&all["phrase"]["card_secret"]));
    assert_eq!((bare.card, full.card), (None, Some(card)));
}

#[test]
fn wish_doorbell_and_invitation_are_read() {
    let all = stored();
    let network = NetworkId(array_of(&all["network"]));
    let l = &all["leave"];
    let wish = LeaveWish::decode_and_verify(&hex_of(&l["encoded"]), &network).unwrap();
    assert_eq!(wish.group.0, array_of(&l["group"]));
    assert_eq!(wish.installation.0, array_of(&l["installation"]));
    assert_eq!(wish.membership_start.0, array_of(&l["membership_start"]));
    assert_eq!(wish.last_hash, Some(ItemHash(array_of(&l["last_hash"]))));

    let d = &all["doorbell"];
    let body = hex_of(&d["body"]);
    let key = |secret: &Value| InboxKey::from_secret(&array_of(secret), NOW);
    for secret in d["recipient_secrets"].as_array().unwrap() {
        let doorbell = answer(&body, &[key(secret)], &network).unwrap().unwrap();
        assert_eq!(doorbell.id.0, array_of(&d["request"]));
        assert_eq!(doorbell.inviter.installation.0, array_of(&d["inviter"]));
        let Purpose::Invitation(offer) = doorbell.purpose else { panic!("another purpose") };
        assert_eq!(*offer.secret, array_of::<32>(&d["secret"]));
        assert_eq!(offer.slot.0, d["slot"].as_u64().unwrap());
        assert_eq!(offer.group_name, d["group_name"].as_str().unwrap());
    }
    assert_eq!(answer(&body, &[key(&d["stranger_secret"])], &network), Ok(None));

    let i = &all["invitation"];
    let invitation = Invitation::decode(&hex_of(&i["encoded"])).unwrap();
    assert_eq!(invitation.welcome, hex_of(&i["welcome"]));
    assert_eq!(invitation.tree, Some(hex_of(&i["tree"])));
}
