//! Values of the MLS state in pages, so that only those that changed are written.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

/// Rows as they are in the database: key to value.
pub type RawRows = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// Bytes of a value that are stored together. A received message changes some 100 bytes of a value
/// that grows with the group; only the pages that changed are written. With its key such a page has
/// to fit into a database page of 4 KiB several times: what is over a quarter of one (980 bytes in
/// a table without row ids, less what SQLCipher takes) goes to an overflow page of its own.
pub const PAGE: usize = 512;

/// What is to be written of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// The row is gone.
    Deleted,
    /// These pages, by number; and how many there are now, where that changed.
    Pages {
        /// The pages that changed.
        pages: Vec<(u32, Zeroizing<Vec<u8>>)>,
        /// Pages that the value has: later ones are to be deleted.
        count: u32,
    },
}

/// Pages in which a value differs from the one that is stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Dirty(BTreeSet<u32>);

impl Dirty {
    /// Adds the pages in which two values differ.
    pub(super) fn add(&mut self, old: &[u8], new: &[u8]) {
        for (number, page) in new.chunks(PAGE).enumerate() {
            let begin = number * PAGE;
            let before = old.get(begin..(begin + page.len()).min(old.len())).unwrap_or(&[]);
            // The last page of the shorter value counts as changed where the length does.
            let cut = old.len() != new.len() && old.len().min(new.len()) < begin + PAGE;
            if before != page || cut {
                self.0.insert(number as u32);
            }
        }
    }

    /// What is to be written of a row that has this value now, or none.
    pub(super) fn change(&self, value: Option<&[u8]>) -> RowChange {
        let Some(value) = value else {
            return RowChange::Deleted;
        };
        let pages = (0u32..).zip(value.chunks(PAGE));
        RowChange::Pages {
            count: value.len().div_ceil(PAGE) as u32,
            pages: pages
                .filter(|(number, _)| self.0.contains(number))
                .map(|(number, page)| (number, Zeroizing::new(page.to_vec())))
                .collect(),
        }
    }
}
