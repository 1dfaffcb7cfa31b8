//! The C interface: what `include/waku_chat.h` declares. Rust programs use [`Client`](crate::Client).
//!
//! A host opens an account, asks it by the names of [`rpc`](crate::rpc), reads its events, and closes
//! it; JSON goes in and out. `docs/C-API.md` says how, and what hosts may rely on.
//!
//! How a call goes:
//!
//! 1. `abi` reads the arguments on the caller's thread (`strings`), and catches panics.
//! 2. A handle is a number that `registry` knows, never memory: one that was closed, or never was,
//!    is an error.
//! 3. `chat` carries the call out on the account's own runtime, while the caller waits outside of
//!    it. So any thread may call, also one that runs a runtime itself.

mod abi;
mod chat;
mod code;
mod config;
mod registry;
mod strings;
mod transport;

pub use abi::{
    WAKU_CHAT_NO_LIMIT, WakuChat, waku_chat_ack, waku_chat_attach, waku_chat_close,
    waku_chat_free_string, waku_chat_handle_event, waku_chat_new_phrase, waku_chat_next_event,
    waku_chat_open, waku_chat_request, waku_chat_send, waku_chat_version,
};
pub use code::WakuChatCode;
