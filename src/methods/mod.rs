//! JSON methods: everything that a [`Client`](crate::Client) can do, by name, for programs that speak
//! JSON.
//!
//! `waku-chat rpc` and the C interface both use this module, so that a method has the same name,
//! parameters, result and errors in both. `list` defines each method once. From there come the
//! dispatch, the names ([`Method`]), the parameters ([`Call`]), the help of the program ([`help`]) and
//! the tables in `docs/C-API.md` ([`schema`]).

mod define;
mod error;
mod kind;
mod list;
mod schema;

pub use error::MethodError;
pub(crate) use error::error_json;
pub use kind::Kind;
pub use list::{Call, Change, DEFAULT_HISTORY, DEFAULT_TRANSFER_DAYS, MAX_HISTORY, Method, Sent};
pub use schema::{help, schema};
