//! The waku-chat protocol: end-to-end encrypted group chat over Waku, as a state machine without
//! I/O.
//!
//! Nothing here opens a socket, spawns a task or reads a clock. Time and randomness are handed in,
//! and what is to happen outside comes back as outputs, so that the same seed replays the same run.

pub mod contact;
pub mod convergence;
pub mod database;
pub mod group;
pub mod history;
pub mod identity;
pub mod ids;
pub mod machine;
pub mod params;
pub mod random;
pub mod time;
pub mod wire;
