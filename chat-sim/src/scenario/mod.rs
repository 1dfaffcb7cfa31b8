//! A language for scenarios: people with named installations, groups, and a network that can be
//! good or bad, in virtual time.
//!
//! A scenario reads as what people do: `alice.phone.send(&hikers, "hello")`. What a command answers
//! is a value; a command that is refused ends the test, unless it was given through
//! [`Installation::refusal`]. [`Scenario::settle_until`] lets time pass until a condition holds.

mod agreement;
mod craft;
mod fate;
mod handle;
mod sight;
mod stage;
mod user;

pub use self::craft::{NOBODY, noise};
pub use self::handle::{GroupHandle, Installation, Person, Who};
pub use self::stage::{PATIENCE, SILENCE, Scenario};
