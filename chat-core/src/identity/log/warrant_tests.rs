//! Tests of what a log proves about single installations.

use super::*;
use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, add, revoke};
use crate::identity::{Credential, EntrySigner, InstallationKey};

fn by(key: &InstallationKey) -> EntrySigner<'_> {
    EntrySigner::Installation(key)
}

fn chain(log: &Log, key: &InstallationKey) -> Vec<Entry> {
    Credential::for_installation(log, &key.id()).unwrap().chain
}

fn judged(log: &Log, chain: &[Entry]) -> Result<InstallationId, LogError> {
    Log::revokes(&log.encode(), &log.account(), &NETWORK, chain)
}

/// A first device, a second by the first, a third by the second.
fn three() -> (Person, [InstallationKey; 3]) {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let second = person.link(by(&first), 2);
    let third = person.link(by(&second), 3);
    (person, [first, second, third])
}

#[test]
fn a_revoked_leaf_falls_by_the_warrant_and_no_other() {
    let (mut person, [first, second, third]) = three();
    let chains = [&first, &second, &third].map(|key| chain(&person.log, key));
    assert_eq!(person.log.warrant_for(&second.id()), None);
    let entry = revoke(&person.log, by(&first), second.id());
    person.log.insert(entry).unwrap();
    let warrant = person.log.warrant_for(&second.id()).unwrap();
    let account = person.account.id();
    assert_eq!(Log::revokes(&warrant, &account, &NETWORK, &chains[1]), Ok(second.id()));
    for chain in [&chains[0], &chains[2]] {
        assert_eq!(Log::revokes(&warrant, &account, &NETWORK, chain), Err(LogError::NotRevoked));
    }
    assert_eq!(Log::revokes(&warrant, &account, &NETWORK, &[]), Err(LogError::NotRevoked));
    let other = Person::new(8);
    assert_eq!(
        Log::revokes(&warrant, &other.account.id(), &NETWORK, &chains[1]),
        Err(LogError::OtherAccount)
    );
    assert_eq!(
        Log::revokes(&warrant, &account, &NETWORK, &chain(&other.log, &other.device)),
        Err(LogError::OtherAccount)
    );
    assert!(Log::revokes(&warrant, &account, &OTHER_NETWORK, &chains[1]).is_err());
    assert_eq!(person.log.warrant_for(&other.device.id()), None);
    assert!(Log::revokes(&warrant[1..], &account, &NETWORK, &chains[1]).is_err());
}

#[test]
fn what_fell_with_its_author_falls_by_the_warrant_too() {
    let (mut person, [first, second, third]) = three();
    let of_third = chain(&person.log, &third);
    let entry = person.log.revoke(by(&first), second.id(), None, NOW).unwrap();
    person.log.insert(entry).unwrap();
    assert!(person.log.warrant_for(&third.id()).is_some());
    assert_eq!(judged(&person.log, &of_third), Ok(third.id()));
}

#[test]
fn an_enrolment_that_the_log_lacks_is_judged_by_its_author() {
    let (mut person, [first, second, third]) = three();
    // Elsewhere the third, and a fourth by the third, which the revoking log never hears of.
    let mut elsewhere = person.log.clone();
    let (fourth, entry) = add(&elsewhere, by(&third), 4);
    elsewhere.insert(entry).unwrap();
    let (fifth, entry) = add(&elsewhere, by(&fourth), 5);
    elsewhere.insert(entry).unwrap();
    let (of_fourth, of_fifth) = (chain(&elsewhere, &fourth), chain(&elsewhere, &fifth));
    // By a log that is merely older no one falls.
    assert_eq!(judged(&person.log, &of_fourth), Err(LogError::NotRevoked));
    let entry = revoke(&person.log, by(&first), second.id());
    person.log.insert(entry).unwrap();
    assert_eq!(judged(&person.log, &of_fourth), Err(LogError::NotRevoked));
    let entry = revoke(&person.log, by(&first), third.id());
    person.log.insert(entry).unwrap();
    assert_eq!(judged(&person.log, &of_fourth), Ok(fourth.id()));
    assert_eq!(judged(&person.log, &of_fifth), Ok(fifth.id()));
}

#[test]
fn an_old_revoke_is_useless_against_a_new_enrolment() {
    let (mut person, [first, second, _]) = three();
    let old = chain(&person.log, &second);
    let entry = revoke(&person.log, by(&first), second.id());
    person.log.insert(entry).unwrap();
    let hoarded = person.log.clone();
    let possession = second.prove_possession(&person.account.id(), &NETWORK);
    let account = EntrySigner::Account(&person.account);
    let entry = person.log.add(account, second.id(), possession, NOW).unwrap();
    person.log.insert(entry).unwrap();
    let new = chain(&person.log, &second);
    assert_eq!(person.log.warrant_for(&second.id()), None);
    for log in [&hoarded, &person.log] {
        assert_eq!(judged(log, &new), Err(LogError::NotRevoked));
        assert_eq!(judged(log, &old), Ok(second.id()));
    }
    // Nor against what the restored one enrols: its chain leads through the new enrolment.
    let sixth = person.link(by(&second), 6);
    for log in [&hoarded, &person.log] {
        assert_eq!(judged(log, &chain(&person.log, &sixth)), Err(LogError::NotRevoked));
    }
}

#[test]
fn the_list_shows_who_added_and_who_revoked() {
    let (mut person, [first, second, third]) = three();
    let entry = person.log.revoke(by(&first), second.id(), None, NOW).unwrap();
    let cause = entry.hash();
    person.log.insert(entry).unwrap();
    let list = person.log.installations();
    let ids: Vec<_> = list.iter().map(|r| r.installation).collect();
    assert_eq!(ids, [first.id(), second.id(), third.id()]);
    assert_eq!((list[0].standing.clone(), list[0].added_by), (Standing::Active, Author::Account));
    assert_eq!(list[2].added_by, Author::Installation(second.id()));
    for (record, inherited) in [(&list[1], false), (&list[2], true)] {
        let by = Author::Installation(first.id());
        let revocation = Revocation { by, entry: cause, inherited };
        assert_eq!(record.standing, Standing::Revoked { revocation, at: NOW });
        assert_eq!(record.added_at, NOW);
    }
    // Enrolled again, it is listed once, by the enrolment that stands.
    let possession = second.prove_possession(&person.account.id(), &NETWORK);
    let account = EntrySigner::Account(&person.account);
    let entry = person.log.add(account, second.id(), possession, NOW).unwrap();
    let again = entry.hash();
    person.log.insert(entry).unwrap();
    let list = person.log.installations();
    assert_eq!(list.len(), 3);
    let record = list.iter().find(|r| r.installation == second.id()).unwrap();
    assert_eq!((record.entry, &record.standing), (again, &Standing::Active));
}
