//! The node as its operators run it: configuration, health, metrics, mistakes, and its end.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod configuration;
mod ending;
mod endpoint;
mod peers;
mod prometheus;
mod served;

use std::time::Duration;

/// Longer than anything here takes, so that a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
const CLUSTER: u32 = 66;
