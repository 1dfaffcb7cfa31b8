//! What was said so far, as a hash: every message is bound to it, and the string comes from it.

use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::params::NetworkId;
use crate::time::Timestamp;
use crate::wire::labels::{self, Label};

/// Hash over the code and the messages so far, each with its step, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// The transcript of a linking code alone, by its parts; see
    /// [`LinkingCode::transcript`](super::LinkingCode::transcript).
    pub(super) fn begin(
        made_at: Timestamp,
        secret: &[u8; 32],
        key: &[u8; 32],
        network: &NetworkId,
    ) -> Self {
        let made_at = made_at.secs().to_be_bytes();
        let parts: [&[u8]; 3] = [&made_at, secret, key];
        Self(labels::hash(Label::LinkingTranscript, network, &parts))
    }

    /// This and one more message, as it was before it was sealed.
    #[must_use]
    pub fn then(&self, step: Step, text: &[u8], network: &NetworkId) -> Self {
        let parts: [&[u8]; 3] = [&self.0, &[step as u8], text];
        Self(labels::hash(Label::LinkingTranscript, network, &parts))
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// What the grantor binds itself to before it sees the newcomer's nonce. The nonce has 256 random
/// bits, so this hides it.
pub fn commitment(nonce: &[u8; 32], network: &NetworkId) -> [u8; 32] {
    labels::hash(Label::LinkingCommitment, network, &[nonce])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::linking::LinkingCode;
    use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, rng};
    use std::collections::BTreeSet;

    #[test]
    fn everything_counts() {
        let code = LinkingCode::new(&mut rng(1), [7; 32], NOW);
        let begin = code.transcript(&NETWORK);
        let mut all = BTreeSet::from([begin, code.transcript(&OTHER_NETWORK)]);
        for step in [Step::Answer, Step::Introduction] {
            for text in [b"".as_slice(), b"a"] {
                let next = begin.then(step, text, &NETWORK);
                all.insert(next);
                all.insert(next.then(Step::Reveal, text, &NETWORK));
            }
        }
        assert_eq!(all.len(), 10);
        assert_ne!(commitment(&[1; 32], &NETWORK), commitment(&[1; 32], &OTHER_NETWORK));
        assert_ne!(commitment(&[1; 32], &NETWORK), commitment(&[2; 32], &NETWORK));
    }
}
