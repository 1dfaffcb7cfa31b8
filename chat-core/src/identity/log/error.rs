//! Why a log refuses.

use super::entry::EntryError;
use super::limits::RESERVED_ENTRIES;
use crate::params::{MAX_INSTALLATIONS, MAX_LOG_ENTRIES};

/// Why an entry is not taken into a log, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The entry itself is malformed or its signatures do not hold.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The entry, the log or the key is that of another account.
    #[error("this belongs to another account")]
    OtherAccount,
    /// The entry or the log is that of another network.
    #[error("this belongs to another network")]
    OtherNetwork,
    /// The log has all the entries that it may have.
    #[error(
        "the installation log is full: {MAX_LOG_ENTRIES} entries, {RESERVED_ENTRIES} of them for the account key only"
    )]
    Full,
    /// The new installation's own signature is missing.
    #[error("the new installation's own signature is missing")]
    NoPossession,
    /// The entry names a depth that it does not have.
    #[error("the entry names a wrong depth")]
    Depth,
    /// The author was not enrolled in anything that the entry knows of.
    #[error("the author of the entry is not an installation of the account")]
    UnknownAuthor,
    /// A Revoke of an installation that was never enrolled, as far as the entry knows.
    #[error("the installation to revoke is not in the log")]
    UnknownInstallation,
    /// A Revoke of an installation that was not added after its author.
    #[error("an installation may revoke only itself and those added after it")]
    NotSenior,
    /// An installation may be added again only by the account key.
    #[error("the installation is in the log already; only the account key can add it again")]
    AlreadyAdded,
    /// The last valid entry is not one of the revoked installation that the Revoke knows of.
    #[error("the last valid entry named is not one by the revoked installation")]
    LastValid,
    /// The account key revoked the installation, which cannot be undone.
    #[error("the account key revoked this installation, which cannot be undone")]
    RevokedForEver,
    /// The log has as many active installations as it may have.
    #[error("an account has at most {MAX_INSTALLATIONS} active installations")]
    TooManyInstallations,
    /// The first entry is to be made for a log that has entries already.
    #[error("the log has a first entry already")]
    NotEmpty,
    /// The key that is to sign is not that of an active installation.
    #[error("the signing key is not that of an active installation")]
    NotActive,
    /// A Checkpoint took the place of all that this builds on.
    #[error("a checkpoint has taken the place of what the entry builds on")]
    Superseded,
    /// The installation is not the one that may make a Checkpoint.
    #[error("only the account key or the installation with custody of the log can compact it")]
    NoCustody,
    /// An encoded log lacks entries on which others build.
    #[error("the log lacks entries on which others build")]
    Incomplete,
    /// By the log of a warrant the leaf in question may stay.
    #[error("the log does not revoke this enrolment")]
    NotRevoked,
    /// The bytes are not an encoded log.
    #[error("not an installation log")]
    Malformed,
}
