//! What takes several parts of the machine: these files hold no state of their own.

pub(in crate::machine) mod card;
pub(in crate::machine) mod contacts;
pub(in crate::machine) mod directory;
pub(in crate::machine) mod doorbell;
pub(in crate::machine) mod doubts;
pub(in crate::machine) mod groups;
pub(in crate::machine) mod joining;
pub(in crate::machine) mod learn;
mod linking;
pub(in crate::machine) mod reconcile;
pub(in crate::machine) mod recovery;
pub(in crate::machine) mod revoke;
pub(in crate::machine) mod self_group;
pub(in crate::machine) mod tell_own;
pub(in crate::machine) mod told_by_own;
pub(in crate::machine) mod transfer;
