//! Where and when an account's cards are: all of it follows from the card secret and the period.

use std::time::Duration;

use super::card::Card;
use super::link::CardSecret;
use crate::params::{CARD_MARGIN, CARD_PERIOD, NetworkId};
use crate::time::{Slot, Timestamp};
use crate::wire::labels::{Label, expand};
use crate::wire::roots::{Roots, card_roots};
use crate::wire::topic::ContentTopic;

/// The lane of every card. Lanes spread what is sent on one root; here that is one envelope, and
/// a reader asks for one topic instead of four.
pub const CARD_LANE: u8 = 0;

/// When a period begins.
pub fn period_start(period: u64) -> Timestamp {
    Timestamp::from_secs(period.saturating_mul(CARD_PERIOD.as_secs()))
}

/// When the card of a period is due: in whole seconds, spread evenly over the period but its last
/// [`CARD_MARGIN`].
///
/// Every installation of the account derives the same time, whatever its user does; and so does
/// everyone else who has the contact link. To others it is a random time.
pub fn card_time(secret: &CardSecret, period: u64, network: &NetworkId) -> Timestamp {
    let bytes = expand::<8>(secret.as_bytes(), Label::CardTime, network, &[&period.to_be_bytes()]);
    let window = (CARD_PERIOD - CARD_MARGIN).as_secs();
    period_start(period) + Duration::from_secs(u64::from_be_bytes(*bytes) % window)
}

/// The roots of the card of the period that `at` falls into, for use in its slot.
pub fn roots_at(secret: &CardSecret, at: Timestamp, slot_secs: u64, network: &NetworkId) -> Roots {
    let slot = Slot::at(at, slot_secs);
    card_roots(secret.as_bytes(), Card::counter_at(at), slot, network)
}

/// The one topic of the card of a period.
pub fn card_topic(secret: &CardSecret, period: u64, network: &NetworkId) -> ContentTopic {
    let roots = card_roots(secret.as_bytes(), period, Slot(0), network);
    ContentTopic::derive(&roots.topic, CARD_LANE, network)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{NETWORK, OTHER_NETWORK, rng};
    use proptest::prelude::*;

    #[test]
    fn times_are_spread_over_the_period() {
        let secret = CardSecret::generate(&mut rng(1));
        let mut eighths = [0; 8];
        for period in 20_000..20_800 {
            let into = card_time(&secret, period, &NETWORK).since(period_start(period));
            eighths[(into.as_secs() * 8 / CARD_PERIOD.as_secs()) as usize] += 1;
        }
        assert!(eighths.iter().all(|count| (60..140).contains(count)), "{eighths:?}");
    }

    proptest! {
        #[test]
        fn time_and_topic_are_those_of_one_secret_period_and_network(
            seed in 0u64..1000, period in 0u64..1 << 32,
        ) {
            let secret = CardSecret::generate(&mut rng(seed));
            let at = card_time(&secret, period, &NETWORK);
            prop_assert_eq!(Card::counter_at(at), period);
            prop_assert!(at + CARD_MARGIN < period_start(period + 1));
            prop_assert_eq!(at.millis() % 1000, 0);
            let topic = card_topic(&secret, period, &NETWORK);
            prop_assert_ne!(&topic, &card_topic(&secret, period + 1, &NETWORK));
            prop_assert_ne!(&topic, &card_topic(&secret, period, &OTHER_NETWORK));
            let other = CardSecret::generate(&mut rng(seed + 1));
            prop_assert_ne!(&topic, &card_topic(&other, period, &NETWORK));
            let roots = roots_at(&secret, at, 5, &NETWORK);
            prop_assert_eq!(ContentTopic::derive(&roots.topic, CARD_LANE, &NETWORK), topic);
        }
    }
}
