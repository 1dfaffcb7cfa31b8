//! The duties of every backend, as tests.
//!
//! A backend implements [`Harness`], which sets up a small network, and runs the whole suite:
//!
//! ```text
//! waku_transport::conformance_tests!(MyHarness::start().await);
//! ```
//!
//! Each test is an async function over a fresh harness and panics on failure. Messages have
//! timestamps near the present, since Stores refuse others. Where a message must *not* arrive, a
//! later message that must arrive shows that its time has passed.

mod harness;
mod history;
mod live;
mod outages;
mod published;
mod steps;

pub use harness::Harness;
pub use history::*;
pub use live::*;
pub use outages::*;
pub use published::*;
pub use steps::soon;

/// Makes a test of each function of the suite. The argument is an expression that sets up a fresh
/// [`Harness`]; it may use `.await`.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!(@ $harness;
            delivers_to_all_who_watch
            watches_and_unwatches
            keeps_many_topics_apart
            limits_watched_topics
            suppresses_duplicates
            limits_sizes
            refuses_bad_input
            loses_nothing_at_a_pace
            reports_what_a_slow_reader_missed
            shows_its_status
            what_is_published_is_in_the_store
            no_store_has_the_last_word
            pages_through_history
            fetches_by_time
            fetches_by_topic
            survives_bad_stores
            reconnects
            survives_a_restart_of_the_relay
            shuts_down
            shuts_down_under_way
        );
    };
    (@ $harness:expr; $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::conformance::$name($harness).await;
            }
        )*
    };
}
