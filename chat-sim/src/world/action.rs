//! What is to happen to a device at some moment.

use chat_core::machine::{Inbound, OutboxId, PublishFailure, QueryId};

use super::network::Query;

/// A process of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    /// The device's number.
    pub(super) device: usize,
    /// Counts the processes of the device.
    pub(super) life: u32,
}

/// What is to happen to a device at some moment.
#[derive(Debug)]
pub(super) enum Action {
    /// A message arrives.
    Deliver(Process, Inbound),
    /// The result of a publication arrives.
    Published(Process, OutboxId, Option<PublishFailure>),
    /// The Store answers.
    History(Process, QueryId, Query),
    /// Its machine may want to be woken.
    Wake(usize),
}

impl Action {
    /// Whether it is the arrival of something that is on its way through the network.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self, Self::Wake(_))
    }
}
