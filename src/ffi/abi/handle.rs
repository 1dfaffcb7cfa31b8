//! What a host holds.

/// A time without a limit, in milliseconds.
pub const WAKU_CHAT_NO_LIMIT: i64 = -1;

/// A client: an open account. It is a number, never 0 and never reused.
pub type WakuChatClient = u64;
