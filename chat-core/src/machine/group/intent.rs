//! What a commit is for: an intent names fields and memberships, so that it can be checked anew
//! against any branch.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, CommitId, EpochId, GroupId, InstallationId, IntentId, ItemHash};
use crate::machine::cx::Cx;
use crate::time::Timestamp;

/// What is wanted of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::machine) enum Intent {
    /// These accounts are to be members.
    Add(Vec<AccountId>),
    /// These memberships are to end: installations, and the epochs that they began in. An
    /// installation that was added anew meanwhile is not meant.
    Remove(Vec<(InstallationId, EpochId)>),
    /// The group is to be called so, if it is still called as it was.
    Describe { name: Option<(String, String)>, description: Option<(String, String)> },
    /// This account is to be an admin, or not.
    Admin { account: AccountId, admin: bool },
    /// An installation's signed wish to leave.
    Leave {
        #[serde(with = "serde_bytes")]
        wish: Vec<u8>,
        /// The message that carried it, which is the last one that counts.
        hash: ItemHash,
    },
    /// These installations of this account are to be members.
    Enrol(Vec<InstallationId>),
    /// This contact, all of whose installations here were revoked, is to be a member with those that
    /// it has now.
    Readmit(AccountId),
    /// These memberships of revoked installations are to end: installations, and the epochs that
    /// they began in.
    Evict(Vec<(InstallationId, EpochId)>),
    /// A new path, since the epoch must not be used to send.
    Update,
    /// A new path and new roots, since the roots are old.
    Rotate,
}

impl Intent {
    /// Whether the application asked for it; everything else the installation wants by itself.
    pub(super) fn is_asked_for(&self) -> bool {
        match self {
            Self::Add(_) | Self::Remove(_) | Self::Describe { .. } | Self::Admin { .. } => true,
            Self::Leave { .. }
            | Self::Enrol(_)
            | Self::Readmit(_)
            | Self::Evict(_)
            | Self::Update
            | Self::Rotate => false,
        }
    }
}

/// An intent with what became of it so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) struct IntentRecord {
    pub(super) id: IntentId,
    pub(super) group: GroupId,
    pub(super) intent: Intent,
    /// Later intents of the group have higher numbers: what waits is committed in that order.
    pub(super) number: u64,
    /// The commit that does it, and the epoch that it leads to.
    pub(super) done_by: Option<(CommitId, EpochId)>,
    /// When it is to be committed, while nothing does it.
    pub(super) due_at: Timestamp,
    /// Attempts that came to nothing.
    pub(super) attempts: u32,
    /// The invitation that went out with the commit to installations of this account.
    pub(super) welcome: Option<OwnWelcome>,
}

impl IntentRecord {
    pub(super) fn new(
        cx: &Cx,
        group: GroupId,
        number: u64,
        intent: Intent,
        due_at: Timestamp,
    ) -> Self {
        let id = IntentId(cx.rng.bytes());
        Self { id, group, intent, number, done_by: None, due_at, attempts: 0, welcome: None }
    }
}

/// An invitation for installations of this account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) struct OwnWelcome(#[serde(with = "serde_bytes")] pub(super) Vec<u8>);
