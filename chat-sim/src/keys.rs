//! The watch on keys that no death of a process may make a device use twice.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::group::observe::Sealed;

/// The plaintexts that were sealed under each key of the AEAD that MLS uses, over the whole run: a
/// device that goes back to an older epoch and sends shows here, whatever its database says.
#[derive(Debug, Default)]
pub struct KeyWatch {
    sealed: BTreeMap<[u8; 32], BTreeSet<[u8; 32]>>,
}

impl KeyWatch {
    /// Takes note of what a step sealed that handed its outputs out: all that it encrypted leaves
    /// the device sooner or later. A step that failed or was refused must not be noted.
    pub(crate) fn note(&mut self, sealed: &[Sealed]) {
        for Sealed { key, plaintext } in sealed {
            self.sealed.entry(*key).or_default().insert(*plaintext);
        }
    }

    /// The number of keys that were used.
    pub fn used(&self) -> usize {
        self.sealed.len()
    }

    /// The number of keys that sealed two plaintexts: each is an (epoch id, leaf, generation) that
    /// was used twice.
    pub fn reused(&self) -> usize {
        self.sealed.values().filter(|plaintexts| plaintexts.len() > 1).count()
    }
}
