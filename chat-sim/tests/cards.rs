//! Cards through Store: published once a period, found where a link has none, kept fresh.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

#[path = "cards/kit.rs"]
mod kit;

#[path = "cards/asked.rs"]
mod asked;
#[path = "cards/forged.rs"]
mod forged;
#[path = "cards/found.rs"]
mod found;
#[path = "cards/killed.rs"]
mod killed;
#[path = "cards/published.rs"]
mod published;
