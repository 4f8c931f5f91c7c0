//! Small writes of one turn go out together.
//!
//! HTTP/2 flushes after every frame, and each flush is a TLS record and a system call; when an event goes to twenty
//! watches of one connection, that is most of its cost. What is written while the connection is polled is held back and
//! goes out when the poll is over. Nothing is held between polls unless the client does not take it, nor is anything
//! once the connection was handed over to another task (an upgrade), which is not polled here.
//!
//! A connection that is woken lets the tasks go first that are ready already. Otherwise it would have its turn after each
//! of them (tokio runs next what a task wakes), and there would never be more than one frame to send together.

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes held back at most; then they are sent before more is taken.
const HELD: usize = 64 << 10;
/// Writes of so many bytes are not copied.
const LARGE: usize = 8 << 10;

/// A connection whose small writes may be held back.
pub(crate) struct Corked<T>(Arc<Mutex<Pipe<T>>>);

/// The other handle on it: polls who writes.
pub(crate) struct Cork<T>(Arc<Mutex<Pipe<T>>>);

struct Pipe<T> {
    io: T,
    held: BytesMut,
    /// Whether somebody will send what is held.
    holds: bool,
}

/// Both handles on `io`.
pub(crate) fn cork<T>(io: T) -> (Corked<T>, Cork<T>) {
    let pipe = Arc::new(Mutex::new(Pipe { io, held: BytesMut::new(), holds: false }));
    (Corked(pipe.clone()), Cork(pipe))
}

impl<T: AsyncWrite + Unpin> Cork<T> {
    /// Polls `writer`, which has the other handle, after those that are ready, and sends what it wrote in each poll.
    pub(crate) fn drive<F, E>(&self, mut writer: Pin<&mut F>) -> impl Future<Output = Result<(), E>>
    where
        F: Future<Output = Result<(), E>>,
        E: From<io::Error>,
    {
        let mut waited = false;
        poll_fn(move |cx| {
            if !std::mem::replace(&mut waited, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            waited = false;
            self.0.lock().holds = true;
            let polled = writer.as_mut().poll(cx);
            let mut pipe = self.0.lock();
            pipe.holds = false;
            match (polled, pipe.poll_flush(cx)) {
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
                (polled, _) => polled,
            }
        })
    }
}

impl<T: AsyncWrite + Unpin> Pipe<T> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        // An idle connection keeps no buffer.
        self.held = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Whether so many bytes are to be held back; otherwise nothing is held any more.
    fn poll_holds(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<bool>> {
        if self.holds && bytes < LARGE && self.held.len() + bytes <= HELD {
            return Poll::Ready(Ok(true));
        }
        ready!(self.poll_drain(cx))?;
        Poll::Ready(Ok(self.holds && bytes < LARGE))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.0.lock();
        if !pipe.holds && !pipe.held.is_empty() {
            // Left over from before the connection was handed over: whoever reads waits for an answer to it.
            let _ = pipe.poll_flush(cx)?;
        }
        Pin::new(&mut pipe.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Corked<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.lock();
        if ready!(pipe.poll_holds(cx, buf.len()))? {
            pipe.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut pipe.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.lock();
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        if ready!(pipe.poll_holds(cx, bytes))? {
            bufs.iter().for_each(|buf| pipe.held.extend_from_slice(buf));
            return Poll::Ready(Ok(bytes));
        }
        Pin::new(&mut pipe.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.0.lock();
        if pipe.holds { Poll::Ready(Ok(())) } else { pipe.poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.0.lock();
        ready!(pipe.poll_drain(cx))?;
        Pin::new(&mut pipe.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// Counts what reaches the other side as writes.
    struct Counted(DuplexStream, Arc<Mutex<Vec<usize>>>);

    impl AsyncWrite for Counted {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let written = ready!(Pin::new(&mut self.0).poll_write(cx, buf))?;
            self.1.lock().push(written);
            Poll::Ready(Ok(written))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    #[tokio::test]
    async fn what_is_written_in_one_poll_goes_out_at_once() {
        let ((ours, mut theirs), writes) = (duplex(1 << 20), Arc::default());
        let (mut corked, cork) = cork(Counted(ours, Arc::clone(&writes)));
        let writer = pin!(async move {
            for _ in 0..20 {
                corked.write_all(&[1; 2_000]).await?;
                corked.flush().await?;
            }
            tokio::task::yield_now().await;
            corked.write_all(&[2; 20_000]).await?;
            corked.write_all(&[3; 10]).await?;
            corked.flush().await?;
            Ok::<_, io::Error>(())
        });
        cork.drive(writer).await.unwrap();
        assert_eq!(*writes.lock(), [40_000, 20_000, 10]);
        drop(cork);
        let mut all = vec![];
        theirs.read_to_end(&mut all).await.unwrap();
        assert_eq!((all.len(), all[39_999], all[40_000], all[60_009]), (60_010, 1, 2, 3));
    }

    #[tokio::test]
    async fn who_does_not_read_holds_up_the_writer() {
        let (ours, mut theirs) = duplex(100);
        let (mut corked, cork) = cork(ours);
        let writer = pin!(async move {
            for number in 0..100 {
                corked.write_all(&[number; 5_000]).await?;
                corked.flush().await?;
                assert!(corked.0.lock().held.len() <= HELD);
            }
            corked.shutdown().await
        });
        let mut all = vec![];
        let (driven, read) = tokio::join!(cork.drive(writer), theirs.read_to_end(&mut all));
        driven.unwrap();
        assert_eq!(read.unwrap(), 500_000);
        assert!(all.chunks(5_000).enumerate().all(|(n, chunk)| chunk.iter().all(|byte| *byte == n as u8)));
    }

    #[tokio::test]
    async fn a_connection_handed_over_holds_nothing() {
        let (ours, mut theirs) = duplex(10);
        let (mut corked, cork) = cork(ours);
        let writer = pin!(async move {
            corked.write_all(b"101 Switching Protocols").await?;
            corked.flush().await?;
            Ok::<_, io::Error>(corked)
        });
        let mut handed = None;
        let writer = pin!(async { writer.await.map(|corked| handed = Some(corked)) });
        cork.drive(writer).await.unwrap();
        drop(cork);
        let mut handed = handed.unwrap();
        let reading = tokio::spawn(async move {
            let mut answer = [0];
            handed.read_exact(&mut answer).await.unwrap();
            handed.write_all(b"!").await.unwrap();
        });
        let mut said = [0; 23];
        theirs.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"101 Switching Protocols");
        theirs.write_all(b"?").await.unwrap();
        theirs.read_exact(&mut said[..1]).await.unwrap();
        assert_eq!(said[0], b'!');
        reading.await.unwrap();
    }
}
