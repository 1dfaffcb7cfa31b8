//! How the streams to one peer are used: how many may be open at once, and when one that has done its
//! work makes room for the next.
//!
//! nim-libp2p takes 10 streams of a protocol from a peer and resets the next one without a word. A
//! stream counts until both halves are closed. So this side closes its half as soon as it has written,
//! and keeps the stream until the peer has closed the other half. A peer that reads loses nothing: what
//! it has no room for waits here.
//!
//! js-waku never closes its half, so that its streams would stay half open for ever. Streams to a peer
//! of this kind are not closed but dropped, which resets them, once it had the time to read them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::AsyncRead;
use libp2p::swarm::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// The most streams of one protocol that this node has open to one peer, all connections together.
/// nim-libp2p takes 10; two are left for streams whose end it has not noticed yet.
pub(super) const MAX_OPEN: usize = 8;
/// How long a peer may leave all of its streams half open before it is taken for one that never closes
/// its half: far longer than a peer needs that does, and once in the life of a connection.
const HABIT_PATIENCE: Duration = Duration::from_secs(3);
/// How long a peer that never closes its half has to read a stream before the stream is reset: 8
/// streams at this pace carry 32 pushes a second.
const READING_TIME: Duration = Duration::from_millis(250);

/// What a peer does with its half of a stream that was read to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Unknown,
    Closes,
    LeavesOpen,
}

/// A stream that was written to, and the right to have it open.
struct Kept<S> {
    stream: S,
    since: Instant,
    _slot: OwnedSemaphorePermit,
}

/// The streams of one connection that were written to and are not over yet.
pub(super) struct KeptStreams<S = Stream> {
    kept: VecDeque<Kept<S>>,
    habit: Habit,
    /// How long a peer that closes its halves may take for it.
    patience: Duration,
    /// When the oldest stream may make room.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + Unpin> KeptStreams<S> {
    /// `patience` is how long a peer that closes its halves may take for it.
    pub(super) fn new(patience: Duration) -> Self {
        Self { kept: VecDeque::new(), habit: Habit::Unknown, patience, alarm: None }
    }

    /// Whether to close this side's half after writing.
    pub(super) fn closes(&self) -> bool {
        self.habit != Habit::LeavesOpen
    }

    /// Keeps a stream that was written to.
    pub(super) fn push(&mut self, stream: S, slot: OwnedSemaphorePermit) {
        self.kept.push_back(Kept { stream, since: Instant::now(), _slot: slot });
    }

    /// Lets go of the streams that the peer has ended.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) {
        let habit = &mut self.habit;
        self.kept.retain_mut(|kept| match Pin::new(&mut kept.stream).poll_read(cx, &mut [0]) {
            Poll::Pending => true,
            Poll::Ready(read) => {
                if matches!(read, Ok(0)) {
                    *habit = Habit::Closes;
                }
                // Bytes in this direction are not part of the protocol, and end the stream too.
                false
            }
        });
    }

    /// Gives up streams that the peer has had enough time for, since a new one needs their place.
    /// Returns whether there is room now; if not, the task is woken when it is worth trying again.
    pub(super) fn make_room(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(oldest) = self.kept.front() else { return false };
        let patience = match self.habit {
            Habit::Unknown => HABIT_PATIENCE.min(self.patience),
            Habit::Closes => self.patience,
            Habit::LeavesOpen => READING_TIME,
        };
        let due = oldest.since + patience;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        if alarm.as_mut().poll(cx).is_pending() {
            return false;
        }
        if self.habit == Habit::Unknown {
            // All of them have this side's half closed, and would never be reset.
            self.habit = Habit::LeavesOpen;
            self.kept.clear();
        } else {
            self.kept.pop_front();
        }
        self.alarm = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::task::noop_waker;
    use tokio::sync::Semaphore;

    use super::*;

    /// A stream whose other side has closed its half, or not.
    struct Half {
        closed: bool,
    }

    impl AsyncRead for Half {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<std::io::Result<usize>> {
            if self.closed { Poll::Ready(Ok(0)) } else { Poll::Pending }
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    fn full(slots: &Arc<Semaphore>) -> KeptStreams<Half> {
        let mut streams = KeptStreams::new(PATIENCE);
        fill(&mut streams, slots, false);
        streams
    }

    fn fill(streams: &mut KeptStreams<Half>, slots: &Arc<Semaphore>, closed: bool) {
        while let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            streams.push(Half { closed }, slot);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_closes_its_half_gets_all_the_time_it_needs() {
        let slots = Arc::new(Semaphore::new(MAX_OPEN));
        let (waker, mut streams) = (noop_waker(), KeptStreams::new(PATIENCE));
        let cx = &mut Context::from_waker(&waker);
        fill(&mut streams, &slots, true);
        streams.poll_ended(cx);
        assert_eq!(slots.available_permits(), MAX_OPEN);
        // It closes its halves, so it is only slow now.
        fill(&mut streams, &slots, false);
        tokio::time::advance(HABIT_PATIENCE * 2).await;
        streams.poll_ended(cx);
        assert!(!streams.make_room(cx) && slots.available_permits() == 0);
        tokio::time::advance(PATIENCE).await;
        assert!(streams.make_room(cx) && streams.closes());
        assert_eq!(slots.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_closes_its_half_is_found_out_once() {
        let slots = Arc::new(Semaphore::new(MAX_OPEN));
        let (waker, mut streams) = (noop_waker(), full(&slots));
        let cx = &mut Context::from_waker(&waker);
        assert!(!streams.make_room(cx) && streams.closes());
        tokio::time::advance(HABIT_PATIENCE).await;
        assert!(streams.make_room(cx) && !streams.closes());
        assert_eq!(slots.available_permits(), MAX_OPEN);
        // From now on each stream has its time to be read.
        fill(&mut streams, &slots, false);
        assert!(!streams.make_room(cx));
        tokio::time::advance(READING_TIME).await;
        assert!(streams.make_room(cx));
        assert_eq!(slots.available_permits(), 1);
    }
}
