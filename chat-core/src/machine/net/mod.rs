//! The network as this installation uses it: what goes out, what is listened to, what is fetched.

pub(in crate::machine) mod backoff;
pub(in crate::machine) mod clock;
pub(in crate::machine) mod doubts;
pub(in crate::machine) mod history;
pub(in crate::machine) mod outbox;
pub(in crate::machine) mod outside;
pub(in crate::machine) mod query;
pub(in crate::machine) mod quiet;
pub(in crate::machine) mod scheduler;
pub(in crate::machine) mod watch;
