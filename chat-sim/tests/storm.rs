//! A soak: storms in the weather that the protocol is expected to survive. `chat_sim::storm` says what
//! is left out, and why.

use chat_sim::campaign::{seeds, storms};
use chat_sim::weather::Weather;

/// Runs, if `WAKU_CHAT_SEEDS` does not say how many.
const SEEDS: u64 = 20;

#[test]
fn after_the_storm_all_is_where_it_belongs() {
    let failures = storms(&Weather::default(), 0..seeds(SEEDS), |_| {});
    let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n"));
}
