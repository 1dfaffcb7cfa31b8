//! Content topics: where the envelopes of a root go in a slot.
//!
//! A topic is 16 bytes derived from the topic root of the slot and a lane, written
//! `/waku-chat/1/<26 characters of base32>/proto`. Nothing but the derived part varies, and
//! autosharding looks only at the rest, so all traffic shares one shard.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use rand_core::Rng;

use super::labels::{Label, expand};
use super::roots::Root;
use crate::params::{
    APPLICATION, APPLICATION_VERSION, LANES, NetworkId, TOPIC_ENCODING, TOPIC_LEN,
};

/// Why a text is not a content topic of this protocol. Other applications share the network, so
/// this is ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It belongs to another application, version or encoding.
    #[error("not a content topic of waku-chat")]
    Foreign,
    /// The derived part is not 26 characters of canonical lowercase base32.
    #[error("the derived part of the content topic is malformed")]
    Malformed,
}

/// Characters of the derived part: 16 bytes, five bits a character.
const DERIVED_CHARS: usize = (TOPIC_LEN * 8).div_ceil(5);

/// A content topic of this protocol, in its one written form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentTopic(String);

impl ContentTopic {
    /// The topic of `lane` in the slot of `root`, a topic root. Lanes run from 0 to [`LANES`]` -
    /// 1`; others give topics that no one watches.
    pub fn derive(root: &Root, lane: u8, network: &NetworkId) -> Self {
        let id = expand::<TOPIC_LEN>(root.expose(), Label::Topic, network, &[&[lane]]);
        let mut text = BASE32_NOPAD.encode(id.as_slice());
        text.make_ascii_lowercase();
        Self(format!("/{APPLICATION}/{APPLICATION_VERSION}/{text}/{TOPIC_ENCODING}"))
    }

    /// Reads a topic; accepts exactly what [`ContentTopic::derive`] can write.
    ///
    /// # Errors
    /// [`TopicError`]: another application's, or malformed.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let derived = text
            .strip_prefix('/')
            .and_then(|t| t.strip_prefix(APPLICATION))
            .and_then(|t| t.strip_prefix('/'))
            .and_then(|t| t.strip_prefix(APPLICATION_VERSION))
            .and_then(|t| t.strip_prefix('/'))
            .and_then(|t| t.strip_suffix(TOPIC_ENCODING))
            .and_then(|t| t.strip_suffix('/'))
            .ok_or(TopicError::Foreign)?;
        let lowercase = derived.bytes().all(|c| matches!(c, b'a'..=b'z' | b'2'..=b'7'));
        if derived.len() != DERIVED_CHARS || !lowercase {
            return Err(TopicError::Malformed);
        }
        // Decoding refuses nonzero bits behind the last byte: they would be a second spelling.
        let upper = derived.to_ascii_uppercase();
        match BASE32_NOPAD.decode(upper.as_bytes()) {
            Ok(id) if id.len() == TOPIC_LEN => Ok(Self(text.to_owned())),
            _ => Err(TopicError::Malformed),
        }
    }

    /// The topic as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ContentTopic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A lane at random, for one message.
pub fn lane(rng: &mut (impl Rng + ?Sized)) -> u8 {
    // A power of two takes whole bits, so that no lane is likelier.
    const { assert!(LANES.is_power_of_two()) };
    (rng.next_u32() % u32::from(LANES)) as u8
}

/// All topics of a topic root in its slot: what a member watches.
pub fn lanes(root: &Root, network: &NetworkId) -> [ContentTopic; LANES as usize] {
    std::array::from_fn(|lane| ContentTopic::derive(root, lane as u8, network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Slot;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::collections::BTreeSet;

    const NETWORK: NetworkId = NetworkId([3; 32]);

    #[test]
    fn every_lane_and_slot_has_its_own_topic() {
        let root = Root::new(Slot(100), [1; 32]);
        let mut topics = BTreeSet::new();
        for slot in 100..110 {
            topics.extend(lanes(&root.at(Slot(slot), &NETWORK).unwrap(), &NETWORK));
        }
        topics.extend(lanes(&root, &NetworkId([4; 32])));
        topics.extend(lanes(&Root::new(Slot(100), [2; 32]), &NETWORK));
        assert_eq!(topics.len(), 12 * usize::from(LANES));
    }

    #[test]
    fn the_form_is_strict() {
        let topic = ContentTopic::derive(&Root::new(Slot(0), [1; 32]), 0, &NETWORK);
        let text = topic.as_str().to_owned();
        assert_eq!(text.len(), "/waku-chat/1/".len() + 26 + "/proto".len());
        assert_eq!(ContentTopic::parse(&text), Ok(topic));
        let id = &text[13..39];
        for (bad, why) in [
            (String::new(), TopicError::Foreign),
            ("/waku-chat/1".into(), TopicError::Foreign),
            ("/waku-chat/1//proto".into(), TopicError::Malformed),
            (text.replace("/1/", "/2/"), TopicError::Foreign),
            (text.replace("waku-chat", "waku-chart"), TopicError::Foreign),
            (text.replace("proto", "json"), TopicError::Foreign),
            (format!("{text}/"), TopicError::Foreign),
            (format!(" {text}"), TopicError::Foreign),
            (text.replace(id, &id.to_uppercase()), TopicError::Malformed),
            (text.replace(id, &id[1..]), TopicError::Malformed),
            (text.replace(id, &format!("a{id}")), TopicError::Malformed),
            (text.replace(id, &format!("{}/", &id[1..])), TopicError::Malformed),
            (text.replace(id, &"1".repeat(26)), TopicError::Malformed),
            // The last character carries three bits only: "b" has one of the other two set.
            (text.replace(id, &format!("{}b", &id[..25])), TopicError::Malformed),
            (text.replace(id, &"é".repeat(13)), TopicError::Malformed),
        ] {
            assert_eq!(ContentTopic::parse(&bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn every_lane_is_drawn() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let drawn: BTreeSet<u8> = (0..100).map(|_| lane(&mut rng)).collect();
        assert_eq!(drawn, (0..LANES).collect());
    }

    proptest! {
        #[test]
        fn what_is_derived_is_read(value: [u8; 32], slot: u64, lane in 0..LANES) {
            let topic = ContentTopic::derive(&Root::new(Slot(slot), value), lane, &NETWORK);
            prop_assert_eq!(ContentTopic::parse(topic.as_str()), Ok(topic));
        }

        #[test]
        fn any_text_is_an_answer(text in ".{0,100}", id in "[a-z2-8/]{24,28}") {
            let _ = ContentTopic::parse(&text);
            let text = format!("/waku-chat/1/{id}/proto");
            if let Ok(topic) = ContentTopic::parse(&text) {
                prop_assert_eq!(topic.as_str(), text.as_str());
            }
        }
    }
}
