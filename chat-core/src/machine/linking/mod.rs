//! Linking a device: what each side keeps of it, and what it says.
//!
//! A side that waits for an answer repeats its message, ever more seldom; a side that is asked again
//! says the same again. So messages may be lost, doubled and late, and either device may be off for a
//! while: what it needs to go on is written in the transaction of the step that it follows from.
//!
//! What the sides say is in [`identity::linking`](crate::identity::linking).

pub(in crate::machine) mod grant;
pub(in crate::machine) mod linkings;
pub(in crate::machine) mod record;
pub(in crate::machine) mod rendezvous;
pub(in crate::machine) mod repeated;
