//! What an envelope turned out to be, before anything of it is taken in.

use super::later::Later;
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::mls::{Mls, Opened};
use crate::group::policy::{Effect as RuleEffect, GroupPolicy};
use crate::group::stage::Staged;
use crate::ids::{CommitId, EpochId, ItemHash};
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::wire::header::CommitHeader;

/// A commit of another device that is valid on an epoch that is held.
pub(in crate::machine) struct OpenedCommit {
    pub(super) id: CommitId,
    pub(super) parent: EpochInfo,
    pub(super) author: Leaf,
    pub(super) staged: Staged,
    pub(super) effect: RuleEffect,
    pub(super) before: GroupPolicy,
    pub(super) frame: Vec<u8>,
}

impl OpenedCommit {
    pub(super) fn header(&self) -> &CommitHeader {
        &self.staged.header
    }
}

/// A message that was decrypted.
pub(in crate::machine) struct OpenedMessage {
    pub(super) hash: ItemHash,
    pub(super) epoch: EpochId,
    /// The epoch's MLS state, whose ratchet has moved on.
    pub(super) mls: Mls,
    pub(super) opened: Opened,
}

/// What an envelope turned out to be. Nothing of it has been taken in.
pub(in crate::machine) enum Verdict {
    /// It leaves the group as it is.
    Dropped(Disposition),
    /// It cannot be judged yet, and is kept.
    Kept(Later, Deferred),
    /// A message or commit that is not ours, under our own leaf.
    OwnLeaf {
        epoch: EpochId,
        hash: ItemHash,
    },
    Message(Box<OpenedMessage>),
    Commit(Box<OpenedCommit>),
}

impl Verdict {
    pub(super) fn refused(why: Refused) -> Self {
        Verdict::Dropped(Disposition::Refused(why))
    }

    /// The header of a commit: the logs in its warrants are learnt before it is taken in, since
    /// quarantine precedes flagging.
    pub(in crate::machine) fn header(&self) -> Option<&CommitHeader> {
        match self {
            Verdict::Commit(commit) => Some(commit.header()),
            _ => None,
        }
    }
}
