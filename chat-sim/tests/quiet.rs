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
use chat_sim::scenario::{GroupHandle, Person, Scenario};

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

/// Three members of a group, some time after its beginning and in the middle of a slot.
fn members(params: NetworkParams, seed: u64) -> (Scenario, [Person; 3], GroupHandle) {
    let scenario = Scenario::on(params, seed);
    let people = scenario.friends(["alice", "bob", "carol"]);
    scenario.pass(MINUTE);
    let [alice, bob, carol] = &people;
    let hikers = alice.phone.create_group("hikers", &[bob, carol]);
    scenario.pass(HOUR / 2);
    hikers.assert_agreed(&[alice, bob, carol]);
    (scenario, people, hikers)
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
