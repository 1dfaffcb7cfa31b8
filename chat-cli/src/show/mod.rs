//! How things look to people in a terminal.

pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod installation;
pub(crate) mod message;
pub(crate) mod names;
pub(crate) mod people;
pub(crate) mod text;
pub(crate) mod time;

/// A number of things, in the singular or the plural.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
