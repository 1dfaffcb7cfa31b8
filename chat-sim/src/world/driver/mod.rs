//! The driver of a simulated device: the one place that knows what goes into a machine and what
//! comes out of it. Everything else in this crate, and every test, speaks to it in values of its own.

mod by_hand;
mod command;
mod message;
mod step;

pub use self::by_hand::{ByHand, HistoryQuery, Told};
pub use self::command::{Hand, Unanswered};
