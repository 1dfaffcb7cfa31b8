//! Other accounts: contacts and their cards, requests, installation logs.

pub(in crate::machine) mod cards;
pub(in crate::machine) mod contacts;
pub(in crate::machine) mod doorbells;
pub(in crate::machine) mod logs;
pub(in crate::machine) mod look;
pub(in crate::machine) mod requests;
