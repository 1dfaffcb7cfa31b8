//! The same items for many readers.

use crate::ends::{Receiver, Sender, queue};
use crate::state::{Item, Limits};

/// Hands each item to every reader. A reader that is slow loses items of its own queue and does not
/// hold up the others.
#[derive(Debug)]
pub struct Readers<T: Item> {
    limits: Limits,
    senders: Vec<Sender<T>>,
    closed: bool,
}

impl<T: Item> Readers<T> {
    /// No readers yet; `limits` holds for each of them.
    pub fn new(limits: Limits) -> Self {
        Self { limits, senders: Vec::new(), closed: false }
    }

    /// Adds a reader of what is pushed from now on, and of `first` before that. After
    /// [`close`](Self::close) its queue has ended already.
    pub fn subscribe(&mut self, first: Option<T>) -> Receiver<T> {
        let (sender, receiver) = queue(self.limits);
        if self.closed {
            sender.close();
            return receiver;
        }
        if let Some(first) = first {
            sender.push(first);
        }
        self.senders.retain(|sender| !sender.is_closed());
        self.senders.push(sender);
        receiver
    }

    /// Hands an item to every reader that is still there.
    pub fn push(&mut self, item: &T)
    where
        T: Clone,
    {
        self.senders.retain(|sender| !sender.is_closed());
        for sender in &self.senders {
            sender.push(item.clone());
        }
    }

    /// Ends all queues. What is in them can still be read.
    pub fn close(&mut self) {
        self.closed = true;
        for sender in self.senders.drain(..) {
            sender.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::state::Next;

    fn read(receiver: &mut Receiver<usize>) -> Option<Option<Next<usize>>> {
        receiver.next().now_or_never()
    }

    #[test]
    fn every_reader_gets_every_item_from_its_beginning_on() {
        let mut readers = Readers::new(Limits { len: 2, bytes: 100 });
        let mut slow = readers.subscribe(None);
        readers.push(&1);
        readers.push(&2);
        let mut late = readers.subscribe(Some(7));
        readers.push(&3);
        assert_eq!(read(&mut slow), Some(Some(Next::Lost(vec![1]))));
        for item in [2, 3] {
            assert_eq!(read(&mut slow), Some(Some(Next::Item(item))));
        }
        for item in [7, 3] {
            assert_eq!(read(&mut late), Some(Some(Next::Item(item))));
        }
        assert_eq!(read(&mut late), None);
        drop(slow);
        readers.push(&4);
        assert_eq!(readers.senders.len(), 1);
        readers.close();
        readers.push(&5);
        assert_eq!(read(&mut late), Some(Some(Next::Item(4))));
        assert_eq!(read(&mut late), Some(None));
        assert_eq!(read(&mut readers.subscribe(Some(7))), Some(None));
    }
}
