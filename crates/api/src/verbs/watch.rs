//! WATCH: changes as they happen, as frames of JSON or protobuf.
//!
//! The common frame (whole object, JSON, no conversion) is encoded once per event and shared by all its watchers; everything
//! else is derived per watcher. A watcher holds a cursor into the store's feed and costs no task of its own: the connection
//! that reads the stream drives it.

use crate::Api;
use crate::call::{Call, Target};
use crate::codec;
use crate::list_options::{ListOptions, parse_version};
use crate::negotiate::{Accepted, Media, Shape};
use crate::respond::{self, Answer, partial};
use crate::selection::Selection;
use crate::stored::Stored;
use crate::verbs::large::{self, PIECE, Pieces};
use crate::{conversion, failure, keys, table};
use bytes::Bytes;
use client::Body;
use http::{HeaderValue, header};
use node::connect::wants_websocket;
use node::one_way::{self, Framing};
use object::{ApiError, Result, Value, json, meta};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::{Entry, Event, ListRequest, Revision, StoreError, Watch};
use tokio::sync::{OnceCell, OwnedSemaphorePermit};
use tokio::time::{Instant, Sleep};

/// So many of the objects that a watch begins with are converted at a time.
const PENDING_TOGETHER: usize = 500;
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

pub(crate) async fn watch(mut call: Call, target: Target) -> Result<Answer> {
    let accepted = call.accept(&target, true)?;
    let (options, selection) = ListOptions::new(&call, &target)?;
    call.learn_version().await?;
    let (start, required) = Start::new(&options)?;
    let prefix = keys::prefix(&target.resource, &target.at.namespace);
    let store = call.api.store.clone();

    if options.timeout.is_some_and(|seconds| seconds < 0) {
        let error = ApiError::Status(Box::new(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "context deadline exceeded", "reason": "InternalError", "code": 500,
        })));
        return Ok(frames(accepted, futures::stream::iter([Ok(error_frame(accepted, &error))])));
    }
    if required > store.revision() {
        let error = failure::too_large(required, store.revision());
        return Ok(frames(accepted, futures::stream::iter([Ok(error_frame(accepted, &error))])));
    }
    let (mut pending, mut rest, mut permit) = (VecDeque::new(), Pieces::none(store.clone()), None);
    let from = match start {
        // What lies ahead is waited for.
        Start::After(revision) => revision.min(store.revision()),
        Start::Now { .. } => store.revision(),
        Start::Existing { .. } => {
            let request = ListRequest { prefix: prefix.clone(), most_bytes: PIECE, ..Default::default() };
            let mut listing = store.list(request.clone()).await.map_err(failure::store)?;
            if listing.remaining > 0 {
                drop(listing);
                permit = large::permit(&call).await?;
                listing = store.list(request).await.map_err(failure::store)?;
            }
            if let Some(last) = listing.entries.last().filter(|_| listing.remaining > 0) {
                rest = Pieces::new(store.clone(), &prefix, Some(last.key.to_string()), listing.revision);
            }
            pending.extend(listing.entries);
            listing.revision
        }
    };
    let watch = store.watch(&prefix, from).await.map_err(|e| match e {
        StoreError::Compacted(oldest) => too_old(from, oldest),
        e => failure::store(e),
    })?;
    let bookmarks = options.bookmarks;
    let marks_end = matches!(start, Start::Existing { marks_end: true } | Start::Now { marks_end: true });
    let deadline = Instant::now() + timeout(&options);
    let upgrade = call.upgrade.take().filter(|_| wants_websocket(&call.headers));
    let over_websocket = upgrade.map(|upgrade| (call.headers.clone(), upgrade));
    let watcher = Watcher {
        initial_end: (marks_end && bookmarks).then_some(from),
        next_bookmark: (bookmarks && !call.api.is_internal(&call)).then(|| Instant::now() + BOOKMARK_EVERY),
        bookmarked: from,
        after: match start {
            Start::After(revision) => revision,
            _ => from,
        },
        first_table: true,
        over: false,
        call,
        target,
        accepted,
        selection,
        pending,
        rest,
        permit,
        converted: VecDeque::new(),
        watch,
        deadline,
        alarm: Box::pin(tokio::time::sleep_until(deadline)),
    };
    let stream =
        futures::stream::unfold(watcher, |mut w| async move { w.frame().await.map(|frame| (Ok(frame), w)) });
    if let Some((headers, upgrade)) = over_websocket {
        let framing = match accepted.media {
            Media::Protobuf => Framing::Binary,
            Media::Json | Media::Yaml => Framing::Text,
        };
        return one_way::events(&headers, Some(upgrade), framing, Box::pin(stream));
    }
    Ok(frames(accepted, stream))
}

/// An answer that is a stream of `frames`.
fn frames<S>(accepted: Accepted, frames: S) -> Answer
where
    S: futures::Stream<Item = std::result::Result<Bytes, client::TransportError>> + Send + 'static,
{
    let media = match accepted.media {
        Media::Json | Media::Yaml => "application/json",
        Media::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
    };
    let mut answer = respond::bytes(200, media, Bytes::new());
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    *answer.body_mut() = Body::Stream(Box::pin(frames));
    answer
}

fn error_frame(accepted: Accepted, error: &ApiError) -> Bytes {
    pack(accepted.media, "ERROR", &error.to_status())
}

fn pack(media: Media, kind: &str, object: &Value) -> Bytes {
    match media {
        Media::Protobuf => codec::protobuf_frame(kind, object),
        _ => {
            let mut text = json!({"type": kind, "object": object}).to_string().into_bytes();
            text.push(b'\n');
            text.into()
        }
    }
}

fn too_old(from: Revision, oldest: Revision) -> ApiError {
    ApiError::Expired {
        message: format!("too old resource version: {} ({})", from.0, oldest.0),
        continue_token: None,
    }
}

/// `timeoutSeconds`, or between 30 and 60 minutes.
fn timeout(options: &ListOptions) -> Duration {
    let asked = options.timeout.filter(|s| *s != 0);
    Duration::from_secs(asked.map_or_else(|| rand::random_range(1800..3600), |s| s.max(0) as u64))
}

enum Start {
    /// Changes after a revision.
    After(Revision),
    /// Only what happens from now on.
    Now { marks_end: bool },
    /// What is there first, then changes.
    Existing { marks_end: bool },
}

impl Start {
    /// Where a watch starts, and the version that has to be there before it does.
    fn new(options: &ListOptions) -> Result<(Self, Revision)> {
        let wanted = parse_version(&options.version).map_err(failure::plain)?;
        let start = match (options.initial_events, wanted) {
            (Some(true), _) => return Ok((Self::Existing { marks_end: true }, Revision(wanted))),
            (_, 0) => Self::Now { marks_end: false },
            (_, after) => Self::After(Revision(after)),
        };
        Ok((start, Revision(0)))
    }
}

struct Watcher {
    call: Call,
    target: Target,
    accepted: Accepted,
    selection: Selection,
    /// Existing objects that are still to be sent as ADDED.
    pending: VecDeque<Entry>,
    /// Those that were not read yet, and the right to.
    rest: Pieces,
    permit: Option<OwnedSemaphorePermit>,
    /// The next of them, where a webhook had to convert them.
    converted: VecDeque<Value>,
    /// Send the bookmark that ends the initial events, at this revision.
    initial_end: Option<Revision>,
    watch: Box<dyn Watch>,
    deadline: Instant,
    /// Set to when the watch has something to do by itself.
    alarm: Pin<Box<Sleep>>,
    next_bookmark: Option<Instant>,
    bookmarked: Revision,
    /// Only what happens after this is sent.
    after: Revision,
    first_table: bool,
    over: bool,
}

/// What frames are derived from, once per event.
#[derive(Default)]
struct Derived {
    new: OnceLock<Option<Arc<Value>>>,
    old: OnceLock<Option<Arc<Value>>>,
    frame: OnceLock<Option<Bytes>>,
    /// Frames of other kinds, encodings and shapes; there are few.
    frames: parking_lot::Mutex<Vec<(&'static str, Accepted, Bytes)>>,
    /// What a webhook made of the event, by version.
    converted: parking_lot::Mutex<BTreeMap<String, Arc<OnceCell<Change>>>>,
}

/// What an object was before an event, and what it is after.
type Change = (Option<Arc<Value>>, Option<Arc<Value>>);

fn derived(event: &Event) -> Arc<Derived> {
    let any = event.derived.get_or_init(|| Arc::new(Derived::default()));
    any.clone().downcast().unwrap_or_default()
}

impl Watcher {
    /// The next frame, or the end.
    async fn frame(&mut self) -> Option<Bytes> {
        loop {
            if self.over {
                return None;
            }
            if let Some(object) = self.converted.pop_front() {
                if self.selection.matches(&self.target, &object) {
                    return Some(self.encode("ADDED", object));
                }
                continue;
            }
            if let Some(entry) = self.pending.pop_front() {
                if let Some(frame) = self.existing(entry).await {
                    return Some(frame);
                }
                continue;
            }
            match self.rest.next().await {
                Ok(Some(entries)) => {
                    self.pending.extend(entries);
                    continue;
                }
                Ok(None) => self.permit = None,
                Err(error) => {
                    self.over = true;
                    return Some(self.failed(error));
                }
            }
            if let Some(revision) = self.initial_end.take() {
                return Some(self.bookmark(revision, true));
            }
            let wake = self.next_bookmark.map_or(self.deadline, |at| at.min(self.deadline));
            if self.alarm.deadline() != wake {
                self.alarm.as_mut().reset(wake);
            }
            let next = tokio::select! {
                biased;
                next = self.watch.next() => Some(next),
                () = self.alarm.as_mut() => None,
            };
            let frame = match next {
                Some(Ok(event)) if event.revision <= self.after => None,
                Some(Ok(event)) => self.change(&event).await,
                Some(Err(error)) => {
                    self.over = true;
                    Some(self.failed(error))
                }
                None => self.woken(),
            };
            if frame.is_some() {
                return frame;
            }
        }
    }

    fn woken(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        if now >= self.deadline {
            self.over = true;
            // A last bookmark lets the client go on from here.
            let position = self.watch.position();
            return (self.next_bookmark.is_some() && position > self.bookmarked)
                .then(|| self.bookmark(position, false));
        }
        self.next_bookmark = Some(now + BOOKMARK_EVERY);
        let position = self.watch.position();
        Some(self.bookmark(position, false))
    }

    async fn existing(&mut self, entry: Entry) -> Option<Bytes> {
        if self.plain()
            && self.selection.is_everything()
            && let Some(stored) = respond::served_as_stored(&self.target, &entry.value)
        {
            return Some(json_frame("ADDED", stored, entry.mod_revision));
        }
        if self.converts(&entry.value) {
            return self.convert_pending(entry).await;
        }
        let object = self.read(&entry)?;
        self.selection.matches(&self.target, &object).then(|| self.encode("ADDED", (*object).clone()))
    }

    fn plain(&self) -> bool {
        self.accepted == Accepted::PLAIN
    }

    /// Whether a webhook has to be asked before a stored value can be shown.
    fn converts(&self, value: &[u8]) -> bool {
        conversion::webhook(&self.target.resource).is_some()
            && Stored::new(value)
                .is_some_and(|s| s.api_version != self.target.resource.gvr.group_version().to_string())
    }

    /// Parsed and converted; what cannot be read is passed over so that it never stalls the watch.
    fn read(&self, entry: &Entry) -> Option<Arc<Value>> {
        match self.call.api.read_at_once(&self.target, entry) {
            Ok(object) => Some(Arc::new(object)),
            Err(error) => {
                tracing::warn!(key = %entry.key, %error, "object cannot be read; left out of the watch");
                None
            }
        }
    }

    async fn change(&mut self, event: &Event) -> Option<Bytes> {
        let derived = derived(event);
        if self.plain() && self.selection.is_everything() && self.as_stored(event) {
            return derived.frame.get_or_init(|| shared_frame(event)).clone();
        }
        let new = || self.read(&after(event)?);
        let old = || self.read(&before(event)?);
        let values = [event.value.as_ref(), event.previous.as_ref().map(|p| &p.value)];
        let (new, old) = if values.into_iter().flatten().any(|value| self.converts(value)) {
            match changed(&self.call.api, &self.target, event, &derived).await {
                Ok((old, new)) => (new, old),
                Err(error) => return Some(self.unconverted(&error)),
            }
        } else if self.as_stored(event) {
            (derived.new.get_or_init(new).clone(), derived.old.get_or_init(old).clone())
        } else {
            (new(), old())
        };
        let shown = |object: &Option<Arc<Value>>| {
            object.as_ref().is_some_and(|o| self.selection.matches(&self.target, o))
        };
        let (kind, object) = match (shown(&old), shown(&new)) {
            (false, false) => return None,
            (false, true) => ("ADDED", new),
            (true, true) => ("MODIFIED", new),
            (true, false) => ("DELETED", old),
        };
        let object = object?;
        if !self.as_stored(event) || self.accepted.shape == Shape::Table {
            return Some(self.encode(kind, (*object).clone()));
        }
        let known = |frames: &[(&str, Accepted, Bytes)]| {
            frames.iter().find(|(k, a, _)| *k == kind && *a == self.accepted).map(|(.., frame)| frame.clone())
        };
        if let Some(frame) = known(&derived.frames.lock()) {
            return Some(frame);
        }
        let frame =
            if self.plain() { self.pack(kind, &object) } else { self.encode(kind, (*object).clone()) };
        derived.frames.lock().push((kind, self.accepted, frame.clone()));
        Some(frame)
    }

    /// Converts a pending object together with those that follow it, for the next frames.
    async fn convert_pending(&mut self, first: Entry) -> Option<Bytes> {
        let next = self.pending.len().min(PENDING_TOGETHER);
        let entries: Vec<Entry> = std::iter::once(first).chain(self.pending.drain(..next)).collect();
        match self.call.api.read_all(&self.target, &entries).await {
            Ok(objects) => self.converted.extend(objects),
            Err(error) => return Some(self.unconverted(&error)),
        }
        None
    }

    /// A watch whose objects cannot be converted ends: its client is to list again.
    fn unconverted(&mut self, error: &ApiError) -> Bytes {
        self.over = true;
        self.pack("ERROR", &error.to_status())
    }

    fn as_stored(&self, event: &Event) -> bool {
        let value = event.value.as_ref().or(event.previous.as_ref().map(|p| &p.value));
        value.is_some_and(|v| respond::served_as_stored(&self.target, v).is_some())
    }

    fn encode(&mut self, kind: &str, object: Value) -> Bytes {
        let shaped = match self.accepted.shape {
            Shape::Whole => object,
            Shape::Partial | Shape::PartialList => partial(object, self.accepted),
            Shape::Table => {
                let with_columns = std::mem::take(&mut self.first_table);
                match table::of_event(&self.call, &self.target, self.accepted, &object, with_columns) {
                    Ok(table) => table,
                    Err(error) => error.to_status(),
                }
            }
        };
        self.pack(kind, &shaped)
    }

    fn pack(&self, kind: &str, object: &Value) -> Bytes {
        pack(self.accepted.media, kind, object)
    }

    fn bookmark(&mut self, revision: Revision, ends_initial: bool) -> Bytes {
        self.bookmarked = revision;
        let mut object = json!({
            "kind": self.target.resource.kind, "apiVersion": self.target.resource.gvr.group_version().to_string(),
            "metadata": {"resourceVersion": revision.0.to_string()},
        });
        if ends_initial {
            meta::set_annotation(&mut object, "k8s.io/initial-events-end", "true");
        }
        if self.accepted.shape == Shape::Table {
            return self.encode("BOOKMARK", object);
        }
        // Go's zero time shows where objects are untyped.
        if self.target.resource.custom {
            meta::set(&mut object, "creationTimestamp", Value::Null);
        }
        if self.accepted.shape != Shape::Whole {
            object = partial(object, self.accepted);
        }
        self.pack("BOOKMARK", &object)
    }

    fn failed(&self, error: StoreError) -> Bytes {
        let error = match error {
            StoreError::Compacted(oldest) => too_old(self.watch.position(), oldest),
            other => failure::store(other),
        };
        self.pack("ERROR", &error.to_status())
    }
}

/// What a webhook makes of an event: asked once, whoever watches.
async fn changed(api: &Api, target: &Target, event: &Event, derived: &Derived) -> Result<Change> {
    let version = target.resource.gvr.group_version().to_string();
    let cell = derived.converted.lock().entry(version).or_default().clone();
    let ask = || async {
        let entries: Vec<Entry> = [before(event), after(event)].into_iter().flatten().collect();
        let mut read = api.read_all(target, &entries).await?.into_iter().map(Arc::new);
        let old = event.previous.is_some().then(|| read.next()).flatten();
        Ok((old, read.next()))
    };
    cell.get_or_try_init(ask).await.cloned()
}

/// The object after an event, unless it is gone.
fn after(event: &Event) -> Option<Entry> {
    Some(Entry {
        key: event.key.clone(),
        value: event.value.clone()?,
        create_revision: event.revision,
        mod_revision: event.revision,
    })
}

/// The object before an event. The last state of a deleted one is shown with the revision of its deletion.
fn before(event: &Event) -> Option<Entry> {
    let previous = event.previous.clone()?;
    Some(Entry { mod_revision: event.revision, ..previous })
}

fn shared_frame(event: &Event) -> Option<Bytes> {
    let (kind, value) = match (&event.value, &event.previous) {
        (Some(value), None) => ("ADDED", value),
        (Some(value), Some(_)) => ("MODIFIED", value),
        (None, Some(previous)) => ("DELETED", &previous.value),
        (None, None) => return None,
    };
    Some(json_frame(kind, Stored::new(value)?, event.revision))
}

fn json_frame(kind: &str, stored: Stored<'_>, revision: Revision) -> Bytes {
    let mut out = Vec::with_capacity(stored.len() + 128);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    stored.append_object(&mut out, revision);
    out.extend_from_slice(b"}\n");
    out.into()
}
