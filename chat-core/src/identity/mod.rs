//! Who is who: accounts, installations, their log and credential.
//!
//! Pure parts only: nothing here knows a database or an MLS group. Randomness and time are handed
//! in. Formats are written down in `docs/protocol/identity.md`.

pub mod account;
pub mod credential;
pub mod installation;
mod keys;
pub mod leave;
pub mod linking;
pub mod log;
pub mod phrase;

#[cfg(test)]
pub(crate) mod testing;

pub use account::AccountKey;
pub use credential::{CREDENTIAL_TYPE, Credential, CredentialError, Member};
pub use installation::{InstallationKey, SignatureError, verify};
pub use leave::{LeaveError, LeaveWish};
pub use log::{
    Author, Enrolment, Entry, EntryBody, EntryError, EntrySigner, Inserted, InstallationInfo,
    InstallationRecord, Log, LogError, LogState, Revocation, Standing,
};
pub use phrase::{PhraseError, RecoveryPhrase};
