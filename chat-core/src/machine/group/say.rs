//! Saying something in the group: it becomes a draft, and goes out when it can.

use std::time::Duration;

use zeroize::Zeroizing;

use super::conversation::Conversation;
use super::drafts::{Draft, DraftBody};
use super::stored::{Delivery, Stored};
use crate::ids::{InstallationId, MessageId};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::people::logs::Who;
use crate::time::Timestamp;
use crate::wire::item::message_id;

impl Conversation {
    /// Says a text, as soon as it can go out. Its id.
    pub(in crate::machine) fn say(&mut self, cx: &Cx, who: Who<'_>, text: String) -> MessageId {
        let body = DraftBody::Text(Zeroizing::new(text));
        let salt = self.draft(cx, body, Duration::ZERO, Vec::new());
        message_id(&cx.network, &who.me.id(), &salt)
    }

    /// Tells the account's other installations something, after a delay, and not before these are
    /// gone.
    pub(in crate::machine) fn say_to_own(
        &mut self,
        cx: &Cx,
        items: Vec<u8>,
        delay: Duration,
        not_to: Vec<InstallationId>,
    ) {
        self.draft(cx, DraftBody::Sync(items), delay, not_to);
    }

    pub(super) fn draft(
        &mut self,
        cx: &Cx,
        body: DraftBody,
        delay: Duration,
        not_to: Vec<InstallationId>,
    ) -> [u8; 16] {
        let salt = cx.rng.bytes();
        let (written_at, due_at) = (cx.now, cx.now + delay);
        self.drafts.push(Draft { salt, body, written_at, due_at, not_to, row: None });
        salt
    }

    /// Messages that wait to be encrypted.
    pub(in crate::machine) fn drafts(&self) -> usize {
        self.drafts.len()
    }

    /// When a draft is due next.
    pub(in crate::machine) fn next_draft_due(&self) -> Option<Timestamp> {
        self.drafts.next_due(|installation| self.has(installation))
    }

    /// Writes what waits, and shows it in the history.
    pub(in crate::machine) fn save_drafts(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
    ) -> Result<(), StepError> {
        let id = self.record.id;
        self.drafts.save(cx, &id, |cx, draft| {
            if let (DraftBody::Text(text), None) = (&draft.body, draft.row) {
                let message = message_id(&cx.network, &who.me.id(), &draft.salt);
                let stored = own_text(cx, who, draft.written_at, text, Delivery::Waiting);
                draft.row = stored.add(cx, &id, message, false)?.map(|row| row.id);
            }
            Ok(())
        })
    }
}

/// A text of this device, as it stands in the history.
pub(super) fn own_text(
    cx: &Cx,
    who: Who<'_>,
    written_at: Timestamp,
    text: &str,
    delivery: Delivery,
) -> Stored {
    Stored {
        sender: who.me.account,
        installation: who.me.id(),
        delivery,
        text: Some(text.to_owned()),
        sent_at: written_at,
        received_at: cx.now,
        transferred_by: None,
    }
}
