//! Refusals that several ways of making a commit share.

use crate::machine::api::done::Fail;
use crate::machine::api::error::CommandError;
use crate::wire::envelope::SealError;

pub(super) fn not_allowed(reason: impl std::fmt::Display) -> Fail {
    CommandError::NotAllowed { reason: reason.to_string() }.into()
}

pub(super) fn too_large(error: SealError) -> CommandError {
    match error {
        SealError::TooLarge { size, max } => CommandError::TooLarge { size, max },
        other => CommandError::NotAllowed { reason: other.to_string() },
    }
}
