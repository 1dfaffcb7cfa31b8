//! Judging a commit of another installation: staged on a copy of its parent's rows, read wholly,
//! and merged there once it is found valid.

use openmls::extensions::ExtensionType;
use openmls::group::{ProcessMessageError, StageCommitError, StagedCommit};
use openmls::prelude::{ProcessedMessageContent, Proposal, ProtocolMessage, Sender};

use super::config::context_extensions;
use super::epoch::{EpochInfo, Leaf};
use super::error::GroupError;
use super::mls::{Mls, verify_leaf};
use super::policy::{GroupPolicy, POLICY_EXTENSION};
use crate::params::{MAX_PROPOSALS, NetworkId};
use crate::random::SharedRng;
use crate::wire::header::CommitHeader;

/// A commit that MLS accepts; the group's rules have yet to.
pub struct Staged {
    child: Mls,
    staged: Box<StagedCommit>,
    /// The leaf that made it.
    pub author: u32,
    /// The header in its authenticated data.
    pub header: CommitHeader,
    /// Leaves that it adds, verified; their index is not known before the merge.
    pub added: Vec<Leaf>,
    /// Leaves that it removes.
    pub removed: Vec<u32>,
    /// The policy afterwards, where it changes.
    pub policy: Option<GroupPolicy>,
    /// Whether it renews its author's path.
    pub has_path: bool,
    /// Whether it removes this device, which then cannot follow.
    pub self_removed: bool,
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Staged(by leaf {}, {} added, {} removed)",
            self.author,
            self.added.len(),
            self.removed.len()
        )
    }
}

/// Stages a commit on a copy of `parent`.
///
/// # Errors
/// [`GroupError::Mls`] where MLS refuses it on this parent, [`GroupError::OwnLeaf`] where this device's
/// own leaf made it with a path, whose secrets are not here, others where what is in it is not allowed
/// on any parent.
pub fn stage(
    parent: &Mls,
    info: &EpochInfo,
    rng: &SharedRng,
    network: &NetworkId,
    message: ProtocolMessage,
) -> Result<Staged, GroupError> {
    let mut child = parent.fork(rng)?;
    let processed =
        child.group.process_message(&child.provider, message).map_err(|error| match error {
            ProcessMessageError::InvalidCommit(StageCommitError::OwnCommitMismatch) => {
                GroupError::OwnLeaf
            }
            other => GroupError::mls(other),
        })?;
    let Sender::Member(author) = *processed.sender() else {
        return Err(GroupError::Format("sender"));
    };
    let author = author.u32();
    let header = CommitHeader::decode(processed.aad())
        .map_err(|error| GroupError::Content(error.to_string()))?;
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
        return Err(GroupError::Format("not a commit"));
    };

    let mut added = Vec::new();
    let mut removed = Vec::new();
    for (count, queued) in staged.queued_proposals().enumerate() {
        if count >= MAX_PROPOSALS {
            return Err(GroupError::Format("too many proposals"));
        }
        if *queued.sender() != Sender::Member(openmls::prelude::LeafNodeIndex::new(author)) {
            return Err(GroupError::Format("a proposal of somebody else"));
        }
        match queued.proposal() {
            Proposal::Add(add) => {
                let package = add.key_package();
                added.push(verify_leaf(0, package.leaf_node(), network)?);
            }
            Proposal::Remove(remove) => removed.push(remove.removed().u32()),
            Proposal::GroupContextExtensions(_) => {}
            _ => return Err(GroupError::Format("a proposal that is not allowed")),
        }
    }
    if let Some(node) = staged.update_path_leaf_node() {
        let after = verify_leaf(author, node, network)?;
        let before = info.leaf(author).ok_or(GroupError::Format("sender"))?;
        // What the rules go by stays as it was when the leaf was added: its seniority too.
        let who = |leaf: &Leaf| (leaf.account, leaf.installation, leaf.inbox, leaf.seniority);
        let same_chain = before.chain.is_empty() || after.chain == before.chain;
        if who(&after) != who(before) || !same_chain {
            return Err(GroupError::Leaf("an update changed whose leaf it is".into()));
        }
    }
    let policy = policy_after(&staged, info)?;
    Ok(Staged {
        author,
        header,
        added,
        removed,
        policy,
        has_path: staged.update_path_leaf_node().is_some(),
        self_removed: staged.self_removed(),
        child,
        staged,
    })
}

fn policy_after(
    staged: &StagedCommit,
    info: &EpochInfo,
) -> Result<Option<GroupPolicy>, GroupError> {
    let extensions = staged.group_context().extensions();
    let known = [ExtensionType::RequiredCapabilities, ExtensionType::Unknown(POLICY_EXTENSION)];
    if extensions.iter().count() != known.len()
        || known.iter().any(|kind| !extensions.contains(*kind))
    {
        return Err(GroupError::Format("extensions of the group"));
    }
    let bytes = &extensions
        .unknown(POLICY_EXTENSION)
        .ok_or(GroupError::Format("extensions of the group"))?
        .0;
    let policy = GroupPolicy::decode(bytes)?;
    if *extensions != context_extensions(&policy.encode()?)? {
        return Err(GroupError::Format("required capabilities"));
    }
    Ok((policy != info.policy()?).then_some(policy))
}

impl Staged {
    /// Merges it; the epoch after it.
    ///
    /// # Errors
    /// Any error of openmls.
    pub fn merge(mut self) -> Result<Mls, GroupError> {
        self.child.merge(*self.staged)?;
        Ok(self.child)
    }
}

/// The leaves after a commit: those that stay, and those that were added, by their new index.
///
/// # Errors
/// [`GroupError::Leaf`] where an added leaf is not in the tree.
pub fn leaves_after(
    before: &EpochInfo,
    removed: &[u32],
    added: &[Leaf],
    after: &Mls,
) -> Result<Vec<Leaf>, GroupError> {
    let mut leaves: Vec<Leaf> =
        before.leaves.iter().filter(|leaf| !removed.contains(&leaf.leaf)).cloned().collect();
    if added.is_empty() {
        return Ok(leaves);
    }
    let index: std::collections::BTreeMap<Vec<u8>, u32> =
        after.group.members().map(|member| (member.signature_key, member.index.u32())).collect();
    for leaf in added {
        let at = index
            .get(leaf.installation.as_bytes().as_slice())
            .ok_or_else(|| GroupError::Leaf("an added leaf is not in the tree".into()))?;
        leaves.push(Leaf { leaf: *at, since: None, ..leaf.clone() });
    }
    Ok(leaves)
}
