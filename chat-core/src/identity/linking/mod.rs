//! Linking: how a new device becomes an installation of an account.
//!
//! The new device (the *newcomer*) shows a code; an installation of the account (the *grantor*)
//! takes it in. Both meet on topics that follow from the code, exchange seven messages, each sealed
//! to its receiver's key and bound to all that was said before, and the user types a short string
//! from the newcomer into the grantor before anything is granted. `docs/protocol/linking.md` has
//! the whole.
//!
//! Pure parts only; who says what when is in `machine::link`.

pub mod code;
pub mod message;
pub mod sas;
pub mod transcript;

pub use code::{LinkingCode, LinkingCodeError, LinkingText};
pub use message::{
    Admission, Arrival, EndCode, Ending, Grant, Introduction, LinkAnswer, LinkingKey, MessageError,
    Reveal, Sealed, Step, check_name, seal,
};
pub use sas::{LinkingString, LinkingStringError};
pub use transcript::{Transcript, commitment};
