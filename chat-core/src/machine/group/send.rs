//! Drafts are encrypted when they go out: numbered, recorded and posted.

use std::time::Duration;

use zeroize::Zeroizing;

use super::conversation::Conversation;
use super::directory::Directory;
use super::drafts::{Draft, DraftBody};
use super::intent::Intent;
use super::say::own_text;
use super::state_error;
use super::stored::{Delivery, Sent};
use crate::ids::IntentId;
use crate::machine::api::done::Fail;
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::parcel::{Address, Item, Parcel};
use crate::machine::people::logs::Who;
use crate::params::RETRY_MIN;
use crate::wire::content::{Body, Content};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::item::{message_hash, message_id};

impl Conversation {
    /// Encrypts what is due. The caller sees to it that this device is connected and has caught up,
    /// and that what is to be committed was committed before.
    pub(in crate::machine) fn flush(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        directory: &dyn Directory,
    ) -> Result<(), StepError> {
        if !self.is_member() {
            return self.fail_drafts(cx, who);
        }
        while let Some((number, draft)) = self.drafts.first_due(cx.now, |it| self.has(it)) {
            let draft = draft.clone();
            if !self.may_encrypt(cx)? && !self.renew_path(cx, who, directory)? {
                self.drafts.postpone(number, cx.now + RETRY_MIN);
                return Ok(());
            }
            self.drafts.remove(cx, &self.record.id, number)?;
            self.encrypt(cx, who, draft)?;
        }
        Ok(())
    }

    /// This device is not a member any more: what it wanted to say is not said.
    fn fail_drafts(&mut self, cx: &mut Cx, who: Who<'_>) -> Result<(), StepError> {
        let group = self.record.id;
        for number in self.drafts.numbers() {
            let Some(draft) = self.drafts.remove(cx, &group, number)? else { continue };
            let DraftBody::Text(text) = &draft.body else { continue };
            let message = message_id(&cx.network, &who.me.id(), &draft.salt);
            let stored = own_text(cx, who, draft.written_at, text, Delivery::Failed);
            match draft.row {
                Some(row) => stored.update(cx, row)?,
                None => drop(stored.add(cx, &group, message, false)?),
            }
            let reason = "this account is no longer a member of the group".into();
            cx.tell(Event::MessageFailed { group, message, reason })?;
        }
        Ok(())
    }

    /// Whether the keys of the epoch that is followed were used as often as the mark outside of it
    /// says. They were not where the epoch was derived again, or comes from a backup: then it must
    /// not be used to send.
    fn may_encrypt(&mut self, cx: &Cx) -> Result<bool, StepError> {
        let epoch = self.current()?.epoch;
        let mark = cx.db.next_generation(&epoch)?;
        let mls = self.take_mls(cx, &epoch)?;
        let sent = mls.rows().sent().map_err(state_error)?;
        self.put_mls(epoch, mls);
        Ok(sent == mark)
    }

    /// Makes new keys by a commit. False: that is refused now.
    fn renew_path(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        directory: &dyn Directory,
    ) -> Result<bool, StepError> {
        let id = IntentId(cx.rng.bytes());
        match self.plan(cx, who, directory, &Intent::Update, id) {
            Ok(Some(plan)) => self.commit(cx, who, plan, None)?,
            Ok(None) => return Ok(false),
            Err(Fail::Step(error)) => return Err(error),
            Err(Fail::Refused(reason)) => {
                tracing::warn!(%reason, "the keys of an epoch were used, and cannot be renewed now");
                return Ok(false);
            }
        }
        self.may_encrypt(cx)
    }

    /// Encrypts, numbers, records and posts a message.
    fn encrypt(&mut self, cx: &mut Cx, who: Who<'_>, draft: Draft) -> Result<(), StepError> {
        let (group, state) = (self.record.id, self.current()?);
        let epoch = state.epoch;
        let (link, said) = self.next_link(who, state);
        let seq = link.seq;
        let body = match &draft.body {
            DraftBody::Text(text) => Body::Text(text.to_string()),
            DraftBody::Sync(items) => Body::Sync(items.clone()),
            DraftBody::LeaveWish => Body::LeaveWish(self.leave_wish(cx, who)?),
        };
        let (salt, sent_at) = (draft.salt, draft.written_at);
        let content = Content { chain: Some(link), salt, sent_at, body };
        let plaintext = Zeroizing::new(content.encode());
        let mut mls = self.take_mls(cx, &epoch)?;
        let bytes = mls.encrypt(&who.me.key, &plaintext)?;
        let generation = mls.rows().count_sent().map_err(state_error)?;
        self.put_mls(epoch, mls);
        self.save_rows(cx, &epoch)?;
        cx.db.set_next_generation(&epoch, generation)?;
        let hash = message_hash(&bytes).map_err(state_error)?;
        self.numbered(cx, epoch, seq, hash, &said)?;
        let mut item = None;
        if let DraftBody::Text(text) = &draft.body {
            let message = message_id(&cx.network, &who.me.id(), &salt);
            let sent = Delivery::Sent(Sent { seq, epoch });
            let stored = own_text(cx, who, draft.written_at, text, sent);
            match draft.row {
                Some(row) => stored.update(cx, row)?,
                None => drop(stored.add(cx, &group, message, false)?),
            }
            item = Some(Item::Message { group, message });
        }
        let frame = Frame::new(FrameKind::Message, bytes).encode();
        let address = Address::Group { group, epoch };
        cx.ask(Effect::Post(Parcel { address, frame, item }, Duration::ZERO));
        if matches!(draft.body, DraftBody::LeaveWish) {
            self.record.wish_said = true;
            self.record.save(&cx.db)?;
            self.leave_if_alone(cx, who)?;
        }
        Ok(())
    }
}
