//! The way in: an envelope is opened and judged, and the group stays as it is; then what was found
//! good is taken in.

use super::conversation::Conversation;
use super::later::Later;
use super::verdict::Verdict;
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::people::logs::Who;
use crate::time::Slot;
use crate::wire::envelope::{self, EnvelopeKey};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::item::item_hash;
use crate::wire::topic::ContentTopic;

impl Conversation {
    /// Opens an envelope on one of the group's topics, and judges what is in it.
    ///
    /// # Errors
    /// Those of the database.
    pub(in crate::machine) fn open(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
    ) -> Result<Verdict, StepError> {
        let Some(frame) = self.unseal(cx, topic, payload, slot) else {
            // Only members know the topic: most likely a commit that rotated is missing here.
            let later = Later::envelope(topic, payload, slot, cx.now);
            return Ok(Verdict::Kept(later, Deferred::UnknownRoot));
        };
        // What is kept is tried again when something comes that could open it, not when it is sent
        // again.
        if cx.db.is_deferred(&self.record.id, &item_hash(&frame))? {
            return Ok(Verdict::Dropped(Disposition::Duplicate));
        }
        self.judge(cx, who, &frame)
    }

    /// Opens an envelope under one of the group's sealing roots, best first.
    pub(super) fn unseal(
        &self,
        cx: &Cx,
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
    ) -> Option<Vec<u8>> {
        let mut tried = Vec::new();
        for state in self.ranked() {
            if tried.contains(&state.seal) {
                continue;
            }
            tried.push(state.seal);
            let Ok(root) = self.lines.seal_root(state, slot, &cx.network) else {
                continue;
            };
            let key = EnvelopeKey::derive(&root, &cx.network);
            if let Ok(frame) = envelope::open(&key, topic, payload) {
                return Some(frame);
            }
        }
        None
    }

    /// Judges a frame.
    pub(super) fn judge(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
        bytes: &[u8],
    ) -> Result<Verdict, StepError> {
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, "a frame of a group cannot be read");
                return Ok(Verdict::refused(Refused::Frame));
            }
        };
        match frame.kind {
            FrameKind::Message => self.open_message(cx, &frame.body, bytes),
            FrameKind::Commit => self.open_commit(cx, who, &frame, bytes),
            _ => Ok(Verdict::refused(Refused::Frame)),
        }
    }

    /// Takes in what was judged.
    ///
    /// # Errors
    /// Those of the database, and of this device's own state.
    pub(in crate::machine) fn apply(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        verdict: Verdict,
    ) -> Result<Disposition, StepError> {
        match verdict {
            Verdict::Dropped(disposition) => Ok(disposition),
            Verdict::Kept(later, why) => self.keep(cx, &later, why),
            Verdict::OwnLeaf { epoch, hash } => self.apply_own_leaf(cx, epoch, hash),
            Verdict::Message(message) => self.apply_message(cx, who, *message),
            Verdict::Commit(commit) => self.apply_commit(cx, who, *commit),
        }
    }
}
