//! One watcher: from history to the ring, and back when it was too slow.

use super::group::{Found, Group, Place};
use super::{Changes, Feed, History};
use crate::{Event, Revision, StoreError, Watch};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Weak};

/// An ordered stream of one feed's changes under one prefix.
pub struct FeedWatch {
    feed: Arc<Feed>,
    group: Arc<Group>,
    place: Place,
    history: Weak<dyn History>,
    /// Fetched, not yet handed out.
    backlog: VecDeque<Arc<Event>>,
    /// Every change under the prefix up to here was handed out or is in the backlog.
    seen: Revision,
    source: Source,
}

enum Source {
    /// Reads the group's queue at this cursor.
    Ring(u64),
    /// Is to read history.
    Behind,
    /// Is reading history. Kept here so that `next` may be cancelled.
    History(BoxFuture<'static, Result<Changes, StoreError>>),
    /// Failed.
    Over(StoreError),
}

/// What [`FeedWatch::advance`] came to.
enum Progress {
    /// There is an event in the backlog.
    Event,
    /// There is nothing to do but wait.
    Nothing,
    /// There is more history to read, after others had a turn.
    Unfinished,
}

impl FeedWatch {
    pub(super) fn new(
        feed: Arc<Feed>,
        group: Arc<Group>,
        from: Revision,
        history: Weak<dyn History>,
    ) -> Self {
        let source = group.cursor(from).map_or(Source::Behind, Source::Ring);
        let place = group.queue_up();
        Self { feed, group, place, history, backlog: VecDeque::new(), seen: from, source }
    }

    /// Does what can be done without waiting, but reads history only once: that may take long.
    fn advance(&mut self) -> Result<Progress, StoreError> {
        let mut read = false;
        loop {
            if !self.backlog.is_empty() {
                return Ok(Progress::Event);
            }
            match &mut self.source {
                Source::Over(error) => return Err(error.clone()),
                Source::Ring(cursor) => {
                    let head = self.feed.head();
                    match self.group.at(*cursor, self.seen) {
                        Found::Events(events, next) => {
                            *cursor = next;
                            self.seen = events.last().map_or(self.seen, |event| event.revision);
                            self.backlog.extend(events);
                        }
                        Found::Nothing => {
                            self.seen = self.seen.max(head);
                            return Ok(Progress::Nothing);
                        }
                        Found::Dropped(before) => {
                            self.seen = self.seen.max(before);
                            self.source = Source::Behind;
                        }
                        Found::Ended(error) => self.source = Source::Over(error),
                    }
                }
                Source::Behind if read => return Ok(Progress::Unfinished),
                Source::Behind => match self.history.upgrade() {
                    Some(history) => {
                        self.source = Source::History(history.changes(self.group.prefix.clone(), self.seen));
                    }
                    None => self.source = Source::Over(StoreError::Closed),
                },
                Source::History(reading) => match reading.now_or_never() {
                    Some(changes) => {
                        read = true;
                        self.take(changes);
                    }
                    None => return Ok(Progress::Nothing),
                },
            }
        }
    }

    /// Takes what history gave and goes back to the ring when that reaches it.
    fn take(&mut self, changes: Result<Changes, StoreError>) {
        match changes {
            Ok(changes) => {
                self.seen = self.seen.max(changes.through);
                self.backlog.extend(changes.events);
                self.source = self.group.cursor(self.seen).map_or(Source::Behind, Source::Ring);
            }
            Err(error) => self.source = Source::Over(error),
        }
    }
}

impl Watch for FeedWatch {
    fn next(&mut self) -> BoxFuture<'_, Result<Arc<Event>, StoreError>> {
        async move {
            loop {
                match (self.advance()?, &mut self.source) {
                    (Progress::Event, _) => {
                        if let Some(event) = self.backlog.pop_front() {
                            return Ok(event);
                        }
                    }
                    (Progress::Unfinished, _) => tokio::task::yield_now().await,
                    (Progress::Nothing, Source::History(reading)) => {
                        let changes = reading.await;
                        self.take(changes);
                    }
                    (Progress::Nothing, Source::Ring(cursor)) => {
                        let (group, place, cursor, seen) = (&self.group, &self.place, *cursor, self.seen);
                        poll_fn(|cx| group.poll_changed(place, cursor, seen, cx)).await;
                    }
                    (Progress::Nothing, _) => {}
                }
            }
        }
        .boxed()
    }

    fn try_next(&mut self) -> Result<Option<Arc<Event>>, StoreError> {
        self.advance()?;
        Ok(self.backlog.pop_front())
    }

    fn position(&self) -> Revision {
        if let Some(event) = self.backlog.front() {
            return Revision(event.revision.0 - 1);
        }
        match self.source {
            Source::Ring(cursor) => {
                let head = self.feed.head();
                self.group.position(cursor, self.seen, head)
            }
            _ => self.seen,
        }
    }

    fn behind(&self) -> bool {
        matches!(self.source, Source::Behind | Source::History(_))
    }
}

impl Drop for FeedWatch {
    fn drop(&mut self) {
        self.group.step_out(&self.place);
        self.feed.leave(&self.group);
    }
}
