//! This account and this installation.

pub(in crate::machine) mod card;
pub(in crate::machine) mod installations;
pub(in crate::machine) mod keys;
pub(in crate::machine) mod me;
pub(in crate::machine) mod recovery;
pub(in crate::machine) mod transfer;
