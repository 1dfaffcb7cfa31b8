//! Linking: how a new installation joins an account.
//!
//! The new installation (the *newcomer*) shows a code, which the user enters into an installation
//! of the account (the *grantor*). Both meet on topics that follow from the code and exchange seven
//! messages, each sealed to its receiver's key and bound to all messages before it. The user types
//! a short string from the newcomer into the grantor before anything is granted. The format is in
//! `docs/protocol/linking.md`.
//!
//! Only pure parts are here; the machine decides which message is sent when.

pub mod code;
mod ending;
mod error;
pub mod message;
mod name;
pub mod sas;
mod sealed;
mod step;
mod transcript;

pub use code::{LinkingCode, LinkingCodeError, LinkingText};
pub use ending::{EndCode, Ending};
pub use error::MessageError;
pub use message::{Admission, Arrival, Grant, Introduction, LinkingAnswer, Reveal};
pub use name::check_name;
pub use sas::{LinkingString, LinkingStringError};
pub use sealed::{LinkingKey, MAX_MESSAGE_TEXT, Sealed, info, seal};
pub use step::Step;
pub use transcript::{Transcript, commitment};
