//! The new device, before it has an account: a small machine of its own, on the same parts.
//!
//! `state` is what it is and holds, `outgoing` and `incoming` are its two ways, `talk` is what the two
//! sides of a linking say, and `step` drives it.

mod incoming;
mod outgoing;
mod state;
mod step;
mod talk;

pub use state::Newcomer;
