//! The configuration of a node: libwaku's keys, read as libwaku reads them. Keys that this node does not
//! know are skipped, as in libwaku.

mod keys;
mod network;
mod services;
mod settings;
mod unserved;

pub(crate) use settings::Settings;
