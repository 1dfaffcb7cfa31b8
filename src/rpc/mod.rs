//! The client by the names of its methods: for other programs, which speak JSON.
//!
//! The program's `rpc` command and the C interface carry out the same methods here, so that a name,
//! its parameters, its result and its errors mean the same everywhere. [`METHODS`] lists them;
//! `docs/C-API.md` describes them.

mod devices;
mod error;
mod methods;
mod params;

use std::time::Duration;

use serde_json::Value;

use crate::client::Client;

pub use error::RpcError;
pub(crate) use error::error_json;
pub use methods::{Kind, METHODS, Method, method};

/// Most messages that one `history` answers with: some 100 MB if all are as long as can be.
pub const MAX_HISTORY: u32 = 1000;
/// How many it answers with unless asked for another number.
pub const DEFAULT_HISTORY: u32 = 100;

/// Carries out a method of a client. Parameters are an object; null is as good as an empty one.
/// Methods that wait do so for `patience`, unless their parameters say otherwise.
///
/// Dropping the future gives up waiting; a command that the client has taken is carried out all the
/// same.
///
/// # Errors
/// [`RpcError`], whose codes are stable.
pub async fn call(
    client: &Client,
    method: &str,
    params: Value,
    patience: Duration,
) -> Result<Value, RpcError> {
    methods::call(client, methods::method(method)?, params, patience).await
}
