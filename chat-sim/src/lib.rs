//! The deterministic network simulator of waku-chat and its outside observer.

pub mod crash;
pub mod fleet;
pub mod ledger;
pub mod linking;
pub mod observer;
pub mod reference;
pub mod world;
