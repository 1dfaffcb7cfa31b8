//! Ping on request (`/ipfs/ping/1.0.0`): 32 random bytes there and back on a stream of their own.
//!
//! libp2p's own behaviour answers pings and watches over connections with them, but offers no way to
//! send one on request. This is the sending side only.

use std::io;
use std::time::{Duration, Instant};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::request_response::Codec;
use libp2p::{PeerId, StreamProtocol};

use crate::random;

/// The protocol's id.
pub(crate) const PROTOCOL: &str = "/ipfs/ping/1.0.0";
/// Bytes of a ping, as the protocol has it.
const SIZE: usize = 32;

/// A peer did not answer a ping.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The peer is not connected.
    #[error("{0} is not connected")]
    NotConnected(PeerId),
    /// The peer does not speak the ping protocol.
    #[error("the peer does not answer pings")]
    Unsupported,
    /// No answer within the request time-out.
    #[error("the ping was not answered in time")]
    Timeout,
    /// The connection or stream ended before the answer, or the answer was not the same bytes.
    #[error("the ping failed: {0}")]
    Connection(String),
    /// Too many pings are under way.
    #[error("too many pings are under way")]
    Busy,
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}

/// Writes a ping and reads it back. The answer is the time in between.
///
/// Each request has its own clone, so the bytes that were sent are kept here.
#[derive(Clone, Default)]
pub(crate) struct PingCodec {
    sent: Option<([u8; SIZE], Instant)>,
}

fn payload() -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&random::number().to_be_bytes());
    }
    bytes
}

/// The answering side, which this codec does not have.
fn not_served<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Codec for PingCodec {
    type Protocol = StreamProtocol;
    type Request = ();
    type Response = Duration;

    async fn read_request<T>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        not_served()
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Duration>
    where
        T: AsyncRead + Unpin + Send,
    {
        let Some((sent, at)) = self.sent.take() else { return not_served() };
        let mut echo = [0; SIZE];
        io.read_exact(&mut echo).await?;
        let took = at.elapsed();
        match echo == sent {
            true => Ok(took),
            false => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "not the bytes that were sent"))
            }
        }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let (bytes, _) = self.sent.insert((payload(), Instant::now()));
        io.write_all(bytes).await?;
        io.flush().await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
        _: Duration,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        not_served()
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn only_the_bytes_that_were_sent_are_an_answer() {
        let protocol = StreamProtocol::new(PROTOCOL);
        let mut ping = PingCodec::default();
        assert!(ping.read_response(&protocol, &mut Cursor::new([0; SIZE])).await.is_err());
        let mut wire = Cursor::new(Vec::new());
        ping.write_request(&protocol, &mut wire, ()).await.expect("written to memory");
        let mut echo = wire.into_inner();
        assert_eq!(echo.len(), SIZE);
        let mut again = ping.clone();
        assert!(ping.read_response(&protocol, &mut Cursor::new(&echo)).await.is_ok());
        echo[7] ^= 1;
        let wrong = again.read_response(&protocol, &mut Cursor::new(&echo)).await;
        assert_eq!(wrong.expect_err("altered").kind(), io::ErrorKind::InvalidData);
        let mut other = PingCodec::default();
        other.write_request(&protocol, &mut Cursor::new(Vec::new()), ()).await.expect("written");
        let short = other.read_response(&protocol, &mut Cursor::new(&echo[..31])).await;
        assert_eq!(short.expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
    }
}
