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

/// What the largest honest account has in its card: a log that its installations have filled, since
/// no one compacted it, and a device that added a device that added a device, so that credentials
/// are as long as they get.
fn largest() -> (Person, Vec<CardKeyPackage>) {
    use crate::params::MAX_INSTALLATIONS;

    let mut person = Person::new(1);
    let mut keys = vec![InstallationKey::from_bytes(person.device.to_bytes())];
    for seed in 2..=MAX_INSTALLATIONS as u64 {
        let by = InstallationKey::from_bytes(keys.last().unwrap().to_bytes());
        keys.push(person.link(EntrySigner::Installation(&by), seed));
    }
    // The last one comes and goes until there is no room.
    let by = InstallationKey::from_bytes(keys[MAX_INSTALLATIONS - 2].to_bytes());
    let signer = EntrySigner::Installation(&by);
    for seed in 100.. {
        let mut log = person.log.clone();
        let last = keys[MAX_INSTALLATIONS - 1].id();
        let Ok(gone) = log.revoke(signer, last, log.last_entry_of(&last), NOW) else { break };
        let key = InstallationKey::generate(&mut rng(seed));
        let possession = key.prove_possession(&log.account(), log.network());
        if log.insert(gone).is_err() {
            break;
        }
        let Ok(entry) = log.add(signer, key.id(), possession, NOW) else { break };
        if log.insert(entry).is_err() {
            break;
        }
        person.log = log;
        keys[MAX_INSTALLATIONS - 1] = key;
    }
    assert!(person.log.needs_compaction());
    let packages = packages(&person, &keys);
    (person, packages)
}

/// Real key packages of these installations.
fn packages(person: &Person, keys: &[InstallationKey]) -> Vec<CardKeyPackage> {
    let rng = crate::random::SharedRng::new([1; 32]);
    keys.iter()
        .map(|key| {
            let credential = Credential::for_installation(&person.log, &key.id()).unwrap().encode();
            let package =
                crate::group::package::OwnPackage::make(&rng, key, &credential, &[3; 32], NOW);
            CardKeyPackage {
                installation: key.id(),
                usable_until: NOW + KEY_PACKAGE_USE,
                bytes: package.unwrap().public,
            }
        })
        .collect()
}

#[test]
fn the_largest_honest_card_fits_and_a_smaller_class_would_not_do() {
    let (person, key_packages) = largest();
    assert_eq!(key_packages.len(), crate::params::MAX_INSTALLATIONS);
    let whole: usize = key_packages.iter().map(|package| package.bytes.len()).sum();
    let longest = key_packages.iter().map(|package| package.bytes.len()).max().unwrap();
    let log = person.log.encode().len();
    let card =
        Card::sign(CardContent { key_packages, ..content(&person) }, &person.device).unwrap();
    let size = card.encode().len();
    println!("log {log}, key packages {whole} (longest {longest}), card {size} of {MAX_CARD}");
    assert!(size > CARD_SIZE / 2, "a smaller class would do: {size}");
    assert!(longest <= MAX_KEY_PACKAGE);
    // What was taken out of it is there again.
    assert_eq!(read(&card), Ok(card));
}

#[test]
fn a_card_that_does_not_fit_is_not_made() {
    let person = Person::new(1);
    let mut large = content(&person);
    large.key_packages[0].bytes = vec![7; MAX_KEY_PACKAGE];
    assert!(Card::sign(large, &person.device).is_ok());
    let (person, mut key_packages) = largest();
    for package in &mut key_packages {
        // Nothing that a log could tell.
        package.bytes.fill(7);
    }
    let large = CardContent { key_packages, ..content(&person) };
    assert!(matches!(Card::sign(large, &person.device), Err(CardError::TooLarge(_))));
}

#[test]
fn a_key_package_from_before_a_change_of_the_log_comes_back_whole_too() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let mut keys = vec![InstallationKey::from_bytes(first.to_bytes())];
    keys.extend([2, 3].map(|seed| person.link(EntrySigner::Installation(&first), seed)));
    let mut key_packages = packages(&person, &keys);
    key_packages.pop();
    let gone = revoke(&person.log, EntrySigner::Installation(&first), keys[2].id());
    person.log.insert(gone).unwrap();
    let made = CardContent { key_packages: key_packages.clone(), ..content(&person) };
    let card = Card::sign(made, &first).unwrap();
    let again = read(&card).unwrap();
    assert_eq!(again.content().key_packages, key_packages);
    // Only the head had changed, so the credentials did not have to be sent.
    let whole: usize = key_packages.iter().map(|package| package.bytes.len()).sum();
    assert!(card.encode().len() < whole + person.log.encode().len());
}

#[test]
fn a_cut_that_makes_no_sense_is_refused() {
    let person = Person::new(1);
    let base = content(&person);
    let sign = |change: &dyn Fn(&mut WireKeyPackage)| {
        let card = Card::sign(base.clone(), &person.device).unwrap();
        let wire = WireCard::decode(card.encode()).unwrap();
        let mut inner = WireContent::decode(wire.content.as_slice()).unwrap();
        change(&mut inner.key_packages[0]);
        let content = inner.encode_to_vec();
        let signature = person.device.sign(Label::CardSignature, &NETWORK, &[&content]).to_vec();
        let bytes = WireCard { content, signature }.encode_to_vec();
        Card::decode_and_verify(&bytes, &NETWORK, NOW).map(|card| card.content().clone())
    };
    let cut = |at: u32, head: usize| {
        sign(&move |p| p.cut = Some(WireCut { at, log_head: vec![0; head] }))
    };
    assert!(cut(300, 32).is_ok());
    assert_eq!(cut(301, 32), Err(CardError::Malformed("credential of a key package")));
    assert_eq!(cut(0, 31), Err(CardError::Malformed("credential of a key package")));
    let stranger = Person::new(2).device.id();
    assert_eq!(
        sign(&|p| {
            p.installation = stranger.0.to_vec();
            p.cut = Some(WireCut { at: 0, log_head: vec![0; 32] });
        }),
        Err(CardError::NotActive)
    );
    assert_eq!(
        sign(&|p| {
            p.bytes = vec![0; MAX_KEY_PACKAGE];
            p.cut = Some(WireCut { at: 0, log_head: vec![0; 32] });
        }),
        Err(CardError::Malformed("key package size"))
    );
}

#[test]
fn of_two_of_a_period_the_one_that_knows_more_of_the_account_wins() {
    let mut person = Person::new(1);
    let less: Vec<Card> = (0..4)
        .map(|n| {
            let packages = content(&person).key_packages;
            let key_packages =
                packages.into_iter().map(|p| CardKeyPackage { bytes: vec![n; 10], ..p }).collect();
            Card::sign(CardContent { key_packages, ..content(&person) }, &person.device).unwrap()
        })
        .collect();
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    person.link(EntrySigner::Installation(&first), 3);
    let more = Card::sign(content(&person), &first).unwrap();
    for less in less {
        assert_eq!(more.supersedes(&less), Ok(true));
        assert_eq!(less.supersedes(&more), Err(CardError::Rollback));
    }
}
