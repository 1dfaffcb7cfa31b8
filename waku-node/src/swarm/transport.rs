//! TCP, plain or under websocket, with noise, yamux and mplex, read no faster than the limits allow.
//!
//! The limit applies below encryption and websocket, so it covers all that peers send: handshakes,
//! control messages, duplicates and garbage. A peer that sends too fast is not read for a while; TCP
//! makes it wait, and nothing is lost.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite, FutureExt};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, Transport as _};
use libp2p::core::upgrade::{SelectUpgrade, Version};
use libp2p::identity::Keypair;
use libp2p::{PeerId, dns, noise, tcp, websocket, yamux};
use libp2p_mplex as mplex;
use tokio::time::Instant;

use super::muxer::{Closing, Muxer};
use crate::budget::Bucket;
use crate::config::Limits;
use crate::status::{AtomicCounters, Shared};

/// The most streams on one connection.
const MAX_STREAMS: usize = 256;
/// Largest websocket frame that is read, in bytes. The layers above never write a larger one.
const MAX_WEBSOCKET_FRAME: usize = 1024 * 1024;
/// A throttled connection waits until it may read this many bytes, rather than read byte by byte.
const QUANTUM: u64 = 16 * 1024;
/// How long a stream is read after this half was closed, for the peer to close the other one. A peer that has
/// read everything does so at once; one that is held up for longer was given its time before.
const LINGER: Duration = Duration::from_secs(1);

/// Builds the transport. Without a usable resolver configuration only IP addresses can be dialled.
pub(super) fn build(
    key: &Keypair,
    limits: &Limits,
    shared: &Arc<Shared>,
    closing: &Closing,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let now = Instant::now();
    let total = Arc::new(Mutex::new(Bucket::new(
        limits.total_bytes_per_second,
        limits.total_burst_bytes,
        now,
    )));
    let (rate, burst) = (limits.peer_bytes_per_second, limits.peer_burst_bytes);
    let throttled = || {
        let (total, shared, closing) = (total.clone(), shared.clone(), closing.clone());
        let throttle = move |stream| Throttled {
            stream,
            own: Bucket::new(rate, burst, Instant::now()),
            total: total.clone(),
            shared: shared.clone(),
            pause: None,
            closing: closing.clone(),
            end: End::Open,
        };
        let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        match dns::tokio::Transport::system(tcp()) {
            Ok(dns) => dns.map(move |stream, _| throttle(stream)).boxed(),
            Err(error) => {
                tracing::warn!(%error, "names cannot be resolved; only IP addresses can be dialled");
                tcp().map(move |stream, _| throttle(stream)).boxed()
            }
        }
    };
    let mut websocket = websocket::Config::new(throttled());
    websocket.set_max_data_size(MAX_WEBSOCKET_FRAME);
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MAX_STREAMS);
    let mut mplex = mplex::Config::new();
    mplex.set_max_num_streams(MAX_STREAMS);
    // A full buffer of one stream must hold up the connection, not end it, so that nothing is lost.
    mplex.set_max_buffer_behaviour(mplex::MaxBufferBehaviour::Block);
    let closing = closing.clone();
    let transport = websocket
        .or_transport(throttled())
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(key)?)
        .multiplex(SelectUpgrade::new(yamux, mplex))
        .timeout(limits.dial_timeout);
    Ok(transport
        .map(move |(peer, muxer), _| {
            let muxer = Muxer::new(StreamMuxerBox::new(muxer), closing.clone());
            (peer, StreamMuxerBox::new(muxer))
        })
        .boxed())
}

/// A stream that is read within two budgets: its own, and one that all streams share. When the node
/// stops, it is closed so that the peer can read all of it.
struct Throttled<S> {
    stream: S,
    own: Bucket,
    total: Arc<Mutex<Bucket>>,
    shared: Arc<Shared>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    closing: Closing,
    end: End,
}

/// How far the end of a stream has come.
enum End {
    Open,
    /// This half is closed, and the other one is read until it ends or until the bound.
    Lingering(Pin<Box<tokio::time::Sleep>>),
}

impl<S> Throttled<S> {
    /// How many bytes may be read now; pending while the stream has to wait.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.poll_unpin(cx));
                self.pause = None;
            }
            let now = Instant::now();
            let wait = {
                let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
                let allowed = self.own.available(now).min(total.available(now));
                if allowed >= QUANTUM {
                    return Poll::Ready(usize::try_from(allowed).unwrap_or(usize::MAX));
                }
                self.own.wait_for(QUANTUM, now).max(total.wait_for(QUANTUM, now))
            };
            AtomicCounters::add(&self.shared.counters.reads_put_off, 1);
            self.pause = Some(Box::pin(tokio::time::sleep(wait.max(Duration::from_millis(1)))));
        }
    }

    fn spend(&mut self, n: usize) {
        let now = Instant::now();
        self.own.spend(n as u64, now);
        self.total.lock().unwrap_or_else(PoisonError::into_inner).spend(n as u64, now);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Throttled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = ready!(self.poll_allowance(cx)).min(buf.len());
        let n = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf[..allowed]))?;
        self.spend(n);
        Poll::Ready(Ok(n))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let End::Open = self.end {
            ready!(Pin::new(&mut self.stream).poll_close(cx))?;
            self.end = End::Lingering(Box::pin(tokio::time::sleep(LINGER)));
        }
        if !self.closing.has_begun() {
            return Poll::Ready(Ok(()));
        }
        // The system resets a connection that is dropped with unread bytes, and the peer then loses
        // what it has not read. So they are read, and thrown away.
        let mut unwanted = [0; 4096];
        while let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut unwanted) {
            if !matches!(read, Ok(1..)) {
                return Poll::Ready(Ok(()));
            }
        }
        match &mut self.end {
            End::Lingering(bound) => bound.poll_unpin(cx).map(Ok),
            End::Open => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn reads_no_faster_than_the_budget() {
        let data = vec![7u8; 400_000];
        let shared = Arc::new(Shared::new(crate::events::EventHub::new(1, 1), None));
        let start = Instant::now();
        let mut stream = Throttled {
            stream: futures::io::Cursor::new(&data),
            own: Bucket::new(1_000_000, 100_000, start),
            total: Arc::new(Mutex::new(Bucket::new(10_000_000, 1_000_000, start))),
            shared: shared.clone(),
            pause: None,
            closing: Closing::default(),
            end: End::Open,
        };
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.expect("reading from memory");
        assert_eq!(got, data);
        // 100 kB at once and the other 300 kB at 1 MB/s; a slow machine only takes longer.
        assert!(start.elapsed() >= Duration::from_millis(280));
        assert!(shared.counters.reads_put_off.load(std::sync::atomic::Ordering::Relaxed) > 0);
    }
}
