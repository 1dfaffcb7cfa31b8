//! The C interface: what `include/waku_chat.h` declares. Rust programs use [`Client`](crate::Client).
//!
//! A host opens an account, calls [`methods`](crate::methods) by name, reads events, and closes the
//! account; JSON goes in and out. `docs/C-API.md` says how, and what hosts may rely on.
//!
//! A call takes three steps:
//!
//! 1. `abi` reads the arguments on the caller's thread (`strings`), and catches panics.
//! 2. `registry` finds the client. A handle is a number and never memory: one that was closed, or
//!    never opened, is an error.
//! 3. `hosted` does the work on the client's own runtime, while the caller waits outside of it. So
//!    any thread may call, even one that runs a runtime itself.

mod abi;
mod blocking;
mod code;
mod config;
mod hosted;
mod opening;
mod registry;
mod strings;
mod transport;

pub use abi::account::{waku_chat_attach, waku_chat_close, waku_chat_open};
pub use abi::events::{waku_chat_acknowledge, waku_chat_handle_event, waku_chat_next_event};
pub use abi::handle::{WAKU_CHAT_NO_LIMIT, WakuChatClient};
pub use abi::methods::{waku_chat_request, waku_chat_send};
pub use abi::texts::{waku_chat_free_string, waku_chat_new_phrase, waku_chat_version};
pub use code::WakuChatCode;
