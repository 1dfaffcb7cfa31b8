//! The result of doing what was asked for: it may be refused, or something local may fail.

use super::error::{CommandError, StepError};

/// Why something that was asked for is not done.
pub(in crate::machine) enum Fail {
    Refused(CommandError),
    Step(StepError),
}

impl From<CommandError> for Fail {
    fn from(error: CommandError) -> Self {
        Fail::Refused(error)
    }
}

impl From<StepError> for Fail {
    fn from(error: StepError) -> Self {
        Fail::Step(error)
    }
}

impl From<crate::group::error::GroupError> for Fail {
    fn from(error: crate::group::error::GroupError) -> Self {
        Fail::Step(error.into())
    }
}

impl From<crate::database::DatabaseError> for Fail {
    fn from(error: crate::database::DatabaseError) -> Self {
        Fail::Step(error.into())
    }
}

pub(in crate::machine) type Done<T> = Result<T, Fail>;
