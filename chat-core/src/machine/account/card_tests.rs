use super::*;
use crate::contact::card::{CardContent, InboxPublic};
use crate::contact::inbox::InboxKey;
use crate::identity::account::AccountKey;
use crate::identity::installation::InstallationKey;
use crate::identity::log::EntrySigner;
use crate::machine::testing::{context, events, found_account};
use crate::params::CARD_PERIOD;

fn account() -> (Cx, Me, AccountKey) {
    let cx = context(1);
    let (me, account) = found_account(&cx);
    (cx, me, account)
}

/// Enrols another installation.
fn link(cx: &Cx, me: &mut Me) -> InstallationKey {
    let key = InstallationKey::generate(&mut *cx.rng.lock());
    let possession = key.prove_possession(&me.account, &cx.network);
    let mut log = me.log().clone();
    let by = EntrySigner::Installation(&me.key);
    log.insert(log.add(by, key.id(), possession, cx.now).unwrap()).unwrap();
    me.set_log(cx, log).unwrap();
    key
}

/// Publishes the card of this period, and waits for the next.
fn publish(card: &mut OwnCard, cx: &mut Cx, me: &Me) {
    while let CardTurn::Wait | CardTurn::AskFirst = card.turn(cx, me, false).unwrap() {
        cx.now = card.next_due().unwrap();
    }
}

#[test]
fn the_only_installation_of_a_new_account_publishes_soon_and_once() {
    let (mut cx, me, _) = account();
    let mut card = OwnCard::default();
    let (begin, period) = (cx.now, Card::counter_at(cx.now));
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::Wait);
    let due = card.next_due().unwrap();
    assert!(due.since(begin) <= CARD_LATE_DELAY);
    cx.now = due;
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::Publish(period));
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::Wait);
    assert_eq!(card.next_due(), None);
    // Nor after a restart.
    let mut loaded = OwnCard::default();
    loaded.load(&cx.db).unwrap();
    assert_eq!(loaded.turn(&cx, &me, false).unwrap(), CardTurn::Wait);
    assert_eq!(loaded.next_due(), None);
}

#[test]
fn the_next_card_has_the_time_that_its_secret_gives() {
    let (mut cx, me, _) = account();
    let mut card = OwnCard::default();
    publish(&mut card, &mut cx, &me);
    let period = Card::counter_at(cx.now) + 1;
    cx.now = crate::contact::schedule::period_start(period);
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::Wait);
    assert_eq!(card.next_due(), Some(card_time(&me.card_secret, period, &cx.network)));
    cx.now = card.next_due().unwrap();
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::Publish(period));
}

#[test]
fn one_of_several_asks_before_it_publishes_late() {
    let (cx, mut me, _) = account();
    link(&cx, &mut me);
    let mut card = OwnCard::default();
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::AskFirst);
    // It asks once, and waits for the answer.
    assert_eq!(card.turn(&cx, &me, true).unwrap(), CardTurn::Wait);
    let mut later = cx;
    later.now = card.next_due().unwrap();
    assert_eq!(card.turn(&later, &me, true).unwrap(), CardTurn::Wait);
    assert!(matches!(card.turn(&later, &me, false).unwrap(), CardTurn::Publish(_)));
}

#[test]
fn a_card_that_another_installation_published_is_not_published_again() {
    let (mut cx, mut me, _) = account();
    link(&cx, &mut me);
    let mut card = OwnCard::default();
    card.turn(&cx, &me, false).unwrap();
    let period = Card::counter_at(cx.now);
    // One of a time that is still to come says nothing.
    card.was_seen(&cx, period + 1).unwrap();
    assert!(card.next_due().is_some());
    card.was_seen(&cx, period).unwrap();
    assert_eq!(card.next_due(), None);
    cx.now = cx.now + CARD_LATE_DELAY;
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::Wait);
    // An older one does not take it back.
    card.was_seen(&cx, period - 1).unwrap();
    assert_eq!(card.turn(&cx, &me, false).unwrap(), CardTurn::Wait);
}

#[test]
fn installations_have_their_turns_in_an_order_that_changes() {
    let (cx, mut me, _) = account();
    link(&cx, &mut me);
    let places: Vec<Duration> = (0..4).map(|period| place_in_order(&cx, &me, period)).collect();
    let turn = Duration::from_millis(cx.params.rank_delay_ms);
    assert_eq!(places[0], places[2]);
    assert_eq!(places[1], places[3]);
    assert_eq!(places[0].max(places[1]), turn);
    assert_eq!(places[0].min(places[1]), Duration::ZERO);
}

#[test]
fn a_device_that_comes_for_a_minute_now_and_then_does_not_begin_to_wait_anew() {
    let (mut cx, me, _) = account();
    let mut card = OwnCard::default();
    card.turn(&cx, &me, false).unwrap();
    let drawn = card.next_due().unwrap();
    cx.now = drawn + Duration::from_secs(1);
    let mut loaded = OwnCard::default();
    loaded.load(&cx.db).unwrap();
    loaded.turn(&cx, &me, false).unwrap();
    if let Some(due) = loaded.next_due() {
        assert!(due <= cx.now + COME_BACK);
    }
}

#[test]
fn a_rollback_is_refused_and_told_once_for_a_period() {
    let (mut cx, me, _) = account();
    let inbox = InboxKey::generate(&mut *cx.rng.lock(), cx.now);
    let mut own = OwnCard::default();
    let mut told = Vec::new();
    for at in [cx.now, cx.now, cx.now + CARD_PERIOD] {
        let content = CardContent {
            log: me.log().clone(),
            counter: Card::counter_at(at),
            inbox: InboxPublic { key: inbox.public(), usable_until: inbox.usable_until() },
            key_packages: Vec::new(),
        };
        let card = Card::sign(content, &me.key).unwrap();
        let refused = own.refuse_rollback(&mut cx, &card).unwrap();
        assert_eq!(refused, Disposition::Refused(Refused::Rollback));
        told.push(events(&mut cx).len());
    }
    assert_eq!(told, [1, 0, 1]);
}
