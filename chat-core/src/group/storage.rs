//! [`Rows`] as openmls's storage.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};

use super::rows::{Row, Rows, RowsError};

/// Functions that each write, read or delete one row with one key. The type parameters are in the
/// order that openmls has them: `K` is the key, `V` the value.
macro_rules! rows {
    (write $($method:ident<$a:ident: $of_a:ident, $b:ident: $of_b:ident> => $row:ident;)*) => {$(
        fn $method<$a: traits::$of_a<CURRENT_VERSION>, $b: traits::$of_b<CURRENT_VERSION>>(
            &self,
            key: &K,
            value: &V,
        ) -> Result<(), RowsError> {
            self.put(Row::$row, key, value)
        }
    )*};
    (read $($method:ident<$a:ident: $of_a:ident, $b:ident: $of_b:ident> => $row:ident;)*) => {$(
        fn $method<$a: traits::$of_a<CURRENT_VERSION>, $b: traits::$of_b<CURRENT_VERSION>>(
            &self,
            key: &K,
        ) -> Result<Option<V>, RowsError> {
            self.get(Row::$row, key)
        }
    )*};
    (delete $($method:ident<$a:ident: $of_a:ident> => $row:ident;)*) => {$(
        fn $method<$a: traits::$of_a<CURRENT_VERSION>>(&self, key: &K) -> Result<(), RowsError> {
            self.delete(Row::$row, key)
        }
    )*};
}

impl StorageProvider<CURRENT_VERSION> for Rows {
    type Error = RowsError;

    rows! { write
        write_mls_join_config<K: GroupId, V: MlsGroupJoinConfig> => JoinConfig;
        write_tree<K: GroupId, V: TreeSync> => Tree;
        write_interim_transcript_hash<K: GroupId, V: InterimTranscriptHash> => InterimTranscriptHash;
        write_context<K: GroupId, V: GroupContext> => GroupContext;
        write_confirmation_tag<K: GroupId, V: ConfirmationTag> => ConfirmationTag;
        write_group_state<V: GroupState, K: GroupId> => GroupState;
        write_message_secrets<K: GroupId, V: MessageSecrets> => MessageSecrets;
        write_resumption_psk_store<K: GroupId, V: ResumptionPskStore> => ResumptionPsks;
        write_own_leaf_index<K: GroupId, V: LeafNodeIndex> => OwnLeafIndex;
        write_group_epoch_secrets<K: GroupId, V: GroupEpochSecrets> => EpochSecrets;
        write_signature_key_pair<K: SignaturePublicKey, V: SignatureKeyPair> => SignatureKeyPair;
        write_encryption_key_pair<K: EncryptionKey, V: HpkeKeyPair> => EncryptionKeyPair;
        write_key_package<K: HashReference, V: KeyPackage> => KeyPackage;
        write_psk<K: PskId, V: PskBundle> => Psk;
    }

    rows! { read
        mls_group_join_config<K: GroupId, V: MlsGroupJoinConfig> => JoinConfig;
        tree<K: GroupId, V: TreeSync> => Tree;
        group_context<K: GroupId, V: GroupContext> => GroupContext;
        interim_transcript_hash<K: GroupId, V: InterimTranscriptHash> => InterimTranscriptHash;
        confirmation_tag<K: GroupId, V: ConfirmationTag> => ConfirmationTag;
        group_state<V: GroupState, K: GroupId> => GroupState;
        message_secrets<K: GroupId, V: MessageSecrets> => MessageSecrets;
        resumption_psk_store<K: GroupId, V: ResumptionPskStore> => ResumptionPsks;
        own_leaf_index<K: GroupId, V: LeafNodeIndex> => OwnLeafIndex;
        group_epoch_secrets<K: GroupId, V: GroupEpochSecrets> => EpochSecrets;
        signature_key_pair<K: SignaturePublicKey, V: SignatureKeyPair> => SignatureKeyPair;
        encryption_key_pair<V: HpkeKeyPair, K: EncryptionKey> => EncryptionKeyPair;
        key_package<K: HashReference, V: KeyPackage> => KeyPackage;
        psk<V: PskBundle, K: PskId> => Psk;
    }

    rows! { delete
        delete_own_leaf_nodes<K: GroupId> => OwnLeafNodes;
        delete_group_config<K: GroupId> => JoinConfig;
        delete_tree<K: GroupId> => Tree;
        delete_confirmation_tag<K: GroupId> => ConfirmationTag;
        delete_group_state<K: GroupId> => GroupState;
        delete_context<K: GroupId> => GroupContext;
        delete_interim_transcript_hash<K: GroupId> => InterimTranscriptHash;
        delete_message_secrets<K: GroupId> => MessageSecrets;
        delete_all_resumption_psk_secrets<K: GroupId> => ResumptionPsks;
        delete_own_leaf_index<K: GroupId> => OwnLeafIndex;
        delete_group_epoch_secrets<K: GroupId> => EpochSecrets;
        delete_signature_key_pair<K: SignaturePublicKey> => SignatureKeyPair;
        delete_encryption_key_pair<K: EncryptionKey> => EncryptionKeyPair;
        delete_key_package<K: HashReference> => KeyPackage;
        delete_psk<K: PskId> => Psk;
    }

    fn append_own_leaf_node<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        leaf_node: &LeafNode,
    ) -> Result<(), RowsError> {
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
    ) -> Result<(), RowsError> {
        self.put(Row::QueuedProposal, &(group_id, proposal_ref), proposal)?;
        self.append(Row::ProposalQueue, group_id, proposal_ref)
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
    ) -> Result<(), RowsError> {
        self.put(Row::EpochKeyPairs, &(group_id, epoch, leaf_index), &key_pairs)
    }

    fn own_leaf_nodes<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<LeafNode>, RowsError> {
        self.list(Row::OwnLeafNodes, group_id)
    }

    fn queued_proposal_refs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<ProposalRef>, RowsError> {
        self.list(Row::ProposalQueue, group_id)
    }

    fn queued_proposals<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, RowsError> {
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

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, RowsError> {
        Ok(self.get(Row::EpochKeyPairs, &(group_id, epoch, leaf_index))?.unwrap_or_default())
    }

    fn remove_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        proposal_ref: &ProposalRef,
    ) -> Result<(), RowsError> {
        self.remove_from(Row::ProposalQueue, group_id, proposal_ref)?;
        self.delete(Row::QueuedProposal, &(group_id, proposal_ref))
    }

    fn clear_proposal_queue<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
    ) -> Result<(), RowsError> {
        let refs: Vec<ProposalRef> = self.list(Row::ProposalQueue, group_id)?;
        for reference in &refs {
            self.delete(Row::QueuedProposal, &(group_id, reference))?;
        }
        self.delete(Row::ProposalQueue, group_id)
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), RowsError> {
        self.delete(Row::EpochKeyPairs, &(group_id, epoch, leaf_index))
    }
}
