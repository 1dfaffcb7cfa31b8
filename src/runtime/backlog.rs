//! Inputs that wait for the machine.

use std::collections::VecDeque;

use chat_core::machine::{Inbound, Input};

/// Most inputs of one step, and of those that wait before the transport is no longer read. The cost of
/// a transaction, an fsync, is then shared by so many that it hardly counts, while a command waits for
/// some tens of milliseconds at most.
pub(super) const MAX_INPUTS: usize = 64;
/// Most bytes of envelopes in one step, and of those that wait: seven of the largest envelopes, or
/// [`MAX_INPUTS`] of any common size. Only a page of history may be larger, and then goes alone.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// Inputs that wait for the machine, in their order.
#[derive(Default)]
pub(super) struct Backlog {
    inputs: VecDeque<Input>,
    bytes: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Whether there is enough for a whole step.
    pub(super) fn is_full(&self) -> bool {
        self.inputs.len() >= MAX_INPUTS || self.bytes >= MAX_BYTES
    }

    pub(super) fn push(&mut self, input: Input) {
        self.bytes += size(&input);
        self.inputs.push_back(input);
    }

    /// Takes out what the next step is to take, and at least one input if there is one.
    pub(super) fn take(&mut self) -> Vec<Input> {
        let (mut count, mut bytes) = (0, 0);
        for input in self.inputs.iter().take(MAX_INPUTS) {
            bytes += size(input);
            if count > 0 && bytes > MAX_BYTES {
                break;
            }
            count += 1;
        }
        let taken: Vec<Input> = self.inputs.drain(..count).collect();
        self.bytes -= taken.iter().map(size).sum::<usize>();
        taken
    }
}

/// The bytes of an input that came from outside.
fn size(input: &Input) -> usize {
    let of = |message: &Inbound| message.payload.len() + message.topic.len();
    match input {
        Input::Envelope(message) => of(message),
        Input::HistoryPage { messages, .. } => messages.iter().map(of).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(bytes: usize) -> Input {
        let payload = vec![0; bytes].into();
        Input::Envelope(Inbound { topic: String::new(), payload, timestamp_ns: 0 })
    }

    #[test]
    fn a_step_takes_a_bounded_number_in_order() {
        let mut backlog = Backlog::default();
        backlog.push(Input::Missed);
        for _ in 1..MAX_INPUTS {
            assert!(!backlog.is_full());
            backlog.push(Input::Tick);
        }
        assert!(backlog.is_full());
        backlog.push(Input::Missed);
        let taken = backlog.take();
        assert_eq!(taken.len(), MAX_INPUTS);
        assert!(matches!(taken[0], Input::Missed));
        assert!(matches!(backlog.take()[..], [Input::Missed]));
        assert!(backlog.is_empty() && backlog.take().is_empty());
    }

    #[test]
    fn a_step_takes_bounded_bytes_but_never_nothing() {
        let mut backlog = Backlog::default();
        backlog.push(envelope(MAX_BYTES + 1));
        assert!(backlog.is_full());
        backlog.push(envelope(MAX_BYTES / 2));
        backlog.push(Input::Tick);
        backlog.push(envelope(MAX_BYTES / 2 + 1));
        assert_eq!(backlog.take().len(), 1, "too large, and alone");
        assert_eq!(backlog.take().len(), 2);
        assert!(!backlog.is_full());
        assert_eq!(backlog.take().len(), 1);
        assert_eq!(backlog.bytes, 0);
    }
}
