//! The two ends of the queue of one reader.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::state::{Item, Limits, Next, State};

struct Shared<T: Item> {
    state: Mutex<State<T>>,
}

impl<T: Item> Shared<T> {
    /// Whatever panics, the state is consistent, so a poisoned lock is good.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake(state);
    }
}

/// Wakes the reader, outside of the lock.
fn wake<T: Item>(mut state: MutexGuard<'_, State<T>>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Closes the queue when the last [`Sender`] is gone.
struct SenderEnd<T: Item> {
    shared: Arc<Shared<T>>,
}

impl<T: Item> Drop for SenderEnd<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Makes a queue and returns both its ends.
pub fn queue<T: Item>(limits: Limits) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::new(limits)) });
    let end = Arc::new(SenderEnd { shared: Arc::clone(&shared) });
    (Sender { end }, Receiver { shared })
}

/// The end that items go in at. Clones share one queue, which ends when the last of them is dropped.
pub struct Sender<T: Item> {
    end: Arc<SenderEnd<T>>,
}

impl<T: Item> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { end: Arc::clone(&self.end) }
    }
}

impl<T: Item> Sender<T> {
    /// Adds an item; if the queue is full, the oldest items give way. Never waits for the reader.
    /// Does nothing once the queue is closed.
    pub fn push(&self, item: T) {
        let mut state = self.end.shared.lock();
        if state.closed {
            return;
        }
        let gone = state.push(item);
        wake(state);
        drop(gone);
    }

    /// Notes a loss that happened before the queue: `note` adds it to what the reader is told next.
    pub fn note_loss(&self, note: impl FnOnce(&mut T::Lost)) {
        let mut state = self.end.shared.lock();
        if state.closed {
            return;
        }
        note(state.lost());
        wake(state);
    }

    /// Takes in nothing more. What is in the queue can still be read.
    pub fn close(&self) {
        self.end.shared.close();
    }

    /// Whether the queue was closed, or its reader is gone.
    pub fn is_closed(&self) -> bool {
        self.end.shared.lock().closed
    }
}

impl<T: Item> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("Sender", &self.end.shared, f)
    }
}

/// The end that one reader reads at. Once it is dropped, nothing is kept any more.
pub struct Receiver<T: Item> {
    shared: Arc<Shared<T>>,
}

impl<T: Item> Receiver<T> {
    /// The next item, or what was lost before it; `None` once the queue is closed and empty.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Next<T>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next<T>>> {
        let mut state = self.shared.lock();
        match state.pop() {
            Some(next) => Poll::Ready(Some(next)),
            None if state.closed => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T: Item> Stream for Receiver<T> {
    type Item = Next<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Next<T>>> {
        self.poll(cx)
    }
}

impl<T: Item> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let unread = state.discard();
        drop(state);
        drop(unread);
    }
}

impl<T: Item> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("Receiver", &self.shared, f)
    }
}

/// How many items wait. What they say does not belong in a log.
fn describe<T: Item>(name: &str, shared: &Shared<T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name).field("waiting", &shared.lock().len()).finish_non_exhaustive()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const LIMITS: Limits = Limits { len: 2, bytes: 100 };

    #[derive(Debug, PartialEq, Eq)]
    struct Text(&'static str);

    impl Item for Text {
        type Lost = u64;

        fn weight(&self) -> usize {
            self.0.len()
        }

        fn give_way(&self, lost: &mut u64) {
            *lost += 1;
        }
    }

    #[test]
    fn a_reader_that_waits_is_woken_by_an_item_a_loss_and_the_end() {
        let (sender, mut receiver) = queue(LIMITS);
        let pushing = std::thread::spawn({
            let sender = sender.clone();
            move || sender.push(Text("one"))
        });
        let mut next = || futures::executor::block_on(receiver.next());
        assert_eq!(next(), Some(Next::Item(Text("one"))));
        pushing.join().expect("it does not panic");

        let losing = std::thread::spawn({
            let sender = sender.clone();
            move || sender.note_loss(|lost| *lost += 3)
        });
        assert_eq!(next(), Some(Next::Lost(3)));
        losing.join().expect("it does not panic");

        let closing = std::thread::spawn(move || sender.close());
        assert_eq!(next(), None);
        closing.join().expect("it does not panic");
    }

    #[test]
    fn what_was_queued_is_read_after_the_end_and_nothing_comes_later() {
        let (sender, mut receiver) = queue(LIMITS);
        sender.push(Text("first"));
        sender.close();
        sender.push(Text("late"));
        sender.note_loss(|lost| *lost += 1);
        assert!(sender.is_closed());
        assert_eq!(receiver.next().now_or_never(), Some(Some(Next::Item(Text("first")))));
        assert_eq!(receiver.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_queue_ends_with_its_last_sender() {
        let (sender, mut receiver) = queue::<Text>(LIMITS);
        let other = sender.clone();
        drop(sender);
        assert_eq!(receiver.next().now_or_never(), None);
        drop(other);
        assert_eq!(receiver.next().now_or_never(), Some(None));
    }

    #[test]
    fn nothing_is_kept_without_a_reader() {
        let (sender, receiver) = queue(LIMITS);
        sender.push(Text("secret"));
        assert_eq!(format!("{receiver:?}"), "Receiver { waiting: 1, .. }");
        drop(receiver);
        sender.push(Text("unread"));
        assert!(sender.is_closed());
        assert_eq!(format!("{sender:?}"), "Sender { waiting: 0, .. }");
    }
}
