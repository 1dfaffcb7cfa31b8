//! A network in one process with a clock of its own: installations, a relay that can lose,
//! duplicate, delay and part, and a Store. The same seed gives the same run.
//!
//! Devices have numbers here. [`scenario`](crate::scenario) gives them names.

mod action;
mod add;
mod clock;
mod device;
mod driver;
mod kill;
mod linking;
mod network;
mod state;

pub use self::device::Device;
pub use self::driver::{ByHand, Hand, HistoryQuery, Told, Unanswered};
pub use self::network::{Censor, Faults, Network, Observed, StoreQuery};
pub use self::state::World;
