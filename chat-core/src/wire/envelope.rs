//! Envelopes: the payload of one Waku message, of one of a few sizes, that tells an outsider
//! nothing else.
//!
//! `nonce (24) ‖ XChaCha20-Poly1305(key, nonce, ad = content topic, plaintext) ‖ tag (16)`, where
//! the plaintext is `length (u32, big-endian) ‖ frame ‖ zeros` and fills the size class. Classes
//! are 512 bytes and its doublings up to 128 KiB; a class is the size of the whole payload.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::labels::{Label, expand};
use super::roots::{Root, Roots};
use super::topic::ContentTopic;
use crate::params::{
    CARD_SIZE, DOORBELL_SIZE, ENVELOPE_MAX, ENVELOPE_MIN, ENVELOPE_NONCE, ENVELOPE_TAG, LANES,
    NetworkId, NetworkParams, PADDING_PREFIX,
};
use crate::time::{Slot, Timestamp};

/// Bytes of an envelope that are not frame or padding.
const OVERHEAD: usize = ENVELOPE_NONCE + PADDING_PREFIX + ENVELOPE_TAG;

/// What is published: one Waku message, whose other fields are unset.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The content topic to publish on.
    pub topic: ContentTopic,
    /// Payload; its length is a size class.
    pub payload: Vec<u8>,
    /// Time of the Waku message, in whole seconds and inside the topic's slot.
    pub timestamp: Timestamp,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("topic", &self.topic)
            .field("size", &self.payload.len())
            .field("timestamp", &self.timestamp)
            .finish()
    }
}

/// How large an envelope is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeClass {
    /// The smallest class that holds the frame.
    Fit,
    /// Exactly [`DOORBELL_SIZE`], whatever the frame has.
    Doorbell,
    /// Exactly [`CARD_SIZE`], whatever the frame has.
    Card,
}

/// Why a frame is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The frame exceeds what one envelope holds.
    #[error("the content takes {size} bytes, and one message holds {max}")]
    TooLarge {
        /// Bytes of the frame.
        size: usize,
        /// How many bytes fit.
        max: usize,
    },
    /// The roots are of another slot than the time: members would not find or not open it.
    #[error("it is slot {now}, but the roots are of slots {topic} and {seal}")]
    Slot {
        /// Slot of the time.
        now: Slot,
        /// Slot of the topic root.
        topic: Slot,
        /// Slot of the sealing root.
        seal: Slot,
    },
    /// The lane does not exist.
    #[error("lane {0} does not exist; there are {LANES}")]
    Lane(u8),
}

/// Why a payload is not an envelope of this root. Everyone can publish on a topic once seen, so
/// each of these is ordinary, and a counted drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The size is not that of a size class.
    #[error("a payload of {0} bytes is of no size class")]
    Size(usize),
    /// It was not sealed under this key and topic, or was changed since.
    #[error("the payload does not open under this key")]
    Seal,
    /// It opens, but the padding is wrong: its writer does not keep to the protocol.
    #[error("the padding is wrong")]
    Padding,
    /// The Waku message's time is not in whole seconds, or not inside the slot.
    #[error("the timestamp is not in whole seconds or not inside the slot")]
    Timestamp,
}

/// The key of all envelopes of a sealing root in one slot. Zeroized when dropped.
#[derive(Clone)]
pub struct EnvelopeKey(Zeroizing<[u8; 32]>);

impl EnvelopeKey {
    /// The key for the slot of `root`, a sealing root.
    pub fn derive(root: &Root, network: &NetworkId) -> Self {
        Self(expand(root.expose(), Label::Envelope, network, &[]))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeKey(…)")
    }
}

/// Bytes of the largest frame that one envelope holds.
pub const fn max_frame() -> usize {
    ENVELOPE_MAX - OVERHEAD
}

/// Size in bytes of the smallest class that holds a frame of `frame_len` bytes.
///
/// # Errors
/// [`SealError::TooLarge`] above [`max_frame`].
pub fn class_for(frame_len: usize) -> Result<usize, SealError> {
    if frame_len > max_frame() {
        return Err(SealError::TooLarge { size: frame_len, max: max_frame() });
    }
    Ok((frame_len + OVERHEAD).next_power_of_two().max(ENVELOPE_MIN))
}

/// A size that does not depend on the frame.
fn fixed(size: usize, frame_len: usize) -> Result<usize, SealError> {
    let max = size - OVERHEAD;
    match frame_len > max {
        true => Err(SealError::TooLarge { size: frame_len, max }),
        false => Ok(size),
    }
}

/// Whether a payload of this many bytes is of a size class.
pub const fn is_class(payload_len: usize) -> bool {
    const { assert!(ENVELOPE_MIN.is_power_of_two() && ENVELOPE_MAX.is_power_of_two()) };
    payload_len.is_power_of_two() && payload_len >= ENVELOPE_MIN && payload_len <= ENVELOPE_MAX
}

/// Seals `frame` for the slot of `roots`, which must be that of `now`, on the topic of `lane`.
///
/// The nonce is random, so the same frame sealed twice gives two envelopes that share nothing.
///
/// # Errors
/// [`SealError`]: the frame is too large, the roots are of another slot, no such lane.
pub fn seal(
    rng: &mut (impl CryptoRng + ?Sized),
    roots: &Roots,
    lane: u8,
    frame: &[u8],
    class: SizeClass,
    now: Timestamp,
    params: &NetworkParams,
) -> Result<Envelope, SealError> {
    const { assert!(is_class(DOORBELL_SIZE) && is_class(CARD_SIZE)) };
    let (slot, topic, seal) =
        (Slot::at(now, params.slot_secs), roots.topic.slot(), roots.seal.slot());
    if slot != topic || slot != seal {
        return Err(SealError::Slot { now: slot, topic, seal });
    }
    if lane >= LANES {
        return Err(SealError::Lane(lane));
    }
    let size = match class {
        SizeClass::Fit => class_for(frame.len())?,
        SizeClass::Doorbell => fixed(DOORBELL_SIZE, frame.len())?,
        SizeClass::Card => fixed(CARD_SIZE, frame.len())?,
    };
    let network = params.id();
    let topic = ContentTopic::derive(&roots.topic, lane, &network);

    let mut payload = vec![0; size];
    let (nonce, rest) = payload.split_at_mut(ENVELOPE_NONCE);
    let (text, tag) = rest.split_at_mut(rest.len() - ENVELOPE_TAG);
    rng.fill_bytes(nonce);
    // At most 128 KiB, so it fits.
    text[..PADDING_PREFIX].copy_from_slice(&(frame.len() as u32).to_be_bytes());
    text[PADDING_PREFIX..PADDING_PREFIX + frame.len()].copy_from_slice(frame);
    let mut nonce_array = XNonce::default();
    nonce_array.copy_from_slice(nonce);
    #[allow(clippy::expect_used)]
    let sealed = EnvelopeKey::derive(&roots.seal, &network)
        .cipher()
        .encrypt_inout_detached(&nonce_array, topic.as_str().as_bytes(), text.into())
        .expect("the cipher takes 256 GiB, and an envelope has 128 KiB");
    tag.copy_from_slice(&sealed);
    Ok(Envelope { topic, payload, timestamp: Timestamp::from_secs(now.secs()) })
}

/// Opens a payload that came on `topic`; the frame.
///
/// # Errors
/// [`OpenError`]: of no class, sealed otherwise, or padded wrongly. The time of the Waku message is
/// checked apart, by [`check_timestamp`].
pub fn open(key: &EnvelopeKey, topic: &ContentTopic, payload: &[u8]) -> Result<Vec<u8>, OpenError> {
    if !is_class(payload.len()) {
        return Err(OpenError::Size(payload.len()));
    }
    let (nonce, rest) = payload.split_at(ENVELOPE_NONCE);
    let (text, tag) = rest.split_at(rest.len() - ENVELOPE_TAG);
    let mut nonce_array = XNonce::default();
    nonce_array.copy_from_slice(nonce);
    let mut tag_array = Tag::default();
    tag_array.copy_from_slice(tag);
    let mut text = text.to_vec();
    key.cipher()
        .decrypt_inout_detached(
            &nonce_array,
            topic.as_str().as_bytes(),
            text.as_mut_slice().into(),
            &tag_array,
        )
        .map_err(|_| OpenError::Seal)?;

    let mut length = [0; PADDING_PREFIX];
    length.copy_from_slice(&text[..PADDING_PREFIX]);
    let length = u32::from_be_bytes(length) as usize;
    let padded = &text[PADDING_PREFIX..];
    match padded.get(length..) {
        Some(padding) if padding.iter().all(|byte| *byte == 0) => {}
        _ => return Err(OpenError::Padding),
    }
    text.truncate(PADDING_PREFIX + length);
    text.drain(..PADDING_PREFIX);
    Ok(text)
}

/// Checks the time of a Waku message that came on a topic of `slot`: in whole seconds and inside
/// the slot, so that it tells no more than the topic does.
///
/// # Errors
/// [`OpenError::Timestamp`].
pub fn check_timestamp(timestamp: Timestamp, slot: Slot, slot_secs: u64) -> Result<(), OpenError> {
    let whole = timestamp.millis().is_multiple_of(1000);
    match whole && Slot::at(timestamp, slot_secs) == slot {
        true => Ok(()),
        false => Err(OpenError::Timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::roots::inbox_roots;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::collections::BTreeSet;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([5; 32])
    }

    fn now() -> Timestamp {
        Timestamp(1_800_000_123_456)
    }

    fn roots(params: &NetworkParams) -> Roots {
        let slot = Slot::at(now(), params.slot_secs);
        Roots { topic: Root::new(slot, [1; 32]), seal: Root::new(slot, [2; 32]) }
    }

    fn seal_fit(rng: &mut ChaCha20Rng, frame: &[u8]) -> (Envelope, EnvelopeKey) {
        let params = NetworkParams::public();
        let roots = roots(&params);
        let sealed = seal(rng, &roots, 1, frame, SizeClass::Fit, now(), &params).unwrap();
        (sealed, EnvelopeKey::derive(&roots.seal, &params.id()))
    }

    /// Seals any plaintext, padded well or not.
    fn seal_raw(key: &EnvelopeKey, topic: &ContentTopic, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        let tag = key
            .cipher()
            .encrypt_inout_detached(
                &XNonce::default(),
                topic.as_str().as_bytes(),
                text.as_mut_slice().into(),
            )
            .unwrap();
        [&[0; 24], text.as_slice(), tag.as_slice()].concat()
    }

    #[test]
    fn sizes_are_the_classes_and_nothing_else() {
        let classes: Vec<usize> = (9..=17).map(|bits| 1 << bits).collect();
        assert_eq!(classes.first().zip(classes.last()), Some((&ENVELOPE_MIN, &ENVELOPE_MAX)));
        let found: Vec<usize> = (0..=ENVELOPE_MAX * 2 + 1).filter(|n| is_class(*n)).collect();
        assert_eq!(found, classes);
        for class in classes {
            assert_eq!(class_for(class - OVERHEAD), Ok(class));
            let next = class_for(class - OVERHEAD + 1);
            if class == ENVELOPE_MAX {
                assert_eq!(
                    next,
                    Err(SealError::TooLarge { size: max_frame() + 1, max: max_frame() })
                );
            } else {
                assert_eq!(next, Ok(class * 2));
            }
        }
        assert_eq!(class_for(0), Ok(ENVELOPE_MIN));
        assert!(class_for(usize::MAX).is_err());
    }

    #[test]
    fn frames_at_every_edge_come_back() {
        let mut rng = rng();
        let mut sizes = BTreeSet::from([0, 1]);
        for bits in 9..=17 {
            let edge = (1usize << bits) - OVERHEAD;
            sizes.extend([edge - 1, edge, edge + 1]);
        }
        sizes.remove(&(max_frame() + 1));
        for size in sizes {
            let frame = vec![0xee; size];
            let (envelope, key) = seal_fit(&mut rng, &frame);
            assert_eq!(Ok(envelope.payload.len()), class_for(size));
            assert_eq!(open(&key, &envelope.topic, &envelope.payload), Ok(frame));
        }
    }

    #[test]
    fn doorbells_have_one_size() {
        let params = NetworkParams::fast();
        let roots = inbox_roots(&params.id(), Slot::at(now(), params.slot_secs));
        let max = DOORBELL_SIZE - OVERHEAD;
        for size in [0, 1, 500, max] {
            let frame = vec![1; size];
            let sealed =
                seal(&mut rng(), &roots, 0, &frame, SizeClass::Doorbell, now(), &params).unwrap();
            assert_eq!(sealed.payload.len(), DOORBELL_SIZE);
            let key = EnvelopeKey::derive(&roots.seal, &params.id());
            assert_eq!(open(&key, &sealed.topic, &sealed.payload), Ok(frame));
        }
        let frame = vec![1; max + 1];
        assert_eq!(
            seal(&mut rng(), &roots, 0, &frame, SizeClass::Doorbell, now(), &params),
            Err(SealError::TooLarge { size: max + 1, max })
        );
    }

    #[test]
    fn cards_have_one_size() {
        let params = NetworkParams::fast();
        let slot = Slot::at(now(), params.slot_secs);
        let roots = crate::wire::roots::card_roots(&[1; 32], 9, slot, &params.id());
        let seal = |frame: &[u8]| {
            seal(&mut rng(), &roots, 0, frame, SizeClass::Card, now(), &params)
                .map(|sealed| sealed.payload.len())
        };
        let max = CARD_SIZE - OVERHEAD;
        for size in [1, 5000, max] {
            assert_eq!(seal(&vec![1; size]), Ok(CARD_SIZE));
        }
        assert_eq!(seal(&vec![1; max + 1]), Err(SealError::TooLarge { size: max + 1, max }));
    }

    #[test]
    fn roots_of_another_slot_do_not_seal() {
        let params = NetworkParams::public();
        let (id, good) = (params.id(), roots(&params));
        let (slot, next) =
            (good.topic.slot(), good.at(good.topic.slot().next(), &params.id()).unwrap());
        let mixed = Roots { topic: good.topic.clone(), seal: next.seal.clone() };
        for (roots, at) in [(&next, now()), (&mixed, now()), (&good, slot.next().start(3600))] {
            let result = seal(&mut rng(), roots, 0, b"x", SizeClass::Fit, at, &params);
            assert!(matches!(result, Err(SealError::Slot { .. })), "{result:?}");
        }
        assert_eq!(
            seal(&mut rng(), &good, LANES, b"x", SizeClass::Fit, now(), &params),
            Err(SealError::Lane(LANES))
        );
        let sealed = seal(&mut rng(), &good, 3, b"x", SizeClass::Fit, now(), &params).unwrap();
        assert_eq!(sealed.topic, ContentTopic::derive(&good.topic, 3, &id));
        assert_eq!(sealed.timestamp, Timestamp(1_800_000_123_000));
        assert_eq!(check_timestamp(sealed.timestamp, slot, params.slot_secs), Ok(()));
    }

    #[test]
    fn equal_frames_share_no_run_of_eight_bytes() {
        let mut rng = rng();
        let frame = vec![0; 900];
        let first = seal_fit(&mut rng, &frame).0.payload;
        let second = seal_fit(&mut rng, &frame).0.payload;
        let runs: BTreeSet<&[u8]> = first.windows(8).collect();
        assert_eq!(runs.len(), first.len() - 7, "runs repeat within one envelope");
        assert!(second.windows(8).all(|run| !runs.contains(run)));
    }

    #[test]
    fn only_the_right_key_and_topic_open() {
        let params = NetworkParams::public();
        let (envelope, key) = seal_fit(&mut rng(), b"frame");
        let elsewhere = ContentTopic::derive(&roots(&params).topic, 2, &params.id());
        assert_eq!(open(&key, &elsewhere, &envelope.payload), Err(OpenError::Seal));
        let next = roots(&params).seal.at(Slot(1_800_000_123 / 3600 + 1), &params.id()).unwrap();
        let other = EnvelopeKey::derive(&next, &params.id());
        assert_eq!(open(&other, &envelope.topic, &envelope.payload), Err(OpenError::Seal));
        assert_eq!(format!("{key:?}"), "EnvelopeKey(…)");
    }

    #[test]
    fn padding_is_checked() {
        let (envelope, key) = seal_fit(&mut rng(), b"frame");
        let space = ENVELOPE_MIN - ENVELOPE_NONCE - ENVELOPE_TAG;
        let open_text =
            |text: &[u8]| open(&key, &envelope.topic, &seal_raw(&key, &envelope.topic, text));
        let mut text = vec![0; space];
        assert_eq!(open_text(&text), Ok(vec![]));
        text[space - 1] = 1;
        assert_eq!(open_text(&text), Err(OpenError::Padding));
        let whole = (space - PADDING_PREFIX) as u32;
        text[..4].copy_from_slice(&whole.to_be_bytes());
        assert_eq!(open_text(&text).map(|f| f.len()), Ok(whole as usize));
        for beyond in [whole + 1, u32::MAX] {
            text[..4].copy_from_slice(&beyond.to_be_bytes());
            assert_eq!(open_text(&text), Err(OpenError::Padding));
        }
    }

    #[test]
    fn timestamps_are_whole_and_inside() {
        let check = |ms| check_timestamp(Timestamp(ms), Slot(2), 10);
        assert_eq!(check(20_000), Ok(()));
        assert_eq!(check(29_000), Ok(()));
        for bad in [0, 19_000, 19_999, 20_001, 29_999, 30_000, u64::MAX] {
            assert_eq!(check(bad), Err(OpenError::Timestamp), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(frame in proptest::collection::vec(any::<u8>(), 0..3000), seed: [u8; 32]) {
            let (envelope, key) = seal_fit(&mut ChaCha20Rng::from_seed(seed), &frame);
            prop_assert!(is_class(envelope.payload.len()));
            prop_assert_eq!(open(&key, &envelope.topic, &envelope.payload), Ok(frame));
        }

        #[test]
        fn random_bytes_do_not_open(
            bytes in proptest::collection::vec(any::<u8>(), 0..1100),
            fill: u8,
        ) {
            let (envelope, key) = seal_fit(&mut rng(), b"frame");
            prop_assert!(open(&key, &envelope.topic, &bytes).is_err());
            let mut sized = bytes;
            sized.resize(ENVELOPE_MIN, fill);
            prop_assert_eq!(open(&key, &envelope.topic, &sized), Err(OpenError::Seal));
        }

        #[test]
        fn a_flipped_bit_or_a_cut_is_seen(bit in 0usize..512 * 8, cut in 0usize..512) {
            let (envelope, key) = seal_fit(&mut rng(), b"frame");
            let mut flipped = envelope.payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&key, &envelope.topic, &flipped), Err(OpenError::Seal));
            let short = &envelope.payload[..cut];
            prop_assert_eq!(open(&key, &envelope.topic, short), Err(OpenError::Size(cut)));
        }
    }
}
