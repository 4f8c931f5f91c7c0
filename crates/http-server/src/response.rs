//! Answers as hyper wants them.

use crate::streamed::Streamed;
use bytes::Bytes;
use client::{Body, TransportError};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use object::ApiError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Bytes of a complete answer that are handed on at a time: what the client does not take stays here, where it counts.
const CHUNK: usize = 64 << 10;
/// Answers of fewer bytes are not counted.
const SMALL: usize = 4 << 10;

/// A body on its way out.
pub(crate) enum Outgoing {
    /// Complete; what is not sent yet counts against [`Limits::answers`](crate::Limits::answers).
    Full(Bytes, Option<OwnedSemaphorePermit>),
    /// Goes on until it ends or the listener shuts down.
    Stream(Streamed),
}

impl Outgoing {
    /// `None` when there is no room for it. `unsent` holds one permit for each byte.
    pub(crate) fn new(body: Body, shutdown: &CancellationToken, unsent: &Arc<Semaphore>) -> Option<Self> {
        match body {
            Body::Full(bytes) if bytes.len() < SMALL => Some(Self::Full(bytes, None)),
            Body::Full(bytes) => {
                let length = u32::try_from(bytes.len()).ok()?;
                let permit = unsent.clone().try_acquire_many_owned(length).ok()?;
                Some(Self::Full(bytes, Some(permit)))
            }
            Body::Stream(stream) => Some(Self::Stream(Streamed::new(stream, shutdown))),
        }
    }

    /// A `Status`, which needs no room.
    pub(crate) fn of(error: &ApiError) -> Response<Self> {
        status(error).map(|body| match body {
            Body::Full(bytes) => Self::Full(bytes, None),
            Body::Stream(_) => Self::Full(Bytes::new(), None),
        })
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        match self.get_mut() {
            Self::Full(bytes, _) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes, permit) => {
                let chunk = bytes.split_to(bytes.len().min(CHUNK));
                if let Some(permit) = permit {
                    drop(permit.split(chunk.len()));
                }
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Self::Stream(streamed) => {
                streamed.poll_chunk(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(bytes, _) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes, _) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(..) => SizeHint::default(),
        }
    }
}

/// The `Status` that says `error`.
pub(crate) fn status(error: &ApiError) -> Response<Body> {
    let mut response = Response::new(Body::Full(error.to_status().to_string().into()));
    *response.status_mut() = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn frame(body: &mut Outgoing) -> Option<Bytes> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        frame.expect("no failure").into_data().ok()
    }

    #[tokio::test]
    async fn what_is_not_sent_counts() {
        let (shutdown, unsent) = (CancellationToken::new(), Arc::new(Semaphore::new(100_000)));
        let answer = || Outgoing::new(Body::Full(vec![0; 80_000].into()), &shutdown, &unsent);
        let mut body = answer().unwrap();
        assert!(answer().is_none(), "no room for another");
        assert_eq!(frame(&mut body).await.unwrap().len(), CHUNK);
        assert_eq!(unsent.available_permits(), 100_000 - (80_000 - CHUNK));
        drop(body);
        assert_eq!(unsent.available_permits(), 100_000);
    }
}
