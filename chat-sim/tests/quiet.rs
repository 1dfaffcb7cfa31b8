//! Nothing gives a member away by reflex, on the public network's parameters: seen by an observer at a
//! relay that is a Store too, and so has the log of what it is asked. Each claim is made twice: with the
//! delays of the public network, and without them, where the observer has to find what it looks for.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

#[path = "quiet/fetches.rs"]
mod fetches;
#[path = "quiet/gaps.rs"]
mod gaps;
#[path = "quiet/queues.rs"]
mod queues;

use std::time::Duration;

use chat_core::params::{NetworkParams, QUIET_SHORTEST};

/// The public network.
fn public() -> NetworkParams {
    NetworkParams::public()
}

/// The public network, if nothing on it waited.
fn hasty() -> NetworkParams {
    NetworkParams { invitation_delay_ms: 0, ..NetworkParams::public() }
}

/// The time in which nothing may follow its cause.
fn reflex() -> Duration {
    public().quiet_delay() / QUIET_SHORTEST
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
