//! The C interface, called as C calls it: accounts that talk, clients that are closed, arguments that
//! are not valid.
#![allow(clippy::unwrap_used, unsafe_code)]

mod accounts;
mod arguments;
mod host;
mod methods;
mod threads;
