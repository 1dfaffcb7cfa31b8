//! Contacts' cards: found in a Store where a link had none, and kept fresh.
//!
//! What comes by itself is taken first: catching up by time range brings the cards of all accounts, and
//! those of contacts are recognised by their topics, so that nobody learns whose they are. Asked for
//! by topic is only what did not come that way. Such a query tells a Store that somebody at this
//! address knows the account whose card is on that topic, though not which account that is. So each
//! query names one topic; whose turn it is, is drawn; and a contact that one can write to already is
//! asked for once a period, at a random time after its card is due.
//!
//! Nothing here needs to be remembered but the contacts: which cards are wanted follows from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Machine;
use super::disposition::{Disposition, Refused};
use super::error::{CommandError, StepError};
use super::event::Event;
use super::people::Contact;
use super::topics::Target;
use crate::contact::card::{Card, CardError};
use crate::contact::link::CardSecret;
use crate::contact::schedule::{card_time, card_topic, period_start, roots_at};
use crate::ids::AccountId;
use crate::params::{
    CARD_PERIOD, CARD_REACH, CARD_RETRY_MIN, CARD_RETRY_WANTED, CARD_SIZE, CARD_SPREAD,
    CATCH_UP_MARGIN,
};
use crate::store::Keyed;
use crate::time::Timestamp;
use crate::wire::envelope::{self, EnvelopeKey};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::topic::ContentTopic;

/// Periods whose topics are kept computed: those that cards are looked for in, and the next.
const INDEXED_PERIODS: usize = CARD_REACH as usize + 3;

/// What there is to know of a contact's card without reading it, as stored.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Look {
    /// The period of the card that is known.
    counter: Option<u64>,
    /// Until when the contact can be added with it.
    usable_until: Option<Timestamp>,
    /// When it is to be looked for next.
    next_at: Timestamp,
    /// When it was looked for last and not found.
    looked_at: Timestamp,
    /// How often in a row it was not found.
    misses: u32,
    /// Whether the application was told that it was not found.
    told: bool,
}

impl Look {
    fn is_usable(&self, now: Timestamp) -> bool {
        self.usable_until.is_some_and(|until| until > now)
    }

    /// Has the card looked for at once, if there is none that can be used.
    pub(super) fn look_again(&mut self, now: Timestamp) {
        if !self.is_usable(now) {
            *self = Self { next_at: now, misses: 0, told: false, ..*self };
        }
    }
}

/// A contact whose cards are read.
struct Followed {
    secret: CardSecret,
    look: Look,
}

/// The periods that are still to be asked for, the likeliest last.
#[derive(Debug, Clone)]
struct Search {
    periods: Vec<u64>,
    found: bool,
}

/// A card that a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lookup {
    account: AccountId,
    period: u64,
}

impl Lookup {
    /// The time in which the card can lie.
    pub(super) fn time(&self) -> (Timestamp, Timestamp) {
        (period_start(self.period), period_start(self.period.saturating_add(1)))
    }
}

/// Where looking for cards stands.
#[derive(Default)]
pub(super) struct Lookups {
    followed: BTreeMap<AccountId, Followed>,
    /// Contacts that are wanted in a group.
    urgent: BTreeSet<AccountId>,
    searches: BTreeMap<AccountId, Search>,
    /// The topics of cards by period, computed when first asked for.
    topics: BTreeMap<u64, HashMap<String, AccountId>>,
}

impl Machine {
    pub(super) fn load_lookups(&mut self) -> Result<(), StepError> {
        self.lookups.followed.clear();
        self.lookups.topics.clear();
        // What a step that failed had found is not in the database.
        self.lookups.searches.values_mut().for_each(|search| search.found = false);
        for contact in self.store.all_keyed::<Contact>(Keyed::Contact)? {
            self.follow(&contact);
        }
        Ok(())
    }

    /// Reads a contact's cards from now on, or no more.
    fn follow(&mut self, contact: &Contact) {
        let known = self.lookups.followed.remove(&contact.account);
        let mut same = false;
        if let Some(secret) = contact.secret.clone().filter(|_| !contact.blocked) {
            let mut look = contact.look;
            if contact.card.is_some() && look.counter.is_none() {
                // Stored by a version that did not look for cards.
                if let Some(card) = contact.card(&self.network) {
                    look.counter = Some(card.content().counter);
                    look.usable_until = usable_until(&card);
                }
            }
            let secret = CardSecret::from_bytes(secret);
            same = known.is_some_and(|known| known.secret == secret);
            self.lookups.followed.insert(contact.account, Followed { secret, look });
        } else {
            self.lookups.searches.remove(&contact.account);
            self.lookups.urgent.remove(&contact.account);
        }
        if !same {
            self.lookups.topics.clear();
        }
    }

    /// Writes a contact. Every change of one goes through here.
    pub(super) fn save_contact(&mut self, contact: &Contact) -> Result<(), StepError> {
        self.store.set_keyed(Keyed::Contact, contact.account.as_bytes(), contact)?;
        self.follow(contact);
        Ok(())
    }

    /// Takes a card into a contact, if it takes the place of the one that is known. The contact is
    /// not saved.
    ///
    /// # Errors
    /// [`CardError::Rollback`] where the card, or its log, is older than what is known.
    pub(super) fn take_card(
        &mut self,
        contact: &mut Contact,
        card: &Card,
    ) -> Result<Result<bool, CardError>, StepError> {
        if let Some(known) = self.log_of(&contact.account)
            && card.content().log.is_rollback_of(&known)
        {
            return Ok(Err(CardError::Rollback));
        }
        let takes_place = match contact.card(&self.network) {
            Some(old) => card.supersedes(&old),
            None => Ok(true),
        };
        if matches!(takes_place, Ok(true)) {
            self.learn_log(&card.content().log)?;
            contact.card = Some(card.encode().to_vec());
            let next_at = match &contact.secret {
                Some(secret) => self.next_refresh(&CardSecret::from_bytes(secret.clone())),
                None => self.now + CARD_PERIOD,
            };
            contact.look = Look {
                counter: Some(card.content().counter),
                usable_until: usable_until(card),
                next_at,
                ..Look::default()
            };
        }
        Ok(takes_place)
    }

    /// A random time after the next card of a contact is due.
    fn next_refresh(&self, secret: &CardSecret) -> Timestamp {
        let period = Card::counter_at(self.now);
        let due = [period, period + 1]
            .map(|period| card_time(secret, period, &self.network))
            .into_iter()
            .find(|at| *at > self.now)
            .unwrap_or(self.now + CARD_PERIOD);
        let spread = CARD_PERIOD.as_millis() as u64 / 2;
        due + CATCH_UP_MARGIN + Duration::from_millis(self.rng.below(spread))
    }

    /// Whose card it is that goes on a topic at a moment; what has another size than a card is none.
    pub(super) fn card_target(
        &mut self,
        topic: &str,
        size: usize,
        at: Timestamp,
    ) -> Option<Target> {
        if size != CARD_SIZE {
            return None;
        }
        let period = Card::counter_at(at);
        let it = &mut self.lookups;
        if !it.topics.contains_key(&period) {
            if it.topics.len() >= INDEXED_PERIODS {
                it.topics.pop_first();
            }
            let own = (&self.me.account, &self.me.card_secret);
            let others = it.followed.iter().map(|(account, followed)| (account, &followed.secret));
            let topics = others
                .chain([own])
                .map(|(account, secret)| {
                    (card_topic(secret, period, &self.network).to_string(), *account)
                })
                .collect();
            it.topics.insert(period, topics);
        }
        it.topics.get(&period)?.get(topic).map(|account| Target::Card(*account))
    }

    /// Opens an envelope on the topic of a card. Whoever has the contact link can publish there, so
    /// nothing but what an installation of the account signed for this very period counts.
    pub(super) fn open_card(
        &mut self,
        account: &AccountId,
        topic: &ContentTopic,
        payload: &[u8],
        sent_at: Timestamp,
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let own = *account == self.me.account;
        let secret = match self.lookups.followed.get(account) {
            _ if own => &self.me.card_secret,
            Some(followed) => &followed.secret,
            None => return Ok(Disposition::NotForUs),
        };
        let roots = roots_at(secret, sent_at, self.params.slot_secs, &self.network);
        let key = EnvelopeKey::derive(&roots.seal, &self.network);
        let Ok(frame) = envelope::open(&key, topic, payload) else {
            return refused(Refused::Seal);
        };
        let body = match Frame::decode(&frame) {
            Ok(frame) if frame.kind == FrameKind::Card => frame.body,
            _ => return refused(Refused::Frame),
        };
        let card = match Card::decode_and_verify(&body, &self.network, self.now) {
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
        let Some(mut contact) = self.contact(&account)? else {
            return Ok(Disposition::NotForUs);
        };
        let was_usable = contact.look.is_usable(self.now);
        match self.take_card(&mut contact, card)? {
            Ok(true) => {
                self.save_contact(&contact)?;
                self.was_seen(account);
                if !was_usable && contact.look.is_usable(self.now) {
                    self.tell(Event::ContactReady { account })?;
                }
                Ok(Disposition::Card(account))
            }
            Ok(false) => {
                self.was_seen(account);
                Ok(Disposition::Duplicate)
            }
            Err(_) => {
                let known = self.log_of(&account);
                match known.is_some_and(|known| self.forgets(card, &known)) {
                    true => self.refuse_rollback(card),
                    false => Ok(Disposition::Stale),
                }
            }
        }
    }

    /// The card that is looked for has come.
    pub(super) fn was_seen(&mut self, account: AccountId) {
        self.lookups.urgent.remove(&account);
        if let Some(search) = self.lookups.searches.get_mut(&account) {
            search.found = true;
        }
    }

    /// Whether a query has found what it asked for.
    pub(super) fn was_found(&self, lookup: &Lookup) -> bool {
        self.lookups.searches.get(&lookup.account).is_some_and(|search| search.found)
    }

    /// Looks for the own card, in this period and some before it. What is found goes to
    /// [`Machine::on_own_card`].
    pub(super) fn seek_own_card(&mut self, back: u64) {
        let period = Card::counter_at(self.now);
        let periods = (period.saturating_sub(back)..=period).collect();
        let search = Search { periods, found: false };
        self.lookups.searches.insert(self.me.account, search);
    }

    /// Whether the own card is being looked for.
    pub(super) fn is_own_card_sought(&self) -> bool {
        self.lookups.searches.contains_key(&self.me.account)
    }

    /// Why a contact that has no usable card cannot be added; its card is then looked for, unless it
    /// was just now.
    pub(super) fn no_usable_card(&mut self, account: &AccountId) -> CommandError {
        let account = *account;
        match self.lookups.followed.get(&account).map(|followed| followed.look) {
            Some(look)
                if look.misses == 0 || self.now.since(look.looked_at) >= CARD_RETRY_WANTED =>
            {
                self.lookups.urgent.insert(account);
                CommandError::ContactPending { account }
            }
            _ => CommandError::ContactExpired { account },
        }
    }

    /// When a card is to be looked for next.
    pub(super) fn next_lookup_due(&self) -> Option<Timestamp> {
        let it = &self.lookups;
        if !it.urgent.is_empty() || !it.searches.is_empty() {
            return Some(self.now);
        }
        it.followed.values().map(|followed| followed.look.next_at).min()
    }

    /// The card to ask for now, and its topic.
    pub(super) fn next_lookup(&mut self) -> Result<Option<(Lookup, String)>, StepError> {
        let now = self.now;
        let spread = CARD_SPREAD.as_millis() as u64;
        for followed in self.lookups.followed.values_mut() {
            let look = &mut followed.look;
            // The device was away. A period is the longest that any look is ahead, so a later time
            // comes from a clock that was ahead.
            if (look.is_usable(now) && look.next_at + CARD_SPREAD < now)
                || look.next_at > now + CARD_PERIOD * 3
            {
                look.next_at = now + Duration::from_millis(self.rng.below(spread));
            }
        }
        loop {
            let it = &self.lookups;
            let mut due: BTreeSet<AccountId> = it.searches.keys().copied().collect();
            due.extend(it.urgent.iter().copied());
            due.extend(
                it.followed.iter().filter(|(_, one)| one.look.next_at <= now).map(|(id, _)| *id),
            );
            if due.is_empty() {
                return Ok(None);
            }
            let drawn = self.rng.below(due.len() as u64) as usize;
            let Some(account) = due.into_iter().nth(drawn) else { return Ok(None) };
            match self.search(&account) {
                Some((period, secret)) => {
                    let topic = card_topic(&secret, period, &self.network).to_string();
                    return Ok(Some((Lookup { account, period }, topic)));
                }
                // Its newest card is known already.
                None => self.end_search(&account)?,
            }
        }
    }

    /// The period to ask for of an account, if one is left.
    fn search(&mut self, account: &AccountId) -> Option<(u64, CardSecret)> {
        if let Some(search) = self.lookups.searches.get(account) {
            let secret = match self.lookups.followed.get(account) {
                Some(followed) => followed.secret.clone(),
                None => self.me.card_secret.clone(),
            };
            return search.periods.last().map(|period| (*period, secret));
        }
        let Followed { secret, look } = self.lookups.followed.get(account)?;
        let period = Card::counter_at(self.now);
        let reach = match look.is_usable(self.now) || look.misses > 0 {
            true => 1,
            false => CARD_REACH,
        };
        let oldest = period.saturating_sub(reach).max(look.counter.map_or(0, |known| known + 1));
        let mut periods: Vec<u64> = (oldest..=period).collect();
        if card_time(secret, period, &self.network) > self.now
            && let [.., last, this] = &mut periods[..]
        {
            // Before its time there is one only if there is none of the period before.
            std::mem::swap(last, this);
        }
        let next = *periods.last()?;
        let secret = secret.clone();
        self.lookups.searches.insert(*account, Search { periods, found: false });
        Some((next, secret))
    }

    /// A query for a card has ended.
    pub(super) fn was_looked_up(&mut self, lookup: &Lookup) -> Result<(), StepError> {
        let Some(search) = self.lookups.searches.get_mut(&lookup.account) else {
            return Ok(());
        };
        search.periods.retain(|period| *period != lookup.period);
        if !search.found && !search.periods.is_empty() {
            return Ok(());
        }
        self.end_search(&lookup.account)
    }

    fn end_search(&mut self, account: &AccountId) -> Result<(), StepError> {
        let found = self.lookups.searches.remove(account).is_some_and(|search| search.found);
        self.lookups.urgent.remove(account);
        let Some(followed) = self.lookups.followed.get(account) else {
            return Ok(());
        };
        let (mut look, secret) = (followed.look, followed.secret.clone());
        let usable = look.is_usable(self.now);
        if found || usable {
            look.next_at = self.next_refresh(&secret);
        } else {
            look.looked_at = self.now;
            look.next_at = self.now + pause(look.misses);
            look.misses = look.misses.saturating_add(1);
            if !look.told {
                let reason = "no Store has a card of it that can be used".into();
                self.tell(Event::ContactFailed { account: *account, reason })?;
            }
            look.told = true;
        }
        self.save_look(account, look)
    }

    fn save_look(&mut self, account: &AccountId, look: Look) -> Result<(), StepError> {
        match self.contact(account)? {
            Some(contact) => self.save_contact(&Contact { look, ..contact }),
            None => Ok(()),
        }
    }

    /// No Store can be asked for the own card: it is then published without knowing.
    pub(super) fn give_up_own_card(&mut self) {
        self.lookups.searches.remove(&self.me.account);
    }

    /// No Store answers: those who wait for a card are told, once.
    pub(super) fn could_not_look_up(&mut self, reason: &str) -> Result<(), StepError> {
        let waiting: Vec<(AccountId, Look)> = self
            .lookups
            .followed
            .iter()
            .filter(|(_, followed)| !followed.look.is_usable(self.now) && !followed.look.told)
            .map(|(account, followed)| (*account, followed.look))
            .collect();
        for (account, look) in waiting {
            let reason = format!("no Store could be asked for its card: {reason}");
            self.tell(Event::ContactFailed { account, reason })?;
            self.save_look(&account, Look { told: true, ..look })?;
        }
        Ok(())
    }
}

/// Until when its owner can be added with a card.
fn usable_until(card: &Card) -> Option<Timestamp> {
    let packages = card.content().key_packages.iter().map(|package| package.usable_until).max();
    packages.map(|until| until.min(card.content().inbox.usable_until))
}

/// How long to wait after a card was not found.
fn pause(misses: u32) -> Duration {
    CARD_RETRY_MIN.saturating_mul(1 << misses.min(16)).min(CARD_PERIOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_period() {
        assert_eq!(pause(0), CARD_RETRY_MIN);
        assert_eq!(pause(3), CARD_RETRY_MIN * 8);
        assert_eq!(pause(u32::MAX), CARD_PERIOD);
    }
}
