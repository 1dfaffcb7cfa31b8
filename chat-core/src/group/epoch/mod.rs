//! The epochs of a group, besides their MLS rows, and the roots that they use.

mod info;
mod root_lines;

pub use info::{EpochInfo, Leaf, LineId};
pub use root_lines::RootLines;
