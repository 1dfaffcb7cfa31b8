//! One MLS group: its epochs, commits and messages. Nothing here decides which commits count; that
//! is `convergence`.

pub mod commit;
mod config;
pub mod crypto;
pub mod epoch;
pub mod error;
pub mod join;
pub mod join_info;
pub mod mls;
#[cfg(feature = "test-access")]
#[doc(hidden)]
pub mod observe;
pub mod package;
pub mod pages;
pub mod policy;
pub mod rows;
pub mod stage;
mod storage;
