//! [`waku_node`] behind the C interface of libwaku v0.37.1: the same 42 functions, the same JSON.
//!
//! Built as a shared library it takes the place of `libwaku.so`; the README says how, and where its
//! answers differ. The functions are in [`abi`].
//!
//! A call goes this way:
//!
//! 1. `abi` reads the arguments on the caller's thread, and answers there if one is wrong.
//! 2. The context is a number that `registry` knows, never the caller's memory. A context that was
//!    destroyed, or never existed, is answered with an error.
//! 3. `context` hands the request to the node's thread, where `service` carries it out.
//! 4. The thread of `answers` tells the answer, and the thread of `events` tells events. No callback
//!    runs on the node's thread, so a slow callback delays only other callbacks, and any function may
//!    be called from any callback.

pub mod abi;
mod addresses;
mod answers;
mod callback;
mod config;
mod context;
mod convert;
mod enr;
mod errors;
mod events;
mod known_peers;
mod log;
mod metrics;
mod peers;
mod registry;
mod requests;
mod service;

pub use callback::{RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
