//! What the tests of bad input have in common.

use chat_core::machine::{Disposition, Refused};
use chat_core::params::{NetworkId, NetworkParams};
use chat_core::time::{Slot, Timestamp};
use chat_core::wire::roots::Roots;
use chat_core::wire::topic::lanes;
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario, Who};

/// The fast network.
pub(crate) fn network() -> NetworkId {
    NetworkParams::fast().id()
}

/// Whole seconds in nanoseconds, as Waku has timestamps.
pub(crate) fn ns(at: Timestamp) -> i64 {
    i64::try_from(at.secs()).unwrap() * 1_000_000_000
}

pub(crate) fn now_slot(scenario: &Scenario) -> Slot {
    Slot::at(scenario.now(), scenario.world().params.slot_secs)
}

/// Friends in a group of all of them, made by the first.
pub(crate) fn hikers<const N: usize>(
    names: [&str; N],
    seed: u64,
) -> (Scenario, [Person; N], GroupHandle) {
    let scenario = Scenario::new(seed);
    let people = scenario.friends(names);
    let all: Vec<&dyn Who> = people.iter().map(|person| person as &dyn Who).collect();
    let hikers = people[0].phone.create_group("hikers", &all[1..]);
    scenario.settle();
    hikers.assert_agreed(&all);
    (scenario, people, hikers)
}

/// The topics of some roots.
pub(crate) fn topics(roots: &Roots) -> Vec<String> {
    lanes(&roots.topic, &network()).iter().map(ToString::to_string).collect()
}

/// A member's frame in the group, sealed as it should be: what becomes of it at another one.
pub(crate) fn inside(
    scenario: &Scenario,
    by: &Installation,
    group: &GroupHandle,
    frame: &[u8],
    at: &dyn Who,
) -> Vec<Disposition> {
    let message = by.sealed(scenario, group, frame);
    scenario.judged(message, at)
}

pub(crate) fn refused(why: Refused) -> Vec<Disposition> {
    vec![Disposition::Refused(why)]
}

/// Rows of a table at a device.
pub(crate) fn rows(at: &dyn Who, table: &str) -> u64 {
    at.installation().machine(|machine| machine.database().rows()).unwrap()[table]
}
