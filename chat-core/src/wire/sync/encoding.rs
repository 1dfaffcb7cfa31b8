//! A body as bytes.

use prost::Message as _;
use zeroize::{Zeroize, Zeroizing};

use super::item::{RequestAnswer, SyncContact, SyncItem, TransferredMessage};
use crate::ids::{AccountId, EpochId, GroupId, InstallationId, MessageId, RequestId};
use crate::params::{ENVELOPE_MAX, MAX_NAME, MAX_TEXT};
use crate::time::Timestamp;
use crate::wire::proto::{self, ProtoError};

/// Largest body of a message between installations, in bytes: what an envelope holds, with room for
/// what MLS, chain and frame add.
pub const MAX_SYNC: usize = ENVELOPE_MAX - 2048;

/// Items in one body.
pub const MAX_SYNC_ITEMS: usize = 1024;

/// Why bytes are not a valid body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// Not protobuf of the expected shape, or a part is too large.
    #[error("malformed: {0}")]
    Malformed(#[from] ProtoError),
}

const FLAGGED: u32 = 1;

const LOG: u32 = 1;
const CONTACT: u32 = 2;
const INBOX_KEY: u32 = 3;
const KEY_PACKAGE: u32 = 4;
const NAME: u32 = 5;
const READ: u32 = 6;
const WELCOME: u32 = 7;
const ANSWER: u32 = 8;
const LEAVE: u32 = 9;
const MESSAGE: u32 = 10;
const PROGRESS: u32 = 11;
const WELCOME_BACK: u32 = 12;

const BLOCKED: u32 = 1;
const ACCEPTED: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct SyncProto {
    /// Messages, each read by itself.
    #[prost(bytes = "vec", repeated, tag = "1")]
    items: Vec<Vec<u8>>,
}

/// One shape for all items: what a kind has no use for is left out.
#[derive(Clone, PartialEq, prost::Message)]
struct ItemProto {
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// Account, installation, group or request.
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    /// When something was changed, made, or sent.
    #[prost(uint64, tag = "3")]
    at: u64,
    /// Secret of a contact or an inbox key; id of a message.
    #[prost(bytes = "vec", tag = "4")]
    value: Vec<u8>,
    /// Log, card, key package, invitation.
    #[prost(bytes = "vec", tag = "5")]
    body: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "6")]
    text: Option<Vec<u8>>,
    #[prost(uint32, tag = "7")]
    flags: u32,
    /// Of a message: sender, installation and epoch, 32 bytes each.
    #[prost(bytes = "vec", tag = "8")]
    origin: Vec<u8>,
    /// Of a message: for whom it is.
    #[prost(bytes = "vec", tag = "9")]
    to: Vec<u8>,
    #[prost(uint64, tag = "10")]
    number: u64,
}

/// The body that holds these items.
pub fn encode(items: &[SyncItem]) -> Zeroizing<Vec<u8>> {
    let mut proto = SyncProto { items: items.iter().map(SyncItem::encode).collect() };
    let bytes = Zeroizing::new(proto.encode_to_vec());
    proto.items.zeroize();
    bytes
}

/// Decodes a body.
///
/// # Errors
/// [`SyncError`]: malformed, or something in it is too large. Unknown kinds are not an error.
pub fn decode(bytes: &[u8]) -> Result<Vec<SyncItem>, SyncError> {
    proto::check(bytes, MAX_SYNC, &[(1, MAX_SYNC_ITEMS)])?;
    let mut proto = SyncProto::decode(bytes).map_err(ProtoError::from)?;
    let items = proto.items.iter().map(|bytes| SyncItem::decode(bytes)).collect();
    proto.items.zeroize();
    items
}

impl SyncItem {
    /// The bytes that it takes in a body, about.
    pub fn size(&self) -> usize {
        self.encode().len() + 4
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = ItemProto::default();
        match self {
            SyncItem::Log(log) => {
                out.kind = LOG;
                out.body = log.clone();
            }
            SyncItem::Contact(contact) => {
                out.kind = CONTACT;
                out.id = contact.account.map(|id| id.0.to_vec()).unwrap_or_default();
                out.at = contact.changed_at.0;
                out.value = contact.secret.as_ref().map(|s| s.to_vec()).unwrap_or_default();
                out.body = contact.card.clone().unwrap_or_default();
                out.text = contact.name.as_ref().map(|name| name.clone().into_bytes());
                out.flags = if contact.blocked { BLOCKED } else { 0 };
            }
            SyncItem::InboxKey { secret, made_at } => {
                out.kind = INBOX_KEY;
                out.value = secret.to_vec();
                out.at = made_at.0;
            }
            SyncItem::KeyPackage { usable_until, bytes } => {
                out.kind = KEY_PACKAGE;
                out.at = usable_until.0;
                out.body = bytes.clone();
            }
            SyncItem::Name { installation, name, changed_at } => {
                out.kind = NAME;
                out.id = installation.0.to_vec();
                out.text = Some(name.clone().into_bytes());
                out.at = changed_at.0;
            }
            SyncItem::Read { group, message, sent_at } => {
                out.kind = READ;
                out.id = group.0.to_vec();
                out.value = message.0.to_vec();
                out.at = sent_at.0;
            }
            SyncItem::Welcome(invitation) => {
                out.kind = WELCOME;
                out.body = invitation.clone();
            }
            SyncItem::WelcomeBack(invitation) => {
                out.kind = WELCOME_BACK;
                out.body = invitation.clone();
            }
            SyncItem::Answer { request, answer } => {
                out.kind = ANSWER;
                out.id = request.0.to_vec();
                out.flags = if *answer == RequestAnswer::Accept { ACCEPTED } else { 0 };
            }
            SyncItem::Leave { group } => {
                out.kind = LEAVE;
                out.id = group.0.to_vec();
            }
            SyncItem::Message(message) => {
                out.kind = MESSAGE;
                out.to = message.to.0.to_vec();
                out.id = message.group.0.to_vec();
                out.value = message.message.0.to_vec();
                let TransferredMessage { sender, installation, epoch, .. } = &**message;
                out.origin = [sender.0, installation.0, epoch.0].concat();
                out.number = message.seq;
                out.at = message.sent_at.0;
                out.text = message.text.as_ref().map(|text| text.clone().into_bytes());
                out.flags = if message.flagged { FLAGGED } else { 0 };
            }
            SyncItem::Progress { to, sent, total } => {
                out.kind = PROGRESS;
                out.to = to.0.to_vec();
                out.number = *sent;
                out.at = *total;
            }
            SyncItem::Unknown(kind) => out.kind = *kind,
        }
        let bytes = out.encode_to_vec();
        out.value.zeroize();
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, SyncError> {
        let fields: [(u32, usize); 10] = std::array::from_fn(|at| (at as u32 + 1, 1));
        proto::check(bytes, MAX_SYNC, &fields)?;
        let mut proto = ItemProto::decode(bytes).map_err(ProtoError::from)?;
        let item = Self::read(&proto);
        proto.value.zeroize();
        item
    }

    fn read(proto: &ItemProto) -> Result<Self, SyncError> {
        let at = Timestamp(proto.at);
        let text = |bytes: &[u8]| {
            proto::at_most(6, bytes, MAX_NAME)?;
            String::from_utf8(bytes.to_vec()).map_err(|_| SyncError::Utf8)
        };
        let secret = |bytes: &[u8]| proto::exact::<32>(4, bytes).map(Zeroizing::new);
        let some = |bytes: &Vec<u8>| (!bytes.is_empty()).then(|| bytes.clone());
        Ok(match proto.kind {
            LOG => SyncItem::Log(proto.body.clone()),
            CONTACT => SyncItem::Contact(SyncContact {
                account: Some(AccountId(proto::exact(2, &proto.id)?)),
                changed_at: at,
                secret: match proto.value.is_empty() {
                    true => None,
                    false => Some(secret(&proto.value)?),
                },
                card: some(&proto.body),
                name: proto.text.as_deref().map(text).transpose()?,
                blocked: proto.flags & BLOCKED != 0,
            }),
            INBOX_KEY => SyncItem::InboxKey { secret: secret(&proto.value)?, made_at: at },
            KEY_PACKAGE => SyncItem::KeyPackage { usable_until: at, bytes: proto.body.clone() },
            NAME => SyncItem::Name {
                installation: InstallationId(proto::exact(2, &proto.id)?),
                name: text(proto.text.as_deref().unwrap_or_default())?,
                changed_at: at,
            },
            READ => SyncItem::Read {
                group: GroupId(proto::exact(2, &proto.id)?),
                message: MessageId(proto::exact(4, &proto.value)?),
                sent_at: at,
            },
            WELCOME => SyncItem::Welcome(proto.body.clone()),
            WELCOME_BACK => SyncItem::WelcomeBack(proto.body.clone()),
            ANSWER => SyncItem::Answer {
                request: RequestId(proto::exact(2, &proto.id)?),
                answer: match proto.flags & ACCEPTED {
                    0 => RequestAnswer::Decline,
                    _ => RequestAnswer::Accept,
                },
            },
            LEAVE => SyncItem::Leave { group: GroupId(proto::exact(2, &proto.id)?) },
            MESSAGE => {
                let origin: [u8; 96] = proto::exact(8, &proto.origin)?;
                let part = |at: usize| proto::exact::<32>(8, &origin[32 * at..32 * (at + 1)]);
                let text = proto.text.as_deref().map(|bytes| {
                    proto::at_most(6, bytes, MAX_TEXT)?;
                    String::from_utf8(bytes.to_vec()).map_err(|_| SyncError::Utf8)
                });
                SyncItem::Message(Box::new(TransferredMessage {
                    to: InstallationId(proto::exact(9, &proto.to)?),
                    group: GroupId(proto::exact(2, &proto.id)?),
                    message: MessageId(proto::exact(4, &proto.value)?),
                    sender: AccountId(part(0)?),
                    installation: InstallationId(part(1)?),
                    seq: proto.number,
                    epoch: EpochId(part(2)?),
                    sent_at: at,
                    text: text.transpose()?,
                    flagged: proto.flags & FLAGGED != 0,
                }))
            }
            PROGRESS => SyncItem::Progress {
                to: InstallationId(proto::exact(9, &proto.to)?),
                sent: proto.number,
                total: proto.at,
            },
            other => SyncItem::Unknown(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn items() -> impl Strategy<Value = SyncItem> {
        let bytes = || vec(any::<u8>(), 0..200);
        let time = || any::<u64>().prop_map(Timestamp);
        let name = || "[a-zäé ]{0,40}";
        let secret = || any::<[u8; 32]>().prop_map(Zeroizing::new);
        let full = || vec(any::<u8>(), 1..200);
        let contact = (
            any::<[u8; 32]>(),
            time(),
            proptest::option::of(secret()),
            proptest::option::of(full()),
            proptest::option::of(name()),
            any::<bool>(),
        )
            .prop_map(|(account, changed_at, secret, card, name, blocked)| SyncContact {
                account: Some(AccountId(account)),
                changed_at,
                secret,
                card,
                name,
                blocked,
            });
        let answer = any::<bool>()
            .prop_map(|yes| if yes { RequestAnswer::Accept } else { RequestAnswer::Decline });
        prop_oneof![
            bytes().prop_map(SyncItem::Log),
            contact.prop_map(SyncItem::Contact),
            (secret(), time()).prop_map(|(secret, made_at)| SyncItem::InboxKey { secret, made_at }),
            (time(), bytes())
                .prop_map(|(usable_until, bytes)| SyncItem::KeyPackage { usable_until, bytes }),
            (any::<[u8; 32]>(), name(), time()).prop_map(|(id, name, changed_at)| {
                SyncItem::Name { installation: InstallationId(id), name, changed_at }
            }),
            (any::<[u8; 32]>(), any::<[u8; 16]>(), time()).prop_map(|(group, id, sent_at)| {
                SyncItem::Read { group: GroupId(group), message: MessageId(id), sent_at }
            }),
            bytes().prop_map(SyncItem::Welcome),
            bytes().prop_map(SyncItem::WelcomeBack),
            (any::<[u8; RequestId::LEN]>(), answer)
                .prop_map(|(id, answer)| SyncItem::Answer { request: RequestId(id), answer }),
            any::<[u8; 32]>().prop_map(|id| SyncItem::Leave { group: GroupId(id) }),
            (
                any::<[[u8; 32]; 5]>(),
                any::<[u8; 16]>(),
                any::<u64>(),
                time(),
                proptest::option::of(".{0,60}"),
                any::<bool>()
            )
                .prop_map(|(ids, message, seq, sent_at, text, flagged)| {
                    SyncItem::Message(Box::new(TransferredMessage {
                        to: InstallationId(ids[0]),
                        group: GroupId(ids[1]),
                        message: MessageId(message),
                        sender: AccountId(ids[2]),
                        installation: InstallationId(ids[3]),
                        seq,
                        epoch: EpochId(ids[4]),
                        sent_at,
                        text,
                        flagged,
                    }))
                }),
            (any::<[u8; 32]>(), any::<u64>(), any::<u64>()).prop_map(|(to, sent, total)| {
                SyncItem::Progress { to: InstallationId(to), sent, total }
            }),
            (13u32..).prop_map(SyncItem::Unknown),
        ]
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SyncItem::InboxKey { secret: Zeroizing::new([7; 32]), made_at: Timestamp(1) };
        assert_eq!(format!("{key:?}"), "InboxKey");
    }

    #[test]
    fn limits_hold() {
        let name = |size: usize| SyncItem::Name {
            installation: InstallationId([1; 32]),
            name: "a".repeat(size),
            changed_at: Timestamp(0),
        };
        assert!(decode(&encode(&[name(MAX_NAME)])).is_ok());
        assert!(decode(&encode(&[name(MAX_NAME + 1)])).is_err());
        let many = vec![SyncItem::Unknown(99); MAX_SYNC_ITEMS + 1];
        assert!(matches!(
            decode(&encode(&many)),
            Err(SyncError::Malformed(ProtoError::Count { field: 1, max: MAX_SYNC_ITEMS }))
        ));
        assert!(decode(&encode(&many[1..])).is_ok());
        assert!(decode(&vec![0; MAX_SYNC + 1]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(all in vec(items(), 0..8)) {
            prop_assert_eq!(decode(&encode(&all)), Ok(all));
        }

        #[test]
        fn random_bytes_are_an_answer(bytes in vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            let _ = SyncItem::decode(&bytes);
        }

        #[test]
        fn cut_or_changed_items_do_not_panic(all in vec(items(), 1..4), at: prop::sample::Index) {
            let mut bytes = encode(&all).to_vec();
            let _ = decode(&bytes[..at.index(bytes.len())]);
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = decode(&bytes);
        }
    }
}
