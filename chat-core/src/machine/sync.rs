//! What the account's installations tell one another through the self group, and what becomes of it.

use std::time::Duration;

use super::Machine;
use super::error::StepError;
use super::event::Event;
use super::lookups::Look;
use super::people::{Contact, InboxRecord, RequestRecord};
use super::view::{Membership, RequestState};
use super::{Done, Fail};
use crate::contact::card::Card;
use crate::contact::inbox::InboxKey;
use crate::group::epoch::Leaf;
use crate::group::package::read_package;
use crate::identity::log::Log;
use crate::ids::{GroupId, ItemHash, RequestId};
use crate::params::{CATCH_UP_MARGIN, INBOX_KEY_KEEP, KEY_PACKAGE_USE};
use crate::store::{Keyed, Timed};
use crate::time::Timestamp;
use crate::wire::content::Body;
use crate::wire::sync::{self, RequestAnswer, SyncContact, SyncItem};

/// Bytes of items that go into one message: they then fit an envelope of 32 KiB.
const BATCH: usize = 28 * 1024;

/// How far a group was read, as stored.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct ReadMark {
    pub(super) group: GroupId,
    pub(super) message: ItemHash,
    pub(super) sent_at: Timestamp,
}

impl Contact {
    /// What other installations are told of it.
    pub(super) fn item(&self) -> SyncItem {
        SyncItem::Contact(SyncContact {
            account: Some(self.account),
            changed_at: self.changed_at,
            secret: self.secret.clone(),
            card: self.card.clone(),
            name: self.name.clone(),
            blocked: self.blocked,
        })
    }
}

impl Machine {
    /// Tells the account's other installations, if there are any.
    pub(super) fn sync(&mut self, items: Vec<SyncItem>) -> Result<(), StepError> {
        self.sync_after(items, Duration::ZERO)
    }

    /// The same, after a delay.
    pub(super) fn sync_after(
        &mut self,
        items: Vec<SyncItem>,
        delay: Duration,
    ) -> Result<(), StepError> {
        let Some(id) = self.self_group else { return Ok(()) };
        let Some(group) = self.groups.get(&id) else { return Ok(()) };
        if group.record.membership != Membership::Active || group.current()?.leaves.len() < 2 {
            return Ok(());
        }
        let mut batch = Vec::new();
        let mut size = 0;
        for item in items {
            let more = item.size();
            if size + more > BATCH && !batch.is_empty() {
                self.send_sync(id, &std::mem::take(&mut batch), delay)?;
                size = 0;
            }
            size += more;
            batch.push(item);
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.send_sync(id, &batch, delay),
        }
    }

    fn send_sync(
        &mut self,
        group: GroupId,
        items: &[SyncItem],
        delay: Duration,
    ) -> Result<(), StepError> {
        let body = Body::Sync(sync::encode(items).to_vec());
        match self.send_after(group, body, delay) {
            Ok(_) => Ok(()),
            Err(Fail::Step(error)) => Err(error),
            Err(Fail::Refused(error)) => {
                tracing::warn!(%error, "other installations cannot be told of a change");
                Ok(())
            }
        }
    }

    /// All that an installation has to know that has just come: contacts, keys, names, read marks.
    pub(super) fn introduce(&mut self) -> Result<(), StepError> {
        let mut items = vec![SyncItem::Log(self.me.log.encode())];
        for record in self.store.all_timed::<InboxRecord>(Timed::InboxKey)? {
            if !record.retired {
                let InboxRecord { secret, made_at, .. } = record;
                items.push(SyncItem::InboxKey { secret, made_at });
            }
        }
        for contact in self.store.all_keyed::<Contact>(Keyed::Contact)? {
            items.push(contact.item());
        }
        for mark in self.store.all_keyed::<ReadMark>(Keyed::ReadMark)? {
            let ReadMark { group, message, sent_at } = mark;
            items.push(SyncItem::Read { group, message, sent_at });
        }
        let own = self.own_record(&self.me.key.id())?;
        for record in self.own_records()?.into_iter().chain([own]) {
            if let Some(name) = record.name {
                let changed_at = record.named_at;
                items.push(SyncItem::Name { installation: record.id, name, changed_at });
            }
        }
        items.push(self.own_package_item()?);
        self.sync(items)
    }

    /// What this installation says of itself when it came into the self group.
    pub(super) fn announce(&mut self) -> Result<(), StepError> {
        let mut items = vec![self.own_package_item()?];
        let own = self.own_record(&self.me.key.id())?;
        if let Some(name) = own.name {
            let changed_at = own.named_at;
            items.push(SyncItem::Name { installation: own.id, name, changed_at });
        }
        self.sync(items)
    }

    fn own_package_item(&mut self) -> Result<SyncItem, StepError> {
        let package = self.current_package()?;
        Ok(SyncItem::KeyPackage { usable_until: package.usable_until, bytes: package.bytes })
    }

    /// With a new day comes a new key package, which the others have to know.
    pub(super) fn renew_package(&mut self) -> Result<(), StepError> {
        let id = self.me.key.id();
        let alone = self.self_group.and_then(|id| self.groups.get(&id)).is_none_or(|group| {
            !group.is_member()
                || group
                    .current()
                    .is_ok_and(|state| state.leaves.iter().all(|l| l.installation == id))
        });
        if !alone {
            self.current_package()?;
        }
        Ok(())
    }

    /// Takes in what another installation says.
    pub(super) fn on_sync(&mut self, author: &Leaf, body: &[u8]) -> Result<(), StepError> {
        let items = match sync::decode(body) {
            Ok(items) => items,
            Err(error) => {
                tracing::warn!(%error, "what another installation says cannot be read");
                return Ok(());
            }
        };
        self.drop_self_welcome(&author.installation)?;
        for item in items {
            self.on_sync_item(author, item)?;
        }
        Ok(())
    }

    fn on_sync_item(&mut self, author: &Leaf, item: SyncItem) -> Result<(), StepError> {
        match item {
            SyncItem::Log(bytes) => match Log::decode(&bytes, &self.network) {
                Ok(log) if log.account() == self.me.account => {
                    self.learn_log(&log)?;
                }
                _ => tracing::warn!("another installation tells of a log that is not valid"),
            },
            SyncItem::Contact(contact) => self.on_contact(contact)?,
            SyncItem::InboxKey { secret, made_at } => {
                // Of the future, it would be the newest for ever.
                let in_time = made_at <= self.now + CATCH_UP_MARGIN
                    && self.now.since(made_at) < INBOX_KEY_KEEP;
                let key = InboxKey::from_secret(&secret, made_at);
                let known = self.inbox_keys.iter().any(|known| known.public() == key.public());
                if in_time && !known {
                    self.keep_inbox_key(&key)?;
                }
            }
            SyncItem::KeyPackage { usable_until, bytes } => {
                let theirs = read_package(&bytes, &self.rng, &self.network)
                    .is_ok_and(|(_, leaf)| leaf.installation == author.installation);
                if theirs && usable_until <= self.now + KEY_PACKAGE_USE + CATCH_UP_MARGIN {
                    self.keep_package(author.installation, &bytes, usable_until)?;
                }
            }
            SyncItem::Name { installation, name, changed_at } => {
                let state = self.me.log.state();
                let known = state.active.contains_key(&installation)
                    || state.revoked.contains_key(&installation);
                if known {
                    self.name_own(installation, &name, changed_at.min(self.now))?;
                }
            }
            SyncItem::Read { group, message, sent_at } => {
                if self.set_read_mark(group, message, sent_at)? {
                    self.tell(Event::GroupRead { group, message })?;
                }
            }
            SyncItem::Welcome(invitation) => self.on_own_welcome(&invitation, false)?,
            SyncItem::WelcomeBack(invitation) => self.on_own_welcome(&invitation, true)?,
            SyncItem::Answer { request, answer } => self.on_answer(&request, answer)?,
            SyncItem::Leave { group } => {
                let active = self
                    .groups
                    .get(&group)
                    .is_some_and(|group| group.record.membership == Membership::Active);
                if active && self.is_visible(&group) {
                    without_refusal(self.leave_group(group))?;
                }
            }
            SyncItem::Message(message) => self.on_handed_over(author, *message)?,
            SyncItem::Progress { to, sent, total } if to == self.me.key.id() => {
                self.tell(Event::HandoverReceived { sent, total })?;
            }
            SyncItem::Progress { .. } => {}
            SyncItem::Unknown(kind) => tracing::debug!(kind, "news of a later version"),
        }
        Ok(())
    }

    /// A contact as another installation knows it: the later change counts, and the newer card.
    fn on_contact(&mut self, said: SyncContact) -> Result<(), StepError> {
        let Some(account) = said.account.filter(|account| *account != self.me.account) else {
            return Ok(());
        };
        let known = self.contact(&account)?;
        let mut contact = known.clone().unwrap_or_else(|| Contact::unknown(account));
        if said.changed_at.min(self.now + CATCH_UP_MARGIN) > contact.changed_at || known.is_none() {
            contact.secret = said.secret;
            contact.name = said.name;
            contact.blocked = said.blocked;
            contact.changed_at = said.changed_at.min(self.now + CATCH_UP_MARGIN);
        }
        if contact.secret.is_none() {
            contact.card = None;
            contact.look = Look::default();
        } else if let Some(bytes) = said.card
            && let Ok(card) = Card::decode_stored(&bytes, &self.network)
            && card.account() == account
        {
            if let Err(error) = self.take_card(&mut contact, &card)? {
                tracing::debug!(%error, "a contact's card from another installation is old");
            }
        } else {
            // The other installation may have a link that is newer than what was tried here.
            contact.look.look_again(self.now);
        }
        self.save_contact(&contact)?;
        self.tell(Event::ContactChanged { account })
    }

    /// Moves a read mark forward; false: it is there or further already.
    pub(super) fn set_read_mark(
        &mut self,
        group: GroupId,
        message: ItemHash,
        sent_at: Timestamp,
    ) -> Result<bool, StepError> {
        let known: Option<ReadMark> = self.store.keyed(Keyed::ReadMark, group.as_bytes())?;
        if known.is_some_and(|mark| (mark.sent_at, mark.message) >= (sent_at, message)) {
            return Ok(false);
        }
        let mark = ReadMark { group, message, sent_at };
        self.store.set_keyed(Keyed::ReadMark, group.as_bytes(), &mark)?;
        Ok(true)
    }

    /// An invitation was answered on another installation.
    fn on_answer(&mut self, id: &RequestId, answer: RequestAnswer) -> Result<(), StepError> {
        // The doorbell itself may come later.
        self.store.mark_package(&answer_mark(id, answer), self.now)?;
        let Some(request) = self.requests.get(id).cloned() else { return Ok(()) };
        if request.state == RequestState::Accepted {
            return Ok(());
        }
        self.tell(Event::RequestAnswered { request: *id })?;
        match answer {
            RequestAnswer::Accept => self.accept_elsewhere(request),
            RequestAnswer::Decline => self.forget_request(id),
        }
    }

    /// How another installation answered an invitation, if one did.
    pub(super) fn answered_elsewhere(
        &self,
        id: &RequestId,
    ) -> Result<Option<RequestAnswer>, StepError> {
        for answer in [RequestAnswer::Accept, RequestAnswer::Decline] {
            if self.store.has_package_mark(&answer_mark(id, answer))? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Joins what another installation accepted: this one was invited with it, or is added by it.
    pub(super) fn accept_elsewhere(&mut self, request: RequestRecord) -> Result<(), StepError> {
        self.await_invitation(RequestRecord {
            state: RequestState::Accepted,
            asked: true,
            elsewhere: true,
            ..request
        })
    }
}

fn answer_mark(id: &RequestId, answer: RequestAnswer) -> Vec<u8> {
    let said: &[u8] = match answer {
        RequestAnswer::Accept => b"accepted",
        RequestAnswer::Decline => b"declined",
    };
    [said, id.as_bytes()].concat()
}

/// What cannot be done any more has been done, or is void.
fn without_refusal<T>(done: Done<T>) -> Result<(), StepError> {
    match done {
        Ok(_) => Ok(()),
        Err(Fail::Refused(reason)) => {
            tracing::debug!(%reason, "what another installation asks for is not done");
            Ok(())
        }
        Err(Fail::Step(error)) => Err(error),
    }
}
