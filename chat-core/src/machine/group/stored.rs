//! A message of the history, as stored.

use serde::{Deserialize, Serialize};

use crate::database::MessageRow;
use crate::ids::{AccountId, EpochId, GroupId, InstallationId, MessageId};
use crate::machine::api::error::StepError;
use crate::machine::api::view::MessageView;
use crate::machine::cx::Cx;
use crate::time::Timestamp;

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::machine) enum Delivery {
    /// It was written on this device and waits to be encrypted.
    Waiting,
    /// It was encrypted, here or by another member.
    Sent(Sent),
    /// It was written on this device and can never be sent.
    Failed,
}

/// What of a message is known once it is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::machine) struct Sent {
    /// Its number among what its installation sent to the group.
    pub(in crate::machine) seq: u64,
    /// The epoch that it was sent in.
    pub(in crate::machine) epoch: EpochId,
}

/// A message of the history, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Stored {
    pub(in crate::machine) sender: AccountId,
    pub(in crate::machine) installation: InstallationId,
    pub(in crate::machine) delivery: Delivery,
    pub(in crate::machine) text: Option<String>,
    pub(in crate::machine) sent_at: Timestamp,
    pub(in crate::machine) received_at: Timestamp,
    /// The installation of this account that transferred it, where it did not come by itself.
    pub(in crate::machine) transferred_by: Option<InstallationId>,
}

impl Stored {
    /// Its number and epoch, once it is encrypted.
    pub(in crate::machine) fn sent(&self) -> Option<Sent> {
        match self.delivery {
            Delivery::Sent(sent) => Some(sent),
            Delivery::Waiting | Delivery::Failed => None,
        }
    }

    fn seq(&self) -> Option<u64> {
        self.sent().map(|sent| sent.seq)
    }

    pub(in crate::machine) fn view(
        row: MessageRow<Stored>,
        group: GroupId,
        own: AccountId,
    ) -> MessageView {
        let data = row.data;
        MessageView {
            id: row.id,
            message: row.message,
            group,
            sender: data.sender,
            installation: data.installation,
            seq: data.seq(),
            epoch_id: data.sent().map(|sent| sent.epoch),
            failed: data.delivery == Delivery::Failed,
            text: data.text,
            sent_at: data.sent_at,
            received_at: data.received_at,
            own: data.sender == own,
            transferred_by: data.transferred_by,
            flagged: row.flagged,
        }
    }

    /// Adds it to the history; none: it is there already.
    pub(in crate::machine) fn add(
        self,
        cx: &Cx,
        group: &GroupId,
        message: MessageId,
        flagged: bool,
    ) -> Result<Option<MessageRow<Stored>>, StepError> {
        let (at, from, seq) = (self.sent_at, &self.installation, self.seq());
        let id = cx.db.add_message(group, &message, at, from, seq, flagged, &self)?;
        Ok(id.map(|id| MessageRow { id, message, flagged, data: self }))
    }

    /// Adds it below all that is there: a message of before this installation was there.
    pub(in crate::machine) fn add_older(
        &self,
        cx: &Cx,
        group: &GroupId,
        message: &MessageId,
        flagged: bool,
    ) -> Result<(), StepError> {
        let (at, from, seq) = (self.sent_at, &self.installation, self.seq());
        cx.db.add_older_message(group, message, at, from, seq, flagged, self)?;
        Ok(())
    }

    /// Writes what became of a message that waited.
    pub(in crate::machine) fn update(&self, cx: &Cx, row: u64) -> Result<(), StepError> {
        Ok(cx.db.update_message(row, self.seq(), self)?)
    }
}

/// Notes of a message of this device that it can never be sent.
pub(in crate::machine) fn fail(
    cx: &Cx,
    group: &GroupId,
    message: &MessageId,
) -> Result<(), StepError> {
    let Some(row) = cx.db.message_with_id::<Stored>(group, message)? else { return Ok(()) };
    Stored { delivery: Delivery::Failed, ..row.data }.update(cx, row.id)
}

/// Up to `limit` messages of a group, the newest of those before `before`, oldest first.
pub(in crate::machine) fn history(
    cx: &Cx,
    group: &GroupId,
    own: &AccountId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<MessageView>, StepError> {
    let rows = cx.db.messages::<Stored>(group, before, limit)?;
    Ok(rows.into_iter().map(|row| Stored::view(row, *group, *own)).collect())
}
