//! Campaigns: many seeds on all cores, and what went wrong in each.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::storm;
use crate::weather::Weather;

/// Faults of a seed that are shown; there may be hundreds, all with one cause.
const SHOWN: usize = 6;

/// A seed in which something went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The weather that it was run in.
    pub weather: Weather,
    /// What went wrong.
    pub faults: Vec<String>,
}

impl Failure {
    /// The command that runs this seed again, by itself.
    pub fn replay(&self) -> String {
        format!(
            "cargo run --release -p chat-sim --bin campaign -- --seeds 1 --first {} --weather {}",
            self.seed, self.weather
        )
    }
}

/// The seed, a short text of what went wrong, and the command that replays it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}:", self.seed)?;
        for fault in self.faults.iter().take(SHOWN) {
            writeln!(f, "  {fault}")?;
        }
        if self.faults.len() > SHOWN {
            writeln!(f, "  … and {} more", self.faults.len() - SHOWN)?;
        }
        write!(f, "  replay: {}", self.replay())
    }
}

/// How many seeds a test goes through: what the environment's `WAKU_CHAT_SEEDS` says, or `default`.
///
/// # Panics
/// Where `WAKU_CHAT_SEEDS` is not a number.
#[allow(clippy::expect_used)]
pub fn seeds(default: u64) -> u64 {
    let asked = std::env::var("WAKU_CHAT_SEEDS").ok();
    asked.map_or(default, |text| text.parse().expect("WAKU_CHAT_SEEDS is a number"))
}

/// Runs storms of this weather, one for each seed, on all cores. `tell` hears of each failure as
/// soon as it is known, in no particular order; all of them are given at the end, by seed.
pub fn storms(
    weather: &Weather,
    seeds: Range<u64>,
    tell: impl Fn(&Failure) + Sync,
) -> Vec<Failure> {
    let mut failures = on_all_cores(seeds, |seed| {
        let faults = catch_unwind(AssertUnwindSafe(|| storm::run(weather, seed)))
            .unwrap_or_else(|panic| vec![format!("it panicked: {}", text_of(&*panic))]);
        if faults.is_empty() {
            return Vec::new();
        }
        let failure = Failure { seed, weather: weather.clone(), faults };
        tell(&failure);
        vec![failure]
    });
    failures.sort_by_key(|failure| failure.seed);
    failures
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// Runs every seed, on as many threads as there are cores. Gives what all of them found.
///
/// # Panics
/// Where a run does.
pub fn on_all_cores<T: Send>(seeds: Range<u64>, run: impl Fn(u64) -> Vec<T> + Sync) -> Vec<T> {
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let mut found = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return found;
                }
                found.extend(run(seed));
            }
        };
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, Vec<T>>| match handle.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        handles.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::Kind;

    #[test]
    fn a_failure_names_its_seed_its_faults_and_how_to_replay_it() {
        let weather = Weather::from_iter([Kind::Delay, Kind::Loss]);
        let faults = (0..9).map(|at| format!("fault {at}")).collect();
        let text = Failure { seed: 17, weather, faults }.to_string();
        assert!(text.starts_with("seed 17:\n  fault 0\n"), "{text}");
        assert!(text.contains("\n  fault 5\n  … and 3 more\n"), "{text}");
        assert!(text.ends_with("--seeds 1 --first 17 --weather loss,delay"), "{text}");
    }

    #[test]
    fn every_seed_is_run_once() {
        let mut found = on_all_cores(5..105, |seed| vec![seed]);
        found.sort_unstable();
        assert_eq!(found, (5..105).collect::<Vec<_>>());
    }
}
