//! Linking an installation to an account, over the network: the good way, the bad ends, and attacks.

#![allow(clippy::unwrap_used)]

#[path = "linking/attacks.rs"]
mod attacks;
#[path = "linking/bad_ends.rs"]
mod bad_ends;
#[path = "linking/good_way.rs"]
mod good_way;
#[path = "linking/scene.rs"]
mod scene;
