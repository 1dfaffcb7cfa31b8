//! [`waku_node`] behind the C interface of libwaku v0.37.1: the same 42 functions, the same JSON.
//!
//! Built as a shared library it takes the place of `libwaku.so`; see the README for how, and for
//! where its answers differ. The functions are in [`abi`].
//!
//! How a call goes:
//!
//! 1. `abi` reads the arguments on the caller's thread, and answers there what is wrong with them.
//! 2. The context is a number that `registry` knows, never memory of the caller's. One that was
//!    destroyed, or never was, is answered with an error.
//! 3. `context` hands the request to the node's thread, where `service` carries it out.
//! 4. The answer is told by the thread for `answers`, events by the thread for `events`. No
//!    callback runs on the node's thread, so a slow one stalls nobody but itself, and any function
//!    may be called from any callback.

pub mod abi;
mod answers;
mod callback;
mod config;
mod context;
mod enr;
mod events;
mod json;
mod log;
mod metrics;
mod peers;
mod registry;
mod requests;
mod service;
mod words;

pub use callback::{RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
