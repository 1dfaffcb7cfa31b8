//! Catching up: what was sent while a device was away is fetched, whatever ends in between.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

#[path = "catch_up/doorbells.rs"]
mod doorbells;
#[path = "catch_up/invited.rs"]
mod invited;
#[path = "catch_up/queries.rs"]
mod queries;
#[path = "catch_up/strangers.rs"]
mod strangers;
