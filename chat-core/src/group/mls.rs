//! One epoch of a group: an openmls group on the rows of one epoch id.

use openmls::group::{MlsGroup, StagedCommit};
use openmls::prelude::{
    ContentType, Credential, CredentialType, CredentialWithKey, LeafNode, MlsMessageBodyIn,
    MlsMessageIn, ProcessedMessageContent, ProtocolMessage, Sender,
};
use openmls_traits::OpenMlsProvider as _;
use tls_codec::DeserializeBytes as _;
use zeroize::Zeroizing;

use super::config::{capabilities, create_config, leaf_inbox};
use super::crypto::Provider;
use super::epoch::Leaf;
use super::error::GroupError;
use super::pages::RawRows;
use super::policy::{GroupPolicy, POLICY_EXTENSION};
use super::rows::Rows;
use crate::identity::Enrolment;
use crate::identity::credential::{CREDENTIAL_TYPE, Credential as AccountCredential};
use crate::identity::installation::InstallationKey;
use crate::ids::{EpochId, GroupId};
use crate::params::NetworkId;
use crate::random::SharedRng;
use crate::wire::item::epoch_id;
use crate::wire::labels::Label;

/// An openmls group with the rows that it lives on.
///
/// A failed operation may leave the group in memory changed while its rows are not: drop it then
/// and load it again.
pub struct Mls {
    pub(super) provider: Provider,
    pub(super) group: MlsGroup,
}

impl std::fmt::Debug for Mls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mls(epoch {})", self.group.epoch())
    }
}

/// What an application message turned out to be.
#[derive(Debug)]
pub struct Opened {
    /// The leaf that sent it.
    pub leaf: u32,
    /// The decrypted application data.
    pub plaintext: Zeroizing<Vec<u8>>,
}

impl Mls {
    /// Makes a new group whose only member is this installation.
    ///
    /// # Errors
    /// Any error of openmls.
    pub fn create(
        rng: &SharedRng,
        id: &GroupId,
        policy: &GroupPolicy,
        key: &InstallationKey,
        credential: &[u8],
        inbox: &[u8; 32],
    ) -> Result<Self, GroupError> {
        let provider = Provider::new(rng, Rows::default());
        let group = MlsGroup::new_with_group_id(
            &provider,
            key,
            &create_config(&policy.encode()?, inbox)?,
            mls_group_id(id),
            credential_with_key(key, credential),
        )
        .map_err(GroupError::mls)?;
        Ok(Self { provider, group })
    }

    /// Loads a group from the rows of one of its epochs.
    ///
    /// # Errors
    /// [`GroupError::Load`] where rows are missing or damaged.
    pub fn load(rng: &SharedRng, id: &GroupId, rows: RawRows) -> Result<Self, GroupError> {
        Self::from_rows(rng, id, Rows::loaded(rows))
    }

    fn from_rows(rng: &SharedRng, id: &GroupId, rows: Rows) -> Result<Self, GroupError> {
        let provider = Provider::new(rng, rows);
        let group = MlsGroup::load(provider.storage(), &mls_group_id(id))
            .map_err(|error| GroupError::Load(error.to_string()))?
            .ok_or_else(|| GroupError::Load("no rows".into()))?;
        Ok(Self { provider, group })
    }

    /// A copy on rows of its own, on which a commit is built or staged: never on the original.
    ///
    /// # Errors
    /// Those of [`Mls::load`].
    pub fn fork(&self, rng: &SharedRng) -> Result<Self, GroupError> {
        let id = self.id()?;
        Self::from_rows(rng, &id, self.provider.rows().fork())
    }

    /// The rows, for writing what changed.
    pub fn rows(&self) -> &Rows {
        self.provider.rows()
    }

    /// The group's id.
    ///
    /// # Errors
    /// [`GroupError::Format`] for one that is not ours.
    pub fn id(&self) -> Result<GroupId, GroupError> {
        GroupId::from_slice(self.group.group_id().as_slice())
            .map_err(|_| GroupError::Format("group id"))
    }

    /// The MLS epoch number, which is ambiguous where commits met.
    pub fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    /// The id of this epoch.
    pub fn epoch_id(&self, network: &NetworkId) -> EpochId {
        epoch_id(self.group.epoch_authenticator().as_slice(), network)
    }

    /// This installation's leaf index.
    pub fn own_leaf(&self) -> u32 {
        self.group.own_leaf_index().u32()
    }

    /// The policy in the group's context.
    ///
    /// # Errors
    /// [`GroupError::Content`] where there is none or it cannot be read.
    pub fn policy(&self) -> Result<GroupPolicy, GroupError> {
        let extension = self
            .group
            .extensions()
            .unknown(POLICY_EXTENSION)
            .ok_or_else(|| GroupError::Content("no policy".into()))?;
        Ok(GroupPolicy::decode(&extension.0)?)
    }

    /// Every leaf, its credential verified: work that grows with the group, done on joining only.
    ///
    /// # Errors
    /// [`GroupError::Leaf`] for the first that is not valid.
    pub fn verified_leaves(&self, network: &NetworkId) -> Result<Vec<Leaf>, GroupError> {
        self.group
            .members()
            .map(|member| {
                let node = self
                    .group
                    .public_group()
                    .leaf(member.index)
                    .ok_or_else(|| GroupError::Leaf("missing".into()))?;
                verify_leaf(member.index.u32(), node, network)
            })
            .collect()
    }

    /// A secret that all members of this epoch share, for a root.
    ///
    /// # Errors
    /// Any error of openmls.
    pub fn export(
        &self,
        label: Label,
        network: &NetworkId,
    ) -> Result<Zeroizing<[u8; 32]>, GroupError> {
        let secret = self
            .group
            .export_secret(self.provider.crypto(), label.text(), network.as_bytes(), 32)
            .map_err(GroupError::mls)?;
        to_root(secret)
    }

    /// The ratchet tree as a joiner needs it.
    ///
    /// # Errors
    /// Those of the codec.
    pub fn tree(&self) -> Result<Vec<u8>, GroupError> {
        use tls_codec::Serialize as _;
        self.group.export_ratchet_tree().tls_serialize_detached().map_err(GroupError::mls)
    }

    /// Encrypts an application message: an `MLSMessage` with a PrivateMessage.
    ///
    /// # Errors
    /// Any error of openmls.
    pub fn encrypt(
        &mut self,
        key: &InstallationKey,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, GroupError> {
        self.group.set_aad(Vec::new());
        self.group
            .create_message(&self.provider, key, plaintext)
            .map_err(GroupError::mls)?
            .to_bytes()
            .map_err(GroupError::mls)
    }

    /// Opens an application message. On an error, drop this value and load the epoch again.
    ///
    /// # Errors
    /// [`GroupError::Mls`] where it does not open, [`GroupError::Format`] where it is no
    /// application message.
    pub fn decrypt(&mut self, message: ProtocolMessage) -> Result<Opened, GroupError> {
        let processed =
            self.group.process_message(&self.provider, message).map_err(GroupError::mls)?;
        let Sender::Member(leaf) = *processed.sender() else {
            return Err(GroupError::Format("sender"));
        };
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                Ok(Opened { leaf: leaf.u32(), plaintext: Zeroizing::new(message.into_bytes()) })
            }
            ProcessedMessageContent::OwnPrivateMessage => Err(GroupError::OwnLeaf),
            _ => Err(GroupError::Format("not an application message")),
        }
    }

    pub(super) fn merge(&mut self, staged: StagedCommit) -> Result<(), GroupError> {
        self.group.merge_staged_commit(&self.provider, staged).map_err(GroupError::mls)
    }
}

/// Reads an `MLSMessage`. Only what groups send passes: a PublicMessage with a commit, or a
/// PrivateMessage with an application message, of the right group.
///
/// # Errors
/// [`GroupError::Format`].
pub fn read_message(bytes: &[u8], group: &GroupId) -> Result<ProtocolMessage, GroupError> {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(|_| GroupError::Format("not an MLS message"))?;
    let message: ProtocolMessage = match message.extract() {
        MlsMessageBodyIn::PublicMessage(message) => {
            if message.content_type() != ContentType::Commit {
                return Err(GroupError::Format("a public message that is no commit"));
            }
            if !matches!(message.sender(), Sender::Member(_)) {
                return Err(GroupError::Format("a commit from outside"));
            }
            message.into()
        }
        MlsMessageBodyIn::PrivateMessage(message) => {
            if message.content_type() != ContentType::Application {
                return Err(GroupError::Format("a private message that is no application message"));
            }
            message.into()
        }
        _ => return Err(GroupError::Format("a kind that groups do not use")),
    };
    if message.group_id().as_slice() != group.as_bytes() {
        return Err(GroupError::Format("another group"));
    }
    Ok(message)
}

/// Checks a leaf wholly: credential, signature key, capabilities, lifetime, inbox key.
pub(super) fn verify_leaf(
    index: u32,
    node: &LeafNode,
    network: &NetworkId,
) -> Result<Leaf, GroupError> {
    let bad = |text: &str| GroupError::Leaf(text.into());
    if *node.capabilities() != capabilities() {
        return Err(bad("capabilities"));
    }
    if let openmls::treesync::LeafNodeSource::KeyPackage(lifetime) = node.leaf_node_source()
        && (lifetime.not_before() != 0 || lifetime.not_after() != u64::MAX)
    {
        return Err(bad("lifetime"));
    }
    let inbox = leaf_inbox(node.extensions()).ok_or_else(|| bad("extensions"))?;
    let credential = credential_bytes(node.credential())?;
    let member =
        AccountCredential::decode_and_verify(&credential, node.signature_key().as_slice(), network)
            .map_err(|error| GroupError::Leaf(error.to_string()))?;
    Ok(Leaf {
        leaf: index,
        account: member.account,
        installation: member.installation,
        seniority: member.seniority,
        chain: member.chain.iter().map(Enrolment::from).collect(),
        inbox,
        since: None,
    })
}

fn credential_bytes(credential: &Credential) -> Result<Vec<u8>, GroupError> {
    if credential.credential_type() != CredentialType::Other(CREDENTIAL_TYPE) {
        return Err(GroupError::Leaf("credential type".into()));
    }
    Ok(credential.serialized_content().to_vec())
}

pub(super) fn credential_with_key(key: &InstallationKey, credential: &[u8]) -> CredentialWithKey {
    CredentialWithKey {
        credential: Credential::new(CredentialType::Other(CREDENTIAL_TYPE), credential.to_vec()),
        signature_key: key.id().0.to_vec().into(),
    }
}

pub(super) fn mls_group_id(id: &GroupId) -> openmls::group::GroupId {
    openmls::group::GroupId::from_slice(id.as_bytes())
}

pub(super) fn to_root(secret: impl AsRef<[u8]>) -> Result<Zeroizing<[u8; 32]>, GroupError> {
    let mut out = Zeroizing::new([0; 32]);
    let secret = secret.as_ref();
    if secret.len() != 32 {
        return Err(GroupError::Format("exported secret"));
    }
    out.copy_from_slice(secret);
    Ok(out)
}
