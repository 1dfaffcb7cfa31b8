//! The way in: an envelope is opened, its frame decoded, the state chosen, the item applied.

use serde::{Deserialize, Serialize};

use super::Machine;
use super::disposition::{Deferred, Disposition, Refused};
use super::error::StepError;
use super::io::{Inbound, Output};
use super::topics::{Target, request_roots};
use crate::group::epoch::EpochInfo;
use crate::ids::GroupId;
use crate::params::{
    HORIZON_AGE, MAX_DEFERRED_BYTES, MAX_DEFERRED_PER_GROUP, MAX_UNOPENED_BYTES,
    MAX_UNOPENED_PER_GROUP, NetworkParams,
};
use crate::store::{Kept, Quota};
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::{self, EnvelopeKey, check_timestamp, is_class};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::header::CommitHeader;
use crate::wire::item::{CommitView, MessageView, item_hash};
use crate::wire::roots::inbox_roots;
use crate::wire::topic::ContentTopic;

/// What is kept for later.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Later {
    /// An envelope that no root opens.
    Envelope {
        topic: String,
        #[serde(with = "serde_bytes")]
        payload: Vec<u8>,
        slot: Slot,
        kept_at: Timestamp,
    },
    /// A frame whose state is not known, or whose slot is still to come.
    Frame {
        #[serde(with = "serde_bytes")]
        frame: Vec<u8>,
        /// The MLS epoch number of the state that it waits for.
        number: u64,
        /// The slot that it waits for, if it does.
        slot: Option<Slot>,
        kept_at: Timestamp,
    },
}

impl Later {
    fn quota(&self) -> Quota {
        let (opened, rows, bytes) = match self {
            Later::Envelope { .. } => (false, MAX_UNOPENED_PER_GROUP, MAX_UNOPENED_BYTES),
            Later::Frame { .. } => (true, MAX_DEFERRED_PER_GROUP, MAX_DEFERRED_BYTES),
        };
        Quota { opened, rows: rows as u64, bytes: bytes as u64 }
    }

    /// A frame that is kept, with what it waits for.
    fn frame(bytes: &[u8], kept_at: Timestamp, now: Slot) -> Self {
        let (mut number, mut slot) = (0, None);
        if let Ok(frame) = Frame::decode(bytes) {
            if let Ok(commit) = CommitView::parse(&frame.body) {
                number = commit.epoch;
                let header = CommitHeader::decode(commit.authenticated_data).ok();
                slot = header.map(|header| header.slot).filter(|slot| *slot > now.next());
            } else if let Ok(message) = MessageView::parse(&frame.body) {
                number = message.epoch;
            }
        }
        Later::Frame { frame: bytes.to_vec(), number, slot, kept_at }
    }

    fn kept_at(&self) -> Timestamp {
        match self {
            Later::Envelope { kept_at, .. } | Later::Frame { kept_at, .. } => *kept_at,
        }
    }

    /// The slot before which there is no use in trying it.
    fn slot(&self) -> Option<Slot> {
        match self {
            Later::Envelope { .. } => None,
            Later::Frame { slot, .. } => *slot,
        }
    }
}

/// When and in which slot an envelope was sent, if it is of the protocol's and can be judged now.
pub(super) fn sent_in(
    inbound: &Inbound,
    params: &NetworkParams,
    now: Slot,
    live: bool,
) -> Result<(Timestamp, Slot), Disposition> {
    let refused = Err(Disposition::Refused(Refused::Envelope));
    if !is_class(inbound.payload.len()) {
        return refused;
    }
    let Ok(ns) = u64::try_from(inbound.timestamp_ns) else {
        return refused;
    };
    if ns % 1_000_000_000 != 0 {
        return refused;
    }
    let timestamp = Timestamp(ns / 1_000_000);
    let slot = Slot::at(timestamp, params.slot_secs);
    if check_timestamp(timestamp, slot, params.slot_secs).is_err() {
        return refused;
    }
    if slot > now.next() || (live && slot < now.previous()) {
        return Err(Disposition::Stale);
    }
    Ok((timestamp, slot))
}

impl Machine {
    /// Takes in a Waku message, live or from history, and says what became of it.
    pub(super) fn receive(&mut self, inbound: Inbound, live: bool) -> Result<(), StepError> {
        let disposition = self.judge_envelope(inbound, live)?;
        self.counters.count(&disposition);
        self.out.push(Output::Disposed(disposition));
        Ok(())
    }

    fn judge_envelope(&mut self, inbound: Inbound, live: bool) -> Result<Disposition, StepError> {
        let Ok(topic) = ContentTopic::parse(&inbound.topic) else {
            return Ok(Disposition::NotForUs);
        };
        if live {
            self.observe_time(inbound.timestamp_ns)?;
        }
        let (timestamp, slot) = match sent_in(&inbound, &self.params, self.slot(), live) {
            Ok(sent) => sent,
            Err(disposition) => return Ok(disposition),
        };
        self.handled_at = timestamp;
        let target = self.target(topic.as_str(), slot);
        let size = inbound.payload.len();
        match target.or_else(|| self.card_target(topic.as_str(), size, timestamp)) {
            None => Ok(Disposition::NotForUs),
            Some(Target::Inbox) => self.open_doorbell(&topic, &inbound.payload, timestamp, live),
            Some(Target::Invitation(request)) => {
                let roots = self
                    .requests
                    .get(&request)
                    .and_then(|request| request_roots(request, slot, &self.network));
                let Some(roots) = roots else {
                    return Ok(Disposition::NotForUs);
                };
                let key = EnvelopeKey::derive(&roots.seal, &self.network);
                match envelope::open(&key, &topic, &inbound.payload) {
                    Ok(frame) => self.on_invitation_frame(request, &frame),
                    Err(_) => Ok(Disposition::Refused(Refused::Seal)),
                }
            }
            Some(Target::Linking(id)) => self.on_link_envelope(id, &topic, &inbound.payload, slot),
            Some(Target::Group(group)) => {
                self.open_group_envelope(group, &topic, inbound.payload, slot)
            }
            Some(Target::Card(account)) => {
                self.open_card(&account, &topic, &inbound.payload, timestamp)
            }
        }
    }

    fn open_doorbell(
        &mut self,
        topic: &ContentTopic,
        payload: &[u8],
        sent_at: Timestamp,
        live: bool,
    ) -> Result<Disposition, StepError> {
        if payload.len() != crate::params::DOORBELL_SIZE {
            return Ok(Disposition::Refused(Refused::Envelope));
        }
        let slot = Slot::at(sent_at, self.params.slot_secs);
        let roots = inbox_roots(&self.network, slot);
        let key = EnvelopeKey::derive(&roots.seal, &self.network);
        let Ok(frame) = envelope::open(&key, topic, payload) else {
            return Ok(Disposition::Refused(Refused::Seal));
        };
        match Frame::decode(&frame) {
            Ok(frame) if frame.kind == FrameKind::Doorbell => {
                self.on_doorbell(&frame.body, sent_at, live)
            }
            _ => Ok(Disposition::Refused(Refused::Frame)),
        }
    }

    /// Opens an envelope under one of the group's sealing roots, best first.
    fn try_open(
        &self,
        group: &GroupId,
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
    ) -> Option<Vec<u8>> {
        let group = self.groups.get(group)?;
        let mut tried = Vec::new();
        for state in group.ranked() {
            if tried.contains(&state.seal) {
                continue;
            }
            tried.push(state.seal);
            let Ok(root) = group.lines.seal_root(state, slot, &self.network) else {
                continue;
            };
            let key = EnvelopeKey::derive(&root, &self.network);
            if let Ok(frame) = envelope::open(&key, topic, payload) {
                return Some(frame);
            }
        }
        None
    }

    fn open_group_envelope(
        &mut self,
        group: GroupId,
        topic: &ContentTopic,
        payload: Vec<u8>,
        slot: Slot,
    ) -> Result<Disposition, StepError> {
        let Some(frame) = self.try_open(&group, topic, &payload, slot) else {
            // Only members know the topic: most likely a commit that rotated is missing here.
            let hash = item_hash(&payload);
            let size = payload.len();
            let later =
                Later::Envelope { topic: topic.to_string(), payload, slot, kept_at: self.now };
            return self.defer(group, hash, size, &later, Deferred::UnknownRoot);
        };
        self.on_group_frame(group, &frame)
    }

    fn defer(
        &mut self,
        group: GroupId,
        hash: crate::ids::ItemHash,
        size: usize,
        later: &Later,
        why: Deferred,
    ) -> Result<Disposition, StepError> {
        let wait = crate::store::Wait { kept_at: later.kept_at(), slot: later.slot() };
        Ok(match self.store.defer(&group, &hash, size, later, &later.quota(), wait)? {
            Kept::Yes => Disposition::Deferred(why),
            Kept::Known => Disposition::Duplicate,
            Kept::Full => Disposition::Refused(Refused::Budget),
        })
    }

    fn on_group_frame(&mut self, group: GroupId, bytes: &[u8]) -> Result<Disposition, StepError> {
        // What is kept is tried again when something comes that could open it, not when it is sent
        // again.
        if self.store.is_deferred(&group, &item_hash(bytes))? {
            return Ok(Disposition::Duplicate);
        }
        let disposition = self.judge_frame(group, bytes)?;
        if let Disposition::Deferred(why) = disposition {
            let later = Later::frame(bytes, self.now, self.slot());
            return self.defer(group, item_hash(bytes), bytes.len(), &later, why);
        }
        if matches!(disposition, Disposition::Commit(_)) {
            self.retry_deferred(group)?;
        }
        Ok(disposition)
    }

    fn judge_frame(&mut self, group: GroupId, bytes: &[u8]) -> Result<Disposition, StepError> {
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, "a frame of a group cannot be read");
                return Ok(Disposition::Refused(Refused::Frame));
            }
        };
        match frame.kind {
            FrameKind::Message => self.on_message(group, &frame.body),
            FrameKind::Commit => self.on_commit(group, &frame, bytes),
            _ => Ok(Disposition::Refused(Refused::Frame)),
        }
    }

    /// Whether a state with this number came at or after a moment.
    fn came_since(&self, group: &GroupId, number: u64, since: Timestamp) -> bool {
        self.groups.get(group).is_some_and(|group| {
            let came = |state: &&EpochInfo| state.number == number && state.created_at >= since;
            group.states.values().find(came).is_some()
        })
    }

    /// What waited for a slot that has come is looked at; what has waited too long is dropped.
    pub(super) fn review_deferred(&mut self) -> Result<(), StepError> {
        self.store.prune_deferred(self.now - HORIZON_AGE)?;
        for group in self.store.due_deferred(self.slot().next())? {
            self.retry_deferred(group)?;
        }
        Ok(())
    }

    /// Looks again at what was kept, until nothing more comes of it. Called when a state came.
    pub(super) fn retry_deferred(&mut self, group: GroupId) -> Result<(), StepError> {
        loop {
            let mut progress = false;
            for (id, later) in self.store.deferred::<Later>(&group)? {
                let bytes = match &later {
                    // It was tried already with every state that there was.
                    // The one waits for its slot, the other for a state that was not there before.
                    Later::Frame { slot: Some(slot), .. } if *slot > self.slot().next() => None,
                    Later::Frame { slot: None, number, kept_at, .. }
                        if !self.came_since(&group, *number, *kept_at) =>
                    {
                        None
                    }
                    Later::Frame { frame, .. } => Some(frame.clone()),
                    Later::Envelope { topic, payload, slot, .. } => ContentTopic::parse(topic)
                        .ok()
                        .and_then(|topic| self.try_open(&group, &topic, payload, *slot)),
                };
                let Some(bytes) = bytes else { continue };
                let disposition = self.judge_frame(group, &bytes)?;
                match (&disposition, &later) {
                    (Disposition::Deferred(_), Later::Frame { .. }) => continue,
                    (Disposition::Deferred(why), Later::Envelope { .. }) => {
                        // It opens now, and waits for its state from here on.
                        self.store.delete_deferred(id)?;
                        let later = Later::frame(&bytes, self.now, self.slot());
                        self.defer(group, item_hash(&bytes), bytes.len(), &later, *why)?;
                        continue;
                    }
                    _ => {}
                }
                self.store.delete_deferred(id)?;
                progress |= matches!(disposition, Disposition::Commit(_));
                self.counters.count(&disposition);
                self.out.push(Output::Disposed(disposition));
            }
            if !progress {
                return Ok(());
            }
        }
    }
}
