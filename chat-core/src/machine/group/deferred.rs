//! What cannot be judged yet: envelopes that no root opens, and frames whose epoch is not known or
//! whose slot is still to come. They are tried again when an epoch came, or the slot.

use super::conversation::Conversation;
use super::later::Later;
use super::verdict::Verdict;
use crate::ids::GroupId;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::net::doubts::Unexplained;
use crate::machine::people::logs::Who;
use crate::params::HORIZON_AGE;
use crate::time::Timestamp;
use crate::wire::topic::ContentTopic;

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
    /// What of the group is not understood.
    pub(in crate::machine) fn unexplained(&self, cx: &Cx) -> Result<Unexplained, StepError> {
        if !self.gaps.missing().is_empty() {
            return Ok(Unexplained::ByMembers);
        }
        Ok(match cx.db.waits_for_epoch(&self.record.id)? {
            Some(true) => Unexplained::ByMembers,
            Some(false) => Unexplained::Unopened,
            None if !self.gaps.claimed().is_empty() => Unexplained::Claimed,
            None => Unexplained::Nothing,
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
