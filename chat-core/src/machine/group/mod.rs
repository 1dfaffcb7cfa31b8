//! Groups: a [`conversation::Conversation`] is one group and can be driven by itself.
//!
//! In: `open` judges an envelope (`commits`, `messages`), `deferred` keeps what cannot be judged yet,
//! `chains` counts, `converge` follows the branch that counts. Out: `intent` and `drafts` are what
//! this device wants, `change` and `plan` make a commit of it, `send` encrypts, `invite` lets others
//! in. `prune` and `trim` forget.

pub(in crate::machine) mod begin;
pub(in crate::machine) mod chains;
pub(in crate::machine) mod change;
pub(in crate::machine) mod commit_intents;
pub(in crate::machine) mod commits;
pub(in crate::machine) mod converge;
pub(in crate::machine) mod conversation;
pub(in crate::machine) mod cuts;
pub(in crate::machine) mod deferred;
pub(in crate::machine) mod directory;
pub(in crate::machine) mod drafts;
pub(in crate::machine) mod epochs;
pub(in crate::machine) mod facts;
#[cfg(feature = "test-access")]
mod insider;
pub(in crate::machine) mod intent;
pub(in crate::machine) mod intents;
pub(in crate::machine) mod invite;
pub(in crate::machine) mod later;
pub(in crate::machine) mod leaving;
pub(in crate::machine) mod messages;
pub(in crate::machine) mod numbers;
pub(in crate::machine) mod open;
pub(in crate::machine) mod plan;
pub(in crate::machine) mod prune;
pub(in crate::machine) mod record;
pub(in crate::machine) mod refusals;
pub(in crate::machine) mod revoked;
pub(in crate::machine) mod say;
pub(in crate::machine) mod send;
pub(in crate::machine) mod stored;
#[cfg(test)]
mod tests;
pub(in crate::machine) mod trim;
pub(in crate::machine) mod verdict;
pub(in crate::machine) mod view;

use super::api::error::StepError;
use crate::group::error::GroupError;

/// Something that this device itself wrote or derived is not as it must be.
pub(in crate::machine) fn state_error(error: impl std::fmt::Display) -> StepError {
    StepError::State(error.to_string())
}

/// What a group error is at the door, where state of our own is concerned.
impl From<GroupError> for StepError {
    fn from(error: GroupError) -> Self {
        state_error(error)
    }
}
