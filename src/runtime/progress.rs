//! How far a machine has come.

use chat_core::machine::Input;
use chat_core::time::Timestamp;

/// What clients and the bridge may watch of a machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The cursor of the last event, once there was one since the start.
    pub(crate) last_event: u64,
    /// When the machine was told of the present connection; none while there is none.
    pub(crate) connected_at: Option<Timestamp>,
    /// Whether the last history query was answered by there being no Store.
    pub(crate) no_store: bool,
    /// When the machine wants to be woken.
    pub(crate) next_wake: Option<Timestamp>,
    /// The number of ticks that it has dealt with.
    pub(crate) ticks: u64,
    /// Whether the last of them failed.
    pub(crate) tick_failed: bool,
    /// The last local failure on an input of the network, for people.
    pub(crate) failure: Option<String>,
}

impl Progress {
    /// Notes that an input was taken at a moment.
    pub(crate) fn taken(&mut self, input: &Input, now: Timestamp) {
        match input {
            Input::Connection { connected } => {
                self.connected_at = connected.then_some(now);
                self.no_store = false;
            }
            Input::HistoryFailed { no_store, .. } => self.no_store = *no_store,
            Input::HistoryPage { .. } => self.no_store = false,
            Input::Tick => {
                self.ticks += 1;
                self.tick_failed = false;
            }
            _ => {}
        }
    }

    /// Notes that an input was given up.
    pub(crate) fn given_up(&mut self, input: &Input) {
        if matches!(input, Input::Tick) {
            // It is over too, or none would ever come again.
            self.ticks += 1;
            self.tick_failed = true;
        }
    }
}
