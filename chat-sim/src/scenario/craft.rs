//! What an attacker makes: messages of any content, sealed as they should be, and what becomes of
//! them.

use std::time::Duration;

use chat_core::machine::{Disposition, Machine};
use chat_core::time::Timestamp;
use chat_core::wire::envelope::{EnvelopeKey, SizeClass, open, seal};
use chat_core::wire::roots::Roots;
use chat_core::wire::topic::ContentTopic;
use rand_core::Rng as _;

use super::handle::{GroupHandle, Installation, Who};
use super::stage::Scenario;
use crate::world::Observed;

/// The number of no device: messages by an outsider have it.
pub const NOBODY: usize = usize::MAX;

/// A Waku message that nobody can read, by nobody.
pub fn noise(at: Timestamp, len: usize) -> Observed {
    Observed {
        topic: "/waku-chat/1/aaaaaaaaaaaaaaaaaaaaaaaaaa/proto".into(),
        payload: vec![7; len],
        timestamp_ns: i64::try_from(at.secs()).unwrap_or(0) * 1_000_000_000,
        seen_at: at,
        by: NOBODY,
    }
}

impl Scenario {
    /// A frame that is sealed under any roots, now, on a lane by chance, by nobody.
    ///
    /// # Panics
    /// Where it cannot be sealed: it is too large, or the roots are of another time.
    #[allow(clippy::expect_used)]
    pub fn sealed(&self, roots: &Roots, frame: &[u8], class: SizeClass) -> Observed {
        let mut world = self.world();
        let (now, params) = (world.now(), world.params.clone());
        let lane = u8::try_from(world.below(4)).unwrap_or(0);
        let envelope = seal(world.rng(), roots, lane, frame, class, now, &params)
            .expect("the frame can be sealed");
        Observed {
            topic: envelope.topic.to_string(),
            payload: envelope.payload,
            timestamp_ns: i64::try_from(envelope.timestamp.0).unwrap_or(0) * 1_000_000,
            seen_at: now,
            by: NOBODY,
        }
    }

    /// Bytes by chance.
    pub fn bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.world().rng().fill_bytes(&mut bytes);
        bytes
    }

    /// Publishes a message. What became of it at an installation, before that asks the Store for
    /// more.
    pub fn judged(&self, message: Observed, at: &dyn Who) -> Vec<Disposition> {
        // What it asked the Store before is answered first.
        self.deliver();
        let at = at.installation();
        let before = at.dispositions().len();
        self.world().inject(message);
        self.pass(Duration::from_millis(2));
        let found = at.dispositions().split_off(before);
        self.pass(Duration::from_millis(18));
        found
    }
}

impl Installation {
    /// What became of the envelopes that it got, in their order.
    pub fn dispositions(&self) -> Vec<Disposition> {
        self.shared.world().devices[self.number()].dispositions.clone()
    }

    /// Does what its machine would not do by itself, with its keys.
    ///
    /// # Panics
    /// Where its process is down, or it has no account.
    #[allow(clippy::expect_used)]
    pub fn break_rules<T>(&self, how: impl FnOnce(&mut Machine) -> T) -> T {
        let mut world = self.shared.world_mut();
        how(world.devices[self.number()].machine.as_mut().expect("it is up"))
    }

    /// The roots that it seals a group's messages with now.
    ///
    /// # Panics
    /// Where it is not in the group.
    #[allow(clippy::expect_used)]
    pub fn roots(&self, group: &GroupHandle) -> Roots {
        let now = self.shared.world().now();
        self.machine(|machine| machine.insider_roots(&group.id(), now)).expect("it has roots")
    }

    /// The frame in an envelope of a group, which it has the roots of.
    ///
    /// # Panics
    /// Where it cannot open the envelope.
    #[allow(clippy::expect_used)]
    pub fn open(&self, group: &GroupHandle, message: &Observed) -> Vec<u8> {
        let sent = Timestamp(u64::try_from(message.timestamp_ns).unwrap_or(0) / 1_000_000);
        self.machine(|machine| {
            let roots = machine.insider_roots(&group.id(), sent).expect("it has roots");
            let key = EnvelopeKey::derive(&roots.seal, &machine.params().id());
            let topic = ContentTopic::parse(&message.topic).expect("it is a topic of ours");
            open(&key, &topic, &message.payload).expect("it is sealed under these roots").to_vec()
        })
    }

    /// A frame in a group, sealed as it should be, by this installation.
    pub fn sealed(&self, scenario: &Scenario, group: &GroupHandle, frame: &[u8]) -> Observed {
        let roots = self.roots(group);
        Observed { by: self.number(), ..scenario.sealed(&roots, frame, SizeClass::Fit) }
    }
}
