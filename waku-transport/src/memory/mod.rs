//! A Waku network inside the process.
//!
//! A [`Network`] is one ideal relay with a Store, to which every [`MemoryTransport`] is connected.
//! Delivery happens inside `publish`, in order, without tasks or timers, so a test that drives its
//! endpoints in a fixed order sees the same run each time. Everything that goes wrong in real
//! networks can be switched on: [`Faults`] (loss, duplicates, reordering, from a seed), partitions,
//! endpoints that are offline, a Store that is absent, lies, lags or sends invalid answers ([`StoreBehaviour`]).
//! [`Network::observe`] shows what an outsider at the relay would see.

mod endpoint;
mod faults;
mod network;
mod relay;
mod store;
mod witness;

pub use endpoint::MemoryTransport;
pub use faults::Faults;
pub use network::{Network, NetworkOptions};
pub use relay::{EndpointId, Observed};
pub use store::StoreBehaviour;
