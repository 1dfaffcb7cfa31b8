//! Bad input, by everybody who can send some: each gets a typed disposition or error, nothing panics
//! or grows without bound, and the group lives on.

#![allow(clippy::unwrap_used)]

mod works;

#[path = "bad_input/kit.rs"]
mod kit;

#[path = "bad_input/clocks.rs"]
mod clocks;
#[path = "bad_input/commits.rs"]
mod commits;
#[path = "bad_input/insiders.rs"]
mod insiders;
#[path = "bad_input/invitations.rs"]
mod invitations;
#[path = "bad_input/outsiders.rs"]
mod outsiders;
#[path = "bad_input/stores.rs"]
mod stores;
