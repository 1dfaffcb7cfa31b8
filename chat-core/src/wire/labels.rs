//! Every derivation of the protocol: one list of labels, one encoding of their inputs.
//!
//! Inputs are length-prefixed, so that no two lists of inputs have the same bytes; the network id
//! is among them always, so that nothing made for one network means anything on another. Key
//! derivation is HKDF-SHA-256 (RFC 5869), hashes are SHA-256, signatures are Ed25519 over a
//! labelled hash input in the style of `SignWithLabel` (RFC 9420 §5.1.2).

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::params::NetworkId;

/// What a derived value is for. The text of each is part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// Root of the next slot from the root of this one.
    RootRatchet,
    /// Content topic of a slot and lane, from a topic root.
    Topic,
    /// Envelope key of a slot, from a sealing root.
    Envelope,
    /// Inbox (doorbell) root of a slot, from the network's id.
    InboxRoot,
    /// Topic root of an invitation, from its one-time secret.
    InvitationTopicRoot,
    /// Sealing root of an invitation, from its one-time secret.
    InvitationSealRoot,
    /// HPKE info of a doorbell's wraps.
    DoorbellWrap,
    /// Additional data of a doorbell's body.
    DoorbellBody,
    /// Signature of an inviter under a doorbell.
    DoorbellSignature,
    /// Account key from the recovery phrase.
    AccountKey,
    /// First card secret from the recovery phrase.
    CardSecret,
    /// Topic root of a card's period, from the card secret.
    CardTopicRoot,
    /// Sealing root of a card's period, from the card secret.
    CardSealRoot,
    /// Signature under a card.
    CardSignature,
    /// Signature of an entry of the installation log.
    LogEntrySignature,
    /// Hash of an entry of the installation log.
    LogEntry,
    /// Hash of the log's head.
    LogHead,
    /// Signature of an installation's wish to leave a group.
    LeaveSignature,
    /// Epoch id from an epoch authenticator.
    EpochId,
    /// Commit id from framed content and signature.
    CommitId,
    /// Tie-break between commits on one parent.
    ChooseTie,
    /// Request id from a doorbell.
    RequestId,
    /// MLS exporter label and context of a topic root.
    GroupTopicRoot,
    /// MLS exporter label and context of a sealing root.
    GroupSealRoot,
    /// Topic root of a linking, from the code's secret.
    LinkingTopicRoot,
    /// Sealing root of a linking, from the code's secret.
    LinkingSealRoot,
    /// HPKE info of a linking's messages.
    LinkingMessage,
    /// Hash over a linking's code and messages.
    LinkingTranscript,
    /// Commitment to a nonce of a linking.
    LinkingCommitment,
    /// The string that is read from one device and typed into the other.
    LinkingString,
    /// Time at which the card of a period is due, from the card secret.
    CardTime,
    /// Message id from the installation that sends it and a salt.
    MessageId,
}

impl Label {
    /// Every label, for tests and test vectors.
    pub const ALL: [Label; 32] = [
        Label::RootRatchet,
        Label::Topic,
        Label::Envelope,
        Label::InboxRoot,
        Label::InvitationTopicRoot,
        Label::InvitationSealRoot,
        Label::DoorbellWrap,
        Label::DoorbellBody,
        Label::DoorbellSignature,
        Label::AccountKey,
        Label::CardSecret,
        Label::CardTopicRoot,
        Label::CardSealRoot,
        Label::CardSignature,
        Label::LogEntrySignature,
        Label::LogEntry,
        Label::LogHead,
        Label::LeaveSignature,
        Label::EpochId,
        Label::CommitId,
        Label::ChooseTie,
        Label::RequestId,
        Label::GroupTopicRoot,
        Label::GroupSealRoot,
        Label::LinkingTopicRoot,
        Label::LinkingSealRoot,
        Label::LinkingMessage,
        Label::LinkingTranscript,
        Label::LinkingCommitment,
        Label::LinkingString,
        Label::CardTime,
        Label::MessageId,
    ];

    /// The text that goes into derivations.
    pub const fn text(self) -> &'static str {
        match self {
            Label::RootRatchet => "waku-chat/1 root ratchet",
            Label::Topic => "waku-chat/1 topic",
            Label::Envelope => "waku-chat/1 envelope",
            Label::InboxRoot => "waku-chat/1 inbox root",
            Label::InvitationTopicRoot => "waku-chat/1 invitation topic root",
            Label::InvitationSealRoot => "waku-chat/1 invitation seal root",
            Label::DoorbellWrap => "waku-chat/1 doorbell wrap",
            Label::DoorbellBody => "waku-chat/1 doorbell body",
            Label::DoorbellSignature => "waku-chat/1 doorbell signature",
            Label::AccountKey => "waku-chat/1 account key",
            Label::CardSecret => "waku-chat/1 card secret",
            Label::CardTopicRoot => "waku-chat/1 card topic root",
            Label::CardSealRoot => "waku-chat/1 card seal root",
            Label::CardSignature => "waku-chat/1 card signature",
            Label::LogEntrySignature => "waku-chat/1 log entry signature",
            Label::LogEntry => "waku-chat/1 log entry",
            Label::LogHead => "waku-chat/1 log head",
            Label::LeaveSignature => "waku-chat/1 leave signature",
            Label::EpochId => "waku-chat/1 epoch id",
            Label::CommitId => "waku-chat/1 commit id",
            Label::ChooseTie => "waku-chat/1 choose tie",
            Label::RequestId => "waku-chat/1 request id",
            Label::GroupTopicRoot => "waku-chat/1 group topic root",
            Label::GroupSealRoot => "waku-chat/1 group seal root",
            Label::LinkingTopicRoot => "waku-chat/1 linking topic root",
            Label::LinkingSealRoot => "waku-chat/1 linking seal root",
            Label::LinkingMessage => "waku-chat/1 linking message",
            Label::LinkingTranscript => "waku-chat/1 linking transcript",
            Label::LinkingCommitment => "waku-chat/1 linking commitment",
            Label::LinkingString => "waku-chat/1 linking string",
            Label::CardTime => "waku-chat/1 card time",
            Label::MessageId => "waku-chat/1 message id",
        }
    }
}

/// `label ‖ network ‖ parts`, each behind its length as a big-endian u64.
pub fn encode(label: Label, network: &NetworkId, parts: &[&[u8]]) -> Vec<u8> {
    let text = label.text().as_bytes();
    let size =
        8 * (2 + parts.len()) + text.len() + 32 + parts.iter().map(|p| p.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    for part in [text, network.as_bytes()].iter().chain(parts) {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// HKDF-Expand with `secret` as the pseudorandom key: `N` bytes (at most 8,160).
///
/// `secret` must be uniformly random, as every root and exported secret is.
pub fn expand<const N: usize>(
    secret: &[u8; 32],
    label: Label,
    network: &NetworkId,
    parts: &[&[u8]],
) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32) };
    let mut out = Zeroizing::new([0; N]);
    #[allow(clippy::expect_used)]
    Hkdf::<Sha256>::from_prk(secret)
        .expect("a pseudorandom key of 32 bytes is as long as the hash")
        .expand(&encode(label, network, parts), out.as_mut_slice())
        .expect("the length is bounded above at compile time");
    out
}

/// HKDF-Extract then Expand, for input that is secret but not uniform (a seed, a public id).
pub fn derive<const N: usize>(
    input: &[u8],
    label: Label,
    network: &NetworkId,
    parts: &[&[u8]],
) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32) };
    let mut out = Zeroizing::new([0; N]);
    #[allow(clippy::expect_used)]
    Hkdf::<Sha256>::new(None, input)
        .expand(&encode(label, network, parts), out.as_mut_slice())
        .expect("the length is bounded above at compile time");
    out
}

/// SHA-256 over the labelled parts.
pub fn hash(label: Label, network: &NetworkId, parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(encode(label, network, parts)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_differ() {
        let texts: BTreeSet<_> = Label::ALL.iter().map(|l| l.text()).collect();
        assert_eq!(texts.len(), Label::ALL.len());
    }

    #[test]
    fn parts_cannot_be_shifted() {
        let network = NetworkId([0; 32]);
        assert_ne!(
            hash(Label::Topic, &network, &[b"ab", b"c"]),
            hash(Label::Topic, &network, &[b"a", b"bc"])
        );
        assert_ne!(hash(Label::Topic, &network, &[]), hash(Label::Topic, &network, &[b""]));
    }

    #[test]
    fn the_network_separates() {
        let root = [9; 32];
        let a = expand::<32>(&root, Label::Topic, &NetworkId([0; 32]), &[]);
        let b = expand::<32>(&root, Label::Topic, &NetworkId([1; 32]), &[]);
        assert_ne!(a, b);
    }
}
