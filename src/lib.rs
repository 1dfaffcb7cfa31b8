//! End-to-end encrypted group chat over Waku: the client.
//!
//! A [`Client`] is an open account. It keeps everything in one encrypted database, talks to the
//! network through a [`Transport`](transport::Transport), and can be used from any task:
//!
//! ```
#![doc = include_str!("../examples/minimal.rs")]
//! ```
//!
//! - [`Client::events`] tells what happens, at least once and in order. Each event has a cursor, which
//!   the application [acknowledges](Client::acknowledge) when it has dealt with the event.
//! - When [`Client::send`] returns, the message is on disk. It is published as soon as there is a
//!   connection, in this run or the next.
//! - [`Client::wait_connected`], [`Client::wait_caught_up`], [`Client::wait_sent`] and
//!   [`Client::wait_published`] are for scripts: each ends with its condition or its timeout, without polling.
//! - [`Error::code`] is stable; [`Error::is_retryable`] says whether trying again can help.
//!
//! Logs go to [`tracing`]. They contain no message texts, no keys and no contact links.

mod client;
mod error;
pub mod ffi;
mod linking;
pub mod methods;
mod random;
mod runtime;
mod secret;

pub use chat_core::database::{DatabaseError, DatabaseKey};
pub use chat_core::identity::linking::EndCode;
pub use chat_core::identity::phrase::{PhraseError, RecoveryPhrase};
pub use chat_core::ids::{
    AccountId, EpochId, GroupId, IdError, InstallationId, IntentId, LinkingId, MessageId, RequestId,
};
pub use chat_core::machine::{
    CommandError, ContactView, Counters, Event, GroupView, IdentityView, InstallationView,
    LinkingState, LinkingView, MemberView, Membership, MessageView, MissingView, NewcomerState,
    NewcomerView, RequestState, RequestView, RevocationView, StepError,
};
pub use chat_core::params::{CARD_SIZE, NetworkParams, ParamsError};
pub use chat_core::time::Timestamp;
pub use waku_transport as transport;

pub use client::{
    Client, ClientConfig, ClientStatus, confirmation, confirmation_grace, linking_id,
};
pub use error::Error;
pub use linking::Linking;
pub use random::new_phrase;
pub use secret::Secret;
