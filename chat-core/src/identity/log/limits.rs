//! How large logs and their entries may be.

use crate::params::{MAX_INSTALLATIONS, MAX_LOG_ENTRIES};
use crate::wire::header::MAX_LOG_SUFFIX;

/// How many of [`MAX_LOG_ENTRIES`] only the account key can use: a thief with an installation
/// cannot fill the log and so keep the account key from revoking it.
pub const RESERVED_ENTRIES: usize = 32;

/// Bytes that an encoded log may have: as many as a warrant.
pub(crate) const MAX_LOG: usize = MAX_LOG_SUFFIX;

/// Bytes of [`MAX_LOG`] that only entries of the account key and Checkpoints can use.
const RESERVED_BYTES: usize = 12 * 1024;

/// Bytes of an encoded log that entries by installations may fill.
pub(super) const ROOM: usize = MAX_LOG - RESERVED_BYTES;

/// Bytes before each entry of an encoded log, at most.
pub(super) const ENTRY_HEAD: usize = 4;

/// Parents that an entry by an installation may name. Only a device that breaks the rules makes
/// more tips than this, and such a device must not make the entries of others large.
pub(super) const MAX_PARENTS: usize = 16;

/// Parents that an entry by the account key may name: it can build on everything.
pub(super) const MAX_ACCOUNT_PARENTS: usize = MAX_LOG_ENTRIES - 1;

/// Bytes that an encoded entry may have: one by the account key with all parents, or a Checkpoint
/// with all installations.
pub(super) const MAX_ENTRY: usize = 32 * MAX_ACCOUNT_PARENTS + 34 * MAX_INSTALLATIONS + 512;

// An entry that names all parents that it can fits into its own limit, and into the reserve.
const _: () = assert!(32 * MAX_ACCOUNT_PARENTS + 300 < MAX_ENTRY);
const _: () = assert!(MAX_ENTRY + ENTRY_HEAD < RESERVED_BYTES);
