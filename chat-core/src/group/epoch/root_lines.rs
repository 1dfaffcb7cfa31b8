//! The roots that an installation holds of a group, of all its epochs.

use std::cell::RefCell;
use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::info::{EpochInfo, LineId};
use crate::params::NetworkId;
use crate::time::Slot;
use crate::wire::roots::{Root, RootError, Roots};

/// Values of a root that are remembered beyond the one that is stored: those of the slots that are
/// watched, and of one that history is fetched of.
const RECENT: usize = 4;

/// A root as it is kept, and later values of it that were asked for: each is a step from the one
/// before, and many from the first.
#[derive(Debug)]
struct Line {
    root: Root,
    recent: RefCell<Vec<Root>>,
}

impl Line {
    fn new(root: Root) -> Self {
        Self { root, recent: RefCell::default() }
    }

    fn at(&self, slot: Slot, network: &NetworkId) -> Result<Root, RootError> {
        let mut recent = self.recent.borrow_mut();
        let known = recent
            .iter()
            .enumerate()
            .filter(|(_, root)| root.slot() <= slot)
            .max_by_key(|(_, root)| root.slot())
            .map(|(at, _)| at);
        let root = match known {
            Some(at) => {
                let near = recent.remove(at);
                let root = near.at(slot, network);
                // The last one that was of use goes last.
                recent.push(near);
                root?
            }
            None => self.root.at(slot, network)?,
        };
        if recent.iter().all(|known| known.slot() != slot) {
            if recent.len() == RECENT {
                recent.remove(0);
            }
            recent.push(root.clone());
        }
        Ok(root)
    }
}

/// The roots that an installation holds of a group.
#[derive(Debug, Default)]
pub struct RootLines(BTreeMap<LineId, Line>);

impl RootLines {
    /// From what is stored.
    pub fn load(rows: Vec<(LineId, Slot, Zeroizing<[u8; 32]>)>) -> Self {
        Self(
            rows.into_iter()
                .map(|(id, slot, value)| (id, Line::new(Root::new(slot, *value))))
                .collect(),
        )
    }

    /// Adds a root or replaces the one with this id.
    pub fn insert(&mut self, id: LineId, root: Root) {
        self.0.insert(id, Line::new(root));
    }

    /// A root as it is kept: of the earliest slot that it can still be had for.
    pub fn get(&self, id: &LineId) -> Option<&Root> {
        self.0.get(id).map(|line| &line.root)
    }

    /// All roots, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&LineId, &Root)> {
        self.0.iter().map(|(id, line)| (id, &line.root))
    }

    /// Forgets roots that no epoch uses. Returns their ids.
    pub fn retain(&mut self, used: impl Fn(&LineId) -> bool) -> Vec<LineId> {
        let gone: Vec<LineId> = self.0.keys().filter(|id| !used(id)).copied().collect();
        for id in &gone {
            self.0.remove(id);
        }
        gone
    }

    /// Ratchets all roots forward to `slot`. Returns the ids of those that moved.
    pub fn advance(&mut self, slot: Slot, network: &NetworkId) -> Vec<LineId> {
        let mut moved = Vec::new();
        for (id, line) in &mut self.0 {
            if line.root.slot() < slot && line.root.advance(slot, network).is_ok() {
                line.recent.get_mut().retain(|root| root.slot() > slot);
                moved.push(*id);
            }
        }
        moved
    }

    /// The root that an epoch seals with in a slot. In a slot before the one that it begins in, its
    /// first value: a commit that rotates may be of a clock that is ahead of ours, and what is sent
    /// after it must not go out under the old root.
    ///
    /// # Errors
    /// [`RootError`] where there is none, or the slot is absurdly late.
    pub fn seal_root(
        &self,
        epoch: &EpochInfo,
        slot: Slot,
        network: &NetworkId,
    ) -> Result<Root, RootError> {
        let line =
            self.0.get(&epoch.seal).ok_or(RootError::Past { held: slot.next(), wanted: slot })?;
        if slot < line.root.slot() {
            return Ok(Root::new(slot, *line.root.expose()));
        }
        line.at(slot, network)
    }

    /// The roots under which an epoch sends in a slot.
    ///
    /// # Errors
    /// [`RootError::Past`] where the topics of the slot cannot be had: the value was deleted, or
    /// this device was invited by one whose clock is ahead and the slot is still to come.
    pub fn roots(
        &self,
        epoch: &EpochInfo,
        slot: Slot,
        network: &NetworkId,
    ) -> Result<Roots, RootError> {
        let topic = self
            .0
            .get(&epoch.topic_line(slot))
            .ok_or(RootError::Past { held: slot.next(), wanted: slot })?
            .at(slot, network)?;
        Ok(Roots { topic, seal: self.seal_root(epoch, slot, network)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::info::tests::epoch;
    use super::*;

    #[test]
    fn before_its_slot_a_sealing_root_has_its_first_value() {
        let network = NetworkId([0; 32]);
        let mut lines = RootLines::default();
        lines.insert([1; 16], Root::new(Slot(10), [7; 32]));
        lines.insert([2; 16], Root::new(Slot(3), [8; 32]));
        let mut epoch = epoch(vec![(Slot(3), [2; 16])]);
        epoch.seal = [1; 16];
        let early = lines.roots(&epoch, Slot(9), &network).unwrap();
        assert_eq!((early.topic.slot(), early.seal.slot()), (Slot(9), Slot(9)));
        assert_eq!(early.seal.expose(), &[7; 32]);
        let later = lines.roots(&epoch, Slot(11), &network).unwrap();
        assert_ne!(later.seal.expose(), &[7; 32]);
        // No topics of a later slot: they would differ from everyone else's.
        assert!(lines.roots(&epoch, Slot(2), &network).is_err());
    }

    #[test]
    fn a_root_that_is_remembered_is_the_one_that_is_derived() {
        let network = NetworkId([0; 32]);
        let first = Root::new(Slot(10), [7; 32]);
        let mut lines = RootLines::default();
        lines.insert([1; 16], first.clone());
        let epoch = epoch(vec![(Slot(3), [1; 16])]);
        let same = |lines: &RootLines, slot: u64| {
            let root = lines.seal_root(&epoch, Slot(slot), &network).unwrap();
            assert_eq!(root.slot(), Slot(slot));
            assert_eq!(root.expose(), first.at(Slot(slot), &network).unwrap().expose());
            assert!(lines.0[&[1; 16]].recent.borrow().len() <= RECENT);
        };
        for slot in [10, 40, 41, 42, 12, 41, 13, 43, 14, 15, 42, 11, 10, 90, 40] {
            same(&lines, slot);
        }
        lines.advance(Slot(41), &network);
        for slot in [41, 42, 90, 43] {
            same(&lines, slot);
        }
        // Nothing of the time before is remembered either.
        assert!(lines.0[&[1; 16]].recent.borrow().iter().all(|root| root.slot() >= Slot(41)));
        assert!(lines.roots(&epoch, Slot(40), &network).is_err());
    }
}
