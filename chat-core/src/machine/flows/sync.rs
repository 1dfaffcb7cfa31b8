//! What the account's installations tell one another through the self group, and what becomes of it.

use std::time::Duration;

use super::self_group::without_refusal;
use crate::contact::card::Card;
use crate::contact::inbox::InboxKey;
use crate::database::Keyed;
use crate::group::epoch::Leaf;
use crate::group::package::read_package;
use crate::identity::log::Log;
use crate::ids::{GroupId, InstallationId, MessageId};
use crate::machine::account::installations::OwnInstallation;
use crate::machine::account::keys::{InboxRecord, Keys};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::assembly::Machine;
use crate::machine::people::cards::take_card;
use crate::machine::people::contacts::Contact;
use crate::machine::people::logs::Who;
use crate::machine::people::look::Look;
use crate::params::{CATCH_UP_MARGIN, INBOX_KEY_KEEP, KEY_PACKAGE_USE};
use crate::time::Timestamp;
use crate::wire::sync::{self, SyncContact, SyncItem};

/// Bytes of items that go into one message: they then fit an envelope of 32 KiB.
const BATCH: usize = 28 * 1024;

/// How far a group was read, as stored.
#[derive(serde::Serialize, serde::Deserialize)]
struct ReadMark {
    group: GroupId,
    message: MessageId,
    sent_at: Timestamp,
}

impl Machine {
    /// Tells the account's other installations, if there are any.
    pub(in crate::machine) fn sync(&mut self, items: Vec<SyncItem>) -> Result<(), StepError> {
        self.sync_after(items, Duration::ZERO)
    }

    /// The same, after a delay.
    pub(in crate::machine) fn sync_after(
        &mut self,
        items: Vec<SyncItem>,
        delay: Duration,
    ) -> Result<(), StepError> {
        let Some(id) = self.cx.own_group else { return Ok(()) };
        let Self { cx, me, logs, groups, .. } = self;
        let Some(group) = groups.get_mut(&id) else { return Ok(()) };
        if !group.is_active() || group.current()?.leaves.len() < 2 {
            return Ok(());
        }
        // What is told while a revoked installation is still in the group is not for it.
        let revoked = group.revoked_leaves(Who { me, logs })?;
        let not_to: Vec<InstallationId> = revoked.into_iter().map(|(id, _)| id).collect();
        let mut batch: Vec<SyncItem> = Vec::new();
        let mut size = 0;
        for item in items {
            let more = item.size();
            if size + more > BATCH && !batch.is_empty() {
                let full = std::mem::take(&mut batch);
                group.say_to_own(cx, sync::encode(&full).to_vec(), delay, not_to.clone());
                size = 0;
            }
            size += more;
            batch.push(item);
        }
        if !batch.is_empty() {
            group.say_to_own(cx, sync::encode(&batch).to_vec(), delay, not_to);
        }
        Ok(())
    }

    /// All that an installation has to know that has just come: contacts, keys, names, read marks.
    pub(in crate::machine) fn introduce(&mut self) -> Result<(), StepError> {
        let mut items = vec![SyncItem::Log(self.me.log().encode())];
        for record in Keys::inbox_records(&self.cx.db)? {
            if !record.retired {
                let InboxRecord { secret, made_at, .. } = record;
                items.push(SyncItem::InboxKey { secret, made_at });
            }
        }
        items.extend(Contact::all(&self.cx)?.iter().map(Contact::item));
        for mark in self.cx.db.all_keyed::<ReadMark>(Keyed::ReadMark)? {
            let ReadMark { group, message, sent_at } = mark;
            items.push(SyncItem::Read { group, message, sent_at });
        }
        items.extend(OwnInstallation::all(&self.cx)?.into_iter().filter_map(name_item));
        items.push(self.own_package_item()?);
        self.sync(items)
    }

    /// What this installation says of itself when it came into the self group.
    pub(in crate::machine) fn announce(&mut self) -> Result<(), StepError> {
        let mut items = vec![self.own_package_item()?];
        items.extend(name_item(OwnInstallation::of(&self.cx, &self.me.id())?));
        self.sync(items)
    }

    fn own_package_item(&mut self) -> Result<SyncItem, StepError> {
        let package = self.keys.current_package(&mut self.cx, &self.me)?;
        Ok(SyncItem::KeyPackage { usable_until: package.usable_until, bytes: package.bytes })
    }

    /// With a new day comes a new key package, which the others have to know.
    pub(in crate::machine) fn renew_package(&mut self) -> Result<(), StepError> {
        let id = self.me.id();
        let alone = self.self_group().is_none_or(|group| {
            let others = |leaf: &Leaf| leaf.installation != id;
            !group.is_member() || group.current().is_ok_and(|it| !it.leaves.iter().any(others))
        });
        if !alone {
            self.keys.current_package(&mut self.cx, &self.me)?;
        }
        Ok(())
    }

    /// Takes in what another installation says.
    pub(in crate::machine) fn on_sync(
        &mut self,
        author: &Leaf,
        body: &[u8],
    ) -> Result<(), StepError> {
        let items = match sync::decode(body) {
            Ok(items) => items,
            Err(error) => {
                tracing::warn!(%error, "what another installation says cannot be read");
                return Ok(());
            }
        };
        self.drop_self_welcome(&author.installation)?;
        items.into_iter().try_for_each(|item| self.on_sync_item(author, item))
    }

    fn on_sync_item(&mut self, author: &Leaf, item: SyncItem) -> Result<(), StepError> {
        match item {
            SyncItem::Log(bytes) => match Log::decode(&bytes, &self.cx.network) {
                Ok(log) if log.account() == self.me.account => {
                    self.learn_log(&log)?;
                }
                _ => tracing::warn!("another installation tells of a log that is not valid"),
            },
            SyncItem::Contact(contact) => self.on_contact(contact)?,
            SyncItem::InboxKey { secret, made_at } => {
                // Of the future, it would be the newest for ever.
                let in_time = made_at <= self.cx.now + CATCH_UP_MARGIN
                    && self.cx.now.since(made_at) < INBOX_KEY_KEEP;
                let key = InboxKey::from_secret(&secret, made_at);
                if in_time && !self.keys.has_inbox(&key) {
                    self.keys.keep_inbox(&self.cx, &key)?;
                }
            }
            SyncItem::KeyPackage { usable_until, bytes } => {
                let theirs = read_package(&bytes, &self.cx.rng, &self.cx.network)
                    .is_ok_and(|(_, leaf)| leaf.installation == author.installation);
                if theirs && usable_until <= self.cx.now + KEY_PACKAGE_USE + CATCH_UP_MARGIN {
                    let (cx, id) = (&mut self.cx, author.installation);
                    OwnInstallation::keep_package(cx, id, &bytes, usable_until)?;
                }
            }
            SyncItem::Name { installation, name, changed_at } => {
                let state = self.me.log().state();
                let known = state.active.contains_key(&installation)
                    || state.revoked.contains_key(&installation);
                if known {
                    let changed_at = changed_at.min(self.cx.now);
                    OwnInstallation::rename(&self.cx, installation, &name, changed_at)?;
                }
            }
            SyncItem::Read { group, message, sent_at } => {
                if self.set_read_mark(group, message, sent_at)? {
                    self.cx.tell(Event::GroupRead { group, message })?;
                }
            }
            SyncItem::Welcome(invitation) => self.on_own_welcome(&invitation, false)?,
            SyncItem::WelcomeBack(invitation) => self.on_own_welcome(&invitation, true)?,
            SyncItem::Answer { request, answer } => self.on_answer(&request, answer)?,
            SyncItem::Leave { group } => {
                let active = self.groups.get(&group).is_some_and(|group| group.is_active());
                if active && self.cx.is_visible(&group) {
                    without_refusal(self.leave_group(group))?;
                }
            }
            SyncItem::Message(message) => self.on_transferred(author, *message)?,
            SyncItem::Progress { to, sent, total } if to == self.me.id() => {
                self.cx.tell(Event::HistoryTransferReceived { sent, total })?;
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
        let known = Contact::find(&self.cx, &account)?;
        let is_new = known.is_none();
        let mut contact = known.unwrap_or_else(|| Contact::unknown(account));
        let changed_at = said.changed_at.min(self.cx.now + CATCH_UP_MARGIN);
        if changed_at > contact.changed_at || is_new {
            contact.secret = said.secret;
            contact.name = said.name;
            contact.blocked = said.blocked;
            contact.changed_at = changed_at;
        }
        if contact.secret.is_none() {
            contact.card = None;
            contact.look = Look::default();
        } else if let Some(bytes) = said.card
            && let Ok(card) = Card::decode_stored(&bytes, &self.cx.network)
            && card.account() == account
        {
            let Self { cx, me, logs, .. } = self;
            if let Err(error) = take_card(cx, Who { me, logs }, &mut contact, &card) {
                tracing::debug!(%error, "a contact's card from another installation is old");
            }
        } else {
            // The other installation may have a link that is newer than what was tried here.
            contact.look.look_again(self.cx.now);
        }
        self.cards.save(&self.cx, &contact)?;
        self.cx.tell(Event::ContactChanged { account })
    }

    /// Moves a read mark forward; false: it is there or further already.
    pub(in crate::machine) fn set_read_mark(
        &mut self,
        group: GroupId,
        message: MessageId,
        sent_at: Timestamp,
    ) -> Result<bool, StepError> {
        let known: Option<ReadMark> = self.cx.db.keyed(Keyed::ReadMark, group.as_bytes())?;
        if known.is_some_and(|mark| (mark.sent_at, mark.message) >= (sent_at, message)) {
            return Ok(false);
        }
        let mark = ReadMark { group, message, sent_at };
        self.cx.db.set_keyed(Keyed::ReadMark, group.as_bytes(), &mark)?;
        Ok(true)
    }
}

/// What other installations are told of an installation's name, if it has one.
fn name_item(record: OwnInstallation) -> Option<SyncItem> {
    let (installation, changed_at) = (record.id, record.named_at);
    record.name.map(|name| SyncItem::Name { installation, name, changed_at })
}
