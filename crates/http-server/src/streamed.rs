//! A stream on its way out: small chunks that are ready at the same time go together.
//!
//! A burst of changes costs a watch one frame of HTTP/2 for many of them. Nothing waits for company: what is there is sent.

use bytes::{Bytes, BytesMut};
use client::{BodyStream, TransportError};
use futures::StreamExt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes that go together at most: a frame of HTTP/2.
const TOGETHER: usize = 16 << 10;

type Chunk = Option<Result<Bytes, TransportError>>;

/// A stream, gathered into chunks.
pub(crate) struct Streamed {
    stream: BodyStream,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What came after the last chunk and did not go with it.
    next: Option<Chunk>,
    /// Who will be woken when there is more, if that was found out already.
    waiting: Option<Waker>,
}

impl Streamed {
    /// Goes on until `stream` ends or the listener shuts down.
    pub(crate) fn new(stream: BodyStream, shutdown: &CancellationToken) -> Self {
        let shutdown = Box::pin(shutdown.clone().cancelled_owned());
        Self { stream, shutdown, next: None, waiting: None }
    }

    /// The next chunk, or the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Chunk> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        // Asked again right after a chunk, as hyper does: there was nothing more, and whoever asks will be woken.
        if self.waiting.take().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        if self.shutdown.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        match ready!(self.stream.poll_next_unpin(cx)) {
            Some(Ok(first)) => Poll::Ready(Some(Ok(self.gather(first, cx)))),
            other => Poll::Ready(other),
        }
    }

    /// `first` and what of the stream is ready and fits.
    fn gather(&mut self, first: Bytes, cx: &mut Context<'_>) -> Bytes {
        let mut all: Option<BytesMut> = None;
        let mut length = first.len();
        while length < TOGETHER {
            match self.stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(chunk))) if length + chunk.len() <= TOGETHER => {
                    all.get_or_insert_with(|| BytesMut::from(&*first)).extend_from_slice(&chunk);
                    length += chunk.len();
                }
                Poll::Ready(other) => {
                    self.next = Some(other);
                    break;
                }
                Poll::Pending => {
                    self.waiting = Some(cx.waker().clone());
                    break;
                }
            }
        }
        all.map_or(first, BytesMut::freeze)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc::unbounded;
    use std::future::poll_fn;

    async fn frame(body: &mut Streamed) -> Option<Bytes> {
        poll_fn(|cx| body.poll_chunk(cx)).await.map(|chunk| chunk.expect("no failure"))
    }

    #[tokio::test]
    async fn small_chunks_go_together_and_no_wake_is_lost() {
        let (sender, chunks) = unbounded();
        let shutdown = CancellationToken::new();
        let mut body = Streamed::new(chunks.boxed(), &shutdown);
        let send = |bytes: Vec<u8>| sender.unbounded_send(Ok(Bytes::from(bytes))).unwrap();
        for chunk in [vec![b'a'; 3], vec![b'b'; 4], vec![b'c'; TOGETHER - 8], vec![b'd'; 9], vec![b'e'; 1]] {
            send(chunk);
        }
        assert_eq!(frame(&mut body).await.unwrap().len(), TOGETHER - 1);
        assert_eq!(frame(&mut body).await.unwrap(), "ddddddddd");
        assert_eq!(frame(&mut body).await.unwrap(), "e");
        let waiting = tokio::spawn(async move { (frame(&mut body).await, frame(&mut body).await, body) });
        tokio::task::yield_now().await;
        send(vec![b'f'; 2]);
        tokio::task::yield_now().await;
        send(vec![b'g'; 2]);
        let (first, second, mut body) = waiting.await.unwrap();
        assert_eq!((first.unwrap(), second.unwrap()), ("ff".into(), "gg".into()));
        shutdown.cancel();
        assert_eq!(frame(&mut body).await, None, "the listener shuts down");
    }
}
