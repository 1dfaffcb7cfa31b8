//! What is stored of a group as a whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::state_error;
use crate::convergence::tree::TreeRoot;
use crate::database::{Database, Keyed};
use crate::history::{Head, HeadRotation};
use crate::ids::{AccountId, EpochId, GroupId, InstallationId, ItemHash};
use crate::machine::api::error::StepError;
use crate::machine::api::view::Membership;
use crate::time::Timestamp;

/// What is stored of a group as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Record {
    pub(super) id: GroupId,
    /// The epoch that is followed. After a removal of this device: an id that no epoch has.
    pub(super) tip: EpochId,
    /// The last epoch that this device is a member in.
    pub(super) last_epoch: EpochId,
    /// How this account stands to the group.
    pub(super) membership: Membership,
    /// Where the tree of commits begins.
    pub(super) root: TreeRoot,
    /// The epoch in which this device's membership began.
    pub(super) first_epoch: EpochId,
    /// The installations that were members before this device; none where it made the group.
    pub(super) members_before: BTreeSet<InstallationId>,
    /// Who invited this device; its own account where it created the group.
    pub(super) invited_by: AccountId,
    /// Private half of the inbox key in this device's leaf.
    pub(super) inbox: Zeroizing<[u8; 32]>,
    /// The number of this device's next item. This and the next three are in a row of their own, as
    /// [`Numbers`]: each item of this device changes them, and what else is here grows with the
    /// group.
    #[serde(skip)]
    pub(super) next_seq: u64,
    /// The hash of this device's last item.
    #[serde(skip)]
    pub(super) last_hash: Option<ItemHash>,
    /// The number of this device's last item, by the epoch that it was sent in.
    #[serde(skip)]
    pub(super) last_in_epoch: BTreeMap<EpochId, u64>,
    /// Which heads were sent; a row for each installation.
    #[serde(skip)]
    pub(super) heads: HeadRotation,
    /// When this device's membership began.
    pub(super) joined_at: Timestamp,
    /// Whether this device has said that it wishes to leave.
    pub(super) wish_said: bool,
    /// Members whose installation was revoked, and the last that was heard of them before that was
    /// known: until they are removed, nothing later counts.
    pub(super) quarantine: BTreeMap<InstallationId, (u64, Option<ItemHash>)>,
}

/// What each item of this device changes.
#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    next_seq: u64,
    last_hash: Option<ItemHash>,
    last_in_epoch: BTreeMap<EpochId, u64>,
    /// Whose head was the last one sent.
    last_head: Option<InstallationId>,
}

impl Record {
    /// The record of a membership that begins where the tree does. Numbers go on where an earlier
    /// membership left them.
    pub(super) fn new(
        id: GroupId,
        root: TreeRoot,
        invited_by: AccountId,
        inbox: Zeroizing<[u8; 32]>,
        joined_at: Timestamp,
        earlier: Option<&Record>,
    ) -> Self {
        let epoch = root.epoch;
        Self {
            id,
            tip: epoch,
            last_epoch: epoch,
            membership: Membership::Active,
            root,
            first_epoch: epoch,
            members_before: BTreeSet::new(),
            invited_by,
            inbox,
            next_seq: earlier.map_or(1, |earlier| earlier.next_seq),
            last_hash: earlier.and_then(|earlier| earlier.last_hash),
            last_in_epoch: BTreeMap::new(),
            heads: HeadRotation::default(),
            joined_at,
            wish_said: false,
            quarantine: BTreeMap::new(),
        }
    }

    /// Whether this device is a member.
    pub(super) fn is_member(&self) -> bool {
        matches!(self.membership, Membership::Active | Membership::Leaving)
    }

    /// Reads the numbers of a record, which are stored apart.
    pub(super) fn load_numbers(&mut self, db: &Database) -> Result<(), StepError> {
        let numbers: Numbers = db
            .keyed(Keyed::Numbers, self.id.as_bytes())?
            .ok_or_else(|| state_error("the numbers of a group are not there"))?;
        self.next_seq = numbers.next_seq;
        self.last_hash = numbers.last_hash;
        self.last_in_epoch = numbers.last_in_epoch;
        // Which epoch a head was of is of no more use once it was said.
        let epoch = self.first_epoch;
        let mut said: Vec<Head> = db
            .heads(&self.id)?
            .into_iter()
            .map(|(installation, seq, hash)| Head { installation, epoch, seq, hash })
            .collect();
        // The next heads go on behind the last one.
        said.sort_by_key(|head| Some(head.installation) == numbers.last_head);
        self.heads.sent(&said);
        Ok(())
    }

    pub(super) fn save(&self, db: &Database) -> Result<(), StepError> {
        Ok(db.set_keyed(Keyed::Group, self.id.as_bytes(), self)?)
    }

    /// Writes what an item of this device changed, and the heads that went with it.
    pub(super) fn save_numbers(&self, db: &Database, said: &[Head]) -> Result<(), StepError> {
        for head in said {
            db.set_head(&self.id, &head.installation, head.seq, &head.hash)?;
        }
        let numbers = Numbers {
            next_seq: self.next_seq,
            last_hash: self.last_hash,
            last_in_epoch: self.last_in_epoch.clone(),
            last_head: self.heads.last(),
        };
        Ok(db.set_keyed(Keyed::Numbers, self.id.as_bytes(), &numbers)?)
    }
}
