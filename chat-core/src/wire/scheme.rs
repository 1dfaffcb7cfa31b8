//! How the texts begin that people pass on outside of the network.
//!
//! Either kind of text is told apart from the other, so that a user who pastes one in the place of
//! the other learns what it is.

/// The beginning of a contact link, of every version.
pub(crate) const CONTACT_LINK: &str = "waku-chat:contact/";

/// The beginning of a linking code, of every version and in any case.
pub(crate) const LINKING_CODE: &str = "waku-chat:link/";
