//! A request and its answer on one stream, each a frame that begins with its length as an unsigned
//! varint.
//!
//! The asking side closes its half of the stream after the request; the answering side closes the
//! stream after the answer. Bodies stay bytes here, so that large ones are decoded away from the
//! network task.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

use crate::status::{AtomicCounters, Shared};

/// Longest varint of a frame length, in bytes: enough for frames of 2^35 bytes.
const MAX_PREFIX: usize = 5;
/// Bytes of memory that are reserved for a frame before its bytes arrive, whatever its prefix
/// promises.
const CHUNK: usize = 64 * 1024;

/// Reads and writes length-prefixed frames up to fixed sizes.
#[derive(Clone)]
pub(crate) struct FrameCodec {
    /// Counts requests that could not be read: malformed, too large, too slow or cut off. The swarm
    /// reports none of these.
    pub(crate) shared: Arc<Shared>,
    /// Largest request that is read, in bytes.
    pub(crate) max_request: usize,
    /// Largest answer that is read, in bytes.
    pub(crate) max_response: usize,
}

impl Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Bytes;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        let unread = Unread(&self.shared);
        let request = read_frame(io, self.max_request).await?;
        std::mem::forget(unread);
        Ok(request)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, self.max_response).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Bytes,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &body).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Bytes,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &body).await
    }
}

/// Counts a request as failed when it is dropped, as a time-out does silently.
struct Unread<'a>(&'a Shared);

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        AtomicCounters::add(&self.0.counters.requests_failed, 1);
    }
}

/// Reads one frame of at most `max` bytes.
pub(crate) async fn read_frame<T: AsyncRead + Unpin>(io: &mut T, max: usize) -> io::Result<Bytes> {
    let mut first = [0u8; 1];
    io.read_exact(&mut first).await?;
    read_frame_after(first[0], io, max).await
}

/// Reads one frame of at most `max` bytes, of which the first byte was read already.
pub(crate) async fn read_frame_after<T: AsyncRead + Unpin>(
    first: u8,
    io: &mut T,
    max: usize,
) -> io::Result<Bytes> {
    let invalid = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut length = 0u64;
    let mut byte = [first];
    for i in 0.. {
        if i == MAX_PREFIX {
            return Err(invalid("length prefix is too long"));
        }
        if i > 0 {
            io.read_exact(&mut byte).await?;
        }
        length |= u64::from(byte[0] & 0x7f) << (7 * i);
        if byte[0] & 0x80 == 0 {
            // A zero as last byte would be a second way to write the same number.
            if byte[0] == 0 && i > 0 {
                return Err(invalid("length prefix is not minimal"));
            }
            break;
        }
    }
    let length = usize::try_from(length).map_err(|_| invalid("frame is too large"))?;
    if length > max {
        return Err(invalid("frame is too large"));
    }
    let mut body = Vec::with_capacity(length.min(CHUNK));
    let got = io.take(length as u64).read_to_end(&mut body).await?;
    if got < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body.into())
}

/// Writes one frame. The caller closes the stream.
pub(crate) async fn write_frame<T: AsyncWrite + Unpin>(io: &mut T, body: &[u8]) -> io::Result<()> {
    let mut prefix = Vec::with_capacity(10);
    prost::encode_length_delimiter(body.len(), &mut prefix)
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    io.write_all(&prefix).await?;
    io.write_all(body).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_round_trip(body in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mut wire = Cursor::new(Vec::new());
            block_on(write_frame(&mut wire, &body)).expect("writing to memory");
            wire.set_position(0);
            prop_assert_eq!(block_on(read_frame(&mut wire, 5000)).expect("own frame"), body);
        }

        #[test]
        fn any_bytes_are_read_or_refused(wire in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(body) = block_on(read_frame(&mut Cursor::new(wire), 100)) {
                prop_assert!(body.len() <= 100);
            }
        }
    }

    #[test]
    fn prefixes_that_promise_too_much_are_refused() {
        for wire in [
            &[0xff, 0xff, 0xff, 0xff, 0x7f][..],
            &[0x80; 12],
            &[0x65],
            &[0x80, 0x00],
            &[0x05, 1, 2],
        ] {
            assert!(block_on(read_frame(&mut Cursor::new(wire), 100)).is_err(), "{wire:?}");
        }
    }
}
