//! Transferring message history to an installation that was not there when the messages came: the
//! newest first, in pieces of one envelope, through the self group.

use crate::database::Stretch;
use crate::group::epoch::Leaf;
use crate::ids::InstallationId;
use crate::machine::account::transfer::Transfer;
use crate::machine::api::command::Answer;
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::event::Event;
use crate::machine::assembly::Machine;
use crate::machine::group::stored::{Delivery, Sent, Stored};
use crate::time::Timestamp;
use crate::wire::sync::{SyncItem, TransferredMessage};

/// Bytes of messages in one piece: with the rest it fits an envelope of 32 KiB.
const PIECE: usize = 28 * 1024;
/// Messages in one piece.
const PIECE_LEN: u32 = 256;
/// Publications that may wait while the next piece is made. More would keep everything else waiting.
const WAITING: usize = 3;

impl Machine {
    /// Begins to transfer what was sent since a moment.
    pub(in crate::machine) fn transfer_history(
        &mut self,
        to: InstallationId,
        since: Timestamp,
    ) -> Done<Answer> {
        if to == self.me.id() || !self.me.log().state().active.contains_key(&to) {
            return Err(CommandError::UnknownInstallation { installation: to }.into());
        }
        self.transfers.begin(&self.cx, to, since)?;
        Ok(Answer::Done)
    }

    /// Sends the next pieces, as long as little else waits.
    pub(in crate::machine) fn drive_transfers(&mut self) -> Result<(), StepError> {
        if !self.history.may_send() {
            return Ok(());
        }
        for mut transfer in self.transfers.under_way(&self.cx)? {
            if !self.self_group().is_some_and(|group| group.has(&transfer.to)) {
                // It is on its way, or was revoked.
                if !self.me.log().state().active.contains_key(&transfer.to) {
                    transfer.end(&self.cx)?;
                }
                continue;
            }
            while self.waiting() < WAITING {
                if !self.send_piece(&mut transfer)? {
                    transfer.end(&self.cx)?;
                    break;
                }
                transfer.save(&self.cx)?;
            }
        }
        Ok(())
    }

    /// Sends a piece; false: there is nothing left.
    fn send_piece(&mut self, transfer: &mut Transfer) -> Result<bool, StepError> {
        let stretch = Stretch { since: transfer.since, below: transfer.below };
        let messages = self.cx.db.newest_messages::<Stored>(stretch, PIECE_LEN)?;
        let more = !messages.is_empty();
        let (mut items, mut size) = (Vec::new(), 0);
        for (group, row) in messages {
            let data = row.data;
            // What was not sent is nothing to anybody else.
            if let Some(Sent { seq, epoch }) = data.sent() {
                let item = SyncItem::Message(Box::new(TransferredMessage {
                    to: transfer.to,
                    group,
                    message: row.message,
                    sender: data.sender,
                    installation: data.installation,
                    seq,
                    epoch,
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
            }
            transfer.below = row.id;
            transfer.sent = transfer.sent.saturating_add(1);
        }
        let Transfer { to, sent, total, .. } = *transfer;
        items.push(SyncItem::Progress { to, sent, total: if more { total } else { sent } });
        self.sync(items)?;
        self.cx.tell(Event::HistoryTransferProgress { to, sent, total, done: !more })?;
        Ok(more)
    }

    /// A message that another installation transfers.
    pub(in crate::machine) fn on_transferred(
        &mut self,
        from: &Leaf,
        message: TransferredMessage,
    ) -> Result<(), StepError> {
        if message.to != self.me.id() {
            return Ok(());
        }
        let stored = Stored {
            sender: message.sender,
            installation: message.installation,
            delivery: Delivery::Sent(Sent { seq: message.seq, epoch: message.epoch }),
            text: message.text,
            sent_at: message.sent_at,
            received_at: self.cx.now,
            transferred_by: Some(from.installation),
        };
        stored.add_older(&self.cx, &message.group, &message.message, message.flagged)
    }
}
