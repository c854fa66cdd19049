//! How much of a WebSocket's unfinished message is in memory. The library that reads messages puts them together by itself
//! and tells of them only once they are whole, so the bytes are counted where the connection is read.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::bodies::HeldBytes;

/// How a connection fails on which too large a message comes.
pub const TOO_LARGE: &str = "the message is too long";

/// How a connection fails when there is no room for what comes.
pub const NO_ROOM: &str = "there is no room for the message";

/// What is read of one connection. Nothing is counted until [`Self::count`].
#[derive(Default)]
pub struct Inbound(Mutex<Option<Counted>>);

struct Counted {
    held: HeldBytes,
    most: usize,
}

impl Inbound {
    /// Counts from now on into `held`, up to `most` bytes a message.
    pub fn count(&self, held: HeldBytes, most: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Counted { held, most });
    }

    /// What was read since the last call, which a whole message has come of.
    pub fn message(&self) -> Option<HeldBytes> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.as_mut().map(|counted| counted.held.take())
    }

    fn note(&self, bytes: usize) -> io::Result<()> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Counted { held, most }) = counted.as_mut() else { return Ok(()) };
        if held.bytes().saturating_add(bytes) > *most {
            return Err(io::Error::other(TOO_LARGE));
        }
        held.grow(bytes).map_err(|_| io::Error::other(NO_ROOM))
    }
}

/// A connection whose reading is counted.
pub struct CountedStream {
    pub stream: TcpStream,
    pub inbound: Arc<Inbound>,
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.inbound.note(buffer.filled().len() - before))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
