//! Nothing goes missing unnoticed: chains, heads and gaps.
//!
//! Each installation numbers what it sends to a group. [`chain`] keeps what was received from one
//! installation and what its own signature proves about the rest; [`gaps`] adds what others claim
//! and says what is missing from whom; [`heads`] picks what the next message says about
//! others. All of it is pure state: no database, no clock.

pub mod chain;
pub mod gaps;
pub mod heads;
pub mod ranges;
#[cfg(test)]
mod testing;

pub use chain::{Chain, FIRST_SEQ, Observed, Received, Span, Tip};
pub use gaps::{GapChange, GapState, Gaps, Missing};
pub use heads::{Head, HeadRotation};
pub use ranges::Ranges;
