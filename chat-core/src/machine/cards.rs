//! The own card: made by schedule, published once a period by whichever installation is up; and what
//! other installations' cards of the same account tell.
//!
//! Its time follows from the card secret and the period, so it says nothing of the user's doings. The
//! installations of an account wait for one another, in an order that changes from period to
//! period: the one whose turn it is publishes, and whoever sees the card does not. Where the time
//! passed with none of them up, the first that comes publishes after a random delay. So it does
//! before the time, too, where there is no card of the period before either: a new account, or one
//! whose device is up for an hour a day, would else have none for days.

use std::collections::BTreeMap;
use std::time::Duration;

use zeroize::Zeroizing;

use super::command::Answer;
use super::disposition::{Disposition, Refused};
use super::error::StepError;
use super::event::Event;
use super::outbox::{Address, Parcel};
use super::{Done, Machine};
use crate::contact::card::{Card, CardContent, CardError};
use crate::contact::link::{CardSecret, ContactLink, LinkError};
use crate::contact::schedule::{card_time, card_topic};
use crate::identity::log::Log;
use crate::ids::AccountId;
use crate::params::{CARD_LATE_DELAY, CARD_MARGIN};
use crate::time::Timestamp;
use crate::wire::frame::{Frame, FrameKind};

/// The last period whose card is out, in the database.
const OUT: &str = "card_out";
/// The period whose card is late, and the moment drawn for it, in the database: whoever comes for a
/// minute now and then would otherwise begin to wait anew each time.
const LATE: &str = "card_late";
/// Longest delay of a card that was late already when this device was there last.
const COME_BACK: Duration = Duration::from_secs(10);

/// When this installation publishes the card of a period, if no other does before.
#[derive(Debug, Clone, Copy)]
struct Plan {
    period: u64,
    at: Timestamp,
    /// Whether a Store is asked for it first: another installation may have published it while this
    /// one was away.
    ask: bool,
}

/// Where the own card stands.
#[derive(Debug, Default)]
pub(super) struct Cards {
    /// The period whose card is out: published here, or seen.
    out: Option<u64>,
    plan: Option<Plan>,
    /// The last periods of whose cards a rollback was told.
    told: BTreeMap<AccountId, u64>,
}

impl Machine {
    pub(super) fn load_cards(&mut self) -> Result<(), StepError> {
        self.cards.out = self.store.meta(OUT)?;
        Ok(())
    }

    /// When the connection comes or goes: what was planned for a time at which this installation was
    /// not there is planned anew.
    pub(super) fn forget_card_plan(&mut self) {
        self.cards.plan = None;
    }

    /// When the card is due.
    pub(super) fn next_card_due(&self) -> Option<Timestamp> {
        let plan = self.cards.plan.filter(|plan| self.cards.out != Some(plan.period))?;
        // While a Store is asked, its answer is awaited.
        (!self.is_own_card_sought()).then_some(plan.at)
    }

    /// Publishes the card of this period, if it is time and no other installation did.
    pub(super) fn drive_cards(&mut self) -> Result<(), StepError> {
        let period = Card::counter_at(self.now);
        let waits = !self.connected || !self.may_send() || self.is_recovering();
        if waits || self.cards.out == Some(period) {
            return Ok(());
        }
        let plan = match self.cards.plan.filter(|plan| plan.period == period) {
            Some(plan) => plan,
            None => self.plan_card(period)?,
        };
        self.cards.plan = Some(Plan { ask: false, ..plan });
        if plan.ask {
            self.seek_own_card(1);
        }
        if self.now < plan.at || self.is_own_card_sought() {
            return Ok(());
        }
        self.set_card_out(period)?;
        if !self.me.log.state().active.contains_key(&self.me.key.id()) {
            // This installation was revoked: others speak for the account.
            return Ok(());
        }
        match self.own_card()? {
            Ok(card) => {
                let frame = Frame::new(FrameKind::Card, card.encode().to_vec()).encode();
                let parcel = Parcel { address: Address::Card { period }, frame, item: None };
                self.post(parcel, Duration::ZERO)
            }
            Err(error) => {
                tracing::error!(%error, "the own card cannot be made");
                self.tell(Event::CardFailed { reason: error.to_string() })
            }
        }
    }

    fn plan_card(&mut self, period: u64) -> Result<Plan, StepError> {
        let due = card_time(&self.me.card_secret, period, &self.network) + self.card_turn(period);
        let last_is_out = self.cards.out.is_some_and(|out| out.saturating_add(1) == period);
        if self.now <= due && last_is_out {
            return Ok(Plan { period, at: due, ask: false });
        }
        let slot = Duration::from_secs(self.params.slot_secs);
        let random = |most: Duration| {
            let most = slot.min(most).as_millis() as u64;
            self.now + Duration::from_millis(self.rng.below(most.saturating_add(1)))
        };
        let at = match self.store.meta::<(u64, Timestamp)>(LATE)? {
            Some((of, at)) if of == period => {
                at.max(random(COME_BACK)).min(random(CARD_LATE_DELAY))
            }
            _ => random(CARD_LATE_DELAY),
        };
        self.store.set_meta(LATE, &(period, at))?;
        // Nobody but this installation can have published it, if it is the only one.
        Ok(Plan { period, at, ask: self.me.log.state().active.len() > 1 })
    }

    /// How long this installation leaves the card of a period to the others.
    fn card_turn(&self, period: u64) -> Duration {
        let state = self.me.log.state();
        let count = state.active.len().max(1) as u64;
        let place = state.active.keys().position(|id| *id == self.me.key.id()).unwrap_or(0) as u64;
        let turn = (place + period % count) % count;
        Duration::from_millis(self.params.rank_delay_ms.saturating_mul(turn)).min(CARD_MARGIN / 2)
    }

    fn set_card_out(&mut self, period: u64) -> Result<(), StepError> {
        self.cards.out = Some(period);
        Ok(self.store.set_meta(OUT, &period)?)
    }

    /// The card of now, with the keys that are in use by schedule.
    pub(super) fn own_card(&mut self) -> Result<Result<Card, CardError>, StepError> {
        let content = CardContent {
            log: self.me.log.clone(),
            counter: Card::counter_at(self.now),
            inbox: self.current_inbox_key()?,
            key_packages: self.card_packages()?,
        };
        Ok(Card::sign(content, &self.me.key))
    }

    /// A link with a card in it, if that fits.
    pub(super) fn make_contact_link(&mut self) -> Done<Answer> {
        let bad = |error: &dyn std::fmt::Display| StepError::State(format!("own card: {error}"));
        let card = match self.own_card()? {
            Ok(card) => Some(card),
            Err(CardError::TooLarge(_)) => None,
            Err(error) => return Err(bad(&error).into()),
        };
        let link = self.contact_link(card);
        let text = match link.to_text(&self.network) {
            Err(LinkError::TooLong) => return self.make_short_contact_link(),
            text => text.map_err(|error| bad(&error))?,
        };
        Ok(Answer::ContactLink(text.to_string()))
    }

    /// A link whose card is to be found in a Store.
    pub(super) fn make_short_contact_link(&mut self) -> Done<Answer> {
        let text = self.contact_link(None).to_text(&self.network);
        let text = text.map_err(|error| StepError::State(format!("own link: {error}")))?;
        Ok(Answer::ContactLink(text.to_string()))
    }

    fn contact_link(&self, card: Option<Card>) -> ContactLink {
        let secret = CardSecret::from_bytes(Zeroizing::new(*self.me.card_secret.as_bytes()));
        ContactLink { account: self.me.account, secret, card }
    }

    /// The topic of the own card in the period that a moment falls into.
    pub(super) fn own_card_topic(&self, at: Timestamp) -> String {
        card_topic(&self.me.card_secret, Card::counter_at(at), &self.network).to_string()
    }

    /// A card of the own account that another installation published, or somebody who has the
    /// keys of one.
    pub(super) fn on_own_card(&mut self, card: &Card) -> Result<Disposition, StepError> {
        let mut all = self.me.log.clone();
        if let Err(error) = all.merge(&card.content().log) {
            tracing::debug!(%error, "the log in a card of this account is taken in in part");
        }
        if !all.state().active.contains_key(&card.signer()) {
            // A device that was revoked, with the log as it was before.
            return self.refuse_rollback(card);
        }
        if self.learn_log(&card.content().log)? {
            // Which installation's turn it is, follows from the log.
            self.forget_card_plan();
        }
        self.was_seen(self.me.account);
        if self.forgets(card, &self.me.log) && !self.is_recovering() {
            // Whoever has this card only would not learn what is known here: ours goes out, too.
            return self.refuse_rollback(card);
        }
        let period = card.content().counter;
        if period <= Card::counter_at(self.now) && self.cards.out.is_none_or(|out| out < period) {
            self.set_card_out(period)?;
            // With the last one out, the next has its time.
            self.forget_card_plan();
        }
        self.withdraw_card(period)?;
        Ok(Disposition::Card(self.me.account))
    }

    /// Whether a card lacks entries of a log that its signer ought to have known: they were made well
    /// before it was sent. One that is older than what it lacks is no attempt at anything.
    pub(super) fn forgets(&self, card: &Card, known: &Log) -> bool {
        let log = &card.content().log;
        let sent_at = self.handled_at;
        log.is_rollback_of(known)
            && known
                .entries()
                .iter()
                .filter(|entry| !log.contains(&entry.hash()))
                .any(|entry| entry.issued_at() + CARD_MARGIN < sent_at)
    }

    /// Refuses a card whose log lacks what is known.
    pub(super) fn refuse_rollback(&mut self, card: &Card) -> Result<Disposition, StepError> {
        let (account, installation) = (card.account(), card.signer());
        tracing::warn!(?account, ?installation, "a card lacks entries of the log that are known");
        // History is fetched more than once.
        let period = card.content().counter;
        if self.cards.told.get(&account).is_none_or(|told| *told < period) {
            self.cards.told.insert(account, period);
            self.tell(Event::CardRollback { account, installation })?;
        }
        Ok(Disposition::Refused(Refused::Rollback))
    }
}
