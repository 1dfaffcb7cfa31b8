//! One machine with a peer, driven by bytes: each byte string is a sequence of inputs, so that
//! property tests and the fuzzer say the same with the same bytes.

#![allow(clippy::unwrap_used)] // What is not there ends the run: that is what it is for.

mod choices;
mod harness;
mod shown;
mod wish;

pub use self::harness::Harness;
