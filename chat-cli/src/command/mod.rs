//! The commands, each family in a file or folder of its own.

pub(crate) mod chat;
pub(crate) mod contact;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod installations;
pub(crate) mod listen;
pub(crate) mod mark_read;
pub(crate) mod node;
pub(crate) mod recover;
pub(crate) mod requests;
pub(crate) mod rpc;
pub(crate) mod send;
pub(crate) mod whoami;
