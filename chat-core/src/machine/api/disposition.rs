//! What became of an envelope from the network: a closed list. What others send never makes an
//! error; it has a disposition.

use schemars::JsonSchema;
use serde::Serialize;

use crate::ids::{AccountId, CommitId, GroupId, ItemHash, LinkingId, RequestId};

/// What became of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// A message was read and recorded.
    Message(ItemHash),
    /// A commit was applied; it may or may not be on the branch that counts.
    Commit(CommitId),
    /// A doorbell that opened: a new request, or an invitation from a contact.
    Doorbell(RequestId),
    /// An invitation was accepted and the group joined.
    Joined(GroupId),
    /// A message of a linking was dealt with.
    Linking(LinkingId),
    /// It cannot be judged yet and is kept.
    Deferred(Deferred),
    /// It is known already.
    Duplicate,
    /// It is too old to be judged.
    Stale,
    /// It is not on any topic of ours, or not for us.
    NotForUs,
    /// It was dropped.
    Refused(Refused),
    /// A card was read: the newest of its account.
    Card(AccountId),
}

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deferred {
    /// No root that is held opens it: a commit that rotated is missing.
    UnknownRoot,
    /// Its state is not known: a commit is missing.
    UnknownEpoch,
    /// It names a slot that is still to come.
    FutureSlot,
}

/// Why something was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// Topic, size, version or timestamp is none of the protocol's.
    Envelope,
    /// It does not open.
    Seal,
    /// The frame cannot be read.
    Frame,
    /// The MLS message cannot be read, or is of a kind that is not allowed.
    Mls,
    /// A signature, key or tag is wrong.
    Authentication,
    /// What is inside of a message or commit cannot be read.
    Content,
    /// The group's rules do not allow it.
    Policy,
    /// A credential is not valid.
    Credential,
    /// The sender is blocked.
    Blocked,
    /// Its budget is used up, or there is no room.
    Budget,
    /// It was used before.
    Replay,
    /// It forgets entries of an installation log that are known.
    Rollback,
}

/// What became of the envelopes that came in since the account was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counters {
    /// Messages read.
    pub messages: u64,
    /// Commits applied.
    pub commits: u64,
    /// Doorbells that could be opened.
    pub doorbells: u64,
    /// Invitations joined.
    pub joined: u64,
    /// Messages of linkings.
    pub linking: u64,
    /// Kept until they can be judged.
    pub deferred: u64,
    /// Already known.
    pub duplicates: u64,
    /// Too old.
    pub stale: u64,
    /// Not for this installation.
    pub not_for_us: u64,
    /// Cards read.
    pub cards: u64,
    /// Dropped, by reason.
    pub refused: std::collections::BTreeMap<Refused, u64>,
}

impl Counters {
    pub(in crate::machine) fn count(&mut self, disposition: &Disposition) {
        let counter = match disposition {
            Disposition::Message(_) => &mut self.messages,
            Disposition::Commit(_) => &mut self.commits,
            Disposition::Doorbell(_) => &mut self.doorbells,
            Disposition::Joined(_) => &mut self.joined,
            Disposition::Linking(_) => &mut self.linking,
            Disposition::Deferred(_) => &mut self.deferred,
            Disposition::Duplicate => &mut self.duplicates,
            Disposition::Stale => &mut self.stale,
            Disposition::NotForUs => &mut self.not_for_us,
            Disposition::Refused(why) => self.refused.entry(*why).or_default(),
            Disposition::Card(_) => &mut self.cards,
        };
        *counter += 1;
    }
}
