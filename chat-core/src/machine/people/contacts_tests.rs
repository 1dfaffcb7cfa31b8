use super::*;
use crate::machine::testing::{context, done, found_account, refusal};

const OTHER: AccountId = AccountId([8; 32]);

fn stored(cx: &Cx, contact: &Contact) {
    cx.db.set_keyed(Keyed::Contact, contact.account.as_bytes(), contact).unwrap();
}

fn contact() -> Contact {
    Contact { secret: Some(Zeroizing::new([1; 32])), ..Contact::unknown(OTHER) }
}

#[test]
fn an_account_is_a_contact_by_its_secret_alone() {
    let cx = context(1);
    let (me, _) = found_account(&cx);
    let unknown = CommandError::UnknownContact { account: OTHER };
    assert_eq!(refusal(Contact::known(&cx, &me, &OTHER)), unknown);
    // One that is only blocked is none.
    stored(&cx, &Contact { blocked: true, ..Contact::unknown(OTHER) });
    assert_eq!(refusal(Contact::known(&cx, &me, &OTHER)), unknown);
    stored(&cx, &contact());
    assert_eq!(done(Contact::known(&cx, &me, &OTHER)).account, OTHER);
    assert_eq!(refusal(Contact::known(&cx, &me, &me.account)), CommandError::OwnAccount);
}

#[test]
fn what_was_removed_is_kept_and_not_shown() {
    let cx = context(1);
    let removed = Contact::unknown(OTHER);
    stored(&cx, &removed);
    assert_eq!(Contact::all(&cx).unwrap().len(), 1);
    assert!(!removed.is_shown());
    assert!(contact().is_shown());
    assert!(Contact { blocked: true, ..removed }.is_shown());
}

#[test]
fn a_change_is_later_than_the_one_before_whatever_the_clock_says() {
    let mut contact = contact();
    contact.touch(Timestamp(1000));
    assert_eq!(contact.changed_at, Timestamp(1000));
    contact.touch(Timestamp(500));
    assert_eq!(contact.changed_at, Timestamp(1001));
    contact.touch(Timestamp(2000));
    assert_eq!(contact.changed_at, Timestamp(2000));
}

#[test]
fn a_contact_without_a_card_is_pending_unless_it_is_blocked() {
    let cx = context(1);
    let view = |contact: &Contact| contact.view(&cx.network);
    assert!(view(&contact()).pending && view(&contact()).usable_until.is_none());
    assert!(!view(&Contact { blocked: true, ..contact() }).pending);
    assert!(!view(&Contact { card: Some(vec![1]), ..contact() }).pending);
    assert!(!view(&Contact::unknown(OTHER)).pending);
}

#[test]
fn a_card_that_cannot_be_read_is_none() {
    let cx = context(1);
    let broken = Contact { card: Some(vec![1, 2, 3]), ..contact() };
    assert!(broken.card(&cx.network).is_none());
    assert!(contact().card(&cx.network).is_none());
}
