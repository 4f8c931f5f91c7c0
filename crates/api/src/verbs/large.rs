//! Collections that are too large to be held whole: read piece by piece as of one revision, and sent as they are read.
//!
//! However large a collection is and however many clients list it, an API server keeps at most [`TOGETHER`] pieces in memory.
//! Tables of flow schemas are in order only within a piece, and nothing is indented.

use crate::call::{Call, Target};
use crate::negotiate::{Accepted, Media, Shape};
use crate::respond::{self, Answer, ListMeta};
use crate::selection::Selection;
use crate::{failure, keys};
use bytes::Bytes;
use client::{Body, TransportError};
use futures::StreamExt;
use object::{ApiError, Result, Value, meta};
use std::sync::Arc;
use std::time::Duration;
use store::{Entry, ListRequest, Revision, Store, StoreError};
use tokio::sync::OwnedSemaphorePermit;

/// Stored bytes that are looked at together. One object more may be among them.
pub(crate) const PIECE: usize = 1 << 20;
/// Objects that are looked at together.
const OBJECTS: usize = 2_000;
/// Large collections that are on their way at a time; more wait.
pub(crate) const TOGETHER: usize = 16;
/// So long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are handed on at a time.
const CHUNK: usize = 64 << 10;

/// A collection as of one revision, piece by piece.
pub(crate) struct Pieces {
    store: Arc<dyn Store>,
    request: Option<ListRequest>,
}

impl Pieces {
    /// All under `prefix`, as of `revision`.
    pub fn new(store: Arc<dyn Store>, prefix: &str, after: Option<String>, revision: Revision) -> Self {
        let prefix = prefix.to_owned();
        let request = ListRequest { prefix, after, limit: OBJECTS, most_bytes: PIECE, at: Some(revision) };
        Self { store, request: Some(request) }
    }

    /// Of nothing.
    pub fn none(store: Arc<dyn Store>) -> Self {
        Self { store, request: None }
    }

    /// The next piece; never an empty one.
    pub async fn next(&mut self) -> std::result::Result<Option<Vec<Entry>>, StoreError> {
        let Some(request) = &mut self.request else { return Ok(None) };
        let listing = self.store.list(request.clone()).await?;
        match listing.entries.last() {
            Some(last) if listing.remaining > 0 => request.after = Some(last.key.to_string()),
            _ => self.request = None,
        }
        Ok(Some(listing.entries).filter(|entries| !entries.is_empty()))
    }
}

/// A large list that is about to be sent.
pub(super) struct Large {
    pub call: Call,
    pub target: Target,
    pub accepted: Accepted,
    pub selection: Selection,
    pub after: Option<String>,
    pub about: ListMeta,
}

impl Large {
    fn pieces(&self) -> Pieces {
        let prefix = keys::prefix(&self.target.resource, &self.target.at.namespace);
        Pieces::new(self.call.api.store.clone(), &prefix, self.after.clone(), self.about.revision)
    }

    /// Sends all of it.
    pub async fn answer(self) -> Result<Answer> {
        let permit = permit(&self.call).await?;
        let accepted = self.accepted;
        let mut answer = respond::bytes(200, accepted.media.name(), Bytes::new());
        answer.headers_mut().remove(http::header::CONTENT_LENGTH);
        let parts = match accepted.media {
            Media::Protobuf => {
                let length = self.protobuf_length().await?;
                let head = self.protobuf_head(length)?;
                Parts::new(self, permit, head)
            }
            // JSON is YAML too.
            Media::Json | Media::Yaml => {
                let head = self.json_head()?;
                Parts::new(self, permit, head)
            }
        };
        let stream = futures::stream::unfold(parts, |mut parts| async move {
            let next = parts.next().await.transpose()?;
            Some((next.map_err(|error| TransportError(error.to_string())), parts))
        });
        *answer.body_mut() = Body::Stream(stream.boxed());
        Ok(answer)
    }

    /// The objects of a piece that are selected.
    async fn read(&self, entries: &[Entry]) -> Result<Vec<Value>> {
        let mut objects = self.call.api.read_all(&self.target, entries).await?;
        objects.retain(|object| self.selection.matches(&self.target, object));
        Ok(objects)
    }

    fn list_of(&self, objects: Vec<Value>) -> Result<Value> {
        respond::shaped_list(&self.call, &self.target, self.accepted, objects, &self.about)
    }

    /// Everything before the first item.
    fn json_head(&self) -> Result<Vec<u8>> {
        let mut list = self.list_of(Vec::new())?;
        let items = self.items();
        if let Some(list) = list.as_object_mut() {
            list.remove(items);
        }
        let mut text = list.to_string().into_bytes();
        text.pop();
        text.extend_from_slice(format!(",\"{items}\":[").as_bytes());
        Ok(text)
    }

    fn items(&self) -> &'static str {
        if self.accepted.shape == Shape::Table { "rows" } else { "items" }
    }

    /// The items of a piece, joined by commas.
    async fn json_items(&self, entries: &[Entry]) -> Result<Vec<u8>> {
        let shape_is_stored = self.accepted.shape == Shape::Whole && self.selection.is_everything();
        if shape_is_stored && let Some(text) = respond::plain_items(&self.target, entries) {
            return Ok(text);
        }
        let mut list = self.list_of(self.read(entries).await?)?;
        let mut text = Vec::new();
        for item in list[self.items()].as_array_mut().into_iter().flatten() {
            if !text.is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(item.take().to_string().as_bytes());
        }
        Ok(text)
    }

    /// A list of these alone; lists that follow each other are one list.
    async fn protobuf_items(&self, entries: &[Entry]) -> Result<Vec<u8>> {
        let list = self.list_of(self.read(entries).await?)?;
        schema::proto::encode_body(&list).map_err(|e| ApiError::NotAcceptable(e.to_string()))
    }

    fn protobuf_head(&self, length: usize) -> Result<Vec<u8>> {
        let list = self.list_of(Vec::new())?;
        let gvk = meta::gvk(&list).unwrap_or_default();
        schema::proto::envelope_head(&gvk, length).map_err(|e| ApiError::NotAcceptable(e.to_string()))
    }

    /// The length of the whole stands at the beginning: everything is encoded twice.
    async fn protobuf_length(&self) -> Result<usize> {
        let (mut pieces, mut length) = (self.pieces(), 0);
        while let Some(entries) = pieces.next().await.map_err(failure::store)? {
            length += self.protobuf_items(&entries).await?.len();
        }
        Ok(length)
    }
}

/// The right to send one more large collection. joey's own parts need none: they read what they are sent.
pub(crate) async fn permit(call: &Call) -> Result<Option<OwnedSemaphorePermit>> {
    if call.api.is_internal(call) {
        return Ok(None);
    }
    let waiting = call.api.large.clone().acquire_owned();
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(Ok(permit)) => Ok(Some(permit)),
        _ => Err(ApiError::TooManyRequests {
            message: "Too many large collections at once, please try again later, or ask for pages of them."
                .into(),
            retry_after: 1,
            causes: vec![],
        }),
    }
}

/// What is still to be sent.
struct Parts {
    large: Large,
    pieces: Pieces,
    ready: Bytes,
    /// Whether an item was sent.
    begun: bool,
    ended: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Parts {
    fn new(large: Large, permit: Option<OwnedSemaphorePermit>, head: Vec<u8>) -> Self {
        let pieces = large.pieces();
        Self { large, pieces, ready: head.into(), begun: false, ended: false, _permit: permit }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.ready.is_empty() {
            if self.ended {
                return Ok(None);
            }
            self.fill().await?;
        }
        let most = self.ready.len().min(CHUNK);
        Ok(Some(self.ready.split_to(most)))
    }

    async fn fill(&mut self) -> Result<()> {
        let json = self.large.accepted.media != Media::Protobuf;
        let Some(entries) = self.pieces.next().await.map_err(failure::store)? else {
            self.ended = true;
            self.ready = if json {
                Bytes::from_static(b"]}")
            } else {
                Bytes::from_static(&schema::proto::ENVELOPE_TAIL)
            };
            return Ok(());
        };
        let mut items = if json {
            self.large.json_items(&entries).await?
        } else {
            self.large.protobuf_items(&entries).await?
        };
        if json && self.begun && !items.is_empty() {
            items.insert(0, b',');
        }
        self.begun |= !items.is_empty();
        self.ready = items.into();
        Ok(())
    }
}
