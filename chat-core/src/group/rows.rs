//! openmls's storage for one state of one group: a set of rows in memory, written to the database
//! by the step that changed them.
//!
//! openmls keys its rows by group and epoch number, which is ambiguous where commits met. Here each
//! epoch id has a set of its own, so that no row is shared between branches; the database keeps the
//! sets apart by epoch id. Values are MessagePack with field names: openmls needs a self-describing
//! format. Byte strings are written as such, so that a secret has the same length whatever it is,
//! and a message changes a few pages of the large values instead of all of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use openmls_traits::storage::{CURRENT_VERSION, Entity, Key, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

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
enum Row {
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

/// Rows as they are in the database: key to value.
pub type RawRows = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// Bytes of a value that are stored together. A received message changes some 100 bytes of a value
/// that grows with the group; only the pages that changed are written. With its key such a page has
/// to fit into a database page of 4 KiB several times: what is over a quarter of one (980 bytes in a
/// table without row ids, less what SQLCipher takes) goes to an overflow page of its own.
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
struct Dirty(BTreeSet<u32>);

impl Dirty {
    /// Adds the pages in which two values differ.
    fn add(&mut self, old: &[u8], new: &[u8]) {
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
}

/// The rows of one state. What changed since the last [`Rows::take_changes`] is remembered.
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

    /// A copy of which every row counts as changed: the beginning of a state of its own, in which
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
                let change = match rows.get(&key) {
                    None => RowChange::Deleted,
                    Some(value) => RowChange::Pages {
                        count: value.len().div_ceil(PAGE) as u32,
                        pages: value
                            .chunks(PAGE)
                            .enumerate()
                            .filter(|(number, _)| dirty.0.contains(&(*number as u32)))
                            .map(|(number, page)| (number as u32, Zeroizing::new(page.to_vec())))
                            .collect(),
                    },
                };
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

    fn put(&self, row: Row, key: &impl Serialize, value: &impl Serialize) -> Result<(), RowsError> {
        self.set(Self::key(row, key)?, Self::encode(value)?);
        Ok(())
    }

    fn get<V: DeserializeOwned>(
        &self,
        row: Row,
        key: &impl Serialize,
    ) -> Result<Option<V>, RowsError> {
        match self.rows.borrow().get(&Self::key(row, key)?) {
            Some(value) => rmp_serde::from_slice(value).map(Some).map_err(|_| RowsError::Decode),
            None => Ok(None),
        }
    }

    fn delete(&self, row: Row, key: &impl Serialize) -> Result<(), RowsError> {
        self.remove(Self::key(row, key)?);
        Ok(())
    }

    fn raw_list(&self, row: Row, key: &impl Serialize) -> Result<Vec<Vec<u8>>, RowsError> {
        Ok(self.get(row, key)?.unwrap_or_default())
    }

    fn append(
        &self,
        row: Row,
        key: &impl Key<CURRENT_VERSION>,
        value: &impl Serialize,
    ) -> Result<(), RowsError> {
        let mut list = self.raw_list(row, key)?;
        list.push(Self::encode(value)?.to_vec());
        self.put(row, key, &list)
    }

    fn list<V: Entity<CURRENT_VERSION>>(
        &self,
        row: Row,
        key: &impl Key<CURRENT_VERSION>,
    ) -> Result<Vec<V>, RowsError> {
        self.raw_list(row, key)?
            .iter()
            .map(|value| rmp_serde::from_slice(value).map_err(|_| RowsError::Decode))
            .collect()
    }

    fn remove_from(
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

impl StorageProvider<CURRENT_VERSION> for Rows {
    type Error = RowsError;

    fn write_mls_join_config<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        MlsGroupJoinConfig: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        config: &MlsGroupJoinConfig,
    ) -> Result<(), Self::Error> {
        self.put(Row::JoinConfig, group_id, config)
    }

    fn append_own_leaf_node<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        leaf_node: &LeafNode,
    ) -> Result<(), Self::Error> {
        self.append(Row::OwnLeafNodes, group_id, leaf_node)
    }

    fn queue_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        proposal_ref: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<(), Self::Error> {
        self.put(Row::QueuedProposal, &(group_id, proposal_ref), proposal)?;
        self.append(Row::ProposalQueue, group_id, proposal_ref)
    }

    fn write_tree<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        TreeSync: traits::TreeSync<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        tree: &TreeSync,
    ) -> Result<(), Self::Error> {
        self.put(Row::Tree, group_id, tree)
    }

    fn write_interim_transcript_hash<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        interim_transcript_hash: &InterimTranscriptHash,
    ) -> Result<(), Self::Error> {
        self.put(Row::InterimTranscriptHash, group_id, interim_transcript_hash)
    }

    fn write_context<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        group_context: &GroupContext,
    ) -> Result<(), Self::Error> {
        self.put(Row::GroupContext, group_id, group_context)
    }

    fn write_confirmation_tag<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        confirmation_tag: &ConfirmationTag,
    ) -> Result<(), Self::Error> {
        self.put(Row::ConfirmationTag, group_id, confirmation_tag)
    }

    fn write_group_state<
        GroupState: traits::GroupState<CURRENT_VERSION>,
        GroupId: traits::GroupId<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        group_state: &GroupState,
    ) -> Result<(), Self::Error> {
        self.put(Row::GroupState, group_id, group_state)
    }

    fn write_message_secrets<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        MessageSecrets: traits::MessageSecrets<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        message_secrets: &MessageSecrets,
    ) -> Result<(), Self::Error> {
        self.put(Row::MessageSecrets, group_id, message_secrets)
    }

    fn write_resumption_psk_store<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ResumptionPskStore: traits::ResumptionPskStore<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        resumption_psk_store: &ResumptionPskStore,
    ) -> Result<(), Self::Error> {
        self.put(Row::ResumptionPsks, group_id, resumption_psk_store)
    }

    fn write_own_leaf_index<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNodeIndex: traits::LeafNodeIndex<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        own_leaf_index: &LeafNodeIndex,
    ) -> Result<(), Self::Error> {
        self.put(Row::OwnLeafIndex, group_id, own_leaf_index)
    }

    fn write_group_epoch_secrets<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupEpochSecrets: traits::GroupEpochSecrets<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        group_epoch_secrets: &GroupEpochSecrets,
    ) -> Result<(), Self::Error> {
        self.put(Row::EpochSecrets, group_id, group_epoch_secrets)
    }

    fn write_signature_key_pair<
        SignaturePublicKey: traits::SignaturePublicKey<CURRENT_VERSION>,
        SignatureKeyPair: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        public_key: &SignaturePublicKey,
        signature_key_pair: &SignatureKeyPair,
    ) -> Result<(), Self::Error> {
        self.put(Row::SignatureKeyPair, public_key, signature_key_pair)
    }

    fn write_encryption_key_pair<
        EncryptionKey: traits::EncryptionKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        public_key: &EncryptionKey,
        key_pair: &HpkeKeyPair,
    ) -> Result<(), Self::Error> {
        self.put(Row::EncryptionKeyPair, public_key, key_pair)
    }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
        key_pairs: &[HpkeKeyPair],
    ) -> Result<(), Self::Error> {
        self.put(Row::EpochKeyPairs, &(group_id, epoch, leaf_index), &key_pairs)
    }

    fn write_key_package<
        HashReference: traits::HashReference<CURRENT_VERSION>,
        KeyPackage: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        hash_ref: &HashReference,
        key_package: &KeyPackage,
    ) -> Result<(), Self::Error> {
        self.put(Row::KeyPackage, hash_ref, key_package)
    }

    fn write_psk<
        PskId: traits::PskId<CURRENT_VERSION>,
        PskBundle: traits::PskBundle<CURRENT_VERSION>,
    >(
        &self,
        psk_id: &PskId,
        psk: &PskBundle,
    ) -> Result<(), Self::Error> {
        self.put(Row::Psk, psk_id, psk)
    }

    fn mls_group_join_config<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        MlsGroupJoinConfig: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<MlsGroupJoinConfig>, Self::Error> {
        self.get(Row::JoinConfig, group_id)
    }

    fn own_leaf_nodes<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<LeafNode>, Self::Error> {
        self.list(Row::OwnLeafNodes, group_id)
    }

    fn queued_proposal_refs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<ProposalRef>, Self::Error> {
        self.list(Row::ProposalQueue, group_id)
    }

    fn queued_proposals<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, Self::Error> {
        let refs: Vec<ProposalRef> = self.list(Row::ProposalQueue, group_id)?;
        refs.into_iter()
            .map(|reference| {
                let proposal = self
                    .get(Row::QueuedProposal, &(group_id, &reference))?
                    .ok_or(RowsError::Missing)?;
                Ok((reference, proposal))
            })
            .collect()
    }

    fn tree<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        TreeSync: traits::TreeSync<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<TreeSync>, Self::Error> {
        self.get(Row::Tree, group_id)
    }

    fn group_context<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupContext: traits::GroupContext<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<GroupContext>, Self::Error> {
        self.get(Row::GroupContext, group_id)
    }

    fn interim_transcript_hash<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        InterimTranscriptHash: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<InterimTranscriptHash>, Self::Error> {
        self.get(Row::InterimTranscriptHash, group_id)
    }

    fn confirmation_tag<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ConfirmationTag: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<ConfirmationTag>, Self::Error> {
        self.get(Row::ConfirmationTag, group_id)
    }

    fn group_state<
        GroupState: traits::GroupState<CURRENT_VERSION>,
        GroupId: traits::GroupId<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<GroupState>, Self::Error> {
        self.get(Row::GroupState, group_id)
    }

    fn message_secrets<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        MessageSecrets: traits::MessageSecrets<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<MessageSecrets>, Self::Error> {
        self.get(Row::MessageSecrets, group_id)
    }

    fn resumption_psk_store<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ResumptionPskStore: traits::ResumptionPskStore<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<ResumptionPskStore>, Self::Error> {
        self.get(Row::ResumptionPsks, group_id)
    }

    fn own_leaf_index<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNodeIndex: traits::LeafNodeIndex<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<LeafNodeIndex>, Self::Error> {
        self.get(Row::OwnLeafIndex, group_id)
    }

    fn group_epoch_secrets<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        GroupEpochSecrets: traits::GroupEpochSecrets<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Option<GroupEpochSecrets>, Self::Error> {
        self.get(Row::EpochSecrets, group_id)
    }

    fn signature_key_pair<
        SignaturePublicKey: traits::SignaturePublicKey<CURRENT_VERSION>,
        SignatureKeyPair: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        public_key: &SignaturePublicKey,
    ) -> Result<Option<SignatureKeyPair>, Self::Error> {
        self.get(Row::SignatureKeyPair, public_key)
    }

    fn encryption_key_pair<
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
        EncryptionKey: traits::EncryptionKey<CURRENT_VERSION>,
    >(
        &self,
        public_key: &EncryptionKey,
    ) -> Result<Option<HpkeKeyPair>, Self::Error> {
        self.get(Row::EncryptionKeyPair, public_key)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, Self::Error> {
        Ok(self.get(Row::EpochKeyPairs, &(group_id, epoch, leaf_index))?.unwrap_or_default())
    }

    fn key_package<
        KeyPackageRef: traits::HashReference<CURRENT_VERSION>,
        KeyPackage: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        hash_ref: &KeyPackageRef,
    ) -> Result<Option<KeyPackage>, Self::Error> {
        self.get(Row::KeyPackage, hash_ref)
    }

    fn psk<PskBundle: traits::PskBundle<CURRENT_VERSION>, PskId: traits::PskId<CURRENT_VERSION>>(
        &self,
        psk_id: &PskId,
    ) -> Result<Option<PskBundle>, Self::Error> {
        self.get(Row::Psk, psk_id)
    }

    fn remove_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        proposal_ref: &ProposalRef,
    ) -> Result<(), Self::Error> {
        self.remove_from(Row::ProposalQueue, group_id, proposal_ref)?;
        self.delete(Row::QueuedProposal, &(group_id, proposal_ref))
    }

    fn delete_own_leaf_nodes<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::OwnLeafNodes, group_id)
    }

    fn delete_group_config<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::JoinConfig, group_id)
    }

    fn delete_tree<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::Tree, group_id)
    }

    fn delete_confirmation_tag<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::ConfirmationTag, group_id)
    }

    fn delete_group_state<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::GroupState, group_id)
    }

    fn delete_context<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::GroupContext, group_id)
    }

    fn delete_interim_transcript_hash<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::InterimTranscriptHash, group_id)
    }

    fn delete_message_secrets<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::MessageSecrets, group_id)
    }

    fn delete_all_resumption_psk_secrets<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::ResumptionPsks, group_id)
    }

    fn delete_own_leaf_index<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::OwnLeafIndex, group_id)
    }

    fn delete_group_epoch_secrets<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        self.delete(Row::EpochSecrets, group_id)
    }

    fn clear_proposal_queue<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<(), Self::Error> {
        let refs: Vec<ProposalRef> = self.list(Row::ProposalQueue, group_id)?;
        for reference in &refs {
            self.delete(Row::QueuedProposal, &(group_id, reference))?;
        }
        self.delete(Row::ProposalQueue, group_id)
    }

    fn delete_signature_key_pair<
        SignaturePublicKey: traits::SignaturePublicKey<CURRENT_VERSION>,
    >(
        &self,
        public_key: &SignaturePublicKey,
    ) -> Result<(), Self::Error> {
        self.delete(Row::SignatureKeyPair, public_key)
    }

    fn delete_encryption_key_pair<EncryptionKey: traits::EncryptionKey<CURRENT_VERSION>>(
        &self,
        public_key: &EncryptionKey,
    ) -> Result<(), Self::Error> {
        self.delete(Row::EncryptionKeyPair, public_key)
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), Self::Error> {
        self.delete(Row::EpochKeyPairs, &(group_id, epoch, leaf_index))
    }

    fn delete_key_package<KeyPackageRef: traits::HashReference<CURRENT_VERSION>>(
        &self,
        hash_ref: &KeyPackageRef,
    ) -> Result<(), Self::Error> {
        self.delete(Row::KeyPackage, hash_ref)
    }

    fn delete_psk<PskKey: traits::PskId<CURRENT_VERSION>>(
        &self,
        psk_id: &PskKey,
    ) -> Result<(), Self::Error> {
        self.delete(Row::Psk, psk_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
