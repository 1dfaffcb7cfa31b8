//! Making a commit: always on a copy of its parent's rows.

use openmls::extensions::{Extension, UnknownExtension};
use openmls::prelude::{KeyPackage, LeafNodeIndex, MlsMessageOut};
use openmls_traits::OpenMlsProvider as _;
use zeroize::Zeroizing;

use super::config::{JOIN_INFO_EXTENSION, context_extensions};
use super::error::GroupError;
use super::mls::Mls;
use super::policy::GroupPolicy;
use crate::identity::installation::InstallationKey;
use crate::ids::CommitId;
use crate::params::NetworkId;
use crate::random::SharedRng;
use crate::wire::item::commit_id;

/// What a commit is to do.
#[derive(Debug, Default)]
pub struct CommitPlan {
    /// Key packages to add, validated.
    pub adds: Vec<KeyPackage>,
    /// Indices of the leaves to remove.
    pub removes: Vec<u32>,
    /// The policy afterwards, if it changes.
    pub policy: Option<GroupPolicy>,
    /// Whether to renew the committer's path though nothing else asks for it.
    pub self_update: bool,
    /// The encoded header: the commit's authenticated data.
    pub header: Vec<u8>,
    /// The encoded join info, where a member is added.
    pub join_info: Option<Zeroizing<Vec<u8>>>,
}

/// A commit that was made, with the epoch that it leads to.
#[derive(Debug)]
pub struct BuiltCommit {
    /// The epoch after it.
    pub mls: Mls,
    /// The `MLSMessage` with the commit.
    pub message: Vec<u8>,
    /// The commit id.
    pub id: CommitId,
    /// The `MLSMessage` with the Welcome, where a member was added.
    pub welcome: Option<Vec<u8>>,
}

/// Makes a commit on a copy of `parent`, whose rows stay as they are.
///
/// Adds alone carry no path; whatever removes, changes the policy or updates does.
///
/// # Errors
/// Any error of openmls.
pub fn build(
    parent: &Mls,
    rng: &SharedRng,
    key: &InstallationKey,
    network: &NetworkId,
    plan: CommitPlan,
) -> Result<BuiltCommit, GroupError> {
    let mut mls = parent.fork(rng)?;
    mls.group.set_aad(plan.header);
    let mut builder = mls
        .group
        .commit_builder()
        .force_self_update(plan.self_update)
        .propose_adds(plan.adds)
        .propose_removals(plan.removes.into_iter().map(LeafNodeIndex::new));
    if let Some(policy) = &plan.policy {
        builder = builder
            .propose_group_context_extensions(context_extensions(&policy.encode()?)?)
            .map_err(GroupError::mls)?;
    }
    let builder = builder.load_psks(mls.provider.storage()).map_err(GroupError::mls)?;
    let builder = match plan.join_info {
        Some(info) => builder
            .create_group_info_with_extensions([Extension::Unknown(
                JOIN_INFO_EXTENSION,
                UnknownExtension(info.to_vec()),
            )])
            .map_err(GroupError::mls)?,
        None => builder.create_group_info(false),
    };
    let bundle = builder
        .build(mls.provider.rand(), mls.provider.crypto(), key, |_| true)
        .map_err(GroupError::mls)?
        .stage_commit(&mls.provider)
        .map_err(GroupError::mls)?;
    let bytes = |message: MlsMessageOut| message.to_bytes().map_err(GroupError::mls);
    let (message, welcome, _) = bundle.into_messages();
    let message = bytes(message)?;
    let welcome = welcome.map(bytes).transpose()?;
    mls.group.merge_pending_commit(&mls.provider).map_err(GroupError::mls)?;
    let id = commit_id(&message, network)
        .map_err(|_| GroupError::Format("an own commit without the tags of its ciphersuite"))?;
    Ok(BuiltCommit { mls, message, id, welcome })
}
