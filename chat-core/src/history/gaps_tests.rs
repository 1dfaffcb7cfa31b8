use super::*;
use crate::history::chain::Received;
use crate::history::testing::{Author, OURS, THEIRS, shuffled};
use crate::ids::{EpochId, ItemHash};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_000);
const LATER: Timestamp = Timestamp(9_000);

fn account(n: u8) -> AccountId {
    AccountId([n; 32])
}

/// The installation that things are missing from, and its account.
const FROM: InstallationId = InstallationId([7; 32]);
const AUTHOR: AccountId = AccountId([7; 32]);

fn claim(chain: &Chain, seq: u64, epoch: EpochId) -> Claim<'_> {
    let head = Head { installation: FROM, epoch, seq, hash: ItemHash([seq as u8; 32]) };
    Claim { head, account: AUTHOR, ours: OURS.contains(&epoch), chain }
}

fn chain_of(items: &[Received], newcomer: bool) -> Chain {
    let mut chain = if newcomer { Chain::from_start(1) } else { Chain::joined() };
    for item in items {
        chain.receive(*item);
    }
    chain
}

fn spans(list: &[Missing]) -> Vec<(u64, u64)> {
    list.iter().map(|m| (m.span.first, m.span.last)).collect()
}

#[test]
fn a_gap_is_missed_since_it_was_known_and_recovers_piece_by_piece() {
    let sent = Author::history([OURS[0]; 6]);
    let mut chain = chain_of(&[sent[0], sent[5]], false);
    let mut gaps = Gaps::default();
    let span = |first, last| Span { from: FROM, first, last };
    let missed =
        |span| GapChange { span, missed_since: None, state: GapState::Missing { since: NOW } };
    assert_eq!(gaps.observe(FROM, AUTHOR, &chain, NOW), [missed(span(2, 5))]);
    chain.receive(sent[3]);
    assert_eq!(
        gaps.observe(FROM, AUTHOR, &chain, LATER),
        [GapChange { span: span(4, 4), missed_since: Some(NOW), state: GapState::Recovered }]
    );
    assert_eq!(gaps.state(&FROM, 4, &chain), Some(GapState::Recovered));
    assert_eq!(gaps.state(&FROM, 6, &chain), Some(GapState::Received));
    assert_eq!(gaps.state(&FROM, 5, &chain), Some(GapState::Missing { since: NOW }));
    assert_eq!(gaps.state(&FROM, 40, &chain), None);
    let one = |first, last| Missing { account: AUTHOR, span: span(first, last), since: NOW };
    assert_eq!(gaps.missing(), [one(2, 3), one(5, 5)]);
    for item in [sent[1], sent[2], sent[4]] {
        chain.receive(item);
        gaps.observe(FROM, AUTHOR, &chain, LATER);
    }
    assert_eq!(gaps.missing(), []);
    assert!(gaps.observe(FROM, AUTHOR, &chain, LATER).is_empty());
}

#[test]
fn a_group_without_losses_takes_no_room() {
    let chain = chain_of(&Author::history([OURS[0]; 30]), true);
    let mut gaps = Gaps::default();
    assert_eq!(gaps.observe(FROM, AUTHOR, &chain, NOW), []);
    assert_eq!(gaps.claims(account(1), &[claim(&chain, 30, OURS[0])], NOW), []);
    assert_eq!(gaps, Gaps::default());
}

#[test]
fn one_account_claims_and_two_prove() {
    let sent = Author::history([OURS[0]; 9]);
    let chain = chain_of(&sent[..4], true);
    let mut gaps = Gaps::default();
    gaps.claims(account(1), &[claim(&chain, 8, OURS[0])], NOW);
    // The same account again, and the author's own, add nothing.
    gaps.claims(account(1), &[claim(&chain, 8, OURS[0])], NOW);
    gaps.claims(AUTHOR, &[claim(&chain, 8, OURS[0])], NOW);
    assert_eq!(gaps.missing(), []);
    assert_eq!(spans(&gaps.claimed()), [(8, 8)]);
    assert_eq!(gaps.state(&FROM, 8, &chain), Some(GapState::Claimed { since: NOW }));
    // Another one has less: so much was sent for certain.
    gaps.claims(account(2), &[claim(&chain, 6, OURS[0])], LATER);
    assert_eq!(spans(&gaps.missing()), [(5, 6)]);
    assert_eq!(spans(&gaps.claimed()), [(8, 8)]);
    let changes = gaps.claims(account(3), &[claim(&chain, 8, OURS[0])], LATER);
    assert_eq!(spans(&gaps.claimed()), []);
    assert_eq!(gaps.missing().iter().map(|m| m.span.count()).sum::<u64>(), 4);
    assert_eq!(gaps.state(&FROM, 8, &chain), Some(GapState::Missing { since: NOW }));
    assert!(changes.iter().any(|c| c.span.first == 8 && c.missed_since == Some(NOW)));
}

#[test]
fn claims_about_epochs_of_others_are_none() {
    let chain = Chain::joined();
    let mut gaps = Gaps::default();
    for n in 1..4 {
        assert_eq!(gaps.claims(account(n), &[claim(&chain, 5, THEIRS[0])], NOW), []);
    }
    assert_eq!(gaps, Gaps::default());
    // In an epoch of ours two are enough, for that number alone: what was before is not known.
    for n in 1..3 {
        gaps.claims(account(n), &[claim(&chain, 5, OURS[0])], NOW);
    }
    assert_eq!(spans(&gaps.missing()), [(5, 5)]);
}

#[test]
fn what_the_author_refutes_is_not_claimed() {
    // Its first item in our first epoch is 5.
    let sent = Author::history([THEIRS[0], THEIRS[0], THEIRS[0], THEIRS[0], OURS[0]]);
    let chain = chain_of(&sent[4..], false);
    let mut gaps = Gaps::default();
    for n in 1..4 {
        gaps.claims(account(n), &[claim(&chain, 4, OURS[0])], NOW);
    }
    assert_eq!(gaps, Gaps::default());
}

#[test]
fn a_liar_fills_its_own_budget_only() {
    let chain = chain_of(&Author::history([OURS[0]; 3]), true);
    let mut gaps = Gaps::default();
    let lies: Vec<Claim<'_>> = (0..500).map(|n| claim(&chain, 1000 + 2 * n, OURS[0])).collect();
    gaps.claims(account(1), &lies, NOW);
    assert_eq!(gaps.claimed().len(), CLAIM_BUDGET);
    assert_eq!(gaps.missing(), []);
    // Others are heard all the same, and no lie becomes a loss by it.
    gaps.claims(account(2), &[claim(&chain, 4, OURS[0])], NOW);
    assert_eq!(spans(&gaps.missing()), [(4, 4)]);
    // Many liars are bounded together.
    for n in 10..40 {
        let lies: Vec<Claim<'_>> =
            (0..500).map(|m| claim(&chain, (u64::from(n) << 32) + 2 * m, OURS[0])).collect();
        gaps.claims(account(n), &lies, NOW);
    }
    assert!(gaps.claimed().len() + gaps.missing().len() <= 2 * MAX_CLAIMED);
    assert!(rmp_serde::to_vec(&gaps).unwrap().len() < 256 * 1024);
}

#[test]
fn a_search_ends_and_may_still_be_proved_wrong() {
    let sent = Author::history([OURS[0]; 8]);
    let mut chain = chain_of(&[sent[0], sent[7]], true);
    let mut gaps = Gaps::default();
    gaps.observe(FROM, AUTHOR, &chain, NOW);
    assert_eq!(spans(&gaps.missing()), [(2, 7)]);
    let span = |first, last| Span { from: FROM, first, last };
    for (first, last, verdict, state) in [
        (2, 3, Verdict::Lost, GapState::Lost),
        (4, 4, Verdict::Undecryptable, GapState::Undecryptable),
        (5, 5, Verdict::NotOurs, GapState::Withdrawn),
    ] {
        let changes = gaps.resolve(span(first, last), AUTHOR, verdict, &chain, LATER);
        assert_eq!(
            changes,
            [GapChange { span: span(first, last), missed_since: Some(NOW), state }]
        );
        assert_eq!(gaps.state(&FROM, first, &chain), Some(state));
    }
    assert_eq!(spans(&gaps.missing()), [(6, 7)]);
    // No one brings them up again.
    for n in 1..4 {
        assert_eq!(gaps.claims(account(n), &[claim(&chain, 3, OURS[0])], LATER), []);
    }
    // A verdict on what is not missing is none.
    assert_eq!(gaps.resolve(span(1, 1), AUTHOR, Verdict::Lost, &chain, LATER), []);
    assert_eq!(gaps.state(&FROM, 1, &chain), Some(GapState::Received));
    for late in [2, 4] {
        chain.receive(sent[late - 1]);
        let changes = gaps.observe(FROM, AUTHOR, &chain, LATER);
        assert!(changes.iter().any(|c| c.state == GapState::Recovered));
        assert_eq!(gaps.state(&FROM, late as u64, &chain), Some(GapState::Recovered));
    }
    assert_eq!(gaps.state(&FROM, 3, &chain), Some(GapState::Lost));
}

#[test]
fn a_cut_withdraws_what_lies_above() {
    let sent = Author::history([OURS[0]; 9]);
    let mut chain = chain_of(&[sent[0], sent[8]], true);
    let mut gaps = Gaps::default();
    gaps.observe(FROM, AUTHOR, &chain, NOW);
    chain.set_cut(Some(4));
    let changes = gaps.observe(FROM, AUTHOR, &chain, LATER);
    assert_eq!(
        changes,
        [GapChange {
            span: Span { from: FROM, first: 5, last: 8 },
            missed_since: Some(NOW),
            state: GapState::Withdrawn,
        }]
    );
    assert_eq!(spans(&gaps.missing()), [(2, 4)]);
    // The branch with the removal lost: they are missing again.
    chain.set_cut(None);
    gaps.observe(FROM, AUTHOR, &chain, LATER);
    assert_eq!(gaps.missing().iter().map(|m| m.span.count()).sum::<u64>(), 7);
}

#[test]
fn more_gaps_than_are_tracked_end_as_lost() {
    let sent = Author::history([OURS[0]; 2000]);
    let mut chain = Chain::from_start(1);
    let mut gaps = Gaps::default();
    let mut lost = 0;
    for item in sent.iter().step_by(2) {
        chain.receive(*item);
        let changes = gaps.observe(FROM, AUTHOR, &chain, NOW);
        lost += changes
            .iter()
            .filter(|c| c.state == GapState::Lost)
            .map(|c| c.span.count())
            .sum::<u64>();
    }
    let missing: u64 = gaps.missing().iter().map(|m| m.span.count()).sum();
    assert!(lost > 0 && missing <= MAX_RANGES as u64);
    assert_eq!(missing + lost, 999);
}

#[test]
fn two_items_under_one_number_are_shown() {
    let sent = Author::history([OURS[0]; 2]);
    let mut chain = chain_of(&sent, true);
    chain.receive(Received { hash: ItemHash([200; 32]), ..sent[1] });
    assert_eq!(Gaps::default().state(&FROM, 2, &chain), Some(GapState::Equivocation));
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Item(Received),
    Claim { by: u8, seq: u64, epoch: EpochId },
}

/// The gaps after these events; each step's result survives storage.
fn run(events: &[Event], newcomer: bool) -> (Gaps, Chain) {
    let mut chain = chain_of(&[], newcomer);
    let mut gaps = Gaps::default();
    for event in events {
        match event {
            Event::Item(item) => {
                chain.receive(*item);
                gaps.observe(FROM, AUTHOR, &chain, NOW);
            }
            Event::Claim { by, seq, epoch } => {
                gaps.claims(account(*by), &[claim(&chain, *seq, *epoch)], NOW);
            }
        }
    }
    let bytes = rmp_serde::to_vec(&gaps).unwrap();
    assert_eq!(rmp_serde::from_slice::<Gaps>(&bytes).unwrap(), gaps);
    (gaps, chain)
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        epochs in prop::collection::vec(0usize..5, 1..25),
        picks in prop::collection::vec(0usize..25, 0..40),
        claims in prop::collection::vec((0u8..4, 0usize..25), 0..12),
        one: u64,
        two: u64,
        newcomer: bool,
    ) {
        let all = [OURS[0], OURS[1], OURS[2], THEIRS[0], THEIRS[1]];
        let sent = Author::history(epochs.iter().map(|e| all[*e]));
        let items = picks.iter().filter_map(|at| sent.get(*at)).filter(|i| OURS.contains(&i.epoch));
        let mut events: Vec<Event> = items.map(|i| Event::Item(*i)).collect();
        // Everyone tells the truth, as far as it was told.
        events.extend(claims.iter().filter_map(|(by, at)| {
            let item = sent.get(*at)?;
            Some(Event::Claim { by: *by, seq: item.seq, epoch: item.epoch })
        }));
        let (a, chain) = run(&shuffled(&events, one), newcomer);
        let (b, other) = run(&shuffled(&events, two), newcomer);
        prop_assert_eq!(chain, other);
        prop_assert_eq!(a.missing(), b.missing());
        prop_assert_eq!(a.claimed(), b.claimed());
    }

    /// Nothing but the author, or two others, makes a number missing.
    #[test]
    fn a_single_liar_makes_nothing_missing(
        epochs in prop::collection::vec(0usize..3, 0..20),
        lies in prop::collection::vec((any::<u64>(), 0usize..3), 0..80),
        newcomer: bool,
    ) {
        let sent = Author::history(epochs.iter().map(|e| OURS[*e]));
        let chain = chain_of(&sent, newcomer);
        let mut gaps = Gaps::default();
        gaps.observe(FROM, AUTHOR, &chain, NOW);
        for (seq, epoch) in lies {
            gaps.claims(account(1), &[claim(&chain, seq, OURS[epoch])], NOW);
        }
        prop_assert_eq!(gaps.missing(), []);
        prop_assert!(gaps.claimed().len() <= CLAIM_BUDGET);
    }

    /// What changes say, added up, is what the lists say.
    #[test]
    fn changes_add_up(
        picks in prop::collection::vec(0usize..25, 0..40),
        claims in prop::collection::vec((0u8..4, 0usize..25), 0..12),
        seed: u64,
    ) {
        let sent = Author::history([OURS[0]; 25]);
        let mut events: Vec<Event> = picks.iter().map(|at| Event::Item(sent[*at])).collect();
        events.extend(
            claims.iter().map(|(by, at)| Event::Claim { by: *by, seq: *at as u64 + 1, epoch: OURS[0] }),
        );
        let mut chain = Chain::from_start(1);
        let mut gaps = Gaps::default();
        let mut model: BTreeMap<u64, GapState> = BTreeMap::new();
        for event in shuffled(&events, seed) {
            let changes = match event {
                Event::Item(item) => {
                    chain.receive(item);
                    gaps.observe(FROM, AUTHOR, &chain, NOW)
                }
                Event::Claim { by, seq, epoch } => {
                    gaps.claims(account(by), &[claim(&chain, seq, epoch)], NOW)
                }
            };
            for change in changes {
                for seq in change.span.seqs() {
                    prop_assert_ne!(model.insert(seq, change.state), Some(change.state));
                }
            }
        }
        for (seq, state) in model {
            prop_assert_eq!(gaps.state(&FROM, seq, &chain), Some(state), "{}", seq);
        }
        for missing in gaps.missing() {
            for seq in missing.span.seqs() {
                prop_assert!(!chain.has(seq));
            }
        }
    }
}
