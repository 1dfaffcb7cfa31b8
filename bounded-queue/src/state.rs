//! What waits for one reader, and what gives way.

use std::collections::VecDeque;
use std::task::Waker;

/// What a queue holds.
pub trait Item: Sized {
    /// What the reader is told about items that gave way: a count, or a summary.
    type Lost: Default;

    /// The bytes of memory that this item takes while it waits, roughly.
    fn weight(&self) -> usize;

    /// Adds this item, which gives way, to what the reader will be told. Called for the oldest item
    /// first, with the queue locked, so it must be quick.
    fn give_way(&self, lost: &mut Self::Lost);

    /// Takes `newer` into this item, the newest one in the queue, if one item can say both.
    ///
    /// # Errors
    ///
    /// Gives `newer` back if it needs a place of its own, as every item does by default.
    fn merge(&mut self, newer: Self) -> Result<(), Self> {
        Err(newer)
    }
}

/// Bounds on what waits for one reader. The newest item always stays, whatever its weight, so that a
/// reader always gets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most items; 0 counts as 1.
    pub len: usize,
    /// Most bytes, as items state their [weight](Item::weight).
    pub bytes: usize,
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T: Item> {
    /// Items that came before all that is still in the queue gave way.
    Lost(T::Lost),
    /// The oldest item in the queue.
    Item(T),
}

/// The queue of one reader, behind a lock.
pub(crate) struct State<T: Item> {
    items: VecDeque<T>,
    bytes: usize,
    limits: Limits,
    lost: Option<T::Lost>,
    pub(crate) closed: bool,
    pub(crate) waker: Option<Waker>,
}

impl<T: Item> State<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { items: VecDeque::new(), bytes: 0, limits, lost: None, closed: false, waker: None }
    }

    /// Adds an item. Returns those that gave way, to be dropped once the lock is released.
    pub(crate) fn push(&mut self, item: T) -> Vec<T> {
        if let Err(item) = self.merge(item) {
            self.bytes += item.weight();
            self.items.push_back(item);
        }
        let mut gone = Vec::new();
        while self.items.len() > 1
            && (self.items.len() > self.limits.len || self.bytes > self.limits.bytes)
        {
            let Some(oldest) = self.items.pop_front() else { break };
            self.bytes -= oldest.weight();
            oldest.give_way(self.lost.get_or_insert_default());
            gone.push(oldest);
        }
        gone
    }

    fn merge(&mut self, item: T) -> Result<(), T> {
        let Some(newest) = self.items.back_mut() else { return Err(item) };
        let before = newest.weight();
        newest.merge(item)?;
        self.bytes = self.bytes - before + newest.weight();
        Ok(())
    }

    /// What the reader will be told about losses.
    pub(crate) fn lost(&mut self) -> &mut T::Lost {
        self.lost.get_or_insert_default()
    }

    pub(crate) fn pop(&mut self) -> Option<Next<T>> {
        if let Some(lost) = self.lost.take() {
            return Some(Next::Lost(lost));
        }
        let item = self.items.pop_front()?;
        self.bytes -= item.weight();
        Some(Next::Item(item))
    }

    /// Closes the queue and returns what was in it, to be dropped once the lock is released.
    pub(crate) fn discard(&mut self) -> VecDeque<T> {
        self.closed = true;
        self.bytes = 0;
        self.lost = None;
        std::mem::take(&mut self.items)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers weigh what they are. Lost ones are added up, and two zeros are as good as one.
    impl Item for usize {
        type Lost = Vec<usize>;

        fn weight(&self) -> usize {
            *self
        }

        fn give_way(&self, lost: &mut Vec<usize>) {
            lost.push(*self);
        }

        fn merge(&mut self, newer: Self) -> Result<(), Self> {
            if *self == 0 && newer == 0 { Ok(()) } else { Err(newer) }
        }
    }

    fn drain(state: &mut State<usize>) -> Vec<Next<usize>> {
        std::iter::from_fn(|| state.pop()).collect()
    }

    #[test]
    fn the_oldest_give_way_and_are_told_of_first() {
        let mut state = State::new(Limits { len: 2, bytes: 100 });
        assert!(state.push(1).is_empty() && state.push(2).is_empty());
        assert_eq!(state.push(3), [1]);
        assert_eq!(state.push(99), [2, 3]);
        assert_eq!(drain(&mut state), [Next::Lost(vec![1, 2, 3]), Next::Item(99)]);
        assert_eq!(state.bytes, 0);
    }

    #[test]
    fn the_newest_stays_whatever_it_weighs() {
        let mut state = State::new(Limits { len: 0, bytes: 10 });
        assert!(state.push(1000).is_empty());
        assert_eq!(state.push(2000), [1000]);
        assert_eq!(drain(&mut state), [Next::Lost(vec![1000]), Next::Item(2000)]);
    }

    #[test]
    fn items_that_can_be_one_take_one_place() {
        let mut state = State::new(Limits { len: 2, bytes: 100 });
        for item in [0, 0, 0, 5, 0] {
            state.push(item);
        }
        assert_eq!(drain(&mut state), [Next::Lost(vec![0]), Next::Item(5), Next::Item(0)]);
    }

    #[test]
    fn what_nobody_reads_is_given_up() {
        let mut state = State::new(Limits { len: 1, bytes: 100 });
        state.push(1);
        state.push(2);
        assert_eq!(state.discard(), [2]);
        assert!(state.closed && state.pop().is_none());
        assert_eq!((state.len(), state.bytes), (0, 0));
    }

    proptest! {
        /// Whatever is pushed and popped: the bounds hold, and each item either comes out or is
        /// told of as lost, in order.
        #[test]
        fn nothing_disappears_in_silence(
            steps in proptest::collection::vec(proptest::option::weighted(0.7, 1..60_usize), 0..200),
            len in 0..8_usize,
            bytes in 0..100_usize,
        ) {
            let mut state = State::new(Limits { len, bytes });
            let (mut pushed, mut told) = (Vec::new(), Vec::new());
            let mut read = |next| match next {
                Next::Lost(lost) => told.extend(lost),
                Next::Item(item) => told.push(item),
            };
            for step in steps {
                match step {
                    Some(item) => {
                        state.push(item);
                        pushed.push(item);
                        prop_assert!(state.len() <= len.max(1));
                        prop_assert!(state.bytes <= bytes || state.len() == 1);
                        prop_assert_eq!(state.bytes, state.items.iter().sum::<usize>());
                    }
                    None => state.pop().into_iter().for_each(&mut read),
                }
            }
            drain(&mut state).into_iter().for_each(&mut read);
            prop_assert_eq!(told, pushed);
        }
    }
}
