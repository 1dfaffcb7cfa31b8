//! Handing over messages to an installation that was not there when they came: the newest first, in
//! pieces of one envelope, through the self group. How far it has come is in the database, with the
//! outbox in one transaction, so it goes on where it was interrupted.

use serde::{Deserialize, Serialize};

use super::command::Answer;
use super::error::{CommandError, StepError};
use super::event::Event;
use super::messages::Stored;
use super::{Done, Machine};
use crate::group::epoch::Leaf;
use crate::ids::InstallationId;
use crate::store::{Keyed, Stretch};
use crate::time::Timestamp;
use crate::wire::sync::{HandedOver, SyncItem};

/// Bytes of messages in one piece: with the rest it fits an envelope of 32 KiB.
const PIECE: usize = 28 * 1024;
/// Messages in one piece.
const PIECE_LEN: u32 = 256;
/// Publications that may wait while the next piece is made. More would keep everything else waiting.
const WAITING: usize = 3;

/// A handing over that is under way, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Handover {
    to: InstallationId,
    since: Timestamp,
    below: u64,
    sent: u64,
    total: u64,
}

impl Machine {
    /// Begins to hand over what was sent since a moment.
    pub(super) fn hand_over(&mut self, to: InstallationId, since: Timestamp) -> Done<Answer> {
        if to == self.me.key.id() || !self.me.log.state().active.contains_key(&to) {
            return Err(CommandError::UnknownInstallation { installation: to }.into());
        }
        let (below, total) = self.store.stretch_end(since).map_err(StepError::from)?;
        let handover = Handover { to, since, below, sent: 0, total };
        self.store.set_keyed(Keyed::Handover, to.as_bytes(), &handover).map_err(StepError::from)?;
        self.handovers = true;
        Ok(Answer::Done)
    }

    /// Sends the next pieces, as long as the outbox is nearly empty.
    pub(super) fn drive_handovers(&mut self) -> Result<(), StepError> {
        if !self.handovers || !self.connected || !self.may_send() {
            return Ok(());
        }
        let under_way: Vec<Handover> = self.store.all_keyed(Keyed::Handover)?;
        self.handovers = !under_way.is_empty();
        for mut handover in under_way {
            if !self.is_in_self_group(&handover.to) {
                // It is on its way, or was revoked.
                if !self.me.log.state().active.contains_key(&handover.to) {
                    self.store.delete_keyed(Keyed::Handover, handover.to.as_bytes())?;
                }
                continue;
            }
            while self.outbox.len() < WAITING {
                if !self.hand_over_piece(&mut handover)? {
                    self.store.delete_keyed(Keyed::Handover, handover.to.as_bytes())?;
                    break;
                }
                self.store.set_keyed(Keyed::Handover, handover.to.as_bytes(), &handover)?;
            }
        }
        Ok(())
    }

    fn is_in_self_group(&self, id: &InstallationId) -> bool {
        let group = self.self_group.and_then(|group| self.groups.get(&group));
        group.is_some_and(|group| group.current().is_ok_and(|state| state.leaf_of(id).is_some()))
    }

    /// Sends a piece; false: there is nothing left.
    fn hand_over_piece(&mut self, handover: &mut Handover) -> Result<bool, StepError> {
        let stretch = Stretch { since: handover.since, below: handover.below };
        let messages = self.store.newest_messages::<Stored>(stretch, PIECE_LEN)?;
        let more = !messages.is_empty();
        let (mut items, mut size) = (Vec::new(), 0);
        for (group, row) in messages {
            let data = row.data;
            let item = SyncItem::Message(Box::new(HandedOver {
                to: handover.to,
                group,
                message: row.hash,
                sender: data.sender,
                installation: data.installation,
                seq: data.seq,
                epoch: data.epoch,
                sent_at: data.sent_at,
                text: data.text,
                flagged: row.flagged,
            }));
            let bytes = item.size();
            if size + bytes > PIECE && !items.is_empty() {
                break;
            }
            size += bytes;
            items.push(item);
            handover.below = row.id;
            handover.sent = handover.sent.saturating_add(1);
        }
        let Handover { to, sent, total, .. } = *handover;
        items.push(SyncItem::Progress { to, sent, total: if more { total } else { sent } });
        self.sync(items)?;
        self.tell(Event::HandoverProgress { to, sent, total, done: !more })?;
        Ok(more)
    }

    /// A message that another installation hands over.
    pub(super) fn on_handed_over(
        &mut self,
        from: &Leaf,
        message: HandedOver,
    ) -> Result<(), StepError> {
        if message.to != self.me.key.id() {
            return Ok(());
        }
        let stored = Stored {
            sender: message.sender,
            installation: message.installation,
            seq: message.seq,
            epoch: message.epoch,
            text: message.text,
            sent_at: message.sent_at,
            received_at: self.now,
            handed_over_by: Some(from.installation),
        };
        self.store.add_older_message(
            &message.group,
            &message.message,
            stored.sent_at,
            &stored.installation,
            stored.seq,
            message.flagged,
            &stored,
        )?;
        Ok(())
    }
}
