//! What linking and revoking cost an account that is in many groups, and that nobody sees from their
//! times which groups these are.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chat_core::params::{COMMIT_PACE, ENROL_SPREAD, EVICT_SPREAD, NetworkParams};
use chat_sim::fleet::{Cost, Fleet};

const INSTALLATIONS: usize = 4;
const GROUPS: usize = 12;

/// In how much time commits to so many groups should be, on the public network.
fn window(share: u64) -> Duration {
    let slot = Duration::from_secs(NetworkParams::public().slot_secs);
    let pace = slot * (COMMIT_PACE as u32) * (GROUPS as u32) / 1000;
    (slot * (share as u32) / 1000).max(pace)
}

fn costs(said: usize) -> (Cost, Cost, Cost) {
    let mut fleet = Fleet::new(INSTALLATIONS, GROUPS, said).unwrap();
    let (linking, enrolment) = fleet.link().unwrap();
    let revocation = fleet.revoke().unwrap();
    for device in &fleet.world.devices {
        assert!(device.failures.is_empty(), "{:?}", device.failures);
    }
    (linking, enrolment, revocation)
}

#[test]
fn what_was_said_before_costs_nothing_and_nobody_sees_a_burst() {
    let (linking, enrolment, revocation) = costs(0);
    let (again, enrolment_again, revocation_again) = costs(60);
    assert_eq!(linking.sizes, again.sizes);
    assert_eq!(enrolment.messages(), enrolment_again.messages());
    assert_eq!(revocation.messages(), revocation_again.messages());
    assert_eq!(enrolment.bytes(), enrolment_again.bytes());
    assert_eq!(revocation.bytes(), revocation_again.bytes());

    // A commit for each group, and as many Welcomes in the self group.
    let few = 2 * GROUPS..=2 * GROUPS + 8;
    assert!(few.contains(&enrolment.messages()), "{}", enrolment.messages());
    let few = GROUPS..=GROUPS + 8;
    assert!(few.contains(&revocation.messages()), "{}", revocation.messages());

    let later = |cost: &Cost| -> Cost {
        // What is said in the self group at once concerns no other one.
        let times = cost.times.iter().copied().filter(|at| *at > Duration::from_secs(1));
        Cost { times: times.collect(), ..cost.clone() }
    };
    let minute = Duration::from_secs(60);
    for (cost, share, most) in [(&enrolment, ENROL_SPREAD, 8), (&revocation, EVICT_SPREAD, 5)] {
        let (cost, window) = (later(cost), window(share));
        assert!(cost.took <= window + minute, "{:?} of {window:?}", cost.took);
        let densest = cost.densest(window);
        assert!(densest <= most, "{densest} in a part of {window:?}: {:?}", cost.times);
    }
    // The last halves of the windows are used as the first ones are.
    for (cost, share) in [(&enrolment, ENROL_SPREAD), (&revocation, EVICT_SPREAD)] {
        let half = window(share) / 2;
        assert!(later(cost).times.iter().any(|at| *at > half), "{:?}", cost.times);
    }
    // No two groups, nor a group and the self group, are heard of at one instant.
    for cost in [&enrolment, &revocation] {
        let mut times = later(cost).times;
        let count = times.len();
        times.sort();
        times.dedup();
        assert_eq!(times.len(), count, "some came at one instant: {times:?}");
    }
}
