//! Faults on the way from the relay to an endpoint, drawn from a seed.

/// Probabilities of faults, each from 0 (never, the default) to 1 (always). They are drawn for each
/// message and each endpoint separately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Seed of the random numbers: the same seed and the same calls make the same faults.
    pub seed: u64,
    /// Probability that a message does not arrive at an endpoint.
    pub drop: f64,
    /// Probability that a message arrives at an endpoint twice.
    pub duplicate: f64,
    /// Probability that a message is held back until up to [`max_hold`](Self::max_hold) later ones
    /// have arrived at the same endpoint, or until [`Network::flush`](super::Network::flush).
    pub reorder: f64,
    /// Most messages that overtake one that is held back.
    pub max_hold: u32,
    /// Probability that a message does not arrive at the Store.
    pub store_drop: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { seed: 0, drop: 0.0, duplicate: 0.0, reorder: 0.0, max_hold: 8, store_drop: 0.0 }
    }
}

/// SplitMix64: small, fast and the same on every platform. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True with the given probability. Draws exactly one number either way, so that changing one
    /// probability leaves the other faults where they were.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what a double holds exactly.
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        unit < probability
    }

    /// A number from 1 to `max`, or 1 if that is 0.
    pub(super) fn up_to(&mut self, max: u32) -> u32 {
        (self.next() % u64::from(max.max(1))) as u32 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_what_they_say() {
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| (1..=3).contains(&rng.up_to(3))));
        assert_eq!(rng.up_to(0), 1);
    }
}
