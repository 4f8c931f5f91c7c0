//! Answers as hyper wants them.

use bytes::Bytes;
use client::{Body, BodyStream, TransportError};
use futures::StreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use object::ApiError;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A body on its way out. Each chunk of a stream is flushed by itself when no other is ready.
pub(crate) enum Outgoing {
    /// Complete.
    Full(Option<Bytes>),
    /// Goes on until it ends or the listener shuts down.
    Stream(BodyStream, Pin<Box<WaitForCancellationFutureOwned>>),
}

impl Outgoing {
    pub(crate) fn new(body: Body, shutdown: &CancellationToken) -> Self {
        match body {
            Body::Full(bytes) => Self::Full(Some(bytes).filter(|b| !b.is_empty())),
            Body::Stream(stream) => Self::Stream(stream, Box::pin(shutdown.clone().cancelled_owned())),
        }
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
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(stream, shutdown) => {
                if shutdown.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                stream.poll_next_unpin(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
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
