//! Messages of others: opened by the epoch that they were sent in, and recorded.

use super::conversation::Conversation;
use super::later::Later;
use super::stored::{Delivery, Sent, Stored};
use super::verdict::{OpenedMessage, Verdict};
use crate::group::epoch::Leaf;
use crate::group::error::GroupError;
use crate::group::mls::read_message;
use crate::ids::{EpochId, ItemHash};
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::people::logs::Who;
use crate::wire::content::{Body, Content};
use crate::wire::item::{MessageView as MlsView, message_hash, message_id};

/// The generation mark of an epoch that must not be used to send any more.
const SPENT: u64 = i64::MAX as u64;

impl Conversation {
    /// Decrypts an application message: the epoch that opens it is the one that it was sent in.
    pub(super) fn open_message(
        &mut self,
        cx: &Cx,
        body: &[u8],
        frame: &[u8],
    ) -> Result<Verdict, StepError> {
        let refused = |why| Ok(Verdict::refused(why));
        let Ok(hash) = message_hash(body) else {
            return refused(Refused::Mls);
        };
        if cx.db.is_seen(&self.record.id, &hash)? {
            return Ok(Verdict::Dropped(Disposition::Duplicate));
        }
        let Ok(number) = MlsView::parse(body).map(|view| view.epoch) else {
            return refused(Refused::Mls);
        };
        if read_message(body, &self.record.id).is_err() {
            return refused(Refused::Mls);
        }
        if self.is_stale(number) {
            return Ok(Verdict::Dropped(Disposition::Stale));
        }
        let ranked = self.ranked().into_iter().filter(|state| state.number == number);
        let candidates: Vec<EpochId> = ranked.map(|state| state.epoch).collect();
        for epoch in candidates {
            let mut mls = self.take_mls(cx, &epoch)?;
            match mls.decrypt(read_message(body, &self.record.id)?) {
                Ok(opened) => {
                    let message = OpenedMessage { hash, epoch, mls, opened };
                    return Ok(Verdict::Message(Box::new(message)));
                }
                Err(GroupError::OwnLeaf) => return Ok(Verdict::OwnLeaf { epoch, hash }),
                // A failed attempt may leave the group in memory ahead of its rows: it is dropped.
                Err(error) => tracing::debug!(%error, "a message does not open in this epoch"),
            }
        }
        // It may belong to a branch of which nothing was heard yet.
        Ok(Verdict::Kept(Later::frame(cx, frame), Deferred::UnknownEpoch))
    }

    pub(super) fn apply_message(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        message: OpenedMessage,
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let OpenedMessage { hash, epoch, mls, opened } = message;
        self.put_mls(epoch, mls);
        self.save_rows(cx, &epoch)?;
        cx.db.mark_seen(&self.record.id, &hash, cx.now)?;
        let leaf = self.epochs.get(&epoch).and_then(|state| state.leaf(opened.leaf));
        let Some(leaf) = leaf.cloned() else {
            return refused(Refused::Content);
        };
        let content = match Content::decode(&opened.plaintext) {
            Ok(content) => content,
            Err(error) => {
                tracing::debug!(%error, "the content of a message cannot be read");
                return refused(Refused::Content);
            }
        };
        let Some(link) = &content.chain else {
            // Unnumbered: a heartbeat. What its heads claim is all that it says.
            return Ok(Disposition::Message(hash));
        };
        if !self.note_item(cx, who, &leaf, epoch, link, hash)? {
            return refused(Refused::Content);
        }
        let sent = Sent { seq: link.seq, epoch };
        match self.take_content(cx, who, &leaf, sent, hash, content)? {
            true => Ok(Disposition::Message(hash)),
            false => refused(Refused::Content),
        }
    }

    /// A message or commit in the name of this device that was not made here, as far as is remembered.
    /// Either this database was restored from a backup, or somebody copied the device, or a member
    /// lies: a message is not signed. In all cases the keys of that epoch are not used again.
    pub(super) fn apply_own_leaf(
        &self,
        cx: &mut Cx,
        epoch: EpochId,
        hash: ItemHash,
    ) -> Result<Disposition, StepError> {
        cx.db.mark_seen(&self.record.id, &hash, cx.now)?;
        if cx.db.next_generation(&epoch)? < SPENT {
            cx.db.set_next_generation(&epoch, SPENT)?;
            cx.tell(Event::CloneAlarm { group: self.record.id })?;
        }
        Ok(Disposition::Refused(Refused::Authentication))
    }

    /// Takes in what a message says. False: it may not say that.
    fn take_content(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        leaf: &Leaf,
        sent: Sent,
        hash: ItemHash,
        content: Content,
    ) -> Result<bool, StepError> {
        let text = match content.body {
            Body::Text(text) => Some(text),
            Body::Unknown(_) => None,
            Body::LeaveWish(wish) => {
                return self.on_leave_wish(cx, who, leaf, &wish, sent.seq, hash);
            }
            Body::Sync(items) => {
                let trusted = !self.record.quarantine.contains_key(&leaf.installation);
                if !cx.is_visible(&self.record.id) && trusted {
                    cx.ask(Effect::ToldByOwn(Box::new(leaf.clone()), items));
                }
                return Ok(true);
            }
            Body::Heartbeat => return Ok(true),
        };
        let flagged = self.is_flagged(who, leaf, sent.seq);
        let stored = Stored {
            sender: leaf.account,
            installation: leaf.installation,
            delivery: Delivery::Sent(sent),
            text,
            sent_at: content.sent_at,
            received_at: cx.now,
            transferred_by: None,
        };
        let message = message_id(&cx.network, &leaf.installation, &content.salt);
        if let Some(row) = stored.add(cx, &self.record.id, message, flagged)? {
            let message = Stored::view(row, self.record.id, who.me.account);
            cx.tell(Event::MessageReceived { message })?;
        }
        Ok(true)
    }

    /// Whether a message of a leaf is shown as one that does not count: it lies above the cut of a
    /// membership that ended, or its installation was revoked.
    fn is_flagged(&self, who: Who<'_>, leaf: &Leaf, seq: u64) -> bool {
        let cut = leaf.since.is_some_and(|since| self.has_cut(&leaf.installation, &since));
        self.is_cut(leaf, seq)
            || (!cut && (self.is_quarantined(leaf, seq) || self.is_void(who, leaf)))
    }
}
