//! The installation log against a second implementation that never forgets anything.

#![allow(clippy::unwrap_used)]

use chat_core::identity::{
    Author, EntrySigner, Inserted, InstallationKey, Log, LogError, RecoveryPhrase,
};
use chat_core::ids::InstallationId;
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;
use chat_sim::reference::log::{is_ancestor, standing};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[derive(Debug, Clone, Copy)]
struct Step {
    kind: u8,
    who: usize,
    target: usize,
    keep: bool,
    account: bool,
    view: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let account = prop::bool::weighted(0.15);
    (any::<u8>(), any::<usize>(), any::<usize>(), any::<bool>(), account, any::<bool>()).prop_map(
        |(kind, who, target, keep, account, view)| Step { kind, who, target, keep, account, view },
    )
}

/// Who is active by the second implementation, and who is senior to whom.
fn reference(log: &Log) -> (Vec<InstallationId>, Vec<(InstallationId, InstallationId)>) {
    let entries = log.entries();
    let standing = standing(&entries);
    let id = |hash| log.get(hash).unwrap().body().installation();
    let mut active: Vec<InstallationId> = standing.iter().map(id).collect();
    let mut senior: Vec<_> = standing
        .iter()
        .flat_map(|a| standing.iter().map(move |b| (a, b)))
        .filter(|(a, b)| is_ancestor(&entries, a, b))
        .map(|(a, b)| (id(a), id(b)))
        .collect();
    active.sort();
    senior.sort();
    (active, senior)
}

/// The same by the log itself.
fn by_itself(log: &Log) -> (Vec<InstallationId>, Vec<(InstallationId, InstallationId)>) {
    let active: Vec<InstallationId> = log.state().active.keys().copied().collect();
    let pairs = active.iter().flat_map(|a| active.iter().map(move |b| (*a, *b)));
    let senior =
        pairs.filter(|(a, b)| a != b && log.may_revoke(Author::Installation(*a), b)).collect();
    (active, senior)
}

struct Run {
    account: chat_core::identity::AccountKey,
    keys: Vec<InstallationKey>,
    log: Log,
}

fn begin() -> Run {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let account = RecoveryPhrase::generate(&mut rng).account_key();
    let first = InstallationKey::generate(&mut rng);
    let mut log = Log::new(account.id(), NetworkParams::public().id());
    let create = log.create(&account, &first, NOW).unwrap();
    log.insert(create).unwrap();
    Run { account, keys: vec![first], log }
}

/// What a step adds to a log, if it may.
fn act(
    run: &Run,
    log: &Log,
    step: &Step,
    new: &InstallationKey,
) -> Option<Result<chat_core::identity::Entry, LogError>> {
    let signer = match step.account {
        true => EntrySigner::Account(&run.account),
        false => EntrySigner::Installation(&run.keys[step.who % run.keys.len()]),
    };
    Some(match step.kind % 2 {
        0 => {
            let proof = new.prove_possession(&log.account(), log.network());
            log.add(signer, new.id(), proof, NOW)
        }
        _ => {
            let target = run.keys[step.target % run.keys.len()].id();
            // Whom a Checkpoint left out is not known any more.
            if !log.state().active.contains_key(&target) {
                return None;
            }
            let last = log.last_entry_of(&target).filter(|_| step.keep);
            log.revoke(signer, target, last, NOW)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Two halves of an account that meet now and then: what is side by side is judged alike.
    #[test]
    fn the_whole_set_is_judged_as_the_text_says(steps in prop::collection::vec(step(), 1..9)) {
        let mut run = begin();
        let mut halves = [run.log.clone(), run.log.clone()];
        for (n, step) in steps.iter().enumerate() {
            let new = InstallationKey::generate(&mut ChaCha20Rng::seed_from_u64(100 + n as u64));
            let at = usize::from(step.view);
            if let Some(Ok(entry)) = act(&run, &halves[at], step, &new) {
                let adds = entry.body().enrols();
                halves[at].insert(entry).unwrap();
                if adds {
                    run.keys.push(new);
                }
            }
            if step.kind > 200 {
                let other = halves[0].clone();
                halves[1].merge(&other).unwrap();
            }
        }
        let [mut all, other] = halves;
        prop_assert_eq!(by_itself(&other), reference(&other));
        all.merge(&other).unwrap();
        prop_assert_eq!(by_itself(&all), reference(&all));
    }

    /// One log is kept whole and judged by the second implementation, the other is compacted now and
    /// then: they say the same, and answer the same.
    #[test]
    fn a_compacted_log_says_what_the_text_says_of_the_whole(
        steps in prop::collection::vec(step(), 1..11),
    ) {
        let mut run = begin();
        let (mut whole, mut short) = (run.log.clone(), run.log.clone());
        let mut compactions = 0;
        let mut left_out = std::collections::BTreeSet::new();
        for (n, step) in steps.iter().enumerate() {
            if step.kind > 150 {
                let signer = match step.account {
                    true => EntrySigner::Account(&run.account),
                    false => EntrySigner::Installation(&run.keys[0]),
                };
                if let Ok(entry) = short.checkpoint(signer, NOW) {
                    prop_assert_eq!(short.insert(entry), Ok(Inserted::New));
                    compactions += 1;
                    let now = &short.state().active;
                    left_out.extend(run.keys.iter().map(InstallationKey::id).filter(|id| !now.contains_key(id)));
                }
            }
            let before = (whole.clone(), short.clone());
            let new = InstallationKey::generate(&mut ChaCha20Rng::seed_from_u64(100 + n as u64));
            match (act(&run, &whole, step, &new), act(&run, &short, step, &new)) {
                (Some(Ok(a)), Some(Ok(b))) => {
                    let adds = a.body().enrols();
                    whole.insert(a).unwrap();
                    short.insert(b).unwrap();
                    if adds {
                        run.keys.push(new);
                    }
                }
                (a, b) => prop_assert_eq!(a.map(Result::err), b.map(Result::err)),
            }
            // Where a Revoke that a Checkpoint covers turns out void, the whole log revives whom it took
            // out; the Checkpoint keeps them out. From there on the two differ rightly.
            if reference(&whole).0.iter().any(|id| left_out.contains(id)) {
                (whole, short) = before;
                break;
            }
            prop_assert_eq!(by_itself(&short), reference(&whole), "after {} checkpoints", compactions);
        }
        let read = Log::decode(&short.encode(), short.network()).unwrap();
        prop_assert_eq!(by_itself(&read), reference(&whole));
    }
}
