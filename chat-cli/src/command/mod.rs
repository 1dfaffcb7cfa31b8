//! The commands, one file for each family.

pub(crate) mod account;
pub(crate) mod chat;
pub(crate) mod group;
pub(crate) mod installations;
pub(crate) mod messages;
pub(crate) mod node;
pub(crate) mod people;
pub(crate) mod recover;
pub(crate) mod rpc;
