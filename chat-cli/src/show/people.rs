//! Contacts and requests.

use waku_chat::{ContactView, RequestState, RequestView};

use super::{text, time};

/// A contact in one line.
pub(crate) fn contact(contact: &ContactView) -> String {
    let name = contact.name.as_deref().map_or("(no name)".to_owned(), text::line);
    let state = match (contact.blocked, contact.usable_until) {
        (true, _) => "blocked".to_owned(),
        (false, None) if contact.pending => "its card is being looked for".to_owned(),
        (false, Some(until)) => format!("can be invited until {}", time::date_time(until)),
        (false, None) => "cannot be invited: ask for a new link".to_owned(),
    };
    format!("{}  {name}  {state}", contact.account)
}

/// A request in one line.
pub(crate) fn request(request: &RequestView) -> String {
    let from = request.name.as_deref().map_or("a stranger".to_owned(), text::line);
    let state = match request.state {
        RequestState::Pending => "",
        RequestState::Accepted => "  (accepted; the invitation is being fetched)",
    };
    format!(
        "{}  “{}” from {from}  {}  {}{state}",
        request.id,
        text::line(&request.group_name),
        request.from,
        time::date_time(request.received_at),
    )
}
