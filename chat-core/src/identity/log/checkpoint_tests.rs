//! What compaction keeps, and what no one gains by it.

use super::*;
use crate::identity::log::{Inserted, MAX_LOG};
use crate::identity::testing::{NETWORK, NOW, Person, add, revoke, rng};
use crate::identity::{Credential, InstallationKey};
use crate::params::MAX_INSTALLATIONS;

pub(super) fn by(key: &InstallationKey) -> EntrySigner<'_> {
    EntrySigner::Installation(key)
}

pub(super) fn copy(key: &InstallationKey) -> InstallationKey {
    InstallationKey::from_bytes(key.to_bytes())
}

pub(super) fn ids(log: &Log) -> Vec<InstallationId> {
    log.state().active.keys().copied().collect()
}

/// Who is active, and who may revoke whom.
pub(super) fn relation(log: &Log) -> Vec<(InstallationId, InstallationId)> {
    let ids = ids(log);
    let pairs = ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| log.may_revoke(Author::Installation(*a), b)).collect()
}

pub(super) fn compact(log: &mut Log, signer: EntrySigner<'_>) -> Entry {
    let entry = log.checkpoint(signer, NOW).unwrap();
    assert_eq!(log.insert(entry.clone()), Ok(Inserted::New));
    entry
}

pub(super) fn merged(a: &Log, b: &Log) -> Log {
    let mut out = a.clone();
    out.merge(b).unwrap();
    let mut other = b.clone();
    other.merge(a).unwrap();
    assert_eq!(out, other);
    assert_eq!((out.head(), out.state()), (other.head(), other.state()));
    let read = Log::decode(&out.encode(), &NETWORK).unwrap();
    assert_eq!((read.head(), read.state()), (out.head(), out.state()));
    out
}

/// A first device; a second and a fourth by it; a third by the second. One more came and went.
pub(super) fn family() -> (Person, [InstallationKey; 4]) {
    let mut person = Person::new(1);
    let first = copy(&person.device);
    let second = person.link(by(&first), 2);
    let third = person.link(by(&second), 3);
    let gone = person.link(by(&second), 9);
    let entry = revoke(&person.log, by(&first), gone.id());
    person.log.insert(entry).unwrap();
    let fourth = person.link(by(&first), 4);
    (person, [first, second, third, fourth])
}

#[test]
fn compaction_changes_nothing_about_who_stands() {
    let (mut person, [first, second, third, fourth]) = family();
    let full = person.log.clone();
    let checkpoint = compact(&mut person.log, by(&first));
    assert_eq!(person.log.state().active, full.state().active);
    assert_eq!(relation(&person.log), relation(&full));
    assert!(person.log.state().void.is_empty() && person.log.state().revoked.is_empty());
    assert_eq!(person.log.tips(), [checkpoint.hash()]);
    assert!(person.log.encode().len() < full.encode().len());
    // Who has it only so, and who had all before, agree.
    let fresh = Log::decode(&person.log.encode(), &NETWORK).unwrap();
    assert_eq!(merged(&fresh, &full), person.log);
    assert_eq!(fresh.head(), person.log.head());
    // It is no rollback of what it covers; that, offered again, is one of it.
    assert!(!person.log.is_rollback_of(&full) && full.is_rollback_of(&person.log));
    // Credentials from before and from after say the same.
    for key in [&first, &second, &third, &fourth] {
        let before = Credential::for_installation(&full, &key.id()).unwrap();
        let after = Credential::for_installation(&fresh, &key.id()).unwrap();
        assert_eq!(before.chain, after.chain);
        let member = Credential::decode_and_verify(&after.encode(), &key.id().0, &NETWORK).unwrap();
        assert_eq!(member.log_head, fresh.head());
    }
}

#[test]
fn life_goes_on_after_a_checkpoint() {
    let (mut person, [first, second, third, _]) = family();
    compact(&mut person.log, by(&first));
    let fifth = person.link(by(&third), 5);
    assert!(person.log.may_revoke(Author::Installation(second.id()), &fifth.id()));
    assert_eq!(person.log.revoke(by(&third), second.id(), None, NOW), Err(LogError::NotSenior));
    // With nothing of its own spared, what the second added falls, below the ground and above.
    let entry = person.log.revoke(by(&first), second.id(), None, NOW).unwrap();
    person.log.insert(entry).unwrap();
    assert!(!ids(&person.log).contains(&third.id()) && !ids(&person.log).contains(&fifth.id()));
    // An entry by the account key is on top like any other, and undoes what installations did.
    let possession = third.prove_possession(&person.account.id(), &NETWORK);
    let account = EntrySigner::Account(&person.account);
    let entry = person.log.add(account, third.id(), possession, NOW).unwrap();
    person.log.insert(entry).unwrap();
    assert!(ids(&person.log).contains(&third.id()));
    compact(&mut person.log, by(&first));
    assert_eq!(ids(&person.log).len(), 3);
    assert_eq!(Log::decode(&person.log.encode(), &NETWORK).unwrap(), person.log);
}

#[test]
fn what_was_revoked_cannot_be_shown_again() {
    let (mut person, [first, second, ..]) = family();
    let full = person.log.clone();
    let last = full.last_entry_of(&second.id());
    let entry = person.log.revoke(by(&first), second.id(), last, NOW).unwrap();
    person.log.insert(entry).unwrap();
    let before = person.log.clone();
    compact(&mut person.log, by(&first));
    let active = ids(&person.log);
    let mut fresh = Log::decode(&person.log.encode(), &NETWORK).unwrap();
    for entry in before.entries() {
        let known = fresh.knows(&entry.hash());
        let answer = fresh.insert(entry.clone()).unwrap();
        assert_eq!(answer, if known { Inserted::Known } else { Inserted::Superseded });
    }
    assert_eq!((ids(&fresh), fresh.head()), (active, person.log.head()));
}

#[test]
fn a_revoke_beside_a_checkpoint_counts_and_an_add_can_be_said_again() {
    let (mut person, [first, second, third, _]) = family();
    let mut aside = person.log.clone();
    let (fifth, added) = add(&aside, by(&second), 5);
    aside.insert(added.clone()).unwrap();
    let gone = aside.revoke(by(&second), third.id(), None, NOW).unwrap();
    aside.insert(gone.clone()).unwrap();
    compact(&mut person.log, by(&first));
    let both = merged(&person.log, &aside);
    assert!(!ids(&both).contains(&third.id()) && !ids(&both).contains(&fifth.id()));
    assert!(person.log.is_rollback_of(&both) && person.log.is_rollback_of(&aside));
    assert_eq!(both.clone().insert(added.clone()), Ok(Inserted::Superseded));
    let possession = fifth.prove_possession(&person.account.id(), &NETWORK);
    let mut both = both;
    let again = both.add(by(&second), fifth.id(), possession, NOW).unwrap();
    assert_eq!(both.insert(again), Ok(Inserted::New));
    assert!(ids(&both).contains(&fifth.id()));
    // The next one covers the Revoke; shown again it says nothing.
    compact(&mut both, by(&first));
    assert_eq!(both.clone().insert(gone), Ok(Inserted::Superseded));
    assert!(!both.is_rollback_of(&aside));
}

#[test]
fn a_revoke_that_the_account_key_undid_stays_undone() {
    let (mut person, [first, second, ..]) = family();
    let taken = revoke(&person.log, by(&first), second.id());
    person.log.insert(taken.clone()).unwrap();
    let possession = second.prove_possession(&person.account.id(), &NETWORK);
    let account = EntrySigner::Account(&person.account);
    let entry = person.log.add(account, second.id(), possession, NOW).unwrap();
    person.log.insert(entry).unwrap();
    for signer in [by(&first), account] {
        compact(&mut person.log, signer);
        assert_eq!(person.log.clone().insert(taken.clone()), Ok(Inserted::Superseded));
        assert!(ids(&person.log).contains(&second.id()));
    }
}

#[test]
fn only_who_has_custody_compacts() {
    let (mut person, [first, second, third, fourth]) = family();
    for key in [&second, &third, &fourth] {
        assert_eq!(person.log.checkpoint(by(key), NOW), Err(LogError::NoCustody));
    }
    let good = compact(&mut person.log.clone(), by(&first));
    let state = person.log.state();
    // Forged: by a junior, by one that is out, on other ground, with another generation.
    let forge = |signer: EntrySigner<'_>, change: &dyn Fn(&mut Draft)| {
        let mut draft = Draft {
            account: person.account.id(),
            network: NETWORK,
            parents: good.parents().to_vec(),
            depth: good.depth() + 5,
            body: *good.body(),
            issued_at: NOW,
            possession: None,
            ground: good.ground().clone(),
        };
        change(&mut draft);
        draft.sign(signer)
    };
    let own = |key: &InstallationKey| EntryBody::Checkpoint { custodian: key.id() };
    let gone = InstallationKey::generate(&mut rng(9));
    let forged = [
        forge(by(&second), &|d| d.body = own(&second)),
        forge(by(&gone), &|d| d.body = own(&gone)),
        forge(by(&first), &|d| d.ground.base = Some(EntryHash([7; 32]))),
        forge(by(&first), &|d| d.ground.generation = 3),
        forge(by(&first), &|d| d.depth = MAX_CHECKPOINT_DEPTH + 1),
        forge(by(&first), &|d| d.ground.listed.swap(0, 1)),
        forge(by(&first), &|d| d.body = own(&gone)),
        forge(by(&second), &|d| d.ground.base = None),
    ];
    for entry in forged {
        let mut log = person.log.clone();
        let read = Entry::decode(&entry.encode(), &person.account.id(), &NETWORK);
        let answer = read.map(|entry| log.insert(entry));
        assert!(!matches!(answer, Ok(Ok(Inserted::New | Inserted::Known))), "{answer:?}");
        assert_eq!(log.state(), state);
    }
    person.log.insert(good).unwrap();
    assert_eq!(person.log.checkpoint(by(&second), NOW), Err(LogError::NoCustody));
}

#[test]
fn two_checkpoints_side_by_side_give_one_log() {
    let (person, [first, second, ..]) = family();
    let (mut a, mut b) = (person.log.clone(), person.log.clone());
    compact(&mut a, by(&first));
    let entry = revoke(&b, by(&first), second.id());
    b.insert(entry.clone()).unwrap();
    compact(&mut b, by(&first));
    let both = merged(&a, &b);
    assert_eq!((ids(&both), both.head()), (ids(&b), b.head()));
    // By the account key and an installation: the account key's, whatever the depth.
    let mut c = person.log.clone();
    compact(&mut c, EntrySigner::Account(&person.account));
    assert_eq!(merged(&b, &c).head(), merged(&c, &both).head());
    assert!(merged(&b, &c).contains(&c.tips()[0]));
    let mut d = person.log.clone();
    let at = NOW + std::time::Duration::from_millis(1);
    let later = d.checkpoint(EntrySigner::Account(&person.account), at).unwrap();
    d.insert(later.clone()).unwrap();
    assert!(merged(&c, &d).contains(&later.hash()));
}

#[test]
fn the_account_key_undoes_a_false_checkpoint() {
    let (person, [first, second, third, fourth]) = family();
    // A thief has the first device: everyone else is out, and a device of the thief's is in.
    let mut stolen = person.log.clone();
    for key in [&second, &third, &fourth] {
        let entry = stolen.revoke(by(&first), key.id(), None, NOW).unwrap();
        stolen.insert(entry).unwrap();
    }
    let (thief, entry) = add(&stolen, by(&first), 66);
    stolen.insert(entry).unwrap();
    let false_one = compact(&mut stolen, by(&first));
    assert_eq!(ids(&stolen).len(), 2);
    // With the phrase, from what the other devices still know, and from what is known now.
    let account = EntrySigner::Account(&person.account);
    let good = person.log.last_entry_of(&first.id());
    let mut right = person.log.clone();
    let out = right.revoke(account, first.id(), good, NOW).unwrap();
    right.insert(out.clone()).unwrap();
    // The Revoke alone already voids what the thief compacted and the account key had not seen.
    let healed = merged(&right, &stolen);
    assert_eq!(ids(&healed), ids(&right));
    assert_eq!(ids(&healed).len(), 3);
    compact(&mut right, account);
    assert_eq!(right.custodian(), Some(second.id()));
    let healed = merged(&right, &stolen);
    assert_eq!((ids(&healed), healed.head()), (ids(&right), right.head()));
    assert!(!ids(&healed).contains(&first.id()) && !ids(&healed).contains(&thief.id()));
    // What the thief goes on making counts for nothing.
    compact(&mut stolen, by(&first));
    assert_eq!(merged(&right, &stolen), right);
    let mut log = right.clone();
    assert_eq!(log.insert(false_one), Ok(Inserted::Superseded));
    // The account key took it out for good: its next custodian cannot list it again.
    let possession = first.prove_possession(&person.account.id(), &NETWORK);
    assert!(
        right.add(account, first.id(), possession, NOW).is_err()
            || !ids(&right).contains(&first.id())
    );
    compact(&mut log, by(&second));
    assert_eq!(ids(&log), ids(&right));
}

#[test]
fn custody_is_handed_on_and_does_not_come_back() {
    let (mut person, [first, second, third, _]) = family();
    let early = person.log.clone();
    compact(&mut person.log, by(&first));
    let before = person.log.clone();
    assert!(person.log.hand_over(by(&first), first.id(), NOW).is_err());
    let entry = person.log.hand_over(by(&first), second.id(), NOW).unwrap();
    person.log.insert(entry.clone()).unwrap();
    assert_eq!(person.log.custodian(), Some(second.id()));
    assert!(!ids(&person.log).contains(&first.id()));
    // It is senior to those beside it now.
    assert_eq!(relation(&person.log).iter().filter(|(a, _)| *a == second.id()).count(), 3);
    compact(&mut person.log, by(&second));
    let fresh = Log::decode(&person.log.encode(), &NETWORK).unwrap();
    assert_eq!(merged(&fresh, &early), person.log);
    assert_eq!(merged(&fresh, &before), person.log);
    // The first goes on: an ordinary Checkpoint of its own does not outdo the handing over.
    let mut stale = before.clone();
    for _ in 0..3 {
        compact(&mut stale, by(&first));
    }
    assert_eq!(merged(&stale, &fresh), person.log);
    let mut log = person.log.clone();
    let entry = log.hand_over(by(&second), third.id(), NOW).unwrap();
    log.insert(entry).unwrap();
    assert_eq!(merged(&log, &early).custodian(), Some(third.id()));
}

#[test]
fn warrants_hold_after_compaction() {
    let (mut person, [first, second, third, _]) = family();
    let chain = |log: &Log, key: &InstallationKey| {
        Credential::for_installation(log, &key.id()).unwrap().chain
    };
    let (of_second, of_third) = (chain(&person.log, &second), chain(&person.log, &third));
    let entry = revoke(&person.log, by(&first), second.id());
    person.log.insert(entry).unwrap();
    compact(&mut person.log, by(&first));
    let account = person.account.id();
    let warrant = person.log.warrant_for(&second.id()).unwrap();
    assert_eq!(Log::revokes(&warrant, &account, &NETWORK, &of_second), Ok(second.id()));
    assert_eq!(Log::revokes(&warrant, &account, &NETWORK, &of_third), Err(LogError::NotRevoked));
    assert_eq!(person.log.warrant_for(&third.id()), None);
    // Who came later is not touched by it, though its chain leads through one that is out.
    let fifth = person.link(by(&third), 5);
    let of_fifth = chain(&person.log, &fifth);
    assert_eq!(of_fifth.len(), 4);
    assert_eq!(Log::revokes(&warrant, &account, &NETWORK, &of_fifth), Err(LogError::NotRevoked));
    // What the revoked one enrols on its own, at whatever depth, falls.
    let late = InstallationKey::generate(&mut rng(70));
    let entry = Draft {
        account,
        network: NETWORK,
        parents: person.log.tips(),
        depth: 50_000,
        body: EntryBody::Add { installation: late.id() },
        issued_at: NOW,
        possession: None,
        ground: Ground::default(),
    }
    .sign(by(&second));
    let mut forged = of_second.clone();
    forged.push(entry);
    assert_eq!(Log::revokes(&warrant, &account, &NETWORK, &forged), Ok(late.id()));
}

/// Thousands of devices over the years, of which sixteen are left.
#[test]
fn years_of_use_fit_a_card() {
    let mut person = Person::new(1);
    let first = copy(&person.device);
    let mut keys: Vec<InstallationKey> =
        (2..=MAX_INSTALLATIONS as u64).map(|seed| person.link(by(&first), seed)).collect();
    let mut largest = 0;
    for n in 0..600u64 {
        let gone = keys.remove(n as usize * 7 % keys.len());
        let entry = revoke(&person.log, by(&first), gone.id());
        person.log.insert(entry).unwrap();
        keys.push(person.link(by(&first), 1000 + n));
        largest = largest.max(person.log.encode().len());
        if person.log.needs_compaction() {
            compact(&mut person.log, by(&first));
            assert!(!person.log.needs_compaction());
        }
    }
    compact(&mut person.log, by(&first));
    let bytes = person.log.encode();
    assert_eq!(person.log.state().active.len(), MAX_INSTALLATIONS);
    println!("compacted {} bytes, largest between {largest}", bytes.len());
    assert!(bytes.len() <= 8 * 1024 && largest <= 16 * 1024, "{} {largest}", bytes.len());
    assert_eq!(Log::decode(&bytes, &NETWORK).unwrap(), person.log);
    assert!(person.log.size() >= bytes.len() && person.log.size() <= MAX_LOG);
}

/// A log as large as a log can be, of devices that revoke one another in all ways, is judged at
/// once: each question about an entry and an enrolment is answered a single time.
#[test]
fn the_worst_log_is_judged_in_bounded_time() {
    let mut person = Person::new(1);
    let mut keys = vec![copy(&person.device)];
    // A chain of devices, and then each revokes all later ones, side by side, sparing nothing.
    for seed in 2..14u64 {
        let last = copy(&keys[keys.len() - 1]);
        keys.push(person.link(by(&last), seed));
    }
    let view = person.log.clone();
    for (at, key) in keys.iter().enumerate() {
        for junior in &keys[at + 1..] {
            let entry = view.revoke(by(key), junior.id(), None, NOW).unwrap();
            if person.log.insert(entry) == Err(LogError::Full) {
                break;
            }
        }
    }
    assert!(person.log.len() > 70);
    let standing = person.log.standing();
    assert_eq!(ids(&person.log), [keys[0].id()]);
    assert_eq!(standing.len(), 1);
    compact(&mut person.log, by(&keys[0]));
    assert_eq!(person.log.len(), 2);
}
