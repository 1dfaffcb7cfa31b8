//! The muxer of a connection, which at the node's end lets the peer read everything first.
//!
//! A peer that learns of the end of a connection forgets what it has not read from its streams yet. So
//! a node that stops first closes its own half of each stream that it opened, and waits until the
//! peer, which has then read to the end, closes the other half. Only then it closes the connection.
//! Without that, a slow peer loses the last messages of a process that ends.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite, FutureExt};
use libp2p::core::StreamMuxer;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerEvent, StreamMuxerExt, SubstreamBox};

/// How long a peer may take to read the last bytes of all streams. Long enough for one that is stopped for
/// two seconds on a busy machine; a user who ends a program waits for it.
const READING_TIMEOUT: Duration = Duration::from_secs(4);

thread_local! {
    /// Whether a stream had to wait with writing since this was last cleared. Streams are polled from
    /// within the protocol that owns them, so the protocol's caller can read it afterwards.
    static HELD_UP: Cell<bool> = const { Cell::new(false) };
}

/// Polls a protocol. Also returns whether one of its streams had to wait with writing.
pub(super) fn held_up_during<T>(poll: impl FnOnce() -> T) -> (T, bool) {
    let before = HELD_UP.replace(false);
    let polled = poll();
    (polled, HELD_UP.replace(before))
}

/// Whether the node closes its connections in order. Clones stand for the same node.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing(Arc<AtomicBool>);

impl Closing {
    /// From now on connections are closed in order.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A muxer that closes its streams in order before the connection.
pub(super) struct Muxer {
    inner: StreamMuxerBox,
    closing: Closing,
    left: Left,
    bound: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// Streams that this node opened and whose owners are gone, while the node closes.
type Left = Arc<Mutex<Vec<Ending>>>;

/// A stream that is being closed, and read to its end.
struct Ending {
    stream: SubstreamBox,
    closed: bool,
}

impl Muxer {
    pub(super) fn new(inner: StreamMuxerBox, closing: Closing) -> Self {
        Self { inner, closing, left: Left::default(), bound: None }
    }

    /// Ready when the peer has read all streams to their end, or does not within the bound.
    fn poll_read_by_peer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.inner.poll_unpin(cx) {
                Poll::Ready(Ok(_)) => {}
                // The peer is gone, and nothing can be done any more.
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        // What the peer opens now has no reader here.
        while let Poll::Ready(Ok(stream)) = self.inner.poll_inbound_unpin(cx) {
            drop(stream);
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain_mut(|ending| ending.poll_end(cx).is_pending());
        if left.is_empty() {
            return Poll::Ready(());
        }
        let bound = self.bound.get_or_insert_with(|| Box::pin(tokio::time::sleep(READING_TIMEOUT)));
        bound.poll_unpin(cx)
    }
}

impl Ending {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.closed {
            match Pin::new(&mut self.stream).poll_close(cx) {
                Poll::Ready(Ok(())) => self.closed = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut unwanted = [0; 1024];
        loop {
            match Pin::new(&mut self.stream).poll_read(cx, &mut unwanted) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let stream = self.inner.poll_inbound_unpin(cx);
        stream.map_ok(|stream| Substream { stream: Some(stream), own: None, state: State::Open })
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let stream = self.inner.poll_outbound_unpin(cx);
        stream.map_ok(|stream| Substream {
            stream: Some(stream),
            own: Some((self.closing.clone(), Arc::clone(&self.left))),
            state: State::Open,
        })
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.has_begun() {
            std::task::ready!(self.poll_read_by_peer(cx));
            self.left.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        self.inner.poll_close_unpin(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.inner.poll_unpin(cx)
    }
}

/// A stream of a [`Muxer`].
pub(super) struct Substream {
    /// Always there, until the end.
    stream: Option<SubstreamBox>,
    /// Where the stream goes when its owner drops it, if this node opened it.
    own: Option<(Closing, Left)>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// This node has closed its half.
    Closed,
    /// The peer has closed its half, or the stream failed.
    Ended,
}

impl Substream {
    fn stream(&mut self) -> io::Result<Pin<&mut SubstreamBox>> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }
}

/// Notes when writing has to wait.
fn noted<T>(polled: Poll<T>) -> Poll<T> {
    if polled.is_pending() {
        HELD_UP.set(true);
    }
    polled
}

impl AsyncRead for Substream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = self.stream()?.poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(0) | Err(_))) && !buf.is_empty() {
            self.state = State::Ended;
        }
        read
    }
}

impl AsyncWrite for Substream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        noted(self.stream()?.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        noted(self.stream()?.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        noted(self.stream()?.poll_flush(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = noted(self.stream()?.poll_close(cx));
        if matches!(closed, Poll::Ready(Ok(()))) && self.state == State::Open {
            self.state = State::Closed;
        }
        closed
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        if let (Some(stream), Some((closing, left))) = (self.stream.take(), self.own.take())
            && closing.has_begun()
            && self.state != State::Ended
        {
            let ending = Ending { stream, closed: self.state == State::Closed };
            left.lock().unwrap_or_else(PoisonError::into_inner).push(ending);
        }
    }
}
