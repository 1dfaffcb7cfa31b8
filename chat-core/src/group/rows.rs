//! openmls's storage for one epoch of one group: a set of rows in memory, written to the database
//! by the step that changed them. `storage` is the interface that openmls sees.
//!
//! openmls keys its rows by group and epoch number, which is ambiguous where commits met. Here each
//! epoch id has a set of its own, so that no row is shared between branches; the database keeps the
//! sets apart by epoch id. Values are MessagePack with field names: openmls needs a self-describing
//! format. Byte strings are written as such, so that a secret has the same length whatever it is,
//! and a message changes a few pages of the large values instead of all of them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use openmls_traits::storage::{CURRENT_VERSION, Entity, Key};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::pages::{Dirty, RawRows, RowChange};

/// Why a row could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A value cannot be encoded.
    #[error("a value of the MLS state cannot be encoded")]
    Encode,
    /// A stored value cannot be read.
    #[error("a stored value of the MLS state cannot be read")]
    Decode,
    /// A value that another one names is not there.
    #[error("a stored value of the MLS state is missing")]
    Missing,
}

/// What a row holds. The numbers are on disk: they are never given to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Row {
    JoinConfig = 1,
    OwnLeafNodes = 2,
    QueuedProposal = 3,
    ProposalQueue = 4,
    Tree = 5,
    InterimTranscriptHash = 6,
    GroupContext = 7,
    ConfirmationTag = 8,
    GroupState = 9,
    MessageSecrets = 10,
    ResumptionPsks = 11,
    OwnLeafIndex = 12,
    EpochSecrets = 13,
    SignatureKeyPair = 14,
    EncryptionKeyPair = 15,
    EpochKeyPairs = 16,
    KeyPackage = 17,
    Psk = 18,
    /// Not openmls's: how many messages were sent with the keys in these rows.
    Sent = 19,
}

/// The rows of one epoch. What changed since the last [`Rows::take_changes`] is remembered.
#[derive(Default)]
pub struct Rows {
    rows: RefCell<RawRows>,
    changed: RefCell<BTreeMap<Vec<u8>, Dirty>>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({} rows)", self.rows.borrow().len())
    }
}

impl Rows {
    /// Rows as they were read from the database; none of them counts as changed.
    pub fn loaded(rows: RawRows) -> Self {
        Self { rows: RefCell::new(rows), changed: RefCell::default() }
    }

    /// A copy of which every row counts as changed: the beginning of an epoch of its own, in which
    /// nothing was sent yet.
    pub fn fork(&self) -> Self {
        let fork = Self::default();
        fork.absorb(&self.rows.borrow());
        fork.rows.borrow_mut().retain(|key, _| key.first() != Some(&(Row::Sent as u8)));
        fork.changed.borrow_mut().retain(|key, _| key.first() != Some(&(Row::Sent as u8)));
        fork
    }

    /// What is to be written to the database.
    pub fn take_changes(&self) -> Vec<(Vec<u8>, RowChange)> {
        let rows = self.rows.borrow();
        std::mem::take(&mut *self.changed.borrow_mut())
            .into_iter()
            .map(|(key, dirty)| {
                let change = dirty.change(rows.get(&key).map(|value| value.as_slice()));
                (key, change)
            })
            .collect()
    }

    /// All rows, taken out.
    pub fn into_raw(self) -> RawRows {
        self.rows.into_inner()
    }

    /// Adds rows from elsewhere, such as those of a key package before a join.
    pub fn absorb(&self, other: &RawRows) {
        for (key, value) in other {
            self.set(key.clone(), value.clone());
        }
    }

    /// Removes rows by key, such as those of key packages after a join.
    pub fn forget<'a>(&self, keys: impl Iterator<Item = &'a Vec<u8>>) {
        for key in keys {
            self.remove(key.clone());
        }
    }

    /// How many messages were sent with the keys in these rows: it goes where they go.
    ///
    /// # Errors
    /// [`RowsError::Decode`] where the stored value is damaged.
    pub fn sent(&self) -> Result<u64, RowsError> {
        Ok(self.get(Row::Sent, &())?.unwrap_or(0))
    }

    /// Notes that a message was sent with these keys.
    ///
    /// # Errors
    /// [`RowsError`].
    pub fn count_sent(&self) -> Result<u64, RowsError> {
        let sent = self.sent()?.saturating_add(1);
        self.put(Row::Sent, &(), &sent)?;
        Ok(sent)
    }

    fn remove(&self, key: Vec<u8>) {
        if self.rows.borrow_mut().remove(&key).is_some() {
            self.changed.borrow_mut().insert(key, Dirty::default());
        }
    }

    fn key(row: Row, key: &impl Serialize) -> Result<Vec<u8>, RowsError> {
        let mut out = vec![row as u8];
        rmp_serde::encode::write_named(&mut out, key).map_err(|_| RowsError::Encode)?;
        Ok(out)
    }

    fn set(&self, key: Vec<u8>, value: Zeroizing<Vec<u8>>) {
        let mut changed = self.changed.borrow_mut();
        let mut rows = self.rows.borrow_mut();
        let old = rows.get(&key).map_or(&[][..], |old| old.as_slice());
        changed.entry(key.clone()).or_default().add(old, &value);
        rows.insert(key, value);
    }

    fn encode(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, RowsError> {
        let mut out = Zeroizing::new(Vec::new());
        let mut serializer = rmp_serde::Serializer::new(&mut *out)
            .with_struct_map()
            .with_bytes(rmp_serde::config::BytesMode::ForceAll);
        value.serialize(&mut serializer).map_err(|_| RowsError::Encode)?;
        Ok(out)
    }

    pub(super) fn put(
        &self,
        row: Row,
        key: &impl Serialize,
        value: &impl Serialize,
    ) -> Result<(), RowsError> {
        self.set(Self::key(row, key)?, Self::encode(value)?);
        Ok(())
    }

    pub(super) fn get<V: DeserializeOwned>(
        &self,
        row: Row,
        key: &impl Serialize,
    ) -> Result<Option<V>, RowsError> {
        match self.rows.borrow().get(&Self::key(row, key)?) {
            Some(value) => rmp_serde::from_slice(value).map(Some).map_err(|_| RowsError::Decode),
            None => Ok(None),
        }
    }

    pub(super) fn delete(&self, row: Row, key: &impl Serialize) -> Result<(), RowsError> {
        self.remove(Self::key(row, key)?);
        Ok(())
    }

    fn raw_list(&self, row: Row, key: &impl Serialize) -> Result<Vec<Vec<u8>>, RowsError> {
        Ok(self.get(row, key)?.unwrap_or_default())
    }

    pub(super) fn append(
        &self,
        row: Row,
        key: &impl Key<CURRENT_VERSION>,
        value: &impl Serialize,
    ) -> Result<(), RowsError> {
        let mut list = self.raw_list(row, key)?;
        list.push(Self::encode(value)?.to_vec());
        self.put(row, key, &list)
    }

    pub(super) fn list<V: Entity<CURRENT_VERSION>>(
        &self,
        row: Row,
        key: &impl Key<CURRENT_VERSION>,
    ) -> Result<Vec<V>, RowsError> {
        self.raw_list(row, key)?
            .iter()
            .map(|value| rmp_serde::from_slice(value).map_err(|_| RowsError::Decode))
            .collect()
    }

    pub(super) fn remove_from(
        &self,
        row: Row,
        key: &impl Key<CURRENT_VERSION>,
        value: &impl Serialize,
    ) -> Result<(), RowsError> {
        let encoded = Self::encode(value)?;
        let mut list = self.raw_list(row, key)?;
        list.retain(|item| item != &*encoded);
        self.put(row, key, &list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::pages::PAGE;
    use proptest::prelude::*;

    fn apply(stored: &mut BTreeMap<Vec<u8>, Vec<Vec<u8>>>, rows: &Rows) {
        for (key, change) in rows.take_changes() {
            match change {
                RowChange::Deleted => {
                    stored.remove(&key);
                }
                RowChange::Pages { pages, count } => {
                    let value = stored.entry(key).or_default();
                    value.resize(count as usize, Vec::new());
                    for (number, page) in pages {
                        value[number as usize] = page.to_vec();
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn pages_add_up_to_the_values(
            steps in proptest::collection::vec(
                (0u8..3, proptest::option::of((0usize..5000, 0u8..4, 0usize..5000))), 1..20,
            ),
        ) {
            let rows = Rows::default();
            let mut stored = BTreeMap::new();
            for (key, write) in steps {
                match write {
                    None => rows.remove(vec![key]),
                    Some((length, fill, at)) => {
                        let mut value = vec![fill; length];
                        if let Some(byte) = value.get_mut(at) {
                            *byte = 0xff;
                        }
                        rows.set(vec![key], Zeroizing::new(value));
                    }
                }
                if fill_is_even(key) {
                    apply(&mut stored, &rows);
                }
            }
            apply(&mut stored, &rows);
            let whole: BTreeMap<Vec<u8>, Vec<u8>> =
                stored.into_iter().map(|(key, pages)| (key, pages.concat())).collect();
            let expected: BTreeMap<Vec<u8>, Vec<u8>> =
                rows.into_raw().into_iter().map(|(key, value)| (key, value.to_vec())).collect();
            prop_assert_eq!(whole, expected);
        }
    }

    fn fill_is_even(key: u8) -> bool {
        key.is_multiple_of(2)
    }

    #[test]
    fn a_small_change_writes_one_page() {
        let rows = Rows::default();
        rows.set(vec![1], Zeroizing::new(vec![7; 100 * PAGE]));
        rows.take_changes();
        let mut value = vec![7; 100 * PAGE];
        value[50 * PAGE + 3] = 8;
        rows.set(vec![1], Zeroizing::new(value));
        let changes = rows.take_changes();
        let RowChange::Pages { pages, count } = &changes[0].1 else { panic!() };
        assert_eq!((pages.len(), pages[0].0, *count), (1, 50, 100));
    }

    #[test]
    fn an_empty_value_is_no_missing_value() {
        let rows = Rows::default();
        rows.put(Row::Psk, &1u8, &Vec::<u8>::new()).unwrap();
        assert_eq!(rows.get::<Vec<u8>>(Row::Psk, &1u8).unwrap(), Some(Vec::new()));
    }
}
