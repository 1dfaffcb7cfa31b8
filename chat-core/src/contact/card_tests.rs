//! What a card says, and every reason to refuse one.

use proptest::prelude::*;

use super::*;
use crate::contact::inbox::InboxKey;
use crate::identity::log::EntrySigner;
use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, flip, revoke, rng};
use crate::params::{INBOX_KEY_KEEP, KEY_PACKAGE_USE};

fn content(person: &Person) -> CardContent {
    let inbox = InboxKey::generate(&mut rng(50), NOW);
    CardContent {
        log: person.log.clone(),
        counter: Card::counter_at(NOW),
        inbox: InboxPublic { key: inbox.public(), usable_until: inbox.usable_until() },
        key_packages: vec![CardKeyPackage {
            installation: person.device.id(),
            usable_until: NOW + KEY_PACKAGE_USE,
            bytes: vec![7; 300],
        }],
    }
}

fn read(card: &Card) -> Result<Card, CardError> {
    Card::decode_and_verify(card.encode(), &NETWORK, NOW)
}

#[test]
fn signed_and_read() {
    let person = Person::new(1);
    let card = Card::sign(content(&person), &person.device).unwrap();
    assert_eq!(read(&card), Ok(card.clone()));
    assert_eq!((card.account(), card.signer()), (person.account.id(), person.device.id()));
    assert_eq!(card.content().inbox.id(), card.content().inbox.key[..8]);
    assert_eq!(card.key_packages_at(NOW).count(), 1);
    assert_eq!(card.key_packages_at(NOW + KEY_PACKAGE_USE).count(), 0);
}

#[test]
fn a_card_of_another_time_is_refused() {
    let person = Person::new(1);
    let card = Card::sign(content(&person), &person.device).unwrap();
    let at = |now| Card::decode_and_verify(card.encode(), &NETWORK, now).map(|_| ());
    assert_eq!(at(NOW + INBOX_KEY_KEEP), Err(CardError::Expired));
    assert!(Card::decode_stored(card.encode(), &NETWORK).is_ok());
    assert_eq!(at(NOW - CARD_PERIOD), Ok(()));
    assert_eq!(at(NOW - 2 * CARD_PERIOD), Err(CardError::Future));
}

#[test]
fn forgeries_are_refused() {
    let person = Person::new(1);
    let other = Person::new(2);
    let card = Card::sign(content(&person), &person.device).unwrap();
    assert!(matches!(
        Card::decode_and_verify(card.encode(), &OTHER_NETWORK, NOW),
        Err(CardError::Signature(_))
    ));
    // Signed by a key that is no installation of the account.
    assert_eq!(Card::sign(content(&person), &other.device), Err(CardError::NotActive));
    let wire = WireCard::decode(card.encode()).unwrap();
    let mut inner = WireContent::decode(wire.content.as_slice()).unwrap();
    inner.signer = other.device.id().0.to_vec();
    let inner = inner.encode_to_vec();
    let signature = other.device.sign(Label::CardSignature, &NETWORK, &[&inner]).to_vec();
    let forged = WireCard { content: inner, signature }.encode_to_vec();
    assert_eq!(Card::decode_and_verify(&forged, &NETWORK, NOW), Err(CardError::NotActive));
    let huge = vec![0; MAX_CARD + 1];
    assert_eq!(
        Card::decode_and_verify(&huge, &NETWORK, NOW),
        Err(CardError::TooLarge(MAX_CARD + 1))
    );
}

#[test]
fn contents_that_make_no_sense_are_refused() {
    let person = Person::new(1);
    let good = content(&person);
    let with = |packages: Vec<CardKeyPackage>| {
        Card::sign(CardContent { key_packages: packages, ..good.clone() }, &person.device)
    };
    let package = good.key_packages[0].clone();
    assert!(matches!(with(vec![package.clone(), package.clone()]), Err(CardError::Malformed(_))));
    let large = CardKeyPackage { bytes: vec![0; MAX_KEY_PACKAGE + 1], ..package.clone() };
    assert!(matches!(with(vec![large]), Err(CardError::Malformed(_))));
    let foreign = CardKeyPackage { installation: Person::new(2).device.id(), ..package };
    assert_eq!(with(vec![foreign]), Err(CardError::NotActive));
    assert!(with(vec![]).is_ok());
}

#[test]
fn the_newer_card_wins() {
    let mut person = Person::new(1);
    let sign = |content: CardContent| Card::sign(content, &person.device).unwrap();
    let base = content(&person);
    let old = sign(base.clone());
    let new = sign(CardContent { counter: base.counter + 1, ..base.clone() });
    assert_eq!(new.supersedes(&old), Ok(true));
    assert_eq!(old.supersedes(&new), Err(CardError::Rollback));
    assert_eq!(old.supersedes(&old), Ok(false));
    let twin = sign(CardContent { key_packages: vec![], ..base.clone() });
    assert_ne!(twin.supersedes(&old).unwrap(), old.supersedes(&twin).unwrap());
    assert_eq!(
        old.supersedes(&Card::sign(content(&Person::new(2)), &Person::new(2).device).unwrap()),
        Err(CardError::OtherAccount)
    );

    // A stolen device signs with the highest counter; the account takes it out.
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let thief = person.link(EntrySigner::Installation(&first), 3);
    let stolen = CardContent { counter: u64::MAX, ..content(&person) };
    let stolen = Card::sign(stolen, &thief).unwrap();
    let entry = revoke(&person.log, EntrySigner::Installation(&first), thief.id());
    person.log.insert(entry).unwrap();
    let real = Card::sign(content(&person), &first).unwrap();
    assert_eq!(real.supersedes(&stolen), Ok(true));
    assert_eq!(stolen.supersedes(&real), Err(CardError::Rollback));
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Card::decode_and_verify(&bytes, &NETWORK, NOW).is_err());
    }

    #[test]
    fn changed_or_cut_is_refused(at: usize, bit in 0u8..8, cut in 1usize..600) {
        let person = Person::new(1);
        let card = Card::sign(content(&person), &person.device).unwrap();
        let bytes = card.encode();
        prop_assert!(Card::decode_and_verify(&flip(bytes, at, bit), &NETWORK, NOW).is_err());
        prop_assert!(Card::decode_and_verify(&bytes[..bytes.len() - cut], &NETWORK, NOW).is_err());
    }
}
