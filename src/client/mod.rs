//! The client: an open account. `lifecycle` opens and closes it; what can be done with it is in one file
//! for each subject.

mod config;
mod connection;
mod contacts;
mod events;
mod groups;
mod installations;
mod lifecycle;
mod linking;
#[cfg(test)]
mod load_tests;
mod messages;
mod pace;

pub use config::ClientConfig;
pub use connection::ClientStatus;
pub use lifecycle::Client;
pub use linking::linking_id;
pub use pace::{confirmation, confirmation_grace};
