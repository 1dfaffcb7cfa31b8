//! The deterministic network simulator of waku-chat and its outside observer.

pub mod reference;
pub mod world;
