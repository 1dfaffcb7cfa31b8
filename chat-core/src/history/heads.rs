//! Heads: what a message says about the messages of others.
//!
//! They acknowledge, and they tell others that something exists. Each message carries the latest
//! item of those installations that sent something since this installation's last message, a few at
//! a time; in a busy group those that had to wait are first the next time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::chain::Tip;
use crate::ids::{EpochId, InstallationId, ItemHash};
use crate::params::MAX_HEADS;

/// The latest item that an installation has from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The author of the item.
    pub installation: InstallationId,
    /// The epoch that it was sent in.
    pub epoch: EpochId,
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: ItemHash,
}

/// Which heads were announced already, and whose is next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeadRotation {
    said: BTreeMap<InstallationId, (u64, ItemHash)>,
    last: Option<InstallationId>,
}

impl HeadRotation {
    /// The heads for the next message: those of `tips` that are not `own` and moved since they were
    /// last said, at most [`MAX_HEADS`], going round so that each gets its turn.
    pub fn select(&self, tips: &BTreeMap<InstallationId, Tip>, own: &InstallationId) -> Vec<Head> {
        let moved = |installation: &InstallationId, tip: &Tip| {
            installation != own && self.said.get(installation) != Some(&(tip.seq, tip.hash))
        };
        let after = |i: &InstallationId| self.last.is_none_or(|last| *i > last);
        let (next_round, this_round): (Vec<_>, Vec<_>) =
            tips.iter().filter(|(i, tip)| moved(i, tip)).partition(|(i, _)| !after(i));
        this_round
            .into_iter()
            .chain(next_round)
            .take(MAX_HEADS)
            .map(|(installation, tip)| Head {
                installation: *installation,
                epoch: tip.epoch,
                seq: tip.seq,
                hash: tip.hash,
            })
            .collect()
    }

    /// Notes that these heads went out with an own message.
    pub fn sent(&mut self, heads: &[Head]) {
        for head in heads {
            self.said.insert(head.installation, (head.seq, head.hash));
            self.last = Some(head.installation);
        }
    }

    /// Whose head was sent last.
    pub fn last(&self) -> Option<InstallationId> {
        self.last
    }

    /// Forgets installations that are no longer of interest, so that the state stays as small as
    /// the group.
    pub fn retain(&mut self, keep: impl Fn(&InstallationId) -> bool) {
        self.said.retain(|installation, _| keep(installation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn installation(n: u8) -> InstallationId {
        InstallationId([n; 32])
    }

    fn tip(seq: u64) -> Tip {
        Tip { epoch: EpochId([1; 32]), seq, hash: ItemHash([seq as u8; 32]) }
    }

    fn tips(list: &[(u8, u64)]) -> BTreeMap<InstallationId, Tip> {
        list.iter().map(|(i, seq)| (installation(*i), tip(*seq))).collect()
    }

    #[test]
    fn only_what_moved_and_never_oneself() {
        let mut rotation = HeadRotation::default();
        let all = tips(&[(0, 5), (1, 5), (2, 7)]);
        let first = rotation.select(&all, &installation(0));
        assert_eq!(
            first.iter().map(|h| (h.installation, h.seq)).collect::<Vec<_>>(),
            [(installation(1), 5), (installation(2), 7)]
        );
        // Not sent yet: the same again.
        assert_eq!(rotation.select(&all, &installation(0)), first);
        rotation.sent(&first);
        assert_eq!(rotation.select(&all, &installation(0)), []);
        let moved = tips(&[(0, 9), (1, 5), (2, 8)]);
        let next = rotation.select(&moved, &installation(0));
        assert_eq!(next.iter().map(|h| h.seq).collect::<Vec<_>>(), [8]);
    }

    proptest! {
        #[test]
        fn each_gets_its_turn_under_load(count in 1usize..60, busy in 0usize..60) {
            let mut rotation = HeadRotation::default();
            let own = installation(255);
            let mut said = BTreeMap::new();
            let rounds = count.div_ceil(MAX_HEADS) as u64;
            for round in 1..=rounds {
                // Some move in every round and must not push out those that moved once.
                let all: BTreeMap<_, _> = (0..count)
                    .map(|i| {
                        let seq = if i < busy { round } else { 1 };
                        (installation(i as u8), tip(seq))
                    })
                    .collect();
                let heads = rotation.select(&all, &own);
                prop_assert!(heads.len() <= MAX_HEADS);
                for head in &heads {
                    prop_assert_eq!(all[&head.installation].seq, head.seq);
                    prop_assert!(said.insert((head.installation, head.seq), ()).is_none());
                }
                rotation.sent(&heads);
            }
            let heard: std::collections::BTreeSet<_> = said.keys().map(|(i, _)| *i).collect();
            prop_assert_eq!(heard.len(), count);
        }

        #[test]
        fn state_survives_storage_and_stays_small(list in prop::collection::vec((0u8..40, 1u64..9), 0..40)) {
            let mut rotation = HeadRotation::default();
            rotation.sent(&rotation.select(&tips(&list), &installation(99)));
            let bytes = rmp_serde::to_vec(&rotation).unwrap();
            prop_assert_eq!(&rmp_serde::from_slice::<HeadRotation>(&bytes).unwrap(), &rotation);
            rotation.retain(|_| false);
            prop_assert!(rotation.said.is_empty());
        }
    }
}
