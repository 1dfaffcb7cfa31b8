use std::time::Duration;

use zeroize::Zeroizing;

use super::*;
use crate::contact::card::CardContent;
use crate::contact::schedule::period_start;
use crate::identity::installation::InstallationKey;
use crate::identity::log::EntrySigner;
use crate::machine::account::keys::Keys;
use crate::machine::people::logs::Logs;
use crate::machine::testing::{context, effects, events, found_account};
use crate::params::{CARD_RETRY_MIN, CARD_RETRY_WANTED};

/// Another account, which makes cards.
struct Other {
    cx: Cx,
    me: Me,
    keys: Keys,
}

impl Other {
    fn new(seed: u8) -> Self {
        let cx = context(seed);
        let (me, _) = found_account(&cx);
        Self { cx, me, keys: Keys::default() }
    }

    fn contact(&self) -> Contact {
        let secret = Some(Zeroizing::new(*self.me.card_secret.as_bytes()));
        Contact { secret, ..Contact::unknown(self.me.account) }
    }

    fn card_at(&mut self, now: Timestamp) -> Card {
        self.cx.now = now;
        let content = CardContent {
            log: self.me.log().clone(),
            counter: Card::counter_at(now),
            inbox: self.keys.current_inbox(&mut self.cx).unwrap(),
            key_packages: vec![self.keys.current_package(&mut self.cx, &self.me).unwrap()],
        };
        Card::sign(content, &self.me.key).unwrap()
    }

    fn topic(&self, period: u64) -> String {
        card_topic(&self.me.card_secret, period, &self.cx.network).to_string()
    }
}

/// This account, with a contact of whom there is no card.
fn with_contact() -> (Cx, Me, Cards, Other) {
    let (cx, other) = (context(1), Other::new(2));
    let (me, _) = found_account(&cx);
    let mut cards = Cards::default();
    cards.save(&cx, &other.contact()).unwrap();
    (cx, me, cards, other)
}

/// Asks for cards until no more is due; for which periods, in this order.
fn ask_in_vain(cards: &mut Cards, cx: &mut Cx, me: &Me) -> Vec<u64> {
    let mut periods = Vec::new();
    while let Some((query, _)) = cards.next(cx, me).unwrap() {
        periods.push(query.period);
        assert!(!cards.was_found(&query));
        cards.was_looked_up(cx, &query).unwrap();
    }
    periods
}

#[test]
fn a_card_is_recognised_by_its_topic_its_time_and_its_size() {
    let (cx, me, mut cards, other) = with_contact();
    let (account, period) = (other.me.account, Card::counter_at(cx.now));
    let topic = other.topic(period);
    let at = cx.now;
    assert_eq!(cards.target(&cx, &me, &topic, CARD_SIZE, at), Some(account));
    assert_eq!(cards.target(&cx, &me, &topic, CARD_SIZE / 2, at), None);
    assert_eq!(cards.target(&cx, &me, &topic, CARD_SIZE, at + CARD_PERIOD), None);
    let own = me.card_topic(&cx, at);
    assert_eq!(cards.target(&cx, &me, &own, CARD_SIZE, at), Some(me.account));
    // One that is blocked is not read any more.
    cards.save(&cx, &Contact { blocked: true, ..other.contact() }).unwrap();
    assert_eq!(cards.target(&cx, &me, &topic, CARD_SIZE, at), None);
    assert!(cards.secret(&account).is_none());
}

#[test]
fn contacts_are_followed_after_a_restart() {
    let (cx, me, _, other) = with_contact();
    let mut loaded = Cards::default();
    loaded.load(&cx).unwrap();
    let topic = other.topic(Card::counter_at(cx.now));
    assert_eq!(loaded.target(&cx, &me, &topic, CARD_SIZE, cx.now), Some(other.me.account));
}

#[test]
fn the_card_of_a_new_contact_is_looked_for_back_to_the_last_that_could_be_used() {
    let (mut cx, me, mut cards, other) = with_contact();
    assert!(cards.next_due(&cx).unwrap() <= cx.now);
    let period = Card::counter_at(cx.now);
    let (query, topic) = cards.next(&mut cx, &me).unwrap().unwrap();
    assert_eq!((query.account, topic), (other.me.account, other.topic(query.period)));
    let mut asked = ask_in_vain(&mut cards, &mut cx, &me);
    // This period's and the last one's first: it may not be time for this one yet.
    assert!(asked[..2].contains(&period) && asked[..2].contains(&(period - 1)));
    asked.sort_unstable();
    assert_eq!(asked, (period - CARD_REACH..=period).collect::<Vec<_>>());
    assert!(matches!(events(&mut cx)[..], [Event::ContactFailed { .. }]));
    // Then it waits, and asks for less.
    let due = cards.next_due(&cx).unwrap();
    assert_eq!(due, cx.now + CARD_RETRY_MIN);
    assert_eq!(cards.next(&mut cx, &me).unwrap(), None);
    cx.now = due;
    assert_eq!(ask_in_vain(&mut cards, &mut cx, &me).len(), 2);
    assert!(events(&mut cx).is_empty(), "told once");
}

#[test]
fn once_a_card_was_found_no_older_one_is_asked_for() {
    let (mut cx, me, mut cards, mut other) = with_contact();
    let (query, _) = cards.next(&mut cx, &me).unwrap().unwrap();
    let (logs, mut contact) = (Logs::default(), other.contact());
    let card = other.card_at(cx.now);
    let who = Who { me: &me, logs: &logs };
    assert_eq!(take_card(&mut cx, who, &mut contact, &card), Ok(true));
    cards.save(&cx, &contact).unwrap();
    cards.was_seen(other.me.account);
    assert!(cards.was_found(&query));
    cards.was_looked_up(&mut cx, &query).unwrap();
    assert_eq!(cards.next(&mut cx, &me).unwrap(), None);
    assert!(events(&mut cx).is_empty());
    // The next is looked for after it is due, within its period or the one after.
    let next = cards.next_due(&cx).unwrap();
    let period = Card::counter_at(cx.now);
    let due = [period, period + 1].map(|it| card_time(&other.me.card_secret, it, &cx.network));
    assert!(due.iter().any(|due| next >= *due && next.since(*due) <= CARD_PERIOD));
    assert!(next > cx.now && next < period_start(period + 3));
}

#[test]
fn a_contact_that_is_wanted_in_a_group_is_looked_for_at_once() {
    let (mut cx, me, mut cards, other) = with_contact();
    let account = other.me.account;
    assert_eq!(cards.why_unusable(&cx, &account), CommandError::ContactPending { account });
    ask_in_vain(&mut cards, &mut cx, &me);
    // Just now nobody had it.
    assert_eq!(cards.why_unusable(&cx, &account), CommandError::ContactExpired { account });
    cx.now = cx.now + CARD_RETRY_WANTED;
    assert_eq!(cards.why_unusable(&cx, &account), CommandError::ContactPending { account });
    assert_eq!(cards.next(&mut cx, &me).unwrap(), None);
    cards.want(account);
    assert_eq!(cards.next_due(&cx), Some(cx.now));
    assert!(!ask_in_vain(&mut cards, &mut cx, &me).is_empty());
    assert!(cards.next_due(&cx).unwrap() > cx.now, "once");
    // One that is no contact is not looked for.
    let account = AccountId([9; 32]);
    assert_eq!(cards.why_unusable(&cx, &account), CommandError::ContactExpired { account });
    cards.want(account);
    assert_eq!(cards.next(&mut cx, &me).unwrap(), None);
}

#[test]
fn the_own_card_is_sought_until_it_is_found_or_given_up() {
    let (mut cx, me, mut cards, _) = with_contact();
    ask_in_vain(&mut cards, &mut cx, &me);
    let period = Card::counter_at(cx.now);
    cards.seek_own(&cx, &me, 1);
    assert!(cards.is_own_sought(&me));
    let (query, topic) = cards.next(&mut cx, &me).unwrap().unwrap();
    assert_eq!((query.account, query.period), (me.account, period));
    assert_eq!(topic, me.card_topic(&cx, cx.now));
    assert_eq!(ask_in_vain(&mut cards, &mut cx, &me), [period, period - 1]);
    assert!(!cards.is_own_sought(&me));
    cards.seek_own(&cx, &me, 1);
    cards.give_up_own(&me);
    assert!(!cards.is_own_sought(&me));
}

#[test]
fn a_store_that_does_not_answer_is_told_once_for_each_contact_that_waits() {
    let (mut cx, _, mut cards, _) = with_contact();
    for told in [1, 0] {
        cards.could_not_look_up(&mut cx, "no answer").unwrap();
        assert_eq!(events(&mut cx).len(), told);
    }
    let mut loaded = Cards::default();
    loaded.load(&cx).unwrap();
    loaded.could_not_look_up(&mut cx, "no answer").unwrap();
    assert!(events(&mut cx).is_empty());
}

#[test]
fn a_newer_card_takes_the_place_of_an_older_one_and_not_the_other_way() {
    let (mut cx, me, _, mut other) = with_contact();
    let (logs, mut contact) = (Logs::default(), other.contact());
    let who = Who { me: &me, logs: &logs };
    let old = other.card_at(cx.now);
    let new = other.card_at(cx.now + CARD_PERIOD);
    assert_eq!(take_card(&mut cx, who, &mut contact, &new), Ok(true));
    assert!(matches!(effects(&mut cx)[..], [Effect::Learn(_)]));
    assert_ne!(take_card(&mut cx, who, &mut contact, &old), Ok(true));
    assert_ne!(take_card(&mut cx, who, &mut contact, &new), Ok(true));
    assert_eq!(contact.card(&cx.network), Some(new));
    assert!(contact.look.is_usable(cx.now));
}

#[test]
fn a_card_whose_log_forgets_what_is_known_is_refused() {
    let (mut cx, me, _, mut other) = with_contact();
    let card = other.card_at(cx.now + Duration::from_secs(1));
    // Its account's log went on: it is known from a commit.
    let second = InstallationKey::generate(&mut *cx.rng.lock());
    let mut log = other.me.log().clone();
    let by = EntrySigner::Installation(&other.me.key);
    let possession = second.prove_possession(&other.me.account, &cx.network);
    log.insert(log.add(by, second.id(), possession, cx.now).unwrap()).unwrap();
    let mut logs = Logs::default();
    logs.set(&cx, log).unwrap();
    let mut contact = other.contact();
    let who = Who { me: &me, logs: &logs };
    assert_eq!(take_card(&mut cx, who, &mut contact, &card), Err(CardError::Rollback));
    assert!(contact.card.is_none());
    assert!(effects(&mut cx).is_empty());
}
