//! Properties of the installation log.

use proptest::prelude::*;

use super::limits::ROOM;
use super::*;
use crate::identity::InstallationKey;
use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, add, revoke, rng};
use crate::ids::{EntryHash, InstallationId};
use crate::params::MAX_INSTALLATIONS;

fn by(key: &InstallationKey) -> EntrySigner<'_> {
    EntrySigner::Installation(key)
}

fn active(log: &Log) -> Vec<InstallationId> {
    log.state().active.keys().copied().collect()
}

fn is_active(log: &Log, key: &InstallationKey) -> bool {
    log.state().active.contains_key(&key.id())
}

/// Entries as a device that breaks the rules would make them: any parents, no check.
fn forge(log: &Log, by: EntrySigner<'_>, parents: &[EntryHash], body: EntryBody) -> Entry {
    forge_for(log, by, parents, body, None)
}

fn forge_for(
    log: &Log,
    by: EntrySigner<'_>,
    parents: &[EntryHash],
    body: EntryBody,
    holder: Option<&InstallationKey>,
) -> Entry {
    let depth = parents.iter().map(|p| log.get(p).unwrap().depth() + 1).max().unwrap_or(0);
    Draft {
        account: log.account(),
        network: *log.network(),
        parents: parents.to_vec(),
        depth,
        body,
        issued_at: NOW,
        possession: holder.map(|k| k.prove_possession(&log.account(), log.network())),
        ground: Ground::default(),
    }
    .sign(by)
}

#[test]
fn one_installation() {
    let person = Person::new(1);
    let state = person.log.state();
    let info = &state.active[&person.device.id()];
    assert_eq!((info.added_by, info.added_at, info.seniority), (Author::Account, NOW, 0));
    assert_eq!(state.active.len(), 1);
    assert!(state.revoked.is_empty() && state.void.is_empty() && state.surplus.is_empty());
    assert_ne!(person.log.head(), EntryHash([0; 32]));
    assert_eq!(Log::new(person.account.id(), NETWORK).head(), EntryHash([0; 32]));
}

#[test]
fn seniority_follows_who_added_whom() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let second = person.link(by(&first), 2);
    let third = person.link(by(&second), 3);
    let state = person.log.state();
    assert_eq!(state.active[&third.id()].seniority, 2);
    assert_eq!(state.active[&third.id()].added_by, Author::Installation(second.id()));
    let may = |a: &InstallationKey, b: &InstallationKey| {
        person.log.may_revoke(Author::Installation(a.id()), &b.id())
    };
    assert!(
        may(&first, &second) && may(&second, &third) && may(&first, &third) && may(&third, &third)
    );
    assert!(!may(&second, &first) && !may(&third, &first) && !may(&third, &second));
    assert!(person.log.may_revoke(Author::Account, &first.id()));
}

#[test]
fn a_junior_cannot_revoke_a_senior() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let second = person.link(by(&first), 2);
    assert_eq!(person.log.revoke(by(&second), first.id(), None, NOW), Err(LogError::NotSenior));
    let body = EntryBody::Revoke { installation: first.id(), last_valid: None };
    let forged = forge(&person.log, by(&second), &person.log.tips(), body);
    assert_eq!(person.log.insert(forged), Err(LogError::NotSenior));
    assert_eq!(active(&person.log).len(), 2);
}

#[test]
fn side_by_side_is_not_senior() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let (a, add_a) = add(&person.log, by(&first), 2);
    let (b, add_b) = add(&person.log, by(&first), 3);
    let (hash_a, hash_b) = (add_a.hash(), add_b.hash());
    person.log.insert(add_a).unwrap();
    person.log.insert(add_b).unwrap();
    assert_eq!(person.log.tips().len(), 2);
    assert!(!person.log.is_senior(&hash_a, &hash_b) && !person.log.is_senior(&hash_b, &hash_a));
    assert_eq!(person.log.revoke(by(&a), b.id(), None, NOW), Err(LogError::NotSenior));
    assert_eq!(person.log.revoke(by(&b), a.id(), None, NOW), Err(LogError::NotSenior));
    let both = revoke(&person.log, by(&first), a.id());
    assert_eq!(both.parents(), person.log.tips());
}

#[test]
fn what_a_revoked_key_did_later_is_void() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let thief = person.link(by(&first), 2);
    let good = person.link(by(&thief), 3);
    let valid = person.log.last_entry_of(&thief.id());
    // Unknown to the first device, the thief goes on adding; and its accomplice does so too.
    let mut elsewhere = person.log.clone();
    let (bad, entry) = add(&elsewhere, by(&thief), 4);
    elsewhere.insert(entry).unwrap();
    let (worse, entry) = add(&elsewhere, by(&bad), 5);
    elsewhere.insert(entry).unwrap();
    assert!(is_active(&elsewhere, &worse));

    let revoke = person.log.revoke(by(&first), thief.id(), valid, NOW).unwrap();
    let cause = revoke.hash();
    person.log.insert(revoke).unwrap();
    assert!(is_active(&person.log, &good));
    person.log.merge(&elsewhere).unwrap();
    let state = person.log.state();
    assert_eq!(active(&person.log).len(), 2);
    assert!(is_active(&person.log, &first) && is_active(&person.log, &good));
    assert_eq!(state.void.len(), 2);
    assert!(!state.revoked[&thief.id()].inherited);
    for key in [&bad, &worse] {
        let revocation = &state.revoked[&key.id()];
        assert_eq!((revocation.entry, revocation.inherited), (cause, true));
    }
    // A date from before does not help: what counts is what the last valid entry builds on.
    let old = person.log.get(&valid.unwrap()).unwrap().parents().to_vec();
    let late = InstallationKey::generate(&mut rng(6));
    let body = EntryBody::Add { installation: late.id() };
    let forged = forge_for(&person.log, by(&thief), &old, body, Some(&late));
    assert_eq!(person.log.insert(forged), Ok(Inserted::New));
    assert!(!is_active(&person.log, &late));
}

#[test]
fn a_revocation_by_a_revoked_key_falls_with_it() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let thief = person.link(by(&first), 2);
    let victim = person.link(by(&thief), 3);
    let mut elsewhere = person.log.clone();
    let robbed = revoke(&elsewhere, by(&thief), victim.id());
    elsewhere.insert(robbed).unwrap();
    assert!(!is_active(&elsewhere, &victim));
    let last = person.log.last_entry_of(&thief.id());
    let entry = person.log.revoke(by(&first), thief.id(), last, NOW).unwrap();
    elsewhere.insert(entry).unwrap();
    assert!(is_active(&elsewhere, &victim) && !is_active(&elsewhere, &thief));
}

#[test]
fn what_the_account_key_revokes_stays_revoked() {
    let mut person = Person::new(1);
    let account = EntrySigner::Account(&person.account);
    let first = person.device.id();
    let entry = revoke(&person.log, account, first);
    person.log.insert(entry).unwrap();
    assert!(active(&person.log).is_empty());
    let possession = person.device.prove_possession(&person.account.id(), &NETWORK);
    assert_eq!(person.log.add(account, first, possession, NOW), Err(LogError::RevokedForEver));
    let body = EntryBody::Add { installation: first };
    let tips = person.log.tips();
    let forced = forge_for(&person.log, account, &tips, body, Some(&person.device));
    assert_eq!(person.log.insert(forced), Ok(Inserted::New));
    assert!(active(&person.log).is_empty());
}

#[test]
fn what_an_installation_revokes_the_account_key_can_restore() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let second = person.link(by(&first), 2);
    let entry = revoke(&person.log, by(&first), second.id());
    person.log.insert(entry).unwrap();
    assert!(!is_active(&person.log, &second));
    let possession = second.prove_possession(&person.account.id(), &NETWORK);
    assert_eq!(
        person.log.add(by(&first), second.id(), possession, NOW),
        Err(LogError::AlreadyAdded)
    );
    let account = EntrySigner::Account(&person.account);
    let entry = person.log.add(account, second.id(), possession, NOW).unwrap();
    person.log.insert(entry).unwrap();
    assert!(is_active(&person.log, &second));
    // It can act again, and be revoked again.
    let third = person.link(by(&second), 3);
    assert!(is_active(&person.log, &third));
    let entry = revoke(&person.log, by(&first), second.id());
    person.log.insert(entry).unwrap();
    assert!(!is_active(&person.log, &second) && is_active(&person.log, &third));
}

#[test]
fn to_be_restored_does_not_restore_what_was_void() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let second = person.link(by(&first), 2);
    let third = person.link(by(&second), 3);
    let before = person.log.tips();
    let last = person.log.last_entry_of(&second.id());
    let entry = person.log.revoke(by(&first), second.id(), last, NOW).unwrap();
    person.log.insert(entry).unwrap();
    let possession = second.prove_possession(&person.account.id(), &NETWORK);
    let account = EntrySigner::Account(&person.account);
    let entry = person.log.add(account, second.id(), possession, NOW).unwrap();
    person.log.insert(entry).unwrap();
    // Made by the second device on top of what there was before it was taken out.
    let late = InstallationKey::generate(&mut rng(6));
    let body = EntryBody::Add { installation: late.id() };
    let old = forge_for(&person.log, by(&second), &before, body, Some(&late));
    let void = old.hash();
    person.log.insert(old).unwrap();
    let body = EntryBody::Revoke { installation: third.id(), last_valid: None };
    let old = forge(&person.log, by(&second), &before, body);
    person.log.insert(old).unwrap();
    let state = person.log.state();
    assert!(is_active(&person.log, &second) && is_active(&person.log, &third));
    assert!(!is_active(&person.log, &late) && state.void.contains(&void));
    assert_eq!(state.void.len(), 2);
}

#[test]
fn an_installation_can_take_itself_out() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let second = person.link(by(&first), 2);
    let entry = revoke(&person.log, by(&first), first.id());
    person.log.insert(entry).unwrap();
    let state = person.log.state();
    assert_eq!(active(&person.log), vec![second.id()]);
    assert_eq!(state.revoked[&first.id()].by, Author::Installation(first.id()));
    assert!(state.void.is_empty());
    assert!(matches!(
        person.log.revoke(by(&first), second.id(), None, NOW),
        Err(LogError::NotActive)
    ));
}

#[test]
fn forgeries_are_refused() {
    let mut person = Person::new(1);
    let stranger = Person::new(7);
    let log = &mut person.log;
    let tips = log.tips();
    let late = InstallationKey::generate(&mut rng(5));
    let add_late = EntryBody::Add { installation: late.id() };

    let own = forge_for(log, by(&stranger.device), &tips, add_late, Some(&late));
    assert_eq!(log.insert(own), Err(LogError::UnknownAuthor));
    let no_proof = forge(log, by(&person.device), &tips, add_late);
    assert_eq!(log.insert(no_proof), Err(LogError::NoPossession));
    let wrong_proof = forge_for(log, by(&person.device), &tips, add_late, Some(&person.device));
    assert!(matches!(log.insert(wrong_proof), Err(LogError::Entry(EntryError::Possession(_)))));
    let not_account =
        forge_for(log, EntrySigner::Account(&stranger.account), &tips, add_late, Some(&late));
    assert!(matches!(log.insert(not_account), Err(LogError::Entry(EntryError::Author(_)))));
    let foreign = (*stranger.log.entries()[0]).clone();
    assert_eq!(log.insert(foreign), Err(LogError::OtherAccount));
    let mut elsewhere = Log::new(person.account.id(), OTHER_NETWORK);
    let create = elsewhere.create(&person.account, &person.device, NOW).unwrap();
    elsewhere.insert(create.clone()).unwrap();
    assert_eq!(log.insert(create), Err(LogError::OtherNetwork));
    assert_eq!(log.merge(&elsewhere), Err(LogError::OtherNetwork));
    assert_eq!(log.merge(&stranger.log), Err(LogError::OtherAccount));

    let nobody = EntryBody::Revoke { installation: late.id(), last_valid: None };
    let entry = forge(log, EntrySigner::Account(&person.account), &tips, nobody);
    assert_eq!(log.insert(entry), Err(LogError::UnknownInstallation));
    // A last valid entry that is the account key's, not the installation's.
    let id = person.device.id();
    let body = EntryBody::Revoke { installation: id, last_valid: Some(tips[0]) };
    let entry = forge(log, EntrySigner::Account(&person.account), &tips, body);
    assert_eq!(log.insert(entry), Err(LogError::LastValid));
    // One that it is not on top of, though it is the installation's.
    let aside = forge_for(log, by(&person.device), &tips, add_late, Some(&late));
    let last_valid = Some(aside.hash());
    log.insert(aside).unwrap();
    let body = EntryBody::Revoke { installation: id, last_valid };
    let entry = forge(log, EntrySigner::Account(&person.account), &tips, body);
    assert_eq!(log.insert(entry), Err(LogError::LastValid));
    let deep = Draft {
        account: log.account(),
        network: NETWORK,
        parents: tips.clone(),
        depth: 5,
        body: add_late,
        issued_at: NOW,
        possession: Some(late.prove_possession(&log.account(), &NETWORK)),
        ground: Ground::default(),
    }
    .sign(by(&person.device));
    assert_eq!(log.insert(deep), Err(LogError::Depth));
    assert_eq!(log.create(&person.account, &late, NOW), Err(LogError::NotEmpty));
    assert_eq!(log.len(), 2);
}

#[test]
fn a_rollback_is_noticed() {
    let mut person = Person::new(1);
    let before = person.log.clone();
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    person.link(by(&first), 2);
    assert!(before.is_rollback_of(&person.log) && !person.log.is_rollback_of(&before));
    assert!(person.log.covers(&before) && person.log.covers(&person.log));
    assert_ne!(before.head(), person.log.head());
    // Another log covers nothing of this one, though its set may be larger.
    assert!(!Person::new(2).log.covers(&before));
}

#[test]
fn at_most_so_many_installations() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    for seed in 2..=MAX_INSTALLATIONS as u64 {
        person.link(by(&first), seed);
    }
    assert_eq!(active(&person.log).len(), MAX_INSTALLATIONS);
    let key = InstallationKey::generate(&mut rng(99));
    let possession = key.prove_possession(&person.account.id(), &NETWORK);
    assert_eq!(
        person.log.add(by(&first), key.id(), possession, NOW),
        Err(LogError::TooManyInstallations)
    );
    let body = EntryBody::Add { installation: key.id() };
    let tips = person.log.tips();
    let forged = forge_for(&person.log, by(&first), &tips, body, Some(&key));
    person.log.insert(forged).unwrap();
    let state = person.log.state();
    assert_eq!(state.active.len(), MAX_INSTALLATIONS);
    assert_eq!(state.surplus.iter().copied().collect::<Vec<_>>(), vec![key.id()]);
}

#[test]
fn a_thief_cannot_fill_the_log() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    let thief = person.link(by(&first), 2);
    let tip = person.log.tips();
    let mut seed = 10;
    let error = loop {
        let key = InstallationKey::generate(&mut rng(seed));
        let body = EntryBody::Add { installation: key.id() };
        let entry = forge_for(&person.log, by(&thief), &tip, body, Some(&key));
        if let Err(error) = person.log.insert(entry) {
            break error;
        }
        seed += 1;
    };
    assert_eq!(error, LogError::Full);
    assert!(person.log.size() > ROOM - 300 && person.log.size() < ROOM + 512);
    let account = EntrySigner::Account(&person.account);
    let entry = person.log.revoke(account, thief.id(), None, NOW).unwrap();
    assert_eq!(Entry::decode(&entry.encode(), &person.account.id(), &NETWORK), Ok(entry.clone()));
    person.log.insert(entry).unwrap();
    assert_eq!(active(&person.log), vec![first.id()]);
    let again = Log::decode(&person.log.encode(), &NETWORK).unwrap();
    assert_eq!((again.head(), again.state()), (person.log.head(), person.log.state()));
}

#[test]
fn entries_that_come_early_wait() {
    let mut person = Person::new(1);
    let first = InstallationKey::from_bytes(person.device.to_bytes());
    person.link(by(&first), 2);
    let stranger = Person::new(9);
    let mut log = Log::new(person.account.id(), NETWORK);
    let entries: Vec<Entry> = person.log.entries().into_iter().cloned().collect();
    // An entry by someone who is not enrolled waits too, and is found out when its parent comes.
    let late = InstallationKey::generate(&mut rng(5));
    let body = EntryBody::Add { installation: late.id() };
    let tips = person.log.tips();
    let alien = forge_for(&person.log, by(&stranger.device), &tips, body, Some(&late));
    assert_eq!(log.insert(alien.clone()), Ok(Inserted::Pending));
    assert_eq!(log.insert(entries[1].clone()), Ok(Inserted::Pending));
    assert_eq!(log.insert(entries[1].clone()), Ok(Inserted::Pending));
    assert!(
        log.is_empty() && log.head() == EntryHash([0; 32]) && !log.contains(&entries[1].hash())
    );
    assert_eq!(log.insert(entries[0].clone()), Ok(Inserted::New));
    assert_eq!(log, person.log);
    assert!(!log.contains(&alien.hash()));
    assert_eq!(log.insert(entries[0].clone()), Ok(Inserted::Known));
}

/// What one device does next, all numbers taken modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Device `by` adds a new one, on top of `view` of the entries.
    Add { by: usize, view: usize },
    /// Device `by` revokes device `target`; `keep` chooses the last valid entry.
    Revoke { by: usize, target: usize, view: usize, keep: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<usize>(), any::<usize>()).prop_map(|(by, view)| Step::Add { by, view }),
        (any::<usize>(), any::<usize>(), any::<usize>(), any::<usize>())
            .prop_map(|(by, target, view, keep)| Step::Revoke { by, target, view, keep }),
    ]
}

/// A log of honest and dishonest entries alike: whatever can be inserted.
fn play(steps: &[Step]) -> (Person, Log) {
    let person = Person::new(1);
    let mut log = person.log.clone();
    let mut keys = vec![InstallationKey::from_bytes(person.device.to_bytes())];
    for (n, step) in steps.iter().enumerate() {
        let known: Vec<EntryHash> = log.entries().iter().map(|e| e.hash()).collect();
        let parents = |view: usize| {
            let mut out = vec![known[view % known.len()], known[(view >> 20) % known.len()]];
            out.sort_unstable();
            out.dedup();
            out
        };
        let signer = |by: usize, keys: &[InstallationKey]| match by % (keys.len() + 1) {
            0 => None,
            i => Some(InstallationKey::from_bytes(keys[i - 1].to_bytes())),
        };
        match *step {
            Step::Add { by: who, view } => {
                let key = InstallationKey::generate(&mut rng(100 + n as u64));
                let key_of_signer = signer(who, &keys);
                let signer =
                    key_of_signer.as_ref().map_or(EntrySigner::Account(&person.account), by);
                let body = EntryBody::Add { installation: key.id() };
                let entry = forge_for(&log, signer, &parents(view), body, Some(&key));
                if log.insert(entry).is_ok() {
                    keys.push(key);
                }
            }
            Step::Revoke { by: who, target, view, keep } => {
                let target = keys[target % keys.len()].id();
                let own: Vec<EntryHash> = log
                    .entries()
                    .iter()
                    .filter(|e| e.author() == Author::Installation(target))
                    .map(|e| e.hash())
                    .collect();
                let last_valid = (!own.is_empty() && keep % 3 > 0).then(|| own[keep % own.len()]);
                let key_of_signer = signer(who, &keys);
                let signer =
                    key_of_signer.as_ref().map_or(EntrySigner::Account(&person.account), by);
                let mut parents = parents(view);
                parents.extend(last_valid);
                parents.sort_unstable();
                parents.dedup();
                let body = EntryBody::Revoke { installation: target, last_valid };
                let _ = log.insert(forge(&log, signer, &parents, body));
            }
        }
    }
    (person, log)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_arrival_does_not_matter(
        steps in prop::collection::vec(step(), 0..14),
        order in prop::collection::vec(any::<u64>(), 64),
    ) {
        let (person, log) = play(&steps);
        let mut entries: Vec<Entry> = log.entries().into_iter().cloned().collect();
        let mut keyed: Vec<(u64, Entry)> = order.into_iter().zip(entries.drain(..)).collect();
        keyed.sort_by_key(|(key, _)| *key);
        let mut again = Log::new(person.account.id(), NETWORK);
        for (_, entry) in keyed {
            again.insert(entry).unwrap();
        }
        prop_assert_eq!(&again, &log);
        prop_assert_eq!(again.state(), log.state());
        prop_assert_eq!(again.head(), log.head());
        prop_assert_eq!(again.encode(), log.encode());
        prop_assert_eq!(Log::decode(&log.encode(), &NETWORK).unwrap(), log);
    }

    #[test]
    fn merges_commute(steps in prop::collection::vec(step(), 0..14), mask: u64) {
        let (person, log) = play(&steps);
        let mut halves = [Log::new(person.account.id(), NETWORK), Log::new(person.account.id(), NETWORK)];
        for (i, entry) in log.entries().into_iter().enumerate() {
            let _ = halves[(mask >> i & 1) as usize].insert(entry.clone()).unwrap();
            halves[1].insert(entry.clone()).unwrap();
        }
        let [a, b] = halves;
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b).unwrap();
        ba.merge(&a).unwrap();
        prop_assert_eq!(&ab, &ba);
        prop_assert_eq!(ab.state(), ba.state());
        prop_assert!(!ab.merge(&b).unwrap());
        prop_assert!(ab.covers(&a) && ab.covers(&b));
    }

    /// By the definition alone: whoever is not active has been struck by the account key, by
    /// itself, or by someone from whose enrolment its own descends.
    #[test]
    fn nobody_falls_but_by_the_account_itself_or_a_senior(steps in prop::collection::vec(step(), 0..20)) {
        let (_, log) = play(&steps);
        let state = log.state();
        for (id, revocation) in &state.revoked {
            let cause = log.get(&revocation.entry).unwrap();
            prop_assert_eq!(cause.author(), revocation.by);
            prop_assert!(!cause.body().enrols());
            prop_assert_eq!(cause.body().installation() == *id, !revocation.inherited);
            let struck = cause.body().installation();
            let of = |who: &InstallationId| -> Vec<EntryHash> {
                log.entries().iter()
                    .filter(|e| e.body().enrols() && e.body().installation() == *who)
                    .map(|e| e.hash()).collect()
            };
            match revocation.by {
                Author::Account => {}
                Author::Installation(by) if by == struck => {}
                Author::Installation(by) => prop_assert!(
                    of(&by).iter().any(|s| of(&struck).iter().any(|j| log.is_senior(s, j)))
                ),
            }
        }
        for info in state.active.values() {
            prop_assert!(!state.void.contains(&info.entry));
            prop_assert_eq!(log.get(&info.entry).unwrap().depth(), info.seniority);
        }
        for hash in &state.void {
            prop_assert_ne!(log.get(hash).unwrap().author(), Author::Account);
        }
    }
}
