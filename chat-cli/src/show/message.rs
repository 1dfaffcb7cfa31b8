//! Messages, and messages that are missing.

use waku_chat::{MessageView, MissingView};

use super::names::Names;
use super::{text, time};

/// A message as a line of a history.
pub(crate) fn message(message: &MessageView, names: &Names) -> String {
    let flag = if message.flagged { "  (sent while being removed)" } else { "" };
    format!(
        "{:>6}  {}  {}: {}{flag}",
        message.id,
        time::date_time(message.sent_at),
        names.account(&message.sender),
        content(message),
    )
}

/// A message as a line of a chat.
pub(crate) fn chat_line(message: &MessageView, names: &Names) -> String {
    let clock = time::clock(message.sent_at);
    format!("{clock} {}: {}", names.account(&message.sender), content(message))
}

/// A message that is missing, and whose it is.
pub(crate) fn missing(missing: &MissingView, names: &Names) -> String {
    format!(
        "missing: message {} of {}, noticed {}",
        missing.seq,
        names.account(&missing.sender),
        time::date_time(missing.since),
    )
}

fn content(message: &MessageView) -> String {
    match &message.text {
        Some(text) => text::block(text),
        None => "(a kind of message that this version does not know)".to_owned(),
    }
}
