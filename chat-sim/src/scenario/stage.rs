//! The stage: a network, the people on it, and the time that passes.

use std::cell::RefMut;
use std::time::Duration;

use chat_core::database::Database;
use chat_core::identity::RecoveryPhrase;
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;

use super::handle::{Installation, Person, Shared, Who};
use crate::world::{Observed, World};

/// The longest that [`Scenario::settle_until`] waits, in virtual time: longer than a device goes
/// without fetching history.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// The silence after which [`Scenario::settle`] takes it that nothing more comes: longer than two
/// slots of the fast network.
pub const SILENCE: Duration = Duration::from_secs(12);
/// The most silences that [`Scenario::settle`] waits for one.
const MOST_ROUNDS: usize = 50;

/// A network, and the people on it.
pub struct Scenario {
    shared: Shared,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scenario({:?})", self.shared.world())
    }
}

impl Scenario {
    /// An empty scenario on the fast network. The same seed gives the same run.
    pub fn new(seed: u64) -> Self {
        Self::on(NetworkParams::fast(), seed)
    }

    /// The same on a network with other parameters.
    pub fn on(params: NetworkParams, seed: u64) -> Self {
        Self { shared: Shared::new(World::new(params, seed)) }
    }

    /// The world under the scenario, for what has no word here. It must not be held while a handle
    /// is used.
    pub fn world(&self) -> RefMut<'_, World> {
        self.shared.world_mut()
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        self.shared.world().now()
    }

    /// A new person with an account on a phone, who knows nobody.
    pub fn person(&self, name: &str) -> Person {
        let at = self.world().add_device();
        Person::new(name, Installation::new(&self.shared, at, &format!("{name}.phone")))
    }

    /// A new person with an account on a phone, and the account's recovery phrase.
    ///
    /// # Panics
    /// Where the account cannot be made.
    #[allow(clippy::expect_used)]
    pub fn person_with_phrase(&self, name: &str) -> (Person, RecoveryPhrase) {
        let store = Database::in_memory().expect("a database in memory can be opened");
        let mut world = self.world();
        let phrase = RecoveryPhrase::generate(world.rng());
        let at = world.add_device_of(&phrase, store);
        drop(world);
        let phone = Installation::new(&self.shared, at, &format!("{name}.phone"));
        (Person::new(name, phone), phrase)
    }

    /// Takes a further installation into the account of another one at once, without the network.
    pub fn add_installation(&self, of: &Installation, name: &str) -> Installation {
        of.beside(name, |world, of| world.add_installation(of))
    }

    /// A new installation that brings an account back with its recovery phrase alone.
    pub fn recover(&self, name: &str, phrase: &RecoveryPhrase) -> Installation {
        let at = self.world().recover(phrase);
        Installation::new(&self.shared, at, name)
    }

    /// New people with a phone each, who do not know one another.
    pub fn strangers<const N: usize>(&self, names: [&str; N]) -> [Person; N] {
        names.map(|name| self.person(name))
    }

    /// New people with a phone each, each a contact of all others.
    pub fn friends<const N: usize>(&self, names: [&str; N]) -> [Person; N] {
        let people = self.strangers(names);
        for (at, one) in people.iter().enumerate() {
            for other in &people[at + 1..] {
                one.phone.befriend(other);
            }
        }
        people
    }

    /// A new device that waits to be linked, and shows its linking code.
    pub fn newcomer(&self, name: &str) -> Installation {
        let at = self.world().add_newcomer(name);
        Installation::new(&self.shared, at, name)
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.world().run_for(time);
    }

    /// Lets arrive what is under way on the network, and what that causes at once: some
    /// milliseconds.
    pub fn deliver(&self) {
        self.world().deliver_all();
    }

    /// Lets time pass until a condition holds.
    ///
    /// # Panics
    /// Where it does not hold within [`PATIENCE`].
    #[track_caller]
    pub fn settle_until(&self, mut holds: impl FnMut() -> bool) {
        let limit = self.now() + PATIENCE;
        while !holds() {
            let goes_on = self.world().run_to_next(limit);
            assert!(goes_on || holds(), "it does not come to that in {PATIENCE:?}:\n{self}");
        }
    }

    /// Lets time pass until nothing is under way and nothing was published for [`SILENCE`], cards
    /// aside: for tests that look at what does not come. A test that waits for something that comes uses
    /// [`Scenario::settle_until`].
    ///
    /// # Panics
    /// Where the network does not come to rest.
    #[track_caller]
    pub fn settle(&self) {
        for _ in 0..MOST_ROUNDS {
            let published = self.shared.world().network.observed.len();
            self.pass(SILENCE);
            let world = self.shared.world();
            if world.no_cards_since(published).is_empty() && !world.is_busy() {
                return;
            }
        }
        panic!("the network does not come to rest:\n{self}");
    }

    /// Parts the network: those who are named hear one another and nobody else, and all others hear
    /// one another.
    pub fn partition(&self, side: &[&dyn Who]) {
        self.heal();
        for who in side {
            self.world().part(who.installation().number(), 1);
        }
    }

    /// Loses the deliveries that `loses` says should be lost: of a message, to the installation with
    /// this number. The Store has them still.
    pub fn lose(&self, loses: impl FnMut(&Observed, usize) -> bool + 'static) {
        self.world().network.censor = Some(Box::new(loses));
    }

    /// Ends what [`Scenario::lose`] began.
    pub fn lose_nothing(&self) {
        self.world().network.censor = None;
    }

    /// Everything that was published so far.
    pub fn observed(&self) -> Vec<Observed> {
        self.shared.world().network.observed.clone()
    }

    /// Publishes a Waku message, from whatever source, and lets it arrive.
    pub fn publish(&self, message: Observed) {
        self.world().inject(message);
        self.deliver();
    }

    /// Makes the network whole again. What was missed comes from the Store, once a device asks for it.
    pub fn heal(&self) {
        self.world().heal();
    }

    /// Makes the network whole again, and has everybody who is online fetch what was missed.
    pub fn heal_and_reconnect(&self) {
        self.heal();
        let count = self.shared.world().devices.len();
        for device in 0..count {
            let online = self.shared.world().is_online(device);
            if online {
                self.world().reconnect(device);
            }
        }
    }

    /// Everybody accepts the requests that wait for an answer.
    pub fn accept_requests(&self) {
        self.world().accept_requests();
    }

    /// Asserts that no step of any machine failed.
    ///
    /// # Panics
    /// Where one did.
    #[track_caller]
    pub fn assert_no_failures(&self) {
        for (at, device) in self.shared.world().devices.iter().enumerate() {
            assert!(device.failures.is_empty(), "device {at}: {:?}", device.failures);
        }
    }
}

/// Where everybody is, for the message of a test that fails.
impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let world = self.shared.world();
        for (at, device) in world.devices.iter().enumerate() {
            let line = if world.is_online(at) { "online" } else { "offline" };
            write!(f, "  device {at}: {line}, partition {}", world.partition(at))?;
            let Some(machine) = &device.machine else {
                writeln!(f, ", no account runs")?;
                continue;
            };
            for group in machine.groups().into_iter().flatten() {
                let texts = machine.history(&group.id, None, u32::MAX).map_or(0, |all| all.len());
                write!(f, "; {:?}: {:?}, epoch {}", group.name, group.membership, group.epoch)?;
                write!(f, " ({:?}), {texts} messages", group.epoch_id)?;
            }
            writeln!(f, "; {} failures", device.failures.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_settles_as_soon_as_the_condition_holds() {
        let scenario = Scenario::new(1);
        let [alice, bob] = scenario.friends(["alice", "bob"]);
        let pair = alice.phone.create_group("pair", &[&bob]);
        let began = scenario.now();
        scenario.settle_until(|| pair.is_agreed(&[&alice, &bob]));
        assert!(scenario.now().since(began) < PATIENCE / 2);
        alice.phone.send(&pair, "hello");
        scenario.settle_until(|| bob.phone.reads(&pair, "hello"));
        assert!(!pair.is_read(&[&alice, &bob], &["hello", "you"]));
        pair.assert_read(&[&alice, &bob], &["hello"]);
    }

    #[test]
    #[should_panic(
        expected = "it does not come to that in 300s:\n  device 0: offline, partition 0"
    )]
    fn what_never_holds_ends_with_where_everybody_is() {
        let scenario = Scenario::new(2);
        let alice = scenario.person("alice");
        alice.phone.offline();
        scenario.settle_until(|| alice.phone.outbox() > 1000);
    }

    #[test]
    fn those_who_are_parted_do_not_hear_one_another_until_it_is_healed() {
        let scenario = Scenario::new(3);
        let [alice, bob] = scenario.friends(["alice", "bob"]);
        let pair = alice.phone.create_group("pair", &[&bob]);
        scenario.settle_until(|| pair.is_agreed(&[&alice, &bob]));
        scenario.partition(&[&bob]);
        alice.phone.send(&pair, "hello");
        scenario.settle();
        assert!(!bob.phone.reads(&pair, "hello"));
        scenario.heal_and_reconnect();
        scenario.settle_until(|| bob.phone.reads(&pair, "hello"));
    }
}
