//! Virtual time: the true time of a run, and what is to happen later.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use chat_core::time::Timestamp;

/// The true time, and a queue of what is to happen. Two actions of the same moment happen in the
/// order in which they were scheduled.
#[derive(Debug)]
pub(crate) struct Clock<Action> {
    now: Timestamp,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    actions: BTreeMap<u64, Action>,
    scheduled: u64,
}

impl<Action> Clock<Action> {
    /// A clock that shows `now` and has nothing to do.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, queue: BinaryHeap::new(), actions: BTreeMap::new(), scheduled: 0 }
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Plans an action; a moment that is over means now.
    pub(crate) fn schedule(&mut self, at: Timestamp, action: Action) {
        self.scheduled += 1;
        self.queue.push(Reverse((at.0, self.scheduled)));
        self.actions.insert(self.scheduled, action);
    }

    /// The next action at or before `until`, with the clock set to its moment.
    pub(crate) fn next(&mut self, until: Timestamp) -> Option<Action> {
        let Reverse((at, id)) = self.queue.peek().copied()?;
        if at > until.0 {
            return None;
        }
        self.queue.pop();
        self.now = self.now.max(Timestamp(at));
        self.actions.remove(&id)
    }

    /// The moment of the next action.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.queue.peek().map(|Reverse((at, _))| Timestamp(*at))
    }

    /// Sets the clock forward to a moment before which nothing is left to do.
    pub(crate) fn forward(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
    }

    /// Everything that is still to happen, in no useful order.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Action> {
        self.actions.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_happen_in_the_order_of_their_moments_and_then_as_planned() {
        let mut clock = Clock::new(Timestamp(100));
        for (at, action) in [(120, "late"), (110, "early"), (120, "later"), (50, "at once")] {
            clock.schedule(Timestamp(at), action);
        }
        assert_eq!(clock.next_at(), Some(Timestamp(50)));
        assert_eq!((clock.next(Timestamp(119)), clock.now()), (Some("at once"), Timestamp(100)));
        assert_eq!((clock.next(Timestamp(119)), clock.now()), (Some("early"), Timestamp(110)));
        assert_eq!((clock.next(Timestamp(119)), clock.now()), (None, Timestamp(110)));
        clock.forward(Timestamp(119));
        assert_eq!(clock.pending().count(), 2);
        assert_eq!(clock.next(Timestamp(200)), Some("late"));
        assert_eq!((clock.next(Timestamp(200)), clock.now()), (Some("later"), Timestamp(120)));
        assert_eq!(clock.pending().count(), 0);
    }
}
