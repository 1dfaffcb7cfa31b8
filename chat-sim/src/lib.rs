//! The deterministic network simulator of waku-chat: whole installations on a network in memory, in
//! virtual time, so that the same seed gives the same run.
//!
//! # A scenario
//!
//! ```
//! use chat_sim::scenario::Scenario;
//! use chat_core::machine::CommandError;
//!
//! let scenario = Scenario::new(7);
//! let [alice, bob, carol] = scenario.friends(["alice", "bob", "carol"]);
//! let hikers = alice.phone.create_group("hikers", &[&bob, &carol]);
//! scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
//!
//! // Carol is away. Bob renames the group in a tunnel, while Alice writes.
//! carol.phone.offline();
//! scenario.partition(&[&bob]);
//! bob.phone.rename(&hikers, "walkers");
//! alice.phone.send(&hikers, "where are you?");
//! scenario.heal_and_reconnect();
//! carol.phone.online();
//! scenario.settle_until(|| hikers.is_agreed(&[&alice, &bob, &carol]));
//! assert_eq!(carol.phone.view(&hikers).name, "walkers");
//! hikers.assert_read(&[&alice, &bob, &carol], &["where are you?"]);
//!
//! // Only an admin removes members, and a removed member reads no more.
//! let out = vec![carol.phone.account_id()];
//! let refusal = bob.phone.refusal(|user| user.remove_members(hikers.id(), out));
//! assert_eq!(refusal, CommandError::NotAdmin);
//! alice.phone.remove(&hikers, &[&carol]);
//! scenario.settle_until(|| !carol.phone.is_member(&hikers));
//! ```
//!
//! # The parts
//!
//! - [`scenario`]: the language above. [`world`] is what it speaks of: devices by number, relay,
//!   Store and clock. Inside of it one module, the driver, knows what goes into a machine and what
//!   comes out of it.
//! - [`crash`]: where a process dies; [`keys`]: a watch on keys that are used twice.
//! - [`ledger`]: what was said in a run, and whether it arrived where it belongs.
//! - [`observer`]: an outsider at the relay, who looks for what should not show.
//! - [`mod@reference`]: second implementations of rules, written from the protocol's text alone.
//! - [`model`]: a search through all small trees for one in which `choose` breaks a promise.
//! - [`campaign`]: many seeds of a [`storm`] in the [`weather`] that is asked for.
//! - [`fuzz`]: a machine with a peer, driven by bytes, for property tests and the fuzzer.
//! - [`fleet`]: what an account of many installations in many groups costs.

pub mod campaign;
pub mod crash;
pub mod fleet;
pub mod fuzz;
mod home;
pub mod keys;
pub mod ledger;
pub mod model;
pub mod observer;
pub mod reference;
pub mod scenario;
pub mod storm;
pub mod weather;
pub mod world;
