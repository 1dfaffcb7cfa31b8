//! Every parser of bytes or text that come from somebody else.
#![no_main]

use chat_core::contact::card::Card;
use chat_core::contact::doorbell;
use chat_core::contact::inbox::InboxKey;
use chat_core::contact::invitation::Invitation;
use chat_core::contact::link::ContactLink;
use chat_core::random::SharedRng;
use chat_core::group::join_info::JoinInfo;
use chat_core::group::mls::read_message;
use chat_core::group::package::read_package;
use chat_core::group::policy::GroupPolicy;
use chat_core::identity::RecoveryPhrase;
use chat_core::identity::credential::Credential;
use chat_core::identity::leave::LeaveWish;
use chat_core::identity::log::Log;
use chat_core::ids::{AccountId, GroupId};
use chat_core::params::{NetworkId, NetworkParams};
use chat_core::time::Timestamp;
use chat_core::wire::chain::ChainLink;
use chat_core::wire::content::{Body, Content};
use chat_core::wire::frame::Frame;
use chat_core::wire::header::CommitHeader;
use chat_core::wire::item::{CommitView, MessageView, commit_id, message_hash};
use chat_core::wire::topic::ContentTopic;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn wire(data: &[u8]) {
    if let Ok(frame) = Frame::decode(data) {
        assert_eq!(Frame::decode(&frame.encode()).as_ref(), Ok(&frame));
        items(&frame.body);
        let _ = Invitation::decode(&frame.body);
    }
    if let Ok(link) = ChainLink::decode(data) {
        assert_eq!(ChainLink::decode(&link.encode()).as_ref(), Ok(&link));
    }
    if let Ok(header) = CommitHeader::decode(data) {
        assert_eq!(CommitHeader::decode(&header.encode()).as_ref(), Ok(&header));
    }
    match Content::decode(data) {
        // What a later version says is not kept, so it cannot be said again.
        Ok(content) if !matches!(content.body, Body::Unknown(_) | Body::Heartbeat) => {
            assert_eq!(Content::decode(&content.encode()).as_ref(), Ok(&content));
        }
        _ => {}
    }
}

fn items(data: &[u8]) {
    let network = NetworkParams::public().id();
    let _ = CommitView::parse(data);
    let _ = MessageView::parse(data);
    let _ = commit_id(data, &network);
    let _ = message_hash(data);
    let _ = read_message(data, &GroupId([1; 32]));
    let _ = read_package(data, &SharedRng::new([1; 32]), &network);
}

fn groups(data: &[u8]) {
    if let Ok(policy) = GroupPolicy::decode(data) {
        assert_eq!(policy.encode().as_deref(), Ok(data), "one policy has one form");
    }
    if let Ok(info) = JoinInfo::decode(data) {
        assert!(JoinInfo::decode(&info.encode()).is_ok());
    }
    if let Ok(invitation) = Invitation::decode(data) {
        let bytes = invitation.encode().ok();
        assert_eq!(bytes.and_then(|bytes| Invitation::decode(&bytes).ok()), Some(invitation));
    }
}

fn identities(data: &[u8], network: &NetworkId) {
    if let Ok(log) = Log::decode(data, network) {
        assert_eq!(Log::decode(&log.encode(), network).map(|again| again.head()), Ok(log.head()));
    }
    let _ = Credential::decode_and_verify(data, &[1; 32], network);
    let _ = LeaveWish::decode_and_verify(data, network);
    let _ = Card::decode_stored(data, network);
    let _ = doorbell::answer(data, &[InboxKey::from_secret(&[1; 32], NOW)], network);
    let mut padded = data.to_vec();
    padded.resize(doorbell::DOORBELL_BODY_LEN, 0);
    let _ = doorbell::answer(&padded, &[InboxKey::from_secret(&[1; 32], NOW)], network);
}

fn texts(text: &str, network: &NetworkId) {
    let _ = ContentTopic::parse(text);
    let _ = ContactLink::parse(text, network, NOW);
    let _ = RecoveryPhrase::parse(text);
    let _ = text.parse::<AccountId>();
    let _ = text.parse::<GroupId>();
}

fuzz_target!(|data: &[u8]| {
    let network = NetworkParams::public().id();
    // The first byte chooses, so that a corpus for one parser does not weigh on the others.
    let Some((which, rest)) = data.split_first() else { return };
    match which % 5 {
        0 => wire(rest),
        1 => items(rest),
        2 => groups(rest),
        3 => identities(rest, &network),
        _ => texts(&String::from_utf8_lossy(rest), &network),
    }
});
