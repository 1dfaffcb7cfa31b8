//! Roots: the secrets from which topics and envelope keys of a slot are derived.
//!
//! A root belongs to a slot and ratchets forward, one HKDF step for each slot. From a root no one
//! gets back to an earlier one: who deletes the old value cannot open what was sealed before, and
//! who is invited now learns nothing of the time before. What shares a secret has two roots, one
//! for topics and one for sealing, since they may change at different times.

use std::fmt;

use zeroize::Zeroizing;

use super::labels::{Label, derive, expand};
use crate::params::NetworkId;
use crate::time::Slot;

/// Slots that a root is ratcheted over in one go at most.
///
/// A slot number may come from others, and each step costs an HKDF: 2^22 steps are some seconds,
/// and 478 years of public slots or eight months of five-second ones. Beyond that the number is
/// wrong, not the root old.
pub const MAX_STEPS: u64 = 1 << 22;

/// Why a root cannot be moved to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The slot lies before the root's: a ratchet does not go back.
    #[error("slot {wanted} is past: the root is of slot {held}, and no earlier one can be had")]
    Past {
        /// Slot of the root.
        held: Slot,
        /// Slot that was asked for.
        wanted: Slot,
    },
    /// The slot lies more than [`MAX_STEPS`] ahead, which no honest clock asks for.
    #[error(
        "slot {wanted} is more than {MAX_STEPS} slots after the root's ({held}): the work is \
         refused, since a clock or a message must be wrong"
    )]
    TooFar {
        /// Slot of the root.
        held: Slot,
        /// Slot that was asked for.
        wanted: Slot,
    },
}

/// A topic or sealing root: 32 secret bytes as of a slot. Zeroized when dropped.
#[derive(Clone)]
pub struct Root {
    slot: Slot,
    value: Zeroizing<[u8; 32]>,
}

impl Root {
    /// The root `value` as of `slot`. The value must be uniformly random, as an exported or
    /// derived secret is.
    pub fn new(slot: Slot, value: [u8; 32]) -> Self {
        Self { slot, value: Zeroizing::new(value) }
    }

    /// The slot that the value is of.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The secret value, for storage and derivations.
    pub fn expose(&self) -> &[u8; 32] {
        &self.value
    }

    /// The root as of a later slot (or a copy, for its own).
    ///
    /// # Errors
    /// [`RootError`] if the slot is earlier, or absurdly late.
    pub fn at(&self, slot: Slot, network: &NetworkId) -> Result<Root, RootError> {
        let mut root = self.clone();
        root.advance(slot, network)?;
        Ok(root)
    }

    /// Moves the root to a later slot; the earlier value is zeroized.
    ///
    /// # Errors
    /// [`RootError`] if the slot is earlier, or absurdly late; the root is then unchanged.
    pub fn advance(&mut self, slot: Slot, network: &NetworkId) -> Result<(), RootError> {
        let steps = slot
            .0
            .checked_sub(self.slot.0)
            .ok_or(RootError::Past { held: self.slot, wanted: slot })?;
        if steps > MAX_STEPS {
            return Err(RootError::TooFar { held: self.slot, wanted: slot });
        }
        for _ in 0..steps {
            // The assignment drops the earlier value, which zeroizes it.
            self.value = expand(&self.value, Label::RootRatchet, network, &[]);
        }
        self.slot = slot;
        Ok(())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// The two roots of whatever shares a secret: a group, an invitation, a card, the inbox.
#[derive(Debug, Clone)]
pub struct Roots {
    /// Where it is published: content topics.
    pub topic: Root,
    /// Under what it is sealed: envelope keys.
    pub seal: Root,
}

impl Roots {
    /// Both roots as of a later slot.
    ///
    /// # Errors
    /// [`RootError`] if one of them is past that slot or absurdly far from it.
    pub fn at(&self, slot: Slot, network: &NetworkId) -> Result<Roots, RootError> {
        Ok(Roots { topic: self.topic.at(slot, network)?, seal: self.seal.at(slot, network)? })
    }
}

/// The roots of the network's inbox (doorbells) in `slot`.
///
/// Everyone knows them: their input is the network id. So each slot's are derived directly and
/// not ratcheted: deleting a public value protects nothing, and a ratchet from the beginning of
/// time would only cost. (Hence [`Roots::at`] on these does *not* lead to another slot's inbox:
/// call this function for each slot.)
pub fn inbox_roots(network: &NetworkId, slot: Slot) -> Roots {
    let root = |which: &[u8]| Root {
        slot,
        value: derive(
            network.as_bytes(),
            Label::InboxRoot,
            network,
            &[which, &slot.0.to_be_bytes()],
        ),
    };
    Roots { topic: root(b"topic"), seal: root(b"seal") }
}

/// The roots of an invitation from its one-time `secret` and the slot written beside it; from there
/// on they ratchet like any others.
pub fn invitation_roots(secret: &[u8; 32], slot: Slot, network: &NetworkId) -> Roots {
    let root =
        |label| Root { slot, value: expand(secret, label, network, &[&slot.0.to_be_bytes()]) };
    Roots { topic: root(Label::InvitationTopicRoot), seal: root(Label::InvitationSealRoot) }
}

/// The roots of the place where the two devices of a linking meet, from the code's `secret`, as of
/// the slot in which that begins; from there on they ratchet like any others.
pub fn linking_roots(secret: &[u8; 32], slot: Slot, network: &NetworkId) -> Roots {
    let root =
        |label| Root { slot, value: expand(secret, label, network, &[&slot.0.to_be_bytes()]) };
    Roots { topic: root(Label::LinkingTopicRoot), seal: root(Label::LinkingSealRoot) }
}

/// The roots of an account's card of `period`, for use in `slot`.
///
/// They do not ratchet: there is one card in a period, and a reader does not know in
/// which slot it was published. So they are the same in all slots of a period, and others in each
/// period.
pub fn card_roots(secret: &[u8; 32], period: u64, slot: Slot, network: &NetworkId) -> Roots {
    let root =
        |label| Root { slot, value: expand(secret, label, network, &[&period.to_be_bytes()]) };
    Roots { topic: root(Label::CardTopicRoot), seal: root(Label::CardSealRoot) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NETWORK: NetworkId = NetworkId([3; 32]);

    #[test]
    fn the_ratchet_goes_forward_only() {
        let root = Root::new(Slot(10), [7; 32]);
        assert_eq!(root.at(Slot(10), &NETWORK).unwrap().expose(), root.expose());
        assert_eq!(
            root.at(Slot(9), &NETWORK).unwrap_err(),
            RootError::Past { held: Slot(10), wanted: Slot(9) }
        );
        let far = Slot(10 + MAX_STEPS + 1);
        assert_eq!(
            root.at(far, &NETWORK).unwrap_err(),
            RootError::TooFar { held: Slot(10), wanted: far }
        );
        let mut moved = root.clone();
        assert!(moved.advance(Slot(u64::MAX), &NETWORK).is_err());
        assert_eq!((moved.slot(), moved.expose()), (root.slot(), root.expose()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", Root::new(Slot(5), [0xab; 32]));
        assert_eq!(text, "Root { slot: Slot(5), .. }");
    }

    #[test]
    fn public_and_one_time_roots_differ_in_everything() {
        let mut values = std::collections::BTreeSet::new();
        let other = NetworkId([4; 32]);
        for slot in [Slot(1), Slot(2)] {
            for network in [&NETWORK, &other] {
                let inbox = inbox_roots(network, slot);
                let first = invitation_roots(&[1; 32], slot, network);
                let second = invitation_roots(&[2; 32], slot, network);
                let linking = linking_roots(&[1; 32], slot, network);
                for roots in [inbox, first, second, linking] {
                    assert_eq!((roots.topic.slot(), roots.seal.slot()), (slot, slot));
                    values.insert(*roots.topic.expose());
                    values.insert(*roots.seal.expose());
                }
            }
        }
        assert_eq!(values.len(), 2 * 2 * 4 * 2);
    }

    #[test]
    fn a_cards_roots_differ_by_period_secret_network_and_use_and_not_by_slot() {
        let mut values = std::collections::BTreeSet::new();
        for secret in [[1; 32], [2; 32]] {
            for period in [7, 8] {
                for network in [&NETWORK, &NetworkId([4; 32])] {
                    let roots = card_roots(&secret, period, Slot(3), network);
                    values.extend([*roots.topic.expose(), *roots.seal.expose()]);
                    let later = card_roots(&secret, period, Slot(4), network);
                    assert_eq!(later.topic.expose(), roots.topic.expose());
                    assert_eq!(later.seal.slot(), Slot(4));
                }
            }
        }
        assert_eq!(values.len(), 2 * 2 * 2 * 2);
    }

    #[test]
    fn an_inbox_root_does_not_ratchet_into_the_next() {
        let ratcheted = inbox_roots(&NETWORK, Slot(1)).at(Slot(2), &NETWORK).unwrap();
        assert_ne!(ratcheted.topic.expose(), inbox_roots(&NETWORK, Slot(2)).topic.expose());
    }

    proptest! {
        #[test]
        fn steps_add_up(value: [u8; 32], start in 0u64..1 << 40, a in 0u64..50, b in 0u64..50) {
            let root = Root::new(Slot(start), value);
            let mut twice = root.at(Slot(start + a), &NETWORK).unwrap();
            twice.advance(Slot(start + a + b), &NETWORK).unwrap();
            let once = root.at(Slot(start + a + b), &NETWORK).unwrap();
            prop_assert_eq!(once.expose(), twice.expose());
            prop_assert_eq!(once.expose() == root.expose(), a + b == 0);
        }
    }
}
