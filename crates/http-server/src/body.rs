//! Reading a request's body whole, within bounds.

use crate::limits::Limits;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use object::ApiError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// While bodies take more than half of their room, each has to bring [`PACE`] bytes in such a time: else a few clients that
/// stop in the middle would keep everybody out for [`Limits::body_read`].
const PATIENCE: Duration = Duration::from_secs(5);
const PACE: usize = 64 << 10;

/// Why there is no body.
pub(crate) enum Failure {
    /// Answer this.
    Answer(ApiError),
    /// The client went away.
    Gone,
}

/// A whole body; its bytes count against [`Limits::bodies`] until it is dropped.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Reads `body`. `budget` holds one permit for each of [`Limits::bodies`] bytes.
pub(crate) async fn read<B>(body: B, limits: &Limits, budget: &Arc<Semaphore>) -> Result<Whole, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let too_large =
        || Failure::Answer(ApiError::TooLarge(format!("Request entity too large: limit is {}", limits.body)));
    if body.size_hint().lower() > limits.body as u64 {
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok(Whole { bytes: Bytes::new(), permit: None });
    }
    let reading = async {
        let mut body = body;
        let (mut whole, mut total, mut permit) = (Gathered::default(), 0, None);
        let mut pace = Pace { since: Instant::now(), total };
        loop {
            match tokio::time::timeout(PATIENCE, body.frame()).await {
                Ok(None) => return Ok(Whole { bytes: whole.bytes(), permit }),
                Ok(Some(frame)) => {
                    let Ok(data) = frame.map_err(|_| Failure::Gone)?.into_data() else { continue };
                    total += data.len();
                    if total > limits.body {
                        return Err(too_large());
                    }
                    reserve(&mut permit, data.len(), budget)?;
                    whole.add(data);
                }
                Err(_) => {}
            }
            if pace.is_slow(total) && budget.available_permits() < limits.bodies / 2 {
                return Err(Failure::Answer(timed_out()));
            }
        }
    };
    match tokio::time::timeout(limits.body_read, reading).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Answer(timed_out())),
    }
}

/// How much there was a while ago.
struct Pace {
    since: Instant,
    total: usize,
}

impl Pace {
    /// Whether too little came lately.
    fn is_slow(&mut self, total: usize) -> bool {
        if self.since.elapsed() < PATIENCE {
            return false;
        }
        let slow = total - self.total < PACE;
        *self = Self { since: Instant::now(), total };
        slow
    }
}

fn reserve(
    permit: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
    budget: &Arc<Semaphore>,
) -> Result<(), Failure> {
    let more = budget.clone().try_acquire_many_owned(bytes as u32).map_err(|_| {
        Failure::Answer(ApiError::TooManyRequests {
            message: "Too many large requests at once, please try again later.".into(),
            retry_after: 1,
            causes: vec![],
        })
    })?;
    match permit {
        Some(permit) => permit.merge(more),
        None => *permit = Some(more),
    }
    Ok(())
}

/// What came so far: one piece as it is, more in one buffer. Pieces are as small as the client likes, and to keep each would
/// cost many times what it holds.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    fn add(&mut self, data: Bytes) {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }

    fn bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

fn timed_out() -> ApiError {
    ApiError::Status(Box::new(serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Timeout", "code": 408,
        "message": "the request's body did not arrive in time",
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    /// A body of which so many bytes come, and the rest never does.
    fn begun(bytes: usize) -> impl http_body::Body<Data = Bytes> + Unpin {
        let piece = http_body::Frame::data(Bytes::from(vec![b'a'; bytes]));
        let pieces = futures::stream::iter([Ok::<_, std::io::Error>(piece)]);
        StreamBody::new(futures::StreamExt::chain(pieces, futures::stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_in_the_middle_keeps_nobody_out() {
        let limits = Limits { bodies: 1000, ..Limits::default() };
        let budget = Arc::new(Semaphore::new(limits.bodies));
        let took = async |bytes| {
            let start = Instant::now();
            let failed = read(begun(bytes), &limits, &budget).await.err();
            assert!(matches!(failed, Some(Failure::Answer(ApiError::Status(_)))), "{bytes} bytes");
            start.elapsed()
        };
        assert_eq!(took(900).await, PATIENCE);
        // Where there is room, the slow may be slow.
        assert_eq!(took(100).await, limits.body_read);
        let whole = read(Full::new(Bytes::from_static(b"whole")), &limits, &budget).await.ok();
        assert_eq!(whole.map(|whole| whole.bytes), Some(Bytes::from_static(b"whole")));
    }
}
