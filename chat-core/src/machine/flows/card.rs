//! Cards: this account's own is published and linked to, and those that come are opened.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::contact::card::{Card, CardContent, CardError, CardKeyPackage};
use crate::contact::link::{CardSecret, ContactLink, LinkError};
use crate::contact::schedule::roots_at;
use crate::identity::log::Log;
use crate::ids::AccountId;
use crate::machine::account::card::CardTurn;
use crate::machine::account::installations::OwnInstallation;
use crate::machine::api::command::Answer;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::done::Done;
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::assembly::Machine;
use crate::machine::parcel::{Address, Parcel};
use crate::machine::people::cards::take_card;
use crate::machine::people::contacts::Contact;
use crate::machine::people::logs::Who;
use crate::params::CARD_MARGIN;
use crate::time::Timestamp;
use crate::wire::envelope::{self, EnvelopeKey};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::topic::ContentTopic;

impl Machine {
    /// Publishes the card of this period, if it is time and no other installation did.
    pub(in crate::machine) fn drive_card(&mut self) -> Result<(), StepError> {
        if !self.history.may_send() || self.recovery.is_under_way() {
            return Ok(());
        }
        let sought = self.cards.is_own_sought(&self.me);
        let period = match self.own_card.turn(&self.cx, &self.me, sought)? {
            CardTurn::Wait => return Ok(()),
            CardTurn::AskFirst => {
                self.cards.seek_own(&self.cx, &self.me, 1);
                return Ok(());
            }
            CardTurn::Publish(period) => period,
        };
        if !self.me.is_active() {
            // This installation was revoked: others speak for the account.
            return Ok(());
        }
        match self.make_card()? {
            Ok(card) => {
                let frame = Frame::new(FrameKind::Card, card.encode().to_vec()).encode();
                let parcel = Parcel { address: Address::Card { period }, frame, item: None };
                self.outbox.post(&self.cx, parcel, Duration::ZERO)
            }
            Err(error) => {
                tracing::error!(%error, "the account's card cannot be made");
                self.cx.tell(Event::CardFailed { reason: error.to_string() })
            }
        }
    }

    /// When the account's card is due.
    pub(in crate::machine) fn next_card_due(&self) -> Option<Timestamp> {
        // While a Store is asked, its answer is awaited.
        let waits = self.cards.is_own_sought(&self.me);
        self.own_card.next_due().filter(|_| !waits)
    }

    /// The card of now, with the keys that are in use by schedule.
    fn make_card(&mut self) -> Result<Result<Card, CardError>, StepError> {
        let content = CardContent {
            log: self.me.log().clone(),
            counter: Card::counter_at(self.cx.now),
            inbox: self.keys.current_inbox(&mut self.cx)?,
            key_packages: self.card_packages()?,
        };
        Ok(Card::sign(content, &self.me.key))
    }

    /// The key packages in the account's card: of this installation, and of the others as far as
    /// they are known and may be used.
    fn card_packages(&mut self) -> Result<Vec<CardKeyPackage>, StepError> {
        let mut packages = vec![self.keys.current_package(&mut self.cx, &self.me)?];
        let others = OwnInstallation::others(&self.cx, &self.me)?;
        packages.extend(others.into_iter().filter_map(|record| {
            let usable_until = record.usable_until.filter(|until| *until > self.cx.now)?;
            Some(CardKeyPackage { installation: record.id, usable_until, bytes: record.package })
        }));
        let active = &self.me.log().state().active;
        packages.retain(|package| active.contains_key(&package.installation));
        Ok(packages)
    }

    /// A link with a card in it, if that fits.
    pub(in crate::machine) fn make_contact_link(&mut self) -> Done<Answer> {
        let bad = |error: &dyn std::fmt::Display| {
            StepError::State(format!("the account's card: {error}"))
        };
        let card = match self.make_card()? {
            Ok(card) => Some(card),
            Err(CardError::TooLarge(_)) => None,
            Err(error) => return Err(bad(&error).into()),
        };
        let text = match self.contact_link(card).to_text(&self.cx.network) {
            Err(LinkError::TooLong) => return self.make_short_contact_link(),
            text => text.map_err(|error| bad(&error))?,
        };
        Ok(Answer::ContactLink(text.to_string()))
    }

    /// A link whose card is to be found in a Store.
    pub(in crate::machine) fn make_short_contact_link(&self) -> Done<Answer> {
        let text = self.contact_link(None).to_text(&self.cx.network);
        let text =
            text.map_err(|error| StepError::State(format!("the account's link: {error}")))?;
        Ok(Answer::ContactLink(text.to_string()))
    }

    fn contact_link(&self, card: Option<Card>) -> ContactLink {
        let secret = CardSecret::from_bytes(Zeroizing::new(*self.me.card_secret.as_bytes()));
        ContactLink { account: self.me.account, secret, card }
    }

    /// Opens an envelope on the topic of a card. Everybody who has the contact link can publish
    /// there, so nothing but what an installation of the account signed for this very period counts.
    pub(in crate::machine) fn open_card(
        &mut self,
        account: &AccountId,
        topic: &ContentTopic,
        payload: &[u8],
        sent_at: Timestamp,
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let own = *account == self.me.account;
        let secret = match self.cards.secret(account) {
            _ if own => &self.me.card_secret,
            Some(secret) => secret,
            None => return Ok(Disposition::NotForUs),
        };
        let network = &self.cx.network;
        let roots = roots_at(secret, sent_at, self.cx.params.slot_secs, network);
        let key = EnvelopeKey::derive(&roots.seal, network);
        let Ok(frame) = envelope::open(&key, topic, payload) else {
            return refused(Refused::Seal);
        };
        let body = match Frame::decode(&frame) {
            Ok(frame) if frame.kind == FrameKind::Card => frame.body,
            _ => return refused(Refused::Frame),
        };
        let card = match Card::decode_and_verify(&body, network, self.cx.now) {
            Ok(card) => card,
            Err(CardError::Expired) => return Ok(Disposition::Stale),
            Err(CardError::Signature(_) | CardError::NotActive) => {
                return refused(Refused::Authentication);
            }
            Err(error) => {
                tracing::debug!(%error, "a card is refused");
                return refused(Refused::Content);
            }
        };
        if card.account() != *account {
            return refused(Refused::Authentication);
        }
        if card.content().counter != Card::counter_at(sent_at) {
            // A true card, of another day.
            return refused(Refused::Replay);
        }
        if own { self.on_own_card(&card) } else { self.on_contact_card(&card) }
    }

    fn on_contact_card(&mut self, card: &Card) -> Result<Disposition, StepError> {
        let account = card.account();
        let Some(mut contact) = Contact::find(&self.cx, &account)? else {
            return Ok(Disposition::NotForUs);
        };
        let was_usable = contact.look.is_usable(self.cx.now);
        let Self { cx, me, logs, .. } = self;
        match take_card(cx, Who { me, logs }, &mut contact, card) {
            Ok(true) => {
                self.cards.save(&self.cx, &contact)?;
                self.cards.was_seen(account);
                if !was_usable && contact.look.is_usable(self.cx.now) {
                    self.cx.tell(Event::ContactReady { account })?;
                }
                Ok(Disposition::Card(account))
            }
            Ok(false) => {
                self.cards.was_seen(account);
                Ok(Disposition::Duplicate)
            }
            Err(_) => {
                let known = self.logs.get(&account);
                match known.is_some_and(|known| self.forgets(card, known)) {
                    true => self.own_card.refuse_rollback(&mut self.cx, card),
                    false => Ok(Disposition::Stale),
                }
            }
        }
    }

    /// A card of this account that another installation published, or somebody who has the keys of
    /// one.
    fn on_own_card(&mut self, card: &Card) -> Result<Disposition, StepError> {
        let mut all = self.me.log().clone();
        if let Err(error) = all.merge(&card.content().log) {
            tracing::debug!(%error, "the log in a card of this account is taken in in part");
        }
        if !all.state().active.contains_key(&card.signer()) {
            // A device that was revoked, with the log as it was before.
            return self.own_card.refuse_rollback(&mut self.cx, card);
        }
        if self.learn_log(&card.content().log)? {
            // Which installation's turn it is, follows from the log.
            self.own_card.forget_plan();
        }
        self.cards.was_seen(self.me.account);
        if self.forgets(card, self.me.log()) && !self.recovery.is_under_way() {
            // A contact that has this card only would not learn what is known here: ours goes out,
            // too.
            return self.own_card.refuse_rollback(&mut self.cx, card);
        }
        let period = card.content().counter;
        self.own_card.was_seen(&self.cx, period)?;
        self.outbox.withdraw_card(&self.cx, period)?;
        Ok(Disposition::Card(self.me.account))
    }

    /// Whether a card lacks entries of a log that its signer ought to have known: they were made well
    /// before it was sent. One that is older than what it lacks is not an attempt at anything.
    fn forgets(&self, card: &Card, known: &Log) -> bool {
        let log = &card.content().log;
        let sent_at = self.cx.sent_at;
        log.is_rollback_of(known)
            && known
                .entries()
                .iter()
                .filter(|entry| !log.contains(&entry.hash()))
                .any(|entry| entry.issued_at() + CARD_MARGIN < sent_at)
    }
}
