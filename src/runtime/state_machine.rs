//! What a worker can run.

use chat_core::machine::{Input, Machine, Newcomer, Output, StepError};
use chat_core::random::Entropy;
use chat_core::time::Timestamp;

/// A machine that takes inputs and says what is to happen outside: that of an account, or that of a
/// new installation which waits to be linked to one.
pub(crate) trait StateMachine: Send + 'static {
    /// See [`Machine::step_all`].
    fn step_all(
        &mut self,
        now: Timestamp,
        entropy: Entropy,
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StepError>;
    /// See [`Machine::next_wake`].
    fn next_wake(&self) -> Option<Timestamp>;
}

impl StateMachine for Machine {
    fn step_all(
        &mut self,
        now: Timestamp,
        entropy: Entropy,
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StepError> {
        Machine::step_all(self, now, entropy, inputs)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        Machine::next_wake(self)
    }
}

impl StateMachine for Newcomer {
    fn step_all(
        &mut self,
        now: Timestamp,
        entropy: Entropy,
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StepError> {
        Newcomer::step_all(self, now, entropy, inputs)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        Newcomer::next_wake(self)
    }
}
