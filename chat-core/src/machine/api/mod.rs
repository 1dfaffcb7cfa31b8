//! The surface: what goes in, what comes out, and what is shown. Imports no part.

pub(in crate::machine) mod command;
pub(in crate::machine) mod disposition;
pub(in crate::machine) mod done;
pub(in crate::machine) mod error;
pub(in crate::machine) mod event;
pub(in crate::machine) mod io;
pub(in crate::machine) mod linking;
pub(in crate::machine) mod view;
