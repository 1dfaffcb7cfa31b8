//! Bytes: how topics, envelopes and frames are derived, sealed and read.

pub mod labels;
