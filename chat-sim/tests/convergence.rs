//! `choose` against its second implementation, and against what the rule is for.

// A test may fail by a panic.
#![allow(clippy::unwrap_used)]

#[path = "convergence/random.rs"]
mod random;
#[path = "convergence/rules.rs"]
mod rules;
#[path = "convergence/trees.rs"]
mod trees;
