//! Properties of compaction, over what may happen to a log.

use proptest::prelude::*;

use super::tests::{by, compact, copy, family, ids, merged, relation};
use super::*;
use crate::identity::InstallationKey;
use crate::identity::log::Inserted;
use crate::identity::testing::{NETWORK, NOW, Person, flip, revoke, rng};

/// What happens to two logs alike, of which one is compacted now and then.
#[derive(Debug, Clone, Copy)]
enum Step {
    Add { by: usize, account: bool },
    Revoke { by: usize, target: usize, keep: bool, account: bool },
    Compact { account: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<usize>(), prop::bool::weighted(0.1))
            .prop_map(|(by, account)| Step::Add { by, account }),
        3 => (any::<usize>(), any::<usize>(), any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(by, target, keep, account)| Step::Revoke { by, target, keep, account }),
        2 => prop::bool::weighted(0.1).prop_map(|account| Step::Compact { account }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The truth is the whole set, never compacted. A log that forgets has the same installations,
    /// the same right of each over each, and gives the same answer to everything that comes.
    #[test]
    fn a_compacted_log_says_what_the_whole_one_says(steps in prop::collection::vec(step(), 1..28)) {
        let person = Person::new(1);
        let mut keys = vec![copy(&person.device)];
        let (mut whole, mut short) = (person.log.clone(), person.log.clone());
        let mut fulls = vec![person.log.clone()];
        let mut left_out = std::collections::BTreeSet::new();
        for (n, step) in steps.iter().enumerate() {
            let account = EntrySigner::Account(&person.account);
            match *step {
                Step::Add { by: who, account: top } => {
                    let signer = if top { account } else { by(&keys[who % keys.len()]) };
                    let key = InstallationKey::generate(&mut rng(100 + n as u64));
                    let proof = key.prove_possession(&person.account.id(), &NETWORK);
                    let a = whole.add(signer, key.id(), proof, NOW);
                    let b = short.add(signer, key.id(), proof, NOW);
                    prop_assert_eq!(a.as_ref().err(), b.as_ref().err());
                    if let (Ok(a), Ok(b)) = (a, b) {
                        whole.insert(a).unwrap();
                        short.insert(b).unwrap();
                        keys.push(key);
                    }
                }
                Step::Revoke { by: who, target, keep, account: top } => {
                    let signer = if top { account } else { by(&keys[who % keys.len()]) };
                    let target = keys[target % keys.len()].id();
                    let last = |log: &Log| log.last_entry_of(&target).filter(|_| keep);
                    let a = whole.revoke(signer, target, last(&whole), NOW);
                    let b = short.revoke(signer, target, last(&short), NOW);
                    // Whom a Checkpoint left out is not known any more, where the whole log may
                    // know it and repeat itself.
                    let gone = !ids(&whole).contains(&target);
                    prop_assert!(gone || a.as_ref().err() == b.as_ref().err());
                    if !gone && let (Ok(a), Ok(b)) = (a, b) {
                        whole.insert(a).unwrap();
                        short.insert(b).unwrap();
                    }
                }
                Step::Compact { account: top } => {
                    let signer = if top { account } else { by(&keys[0]) };
                    if let Ok(entry) = short.checkpoint(signer, NOW) {
                        prop_assert_eq!(short.insert(entry), Ok(Inserted::New));
                        let now = ids(&short);
                        left_out.extend(keys.iter().map(InstallationKey::id).filter(|id| !now.contains(id)));
                    }
                }
            }
            // Where a Revoke that a Checkpoint covers turns out void, the whole log revives whom it
            // took out; the Checkpoint keeps them out. From there on the two differ rightly.
            if ids(&whole).iter().any(|id| left_out.contains(id)) {
                break;
            }
            prop_assert_eq!(ids(&short), ids(&whole));
            prop_assert_eq!(relation(&short), relation(&whole));
            fulls.push(short.clone());
        }
        // Merged with any earlier state, in either order: the same, and never a rollback.
        for earlier in &fulls {
            prop_assert_eq!(merged(earlier, &short), short.clone());
            prop_assert!(!short.is_rollback_of(earlier));
        }
        let read = Log::decode(&short.encode(), &NETWORK).unwrap();
        prop_assert_eq!((&read, read.state(), read.encode()), (&short, short.state(), short.encode()));
    }

    /// A compacted log with a bit changed or its end cut is refused, or says the same.
    #[test]
    fn a_damaged_log_says_nothing_else(at: usize, bit in 0u8..8, cut in 1usize..2000) {
        let (mut person, [first, second, third, _]) = family();
        compact(&mut person.log, by(&first));
        let entry = person.log.hand_over(by(&first), second.id(), NOW).unwrap();
        person.log.insert(entry).unwrap();
        compact(&mut person.log, by(&second));
        let entry = revoke(&person.log, by(&second), third.id());
        person.log.insert(entry).unwrap();
        let bytes = person.log.encode();
        if let Ok(read) = Log::decode(&flip(&bytes, at, bit), &NETWORK) {
            prop_assert_eq!(read.state(), person.log.state());
        }
        // A log that lacks its last entries is an older one, and a rollback.
        if let Ok(read) = Log::decode(&bytes[..bytes.len().saturating_sub(cut)], &NETWORK) {
            prop_assert!(read.is_rollback_of(&person.log));
        }
        let checkpoint = person.log.base_entry().unwrap().encode();
        let account = person.account.id();
        if let Ok(read) = Entry::decode(&flip(&checkpoint, at, bit), &account, &NETWORK) {
            prop_assert!(read.verify().is_err() || read.hash() == person.log.base_entry().unwrap().hash());
        }
    }

    /// Whatever a junior signs, on any parents, before or after it is revoked: those senior to it
    /// stay, in their order, and custody where it is.
    #[test]
    fn a_junior_gains_nothing(
        acts in prop::collection::vec((any::<u8>(), any::<usize>(), any::<usize>(), any::<u32>()), 1..14),
        when in 0usize..3,
    ) {
        let (mut person, [first, second, third, _]) = family();
        let old = person.log.clone();
        compact(&mut person.log, by(&first));
        if when > 0 {
            let entry = revoke(&person.log, by(&first), third.id());
            person.log.insert(entry).unwrap();
        }
        if when > 1 {
            compact(&mut person.log, by(&first));
        }
        let before = relation(&person.log);
        let mut log = person.log.clone();
        let seen: Vec<Entry> = old.entries().into_iter().chain(person.log.entries()).cloned().collect();
        let listed = person.log.base_entry().unwrap().ground().clone();
        let mut own = vec![copy(&third)];
        for (kind, a, b, depth) in acts {
            let signer = copy(&own[a % own.len()]);
            let parents: std::collections::BTreeSet<EntryHash> =
                [a, b].iter().map(|n| seen[n % seen.len()].hash()).chain(log.tips().into_iter().take(a % 2)).collect();
            let key = InstallationKey::generate(&mut rng(u64::from(depth)));
            let target = [&first, &second, &third][b % 3].id();
            let right = parents.iter().filter_map(|p| log.get(p)).map(|e| e.depth() + 1).max();
            let (body, proof, ground) = match kind % 3 {
                0 => {
                    let proof = key.prove_possession(&person.account.id(), &NETWORK);
                    (EntryBody::Add { installation: key.id() }, Some(proof), Ground::default())
                }
                1 => (
                    EntryBody::Revoke { installation: target, last_valid: None },
                    None,
                    Ground::default(),
                ),
                _ => {
                    let base = Some(seen[b % seen.len()].hash());
                    let custodian = if a % 2 == 0 { signer.id() } else { target };
                    (EntryBody::Checkpoint { custodian }, None, Ground { base, ..listed.clone() })
                }
            };
            let draft = Draft {
                account: person.account.id(),
                network: NETWORK,
                parents: parents.into_iter().collect(),
                depth: if depth % 4 == 0 { depth.max(1) } else { right.unwrap_or(1) },
                body,
                issued_at: NOW,
                possession: proof,
                ground,
            };
            let entry = draft.sign(by(&signer));
            if let Ok(entry) = Entry::decode(&entry.encode(), &person.account.id(), &NETWORK) {
                let _ = log.insert(entry);
                own.push(key);
            }
        }
        let honest = [first.id(), second.id()];
        let of_honest = |log: &Log| -> Vec<_> {
            relation(log).into_iter().filter(|(a, b)| honest.contains(a) && honest.contains(b)).collect()
        };
        let was: Vec<_> =
            before.iter().copied().filter(|(a, b)| honest.contains(a) && honest.contains(b)).collect();
        prop_assert_eq!(of_honest(&log), was);
        prop_assert_eq!(log.custodian(), Some(first.id()));
        for (a, b) in relation(&log) {
            // No one that it brought in has power over those that were there.
            prop_assert!(honest.contains(&a) || !honest.contains(&b));
        }
        if when > 0 {
            prop_assert_eq!(ids(&log).len(), 3);
        }
    }
}
