//! What the tests of this module share: authors with a history, and orders.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::history::chain::{FIRST_SEQ, Received};
use crate::ids::{EpochId, ItemHash};

/// Epochs that the receiver is a member of; the first is its first.
pub(super) const OURS: [EpochId; 3] = [EpochId([1; 32]), EpochId([2; 32]), EpochId([3; 32])];
/// Epochs that it is not a member of.
pub(super) const THEIRS: [EpochId; 2] = [EpochId([101; 32]), EpochId([102; 32])];

/// An honest author.
pub(super) struct Author;

impl Author {
    /// What it sends when it sends one item in each of these epochs, one after the other.
    pub(super) fn history(epochs: impl IntoIterator<Item = EpochId>) -> Vec<Received> {
        let mut in_epoch: BTreeMap<EpochId, u64> = BTreeMap::new();
        let mut out: Vec<Received> = Vec::new();
        for (seq, epoch) in (FIRST_SEQ..).zip(epochs) {
            out.push(Received {
                seq,
                hash: ItemHash([seq as u8; 32]),
                previous: out.last().map(|item| item.hash),
                prev_in_epoch: in_epoch.insert(epoch, seq),
                epoch,
                own_first_epoch: epoch == OURS[0],
            });
        }
        out
    }
}

/// The same things in another order.
pub(super) fn shuffled<T: Copy>(items: &[T], seed: u64) -> Vec<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut out = items.to_vec();
    for at in (1..out.len()).rev() {
        out.swap(at, rng.next_u64() as usize % (at + 1));
    }
    out
}
