//! What cannot be judged yet: envelopes that no root opens, and frames whose epoch is not known or
//! whose slot is still to come.

use serde::{Deserialize, Serialize};

use super::conversation::Conversation;
use crate::database::{Kept, Quota, Wait};
use crate::ids::ItemHash;
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::params::{
    MAX_DEFERRED_BYTES, MAX_DEFERRED_PER_GROUP, MAX_UNOPENED_BYTES, MAX_UNOPENED_PER_GROUP,
};
use crate::time::{Slot, Timestamp};
use crate::wire::frame::Frame;
use crate::wire::header::CommitHeader;
use crate::wire::item::{CommitView, MessageView, item_hash};
use crate::wire::topic::ContentTopic;

/// What is kept for later.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::machine) enum Later {
    /// An envelope that no root opens.
    Envelope {
        topic: String,
        #[serde(with = "serde_bytes")]
        payload: Vec<u8>,
        slot: Slot,
        kept_at: Timestamp,
    },
    /// A frame whose epoch is not known, or whose slot is still to come.
    Frame {
        #[serde(with = "serde_bytes")]
        frame: Vec<u8>,
        /// The MLS epoch number that it waits for.
        number: u64,
        /// The slot that it waits for, if it does.
        slot: Option<Slot>,
        kept_at: Timestamp,
    },
}

impl Later {
    pub(super) fn envelope(
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
        kept_at: Timestamp,
    ) -> Self {
        Later::Envelope { topic: topic.to_string(), payload: payload.to_vec(), slot, kept_at }
    }

    /// A frame that is kept, with what it waits for.
    pub(super) fn frame(cx: &Cx, bytes: &[u8]) -> Self {
        let (mut number, mut slot) = (0, None);
        if let Ok(frame) = Frame::decode(bytes) {
            if let Ok(commit) = CommitView::parse(&frame.body) {
                number = commit.epoch;
                let header = CommitHeader::decode(commit.authenticated_data).ok();
                slot = header.map(|header| header.slot).filter(|slot| *slot > cx.slot().next());
            } else if let Ok(message) = MessageView::parse(&frame.body) {
                number = message.epoch;
            }
        }
        Later::Frame { frame: bytes.to_vec(), number, slot, kept_at: cx.now }
    }

    /// What is kept: an envelope or a frame.
    fn bytes(&self) -> &[u8] {
        match self {
            Later::Envelope { payload, .. } => payload,
            Later::Frame { frame, .. } => frame,
        }
    }

    fn hash(&self) -> ItemHash {
        item_hash(self.bytes())
    }

    fn quota(&self) -> Quota {
        let (opened, rows, bytes) = match self {
            Later::Envelope { .. } => (false, MAX_UNOPENED_PER_GROUP, MAX_UNOPENED_BYTES),
            Later::Frame { .. } => (true, MAX_DEFERRED_PER_GROUP, MAX_DEFERRED_BYTES),
        };
        Quota { opened, rows: rows as u64, bytes: bytes as u64 }
    }

    /// Since when it is kept, and the slot before which there is no use in trying it.
    fn wait(&self) -> Wait {
        match self {
            Later::Envelope { kept_at, .. } => Wait { kept_at: *kept_at, slot: None },
            Later::Frame { kept_at, slot, .. } => Wait { kept_at: *kept_at, slot: *slot },
        }
    }
}

impl Conversation {
    /// Whether envelopes that no root opens may have been dropped for newer ones.
    pub(super) fn has_dropped_unopened(&self, cx: &Cx) -> Result<bool, StepError> {
        let (rows, bytes) = cx.db.deferred_size(&self.record.id, false)?;
        Ok(rows >= MAX_UNOPENED_PER_GROUP as u64 || bytes * 2 > MAX_UNOPENED_BYTES as u64)
    }

    /// Keeps something for later.
    pub(super) fn keep(
        &self,
        cx: &Cx,
        later: &Later,
        why: Deferred,
    ) -> Result<Disposition, StepError> {
        let (hash, size) = (later.hash(), later.bytes().len());
        let kept =
            cx.db.defer(&self.record.id, &hash, size, later, &later.quota(), later.wait())?;
        Ok(match kept {
            Kept::Yes => Disposition::Deferred(why),
            Kept::Known => Disposition::Duplicate,
            Kept::Full => Disposition::Refused(Refused::Budget),
        })
    }
}
