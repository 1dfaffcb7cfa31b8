//! Where looking for a contact's card stands, as kept with the contact.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contact::card::Card;
use crate::machine::net::backoff::Backoff;
use crate::params::{CARD_PERIOD, CARD_RETRY_MIN, CARD_RETRY_WANTED, CARD_SPREAD};
use crate::time::Timestamp;

/// Pauses between searches for a card that is in no Store.
const RETRY: Backoff = Backoff::new(CARD_RETRY_MIN, CARD_PERIOD);

/// What there is to know of a contact's card without reading it, as stored.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(in crate::machine) struct Look {
    /// The period of the card that is known.
    counter: Option<u64>,
    /// Until when the contact can be added with it.
    usable_until: Option<Timestamp>,
    /// When it is to be looked for next.
    next_at: Timestamp,
    /// When it was looked for last and not found.
    looked_at: Timestamp,
    /// How often in a row it was not found.
    misses: u32,
    /// Whether the application was told that it was not found.
    told: bool,
}

impl Look {
    /// For a card that has just come, to be looked for again at `next_at`.
    pub(in crate::machine) fn at(card: &Card, next_at: Timestamp) -> Self {
        let packages = card.content().key_packages.iter().map(|it| it.usable_until).max();
        let usable_until = packages.map(|until| until.min(card.content().inbox.usable_until));
        Self { counter: Some(card.content().counter), usable_until, next_at, ..Self::default() }
    }

    /// The first period whose card is not known.
    pub(in crate::machine) fn next_period(&self) -> u64 {
        self.counter.map_or(0, |known| known.saturating_add(1))
    }

    pub(in crate::machine) fn next_at(&self) -> Timestamp {
        self.next_at
    }

    /// Whether the contact can be added with the card that is known.
    pub(in crate::machine) fn is_usable(&self, now: Timestamp) -> bool {
        self.usable_until.is_some_and(|until| until > now)
    }

    /// Whether it was looked for in vain, and not found since.
    pub(in crate::machine) fn was_missed(&self) -> bool {
        self.misses > 0
    }

    /// Whether nobody has looked for it just now, so that it is worth while.
    pub(in crate::machine) fn is_worth_a_try(&self, now: Timestamp) -> bool {
        self.misses == 0 || now.since(self.looked_at) >= CARD_RETRY_WANTED
    }

    /// Has the card looked for at once, if there is none that can be used.
    pub(in crate::machine) fn look_again(&mut self, now: Timestamp) {
        if !self.is_usable(now) {
            *self = Self { next_at: now, misses: 0, told: false, ..*self };
        }
    }

    /// The next search is at `next_at`.
    pub(in crate::machine) fn found(&mut self, next_at: Timestamp) {
        self.next_at = next_at;
    }

    /// It was not found. True the first time: the application is to be told.
    pub(in crate::machine) fn missed(&mut self, now: Timestamp) -> bool {
        self.looked_at = now;
        self.next_at = now + RETRY.pause(self.misses);
        self.misses = self.misses.saturating_add(1);
        self.tell()
    }

    /// Whether the application is to be told that there is no card; only once.
    pub(in crate::machine) fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// The device was away, or its clock was ahead: the next search is drawn anew.
    pub(in crate::machine) fn catch_up(
        &mut self,
        now: Timestamp,
        within: impl Fn(Duration) -> Duration,
    ) {
        // A period is the longest that any look is ahead.
        let late = self.is_usable(now) && self.next_at + CARD_SPREAD < now;
        if late || self.next_at > now + CARD_PERIOD * 3 {
            self.next_at = now + within(CARD_SPREAD);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_card_that_is_not_found_is_looked_for_ever_more_seldom_and_told_once() {
        let mut look = Look::default();
        let mut pauses = Vec::new();
        let mut told = 0;
        for _ in 0..20 {
            told += usize::from(look.missed(NOW));
            pauses.push(look.next_at().since(NOW));
        }
        assert_eq!(told, 1);
        assert_eq!(pauses[0], CARD_RETRY_MIN);
        assert!(pauses.windows(2).all(|pair| pair[1] >= pair[0]));
        assert_eq!(pauses[19], CARD_PERIOD);
        assert!(!look.is_worth_a_try(NOW));
        look.look_again(NOW);
        assert!(look.is_worth_a_try(NOW) && look.next_at() == NOW);
    }

    #[test]
    fn a_look_far_ahead_comes_from_a_clock_that_was_ahead() {
        let mut look = Look { next_at: NOW + CARD_PERIOD * 100, ..Look::default() };
        look.catch_up(NOW, |most| most / 2);
        assert_eq!(look.next_at(), NOW + CARD_SPREAD / 2);
        // One that is not usable and due stays due.
        let mut look = Look { next_at: NOW - CARD_PERIOD, ..Look::default() };
        look.catch_up(NOW, |most| most / 2);
        assert_eq!(look.next_at(), NOW - CARD_PERIOD);
    }
}
