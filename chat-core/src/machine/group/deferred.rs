//! What cannot be judged yet: envelopes that no root opens, and frames whose epoch is not known or
//! whose slot is still to come. They are tried again when an epoch came, or the slot.

use serde::{Deserialize, Serialize};

use super::conversation::Conversation;
use super::open::Verdict;
use crate::database::{Kept, Quota, Wait};
use crate::ids::{GroupId, ItemHash};
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::people::logs::Who;
use crate::params::{
    HORIZON_AGE, MAX_DEFERRED_BYTES, MAX_DEFERRED_PER_GROUP, MAX_UNOPENED_BYTES,
    MAX_UNOPENED_PER_GROUP,
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

/// Something that is kept, and its row.
pub(in crate::machine) struct DeferredRow {
    id: u64,
    later: Later,
}

/// Drops what has waited too long; the groups in which something waited for a slot that has come.
pub(in crate::machine) fn due(cx: &Cx) -> Result<Vec<GroupId>, StepError> {
    cx.db.prune_deferred(cx.now - HORIZON_AGE)?;
    Ok(cx.db.due_deferred(cx.slot().next())?)
}

impl Conversation {
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

    /// Everything that is kept.
    pub(in crate::machine) fn deferred(&self, cx: &Cx) -> Result<Vec<DeferredRow>, StepError> {
        let rows = cx.db.deferred::<Later>(&self.record.id)?;
        Ok(rows.into_iter().map(|(id, later)| DeferredRow { id, later }).collect())
    }

    /// Judges again what was kept; none: it was tried already with every epoch that there is, or
    /// still cannot be judged. What can be judged is kept no longer.
    pub(in crate::machine) fn reopen(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
        row: &DeferredRow,
    ) -> Result<Option<Verdict>, StepError> {
        let bytes = match &row.later {
            // The one waits for its slot, the other for an epoch that was not there before.
            Later::Frame { slot: Some(slot), .. } if *slot > cx.slot().next() => return Ok(None),
            Later::Frame { slot: None, number, kept_at, .. }
                if !self.came_since(*number, *kept_at) =>
            {
                return Ok(None);
            }
            Later::Frame { frame, .. } => Some(frame.clone()),
            Later::Envelope { topic, payload, slot, .. } => ContentTopic::parse(topic)
                .ok()
                .and_then(|topic| self.unseal(cx, &topic, payload, *slot)),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let verdict = self.judge(cx, who, &bytes)?;
        match (&verdict, &row.later) {
            (Verdict::Kept(..), Later::Frame { .. }) => return Ok(None),
            (Verdict::Kept(later, why), Later::Envelope { .. }) => {
                // It opens now, and waits for its epoch from here on.
                cx.db.delete_deferred(row.id)?;
                self.keep(cx, later, *why)?;
                return Ok(None);
            }
            _ => {}
        }
        cx.db.delete_deferred(row.id)?;
        Ok(Some(verdict))
    }

    /// Whether an epoch with this number came at or after a moment.
    fn came_since(&self, number: u64, since: Timestamp) -> bool {
        self.epochs.values().any(|state| state.number == number && state.created_at >= since)
    }
}
