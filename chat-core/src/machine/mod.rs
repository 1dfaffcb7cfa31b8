//! The one door of the protocol.
