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

use super::contacts::Contact;
use super::logs::Who;
use super::look::Look;
use crate::contact::card::{Card, CardError};
use crate::contact::link::CardSecret;
use crate::contact::schedule::{card_time, card_topic};
use crate::database::Keyed;
use crate::ids::AccountId;
use crate::machine::account::me::Me;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::net::query::CardQuery;
use crate::params::{CARD_PERIOD, CARD_REACH, CARD_SIZE, CATCH_UP_MARGIN};
use crate::time::Timestamp;

/// Periods whose topics are kept computed: those that cards are looked for in, and the next.
const INDEXED_PERIODS: usize = CARD_REACH as usize + 3;

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

/// Where looking for cards stands.
#[derive(Default)]
pub(in crate::machine) struct Cards {
    followed: BTreeMap<AccountId, Followed>,
    /// Contacts that are wanted in a group.
    urgent: BTreeSet<AccountId>,
    searches: BTreeMap<AccountId, Search>,
    /// The topics of cards by period, computed when first asked for.
    topics: BTreeMap<u64, HashMap<String, AccountId>>,
}

impl Cards {
    pub(in crate::machine) fn load(&mut self, cx: &Cx) -> Result<(), StepError> {
        self.followed.clear();
        self.topics.clear();
        // What a step that failed had found is not in the database.
        self.searches.values_mut().for_each(|search| search.found = false);
        for contact in Contact::all(cx)? {
            self.follow(&contact);
        }
        Ok(())
    }

    /// Reads a contact's cards from now on, or no more.
    fn follow(&mut self, contact: &Contact) {
        let known = self.followed.remove(&contact.account);
        let mut same = false;
        if let Some(secret) = contact.secret.clone().filter(|_| !contact.blocked) {
            let secret = CardSecret::from_bytes(secret);
            same = known.is_some_and(|known| known.secret == secret);
            self.followed.insert(contact.account, Followed { secret, look: contact.look });
        } else {
            self.searches.remove(&contact.account);
            self.urgent.remove(&contact.account);
        }
        if !same {
            self.topics.clear();
        }
    }

    /// Writes a contact. Every change of one goes through here.
    pub(in crate::machine) fn save(&mut self, cx: &Cx, contact: &Contact) -> Result<(), StepError> {
        cx.db.set_keyed(Keyed::Contact, contact.account.as_bytes(), contact)?;
        self.follow(contact);
        Ok(())
    }

    /// The secret of a contact whose cards are read.
    pub(in crate::machine) fn secret(&self, account: &AccountId) -> Option<&CardSecret> {
        self.followed.get(account).map(|followed| &followed.secret)
    }

    /// Whose card it is that goes on a topic at a moment, if it has the size of a card.
    pub(in crate::machine) fn target(
        &mut self,
        cx: &Cx,
        me: &Me,
        topic: &str,
        size: usize,
        at: Timestamp,
    ) -> Option<AccountId> {
        if size != CARD_SIZE {
            return None;
        }
        let period = Card::counter_at(at);
        if !self.topics.contains_key(&period) {
            if self.topics.len() >= INDEXED_PERIODS {
                self.topics.pop_first();
            }
            let others = self.followed.iter().map(|(account, it)| (account, &it.secret));
            let topics = others
                .chain([(&me.account, &me.card_secret)])
                .map(|(account, secret)| {
                    (card_topic(secret, period, &cx.network).to_string(), *account)
                })
                .collect();
            self.topics.insert(period, topics);
        }
        self.topics.get(&period)?.get(topic).copied()
    }

    /// The card that is looked for has come.
    pub(in crate::machine) fn was_seen(&mut self, account: AccountId) {
        self.urgent.remove(&account);
        if let Some(search) = self.searches.get_mut(&account) {
            search.found = true;
        }
    }

    /// Whether a query has found what it asked for.
    pub(in crate::machine) fn was_found(&self, card: &CardQuery) -> bool {
        self.searches.get(&card.account).is_some_and(|search| search.found)
    }

    /// Looks for the account's own card, in this period and `back` before it.
    pub(in crate::machine) fn seek_own(&mut self, cx: &Cx, me: &Me, back: u64) {
        let period = Card::counter_at(cx.now);
        let periods = (period.saturating_sub(back)..=period).collect();
        self.searches.insert(me.account, Search { periods, found: false });
    }

    /// Whether the account's own card is being looked for.
    pub(in crate::machine) fn is_own_sought(&self, me: &Me) -> bool {
        self.searches.contains_key(&me.account)
    }

    /// No Store can be asked for the account's own card: it is then published without knowing.
    pub(in crate::machine) fn give_up_own(&mut self, me: &Me) {
        self.searches.remove(&me.account);
    }

    /// Why a contact that has no usable card cannot be added. Where it says
    /// [`CommandError::ContactPending`], the card is worth looking for: see [`Self::want`].
    pub(in crate::machine) fn why_unusable(&self, cx: &Cx, account: &AccountId) -> CommandError {
        let account = *account;
        match self.followed.get(&account) {
            Some(followed) if followed.look.is_worth_a_try(cx.now) => {
                CommandError::ContactPending { account }
            }
            _ => CommandError::ContactExpired { account },
        }
    }

    /// Looks for a contact's card at once.
    pub(in crate::machine) fn want(&mut self, account: AccountId) {
        self.urgent.insert(account);
    }

    /// When a card is to be looked for next.
    pub(in crate::machine) fn next_due(&self, cx: &Cx) -> Option<Timestamp> {
        if !self.urgent.is_empty() || !self.searches.is_empty() {
            return Some(cx.now);
        }
        self.followed.values().map(|followed| followed.look.next_at()).min()
    }

    /// The card to ask for now, and its topic.
    pub(in crate::machine) fn next(
        &mut self,
        cx: &mut Cx,
        me: &Me,
    ) -> Result<Option<(CardQuery, String)>, StepError> {
        for followed in self.followed.values_mut() {
            followed.look.catch_up(cx.now, |most| cx.within(most));
        }
        loop {
            let mut due: BTreeSet<AccountId> = self.searches.keys().copied().collect();
            due.extend(self.urgent.iter().copied());
            let now_due = self.followed.iter().filter(|(_, one)| one.look.next_at() <= cx.now);
            due.extend(now_due.map(|(id, _)| *id));
            if due.is_empty() {
                return Ok(None);
            }
            let drawn = cx.rng.below(due.len() as u64) as usize;
            let Some(account) = due.into_iter().nth(drawn) else { return Ok(None) };
            match self.search(cx, me, &account) {
                Some((period, secret)) => {
                    let topic = card_topic(&secret, period, &cx.network).to_string();
                    return Ok(Some((CardQuery { account, period }, topic)));
                }
                // Its newest card is known already.
                None => self.end_search(cx, &account)?,
            }
        }
    }

    /// The period to ask for of an account, if one is left.
    fn search(&mut self, cx: &Cx, me: &Me, account: &AccountId) -> Option<(u64, CardSecret)> {
        if let Some(search) = self.searches.get(account) {
            let secret = self.secret(account).unwrap_or(&me.card_secret).clone();
            return search.periods.last().map(|period| (*period, secret));
        }
        let Followed { secret, look } = self.followed.get(account)?;
        let period = Card::counter_at(cx.now);
        let reach = match look.is_usable(cx.now) || look.was_missed() {
            true => 1,
            false => CARD_REACH,
        };
        let oldest = period.saturating_sub(reach).max(look.next_period());
        let mut periods: Vec<u64> = (oldest..=period).collect();
        if card_time(secret, period, &cx.network) > cx.now
            && let [.., last, this] = &mut periods[..]
        {
            // Before its time there is one only if there is none of the period before.
            std::mem::swap(last, this);
        }
        let next = *periods.last()?;
        let secret = secret.clone();
        self.searches.insert(*account, Search { periods, found: false });
        Some((next, secret))
    }

    /// A query for a card has ended.
    pub(in crate::machine) fn was_looked_up(
        &mut self,
        cx: &mut Cx,
        card: &CardQuery,
    ) -> Result<(), StepError> {
        let Some(search) = self.searches.get_mut(&card.account) else {
            return Ok(());
        };
        search.periods.retain(|period| *period != card.period);
        if !search.found && !search.periods.is_empty() {
            return Ok(());
        }
        self.end_search(cx, &card.account)
    }

    fn end_search(&mut self, cx: &mut Cx, account: &AccountId) -> Result<(), StepError> {
        let found = self.searches.remove(account).is_some_and(|search| search.found);
        self.urgent.remove(account);
        let Some(followed) = self.followed.get(account) else {
            return Ok(());
        };
        let mut look = followed.look;
        if found || look.is_usable(cx.now) {
            look.found(next_refresh(cx, &followed.secret));
        } else if look.missed(cx.now) {
            let reason = "no Store has a card of it that can be used".into();
            cx.tell(Event::ContactFailed { account: *account, reason })?;
        }
        self.save_look(cx, account, look)
    }

    fn save_look(&mut self, cx: &Cx, account: &AccountId, look: Look) -> Result<(), StepError> {
        match Contact::find(cx, account)? {
            Some(contact) => self.save(cx, &Contact { look, ..contact }),
            None => Ok(()),
        }
    }

    /// No Store answers: those who wait for a card are told, once.
    pub(in crate::machine) fn could_not_look_up(
        &mut self,
        cx: &mut Cx,
        reason: &str,
    ) -> Result<(), StepError> {
        let unusable = self.followed.iter().filter(|(_, it)| !it.look.is_usable(cx.now));
        let waiting: Vec<_> = unusable.map(|(account, it)| (*account, it.look)).collect();
        for (account, mut look) in waiting {
            if look.tell() {
                let reason = format!("no Store could be asked for its card: {reason}");
                cx.tell(Event::ContactFailed { account, reason })?;
                self.save_look(cx, &account, look)?;
            }
        }
        Ok(())
    }
}

/// Takes a card into a contact, if it takes the place of the one that is known. The contact is not
/// saved.
///
/// # Errors
/// [`CardError::Rollback`] where the card, or its log, is older than what is known.
pub(in crate::machine) fn take_card(
    cx: &mut Cx,
    who: Who<'_>,
    contact: &mut Contact,
    card: &Card,
) -> Result<bool, CardError> {
    if let Some(known) = who.log_of(&contact.account)
        && card.content().log.is_rollback_of(known)
    {
        return Err(CardError::Rollback);
    }
    if let Some(old) = contact.card(&cx.network)
        && !card.supersedes(&old)?
    {
        return Ok(false);
    }
    cx.ask(Effect::Learn(Box::new(card.content().log.clone())));
    contact.card = Some(card.encode().to_vec());
    let next_at = match &contact.secret {
        Some(secret) => next_refresh(cx, &CardSecret::from_bytes(secret.clone())),
        None => cx.now + CARD_PERIOD,
    };
    contact.look = Look::at(card, next_at);
    Ok(true)
}

/// A random time after the next card of a contact is due.
fn next_refresh(cx: &Cx, secret: &CardSecret) -> Timestamp {
    let period = Card::counter_at(cx.now);
    let due = [period, period + 1]
        .map(|period| card_time(secret, period, &cx.network))
        .into_iter()
        .find(|at| *at > cx.now)
        .unwrap_or(cx.now + CARD_PERIOD);
    due + CATCH_UP_MARGIN + cx.within(CARD_PERIOD / 2)
}

#[cfg(test)]
#[path = "cards_tests.rs"]
mod tests;
