//! End-to-end encrypted group chat over Waku: the client.
//!
//! [`Client`] is an account on this device. It keeps everything in one encrypted database, talks
//! to the network through a [`Transport`](transport::Transport), and can be asked from any task:
//!
//! ```
#![doc = include_str!("../examples/minimal.rs")]
//! ```
//!
//! What the parts do is said where they are:
//!
//! - [`Client::events`] tells what happens, at least once and in order, with a cursor that the
//!   application [acknowledges](Client::acknowledge) when it has dealt with it.
//! - A message that [`Client::send`] answered for is on disk, and goes out as soon as there is a
//!   connection, in this run or the next.
//! - The waits ([`Client::wait_connected`], [`Client::wait_caught_up`], [`Client::wait_published`])
//!   are for scripts: each ends with its condition or its time-out, without polling.
//! - [`Error::code`] is stable, [`Error::is_retryable`] says whether trying again can help.
//!
//! Logs go to [`tracing`]; they hold no text, no key and no link.

mod client;
mod devices;
mod driver;
mod error;
mod events;
pub mod ffi;
mod linking;
pub mod rpc;
mod worker;

pub use chat_core::identity::linking::EndCode;
pub use chat_core::identity::phrase::{PhraseError, RecoveryPhrase};
pub use chat_core::ids::{
    AccountId, EpochId, GroupId, IdError, InstallationId, ItemHash, LinkingId, RequestId,
};
pub use chat_core::machine::{
    CommandError, ContactView, Counters, Event, GroupView, IdentityView, InstallationView,
    LinkState, LinkView, MemberView, Membership, MessageView, MissingView, NewcomerState,
    NewcomerView, RequestState, RequestView, RevocationView, StepError,
};
pub use chat_core::params::{CARD_SIZE, NetworkParams, ParamsError};
pub use chat_core::store::{DatabaseKey, StoreError};
pub use chat_core::time::Timestamp;
pub use waku_transport as transport;

pub use client::{Client, ClientConfig, ClientStatus, new_phrase};
pub use devices::linking_id;
pub use error::Error;
pub use linking::Linking;
