//! Watch frames: a stream of JSON lines, each an event type and an object.

use crate::transport::{Body, BodyStream};
use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use object::{ApiError, Result};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The longest frame kept; a longer one ends the watch with an error.
const MAX_FRAME: usize = 64 << 20;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FrameType {
    /// New, or newly selected.
    Added,
    /// Changed.
    Modified,
    /// Gone, or no longer selected; the object is its last state.
    Deleted,
    /// Only the object's `resourceVersion` (and annotations) say something.
    Bookmark,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What happened.
    pub kind: FrameType,
    /// The object, encoded.
    pub object: Bytes,
}

/// A running watch; dropping it ends it.
pub struct WatchStream {
    body: Option<BodyStream>,
    buffer: BytesMut,
    chunk: Bytes,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl WatchStream {
    pub(crate) fn new(body: Body) -> Self {
        let (body, chunk) = match body {
            Body::Full(bytes) => (None, bytes),
            Body::Stream(stream) => (Some(stream), Bytes::new()),
        };
        Self { body, buffer: BytesMut::new(), chunk }
    }

    /// The next event; `None` when the server ended the watch. An `ERROR` event is an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Frame>> {
        loop {
            if let Some(line) = self.line() {
                if !line.trim_ascii().is_empty() {
                    return Some(frame(&line));
                }
                continue;
            }
            if self.buffer.len() > MAX_FRAME {
                return Some(Err(ApiError::TooLarge(format!(
                    "a watch event is longer than {MAX_FRAME} bytes"
                ))));
            }
            match self.body.as_mut()?.next().await {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => {
                    self.body = None;
                    return Some(Err(ApiError::ServiceUnavailable(error.to_string())));
                }
                None => self.body = None,
            }
        }
    }

    /// Takes one whole line; a chunk that holds whole lines is never copied.
    fn line(&mut self) -> Option<Bytes> {
        let Some(end) = self.chunk.iter().position(|b| *b == b'\n') else {
            let rest = std::mem::take(&mut self.chunk);
            self.buffer.extend_from_slice(&rest);
            // A server may end without a last newline.
            return (self.body.is_none() && !self.buffer.is_empty()).then(|| self.buffer.split().freeze());
        };
        let line = self.chunk.split_to(end);
        self.chunk.advance(1);
        if self.buffer.is_empty() {
            return Some(line);
        }
        self.buffer.extend_from_slice(&line);
        Some(self.buffer.split().freeze())
    }
}

/// How API servers write the events that matter most, up to the object.
const PLAIN: [(&[u8], FrameType); 4] = [
    (b"{\"type\":\"MODIFIED\",\"object\":", FrameType::Modified),
    (b"{\"type\":\"ADDED\",\"object\":", FrameType::Added),
    (b"{\"type\":\"DELETED\",\"object\":", FrameType::Deleted),
    (b"{\"type\":\"BOOKMARK\",\"object\":", FrameType::Bookmark),
];

/// The event of a line that looks as expected; who reads the object will see whether it is one.
fn plain(line: &Bytes) -> Option<Frame> {
    let text = line.trim_ascii();
    let (head, kind) = PLAIN.iter().find(|(head, _)| text.starts_with(head))?;
    let object = text[head.len()..].strip_suffix(b"}").filter(|object| object.starts_with(b"{"))?;
    Some(Frame { kind: *kind, object: line.slice_ref(object) })
}

fn frame(line: &Bytes) -> Result<Frame> {
    if let Some(frame) = plain(line) {
        return Ok(frame);
    }
    let unreadable =
        |error: &dyn std::fmt::Display| ApiError::Internal(format!("unreadable watch event: {error}"));
    let read: Line<'_> = serde_json::from_slice(line).map_err(|error| unreadable(&error))?;
    let kind = match read.kind {
        "ADDED" => FrameType::Added,
        "MODIFIED" => FrameType::Modified,
        "DELETED" => FrameType::Deleted,
        "BOOKMARK" => FrameType::Bookmark,
        "ERROR" => {
            let status: Value =
                serde_json::from_str(read.object.get()).map_err(|error| unreadable(&error))?;
            return Err(ApiError::from_status(status));
        }
        other => return Err(unreadable(&format!("type {other:?}"))),
    };
    Ok(Frame { kind, object: line.slice_ref(read.object.get().as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_may_be_cut_anywhere() {
        let text =
            "{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n{\"type\":\"BOOKMARK\",\"object\":{\"b\":\"é\"}}\n";
        for cut in 0..text.len() {
            let parts =
                [&text.as_bytes()[..cut], &text.as_bytes()[cut..]].map(|p| Ok(Bytes::copy_from_slice(p)));
            let mut watch = WatchStream::new(Body::Stream(futures::stream::iter(parts).boxed()));
            let first = watch.next().await.unwrap().unwrap();
            assert_eq!((first.kind, &first.object[..]), (FrameType::Added, &b"{\"a\":1}"[..]));
            let second = watch.next().await.unwrap().unwrap();
            assert_eq!((second.kind, &second.object[..]), (FrameType::Bookmark, "{\"b\":\"é\"}".as_bytes()));
            assert!(watch.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn an_error_event_is_the_error_it_says() {
        let text = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"old\"}}\n";
        let mut watch = WatchStream::new(Body::Full(Bytes::from_static(text.as_bytes())));
        assert!(watch.next().await.unwrap().unwrap_err().is_expired());
        assert!(watch.next().await.is_none());
    }
}
