//! People who do not know one another yet, and time in which others talk.

use std::time::Duration;

use chat_core::ids::RequestId;
use chat_core::machine::Event;
use chat_sim::scenario::{GroupHandle, Installation, Person, Scenario};

/// Alice knows Bob, who does not know her; and others chat with one another, so that time goes on.
pub(crate) struct Strangers {
    pub(crate) scenario: Scenario,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    other: Person,
    others: GroupHandle,
}

impl Strangers {
    pub(crate) fn new(seed: u64) -> Self {
        let scenario = Scenario::new(seed);
        let [alice, bob, other, another] = scenario.strangers(["alice", "bob", "other", "another"]);
        alice.phone.add_contact(&bob.phone.contact_link(), None);
        other.phone.befriend(&another);
        let others = other.phone.create_group("others", &[&another]);
        scenario.settle();
        Self { scenario, alice, bob, other, others }
    }

    /// Time passes, in which others talk, and Bob catches up.
    pub(crate) fn pass(&self, time: Duration) {
        self.scenario.pass(time);
        self.other.phone.send(&self.others, "time goes on");
        self.scenario.settle();
        self.bob.phone.reconnect();
        self.scenario.settle();
    }

    /// The one request that Bob has.
    pub(crate) fn request(&self) -> RequestId {
        let requests = self.bob.phone.requests();
        assert_eq!(requests.len(), 1);
        requests[0].id
    }
}

pub(crate) fn gave_up(device: &Installation) -> bool {
    device.count_events(|event| matches!(event, Event::RequestFailed { .. })) > 0
}
