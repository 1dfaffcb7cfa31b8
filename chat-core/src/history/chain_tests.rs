use super::*;
use crate::history::testing::{Author, OURS, THEIRS, shuffled};
use proptest::prelude::*;

fn hash(n: u64) -> ItemHash {
    ItemHash([n as u8; 32])
}

fn item(seq: u64, prev_in_epoch: Option<u64>) -> Received {
    Received {
        seq,
        hash: hash(seq),
        previous: seq.checked_sub(1).filter(|p| *p > 0).map(hash),
        prev_in_epoch,
        epoch: OURS[0],
        own_first_epoch: false,
    }
}

fn numbers(ranges: &Ranges) -> Vec<u64> {
    ranges.iter().flat_map(|(first, last)| first..=last).collect()
}

#[test]
fn a_jump_inside_an_epoch_names_the_item_before() {
    let mut chain = Chain::joined();
    assert_eq!(chain.receive(item(10, None)), Observed::New);
    assert_eq!(chain.receive(item(13, Some(12))), Observed::New);
    assert_eq!(numbers(&chain.missing()), [11, 12]);
    assert_eq!(chain.contiguous(), Some(10));
    assert_eq!(chain.hash_of(12), Some(hash(12)));
    // 12 says that the one before it in this epoch is 10: 11 was sent elsewhere.
    assert_eq!(chain.receive(item(12, Some(10))), Observed::New);
    assert!(chain.missing().is_empty());
    assert_eq!(chain.contiguous(), Some(13));
    assert_eq!(chain.tip().map(|tip| tip.seq), Some(13));
}

#[test]
fn the_first_item_of_somebody_who_was_there_before_makes_no_gap() {
    let mut chain = Chain::joined();
    chain.receive(item(500, None));
    assert!(chain.missing().is_empty());
    assert_eq!(chain.first(), Some(500));
    // Unless it says itself that it is not the first of the epoch.
    let mut chain = Chain::joined();
    chain.receive(item(500, Some(498)));
    assert_eq!(numbers(&chain.missing()), [498]);
}

#[test]
fn all_numbers_of_somebody_who_came_after_count() {
    let mut chain = Chain::from_start(FIRST_SEQ);
    assert_eq!((chain.first(), chain.contiguous()), (Some(1), None));
    chain.receive(item(3, None));
    assert_eq!(numbers(&chain.missing()), [1, 2]);
    assert_eq!(chain.contiguous(), None);
    chain.receive(item(1, None));
    assert_eq!(chain.contiguous(), Some(1));
}

#[test]
fn two_versions_of_a_number_are_told_from_a_duplicate() {
    let mut chain = Chain::joined();
    chain.receive(item(5, None));
    assert_eq!(chain.receive(item(5, None)), Observed::Duplicate);
    let other = Received { hash: hash(99), ..item(5, None) };
    let seen = Observed::Equivocation { seq: 5, known: hash(5), other: hash(99), fresh: false };
    assert_eq!(chain.receive(other), seen);
    assert!(chain.equivocated(5));
    assert_eq!(chain.hash_of(5), Some(hash(5)));
}

#[test]
fn a_previous_hash_that_does_not_match_is_an_equivocation_in_either_order() {
    let odd = Received { previous: Some(hash(99)), ..item(6, Some(5)) };
    let mut chain = Chain::joined();
    chain.receive(item(5, None));
    assert_eq!(
        chain.receive(odd),
        Observed::Equivocation { seq: 5, known: hash(5), other: hash(99), fresh: true }
    );
    let mut back = Chain::joined();
    back.receive(odd);
    assert_eq!(
        back.receive(item(5, None)),
        Observed::Equivocation { seq: 5, known: hash(99), other: hash(5), fresh: true }
    );
    for chain in [chain, back] {
        assert!(chain.equivocated(5) && chain.has(5) && chain.has(6));
    }
}

#[test]
fn numbers_that_contradict_themselves_change_nothing() {
    let mut chain = Chain::joined();
    chain.receive(item(5, None));
    let before = chain.clone();
    assert_eq!(chain.receive(item(7, Some(7))), Observed::Malformed);
    assert_eq!(chain.receive(item(7, Some(u64::MAX))), Observed::Malformed);
    let first_with_past = Received { previous: None, ..item(7, Some(5)) };
    assert_eq!(chain.receive(first_with_past), Observed::Malformed);
    assert_eq!(chain, before);
}

#[test]
fn nothing_is_missing_above_the_cut() {
    let mut chain = Chain::from_start(1);
    chain.receive(item(9, None));
    chain.set_cut(Some(4));
    assert_eq!(numbers(&chain.missing()), [1, 2, 3, 4]);
    assert!(chain.in_bounds(4) && !chain.in_bounds(5));
    chain.set_cut(Some(u64::MAX));
    assert_eq!(chain.missing().count(), 8);
    chain.set_cut(None);
    assert_eq!(chain.missing().count(), 8);
}

#[test]
fn the_first_item_in_our_first_epoch_refutes_earlier_ones() {
    let mut chain = Chain::joined();
    chain.receive(Received { own_first_epoch: true, ..item(20, None) });
    assert!(chain.refutes(&OURS[0], 19));
    assert!(!chain.refutes(&OURS[0], 20));
    assert!(!chain.refutes(&OURS[1], 19));
}

#[test]
fn an_author_that_leaves_out_numbers_does_not_fill_memory() {
    let mut chain = Chain::from_start(1);
    for n in 1..5000u64 {
        chain.receive(item(n * 2, Some(n * 2 - 1)));
        // Names something far back too.
        chain.receive(item(1_000_000 + n, Some(n * 3)));
    }
    assert!(rmp_serde::to_vec(&chain).unwrap().len() < 64 * 1024);
    assert!(chain.base() > 0);
    assert_eq!(chain.receive(item(chain.base() - 1, None)), Observed::Stale);
    let mut chain = Chain::joined();
    chain.receive(item(1, None));
    chain.receive(item(u64::MAX, None));
    assert_eq!(chain.missing().count(), u64::MAX - 2);
    for n in 2..5000u64 {
        chain.receive(item(u64::MAX - n, Some(n * 5)));
    }
    assert!(rmp_serde::to_vec(&chain).unwrap().len() < 64 * 1024);
}

proptest! {
    #[test]
    fn any_items_leave_a_chain_that_can_be_stored(
        items in prop::collection::vec((any::<u64>(), any::<u8>(), any::<Option<u64>>(), any::<bool>()), 0..60)
    ) {
        let mut chain = Chain::joined();
        for (seq, byte, prev, first) in items {
            let previous = Some(hash(u64::from(byte)));
            chain.receive(Received {
                seq,
                hash: hash(u64::from(byte)),
                previous,
                prev_in_epoch: prev.map(|p| p % seq.max(1)),
                epoch: OURS[0],
                own_first_epoch: first,
            });
            let missing = chain.missing();
            prop_assert!(!missing.contains(seq) || seq < chain.base() || !chain.has(seq));
        }
        let bytes = rmp_serde::to_vec(&chain).unwrap();
        prop_assert_eq!(rmp_serde::from_slice::<Chain>(&bytes).unwrap(), chain);
    }

    /// Of someone who came after us, exactly what was lost before the last that came is missing.
    #[test]
    fn losses_of_a_newcomer_are_found_exactly(
        epochs in prop::collection::vec(0usize..3, 1..40),
        lost in prop::collection::vec(any::<bool>(), 40),
        seed: u64,
    ) {
        let sent = Author::history(epochs.iter().map(|e| OURS[*e]));
        let kept: Vec<Received> =
            sent.iter().zip(&lost).filter(|(_, lost)| !**lost).map(|(i, _)| *i).collect();
        let last = kept.iter().map(|i| i.seq).max().unwrap_or(0);
        let expected: Vec<u64> =
            (1..=last).filter(|n| !kept.iter().any(|i| i.seq == *n)).collect();
        let mut chain = Chain::from_start(FIRST_SEQ);
        for item in shuffled(&kept, seed) {
            chain.receive(item);
        }
        prop_assert_eq!(numbers(&chain.missing()), expected);
    }

    /// Of someone who was there before us: what we join into makes no gap, in whatever order its
    /// items come, and what is lost after that is found.
    #[test]
    fn joining_makes_no_gap(
        before in prop::collection::vec(0usize..2, 0..20),
        after in prop::collection::vec(0usize..3, 1..30),
        lost in prop::collection::vec(any::<bool>(), 30),
        seed: u64,
    ) {
        let epochs = before.iter().map(|e| THEIRS[*e]).chain(after.iter().map(|e| OURS[*e]));
        let sent = Author::history(epochs);
        let ours = &sent[before.len()..];
        let mut chain = Chain::joined();
        for item in shuffled(ours, seed) {
            chain.receive(item);
            // On the way too, only what we were members for is missing.
            prop_assert!(numbers(&chain.missing()).iter().all(|n| *n > before.len() as u64));
        }
        prop_assert!(chain.missing().is_empty());

        let kept: Vec<Received> =
            ours.iter().zip(&lost).filter(|(_, lost)| !**lost).map(|(i, _)| *i).collect();
        let mut chain = Chain::joined();
        for item in shuffled(&kept, seed) {
            chain.receive(item);
        }
        let missing = numbers(&chain.missing());
        prop_assert!(missing.iter().all(|n| *n > before.len() as u64));
        // Whatever an item that came names as the one before it in its epoch is found.
        for p in kept.iter().filter_map(|i| i.prev_in_epoch) {
            prop_assert!(chain.has(p) || missing.contains(&p));
        }
    }

    /// Someone who goes to and fro between an epoch of ours and a branch that we never were on
    /// leaves no gap there. (With losses on top, what lies between two of them cannot be told
    /// apart; but what an item names is always found.)
    #[test]
    fn a_branch_of_others_makes_no_gap(
        trips in prop::collection::vec(any::<bool>(), 1..40), lost in prop::collection::vec(any::<bool>(), 40), seed: u64
    ) {
        let sent = Author::history(trips.iter().map(|t| if *t { OURS[0] } else { THEIRS[0] }));
        let ours: Vec<Received> = sent.iter().filter(|i| i.epoch == OURS[0]).copied().collect();
        let mut chain = Chain::joined();
        for item in shuffled(&ours, seed) {
            chain.receive(item);
        }
        prop_assert!(chain.missing().is_empty());

        let kept: Vec<Received> =
            ours.iter().zip(&lost).filter(|(_, lost)| !**lost).map(|(i, _)| *i).collect();
        let mut chain = Chain::joined();
        for item in shuffled(&kept, seed) {
            chain.receive(item);
        }
        for p in kept.iter().filter_map(|i| i.prev_in_epoch) {
            prop_assert!(chain.has(p) || chain.missing().contains(p));
        }
    }

    #[test]
    fn order_and_repetition_do_not_matter(
        epochs in prop::collection::vec(0usize..5, 1..30),
        picks in prop::collection::vec(0usize..30, 0..60),
        one: u64,
        two: u64,
        newcomer: bool,
    ) {
        let all = [OURS[0], OURS[1], OURS[2], THEIRS[0], THEIRS[1]];
        let sent = Author::history(epochs.iter().map(|e| all[*e]));
        let picked: Vec<Received> = picks
            .iter()
            .filter_map(|at| sent.get(*at).copied())
            .filter(|i| OURS.contains(&i.epoch))
            .collect();
        let run = |seed: u64| {
            let mut chain = if newcomer { Chain::from_start(1) } else { Chain::joined() };
            for item in shuffled(&picked, seed) {
                chain.receive(item);
            }
            chain
        };
        prop_assert_eq!(run(one), run(two));
    }
}
