//! What another installation of the account says in the self group, and what becomes of it.

use crate::contact::card::Card;
use crate::contact::inbox::InboxKey;
use crate::group::epoch::Leaf;
use crate::group::package::read_package;
use crate::identity::log::Log;
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::done::{Done, Fail};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::assembly::Machine;
use crate::machine::people::cards::take_card;
use crate::machine::people::contacts::Contact;
use crate::machine::people::logs::Who;
use crate::machine::people::look::Look;
use crate::params::{CATCH_UP_MARGIN, INBOX_KEY_KEEP, KEY_PACKAGE_USE};
use crate::wire::sync::{self, SyncContact, SyncItem};

impl Machine {
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
