//! The write path, one round after the other, each for all jobs that wait: decide, commit durably, update what readers
//! see, tell watchers, acknowledge.

use super::batch::Batch;
use super::database::{Meta, Snapshot, failed, guarded, open};
use super::driver::{Job, Reply};
use super::engine::Engine;
use super::expiry::Expiries;
use super::fill::Fill;
use super::record::{LOG, Record, VALUES, encode_value};
use crate::{Entry, Event, Revision, StoreError};
use bytes::Bytes;
use redb::{Database, ReadableTable};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// Expired keys deleted per commit.
const EXPIRE: usize = 512;
/// Old log records looked at per commit while nobody waits, for versions to remove.
const SWEEP: u64 = 512;

/// What only the write path uses.
pub(super) struct Writer {
    /// Absent after a failure that opening again did not mend.
    pub(super) database: Option<Database>,
    /// As on disk.
    pub(super) meta: Meta,
    /// Data of failed commits that may have reached the disk is to be removed.
    pub(super) undo: bool,
    pub(super) expiries: Expiries,
    /// Times and the revisions that were current then: how old history is.
    pub(super) samples: VecDeque<(u64, Revision)>,
    pub(super) fill: Fill,
}

/// The jobs of a round and their answers, sent when the round is over.
#[derive(Default)]
struct Round {
    writes: Vec<(Reply<Revision>, Result<Revision, StoreError>)>,
    compactions: Vec<Reply<()>>,
    maintenance: Vec<Reply<usize>>,
    /// Readers shall go back no further than this.
    compacted: Revision,
    /// Keys that expired.
    expired: usize,
}

impl Engine {
    /// One commit for all these jobs.
    pub(super) fn round(&self, writer: &mut Writer, jobs: Vec<Job>) {
        let now = self.options.now();
        let mut batch = Batch::after(writer.meta.revision);
        let mut round = Round { compacted: writer.meta.compacted, ..Round::default() };
        self.expire(writer, &mut batch, now, &mut round);
        for job in jobs {
            self.decide(writer, &mut batch, job, now, &mut round);
        }
        self.age(writer, now, &mut batch, &mut round);
        let budget = 64 + 2 * batch.changes.len() as u64;
        let result = self.commit(writer, &batch, round.compacted, budget);
        self.note_due(writer);
        round.answer(result.map_err(|error| self.located(error)));
    }

    /// Removes some of what compaction left, while nobody waits; false when nothing is left or it failed.
    pub(super) fn sweep(&self, writer: &mut Writer) -> bool {
        let left = writer.database.is_some() && writer.meta.swept < writer.meta.compacted;
        left && !self.queue.lock().closed
            && self.commit(writer, &Batch::after(writer.meta.revision), writer.meta.compacted, SWEEP).is_ok()
    }

    fn expire(&self, writer: &Writer, batch: &mut Batch, now: u64, round: &mut Round) {
        let state = self.state.read();
        for key in writer.expiries.due(now, EXPIRE) {
            round.expired += usize::from(batch.delete(&state.index, key));
        }
    }

    fn decide(&self, writer: &mut Writer, batch: &mut Batch, job: Job, now: u64, round: &mut Round) {
        match job {
            Job::Write(write, reply) => {
                if let Some(full) = writer.fill.refuses(&write, || self.count()) {
                    round.writes.push((reply, Err(full)));
                    return;
                }
                let key = write.key.clone();
                let decided = batch.write(&self.state.read().index, write, now);
                let answer = decided.map_err(|version| match version {
                    None => StoreError::Conflict(None),
                    Some(version) => {
                        let value = match batch.value(version.revision) {
                            Some(value) => Ok(value.clone()),
                            None => self.read(|snapshot| snapshot.value(version.revision)),
                        };
                        value.map_or_else(
                            |error| error,
                            |value| StoreError::Conflict(Some(version.entry(key, value))),
                        )
                    }
                });
                round.writes.push((reply, answer));
            }
            Job::Compact(revision, reply) if revision > batch.last() => {
                let _ = reply.send(Err(StoreError::Future(writer.meta.revision)));
            }
            Job::Compact(revision, reply) => {
                round.compacted = round.compacted.max(revision);
                round.compactions.push(reply);
            }
            Job::Maintain(at, reply) => {
                let state = self.state.read();
                for key in writer.expiries.due(at, EXPIRE) {
                    round.expired += usize::from(batch.delete(&state.index, key));
                }
                round.maintenance.push(reply);
            }
        }
    }

    /// The bytes of all values that are kept. Reads every one of them.
    fn count(&self) -> Option<u64> {
        let counted = self.read(|snapshot| snapshot.count());
        counted
            .inspect_err(|error| tracing::warn!(store = self.place, %error, "cannot count what is kept"))
            .ok()
    }

    /// Notes how old history is, and lets the part that is too old go.
    fn age(&self, writer: &mut Writer, now: u64, batch: &mut Batch, round: &mut Round) {
        if let Some(revision) = self.outdated_pages(now)
            && revision >= round.compacted
        {
            // A store in which nothing changes still moves on, as etcd does when Kubernetes compacts it: pages of a list
            // do not stay good for ever.
            if batch.last() == revision {
                batch.skip();
            }
            round.compacted = Revision(revision.0 + 1);
        }
        let last = batch.last();
        let history = u64::try_from(self.options.history.as_millis()).unwrap_or(u64::MAX);
        while let Some((time, revision)) = writer.samples.front()
            && now.saturating_sub(*time) >= history
        {
            round.compacted = round.compacted.max(*revision);
            writer.samples.pop_front();
        }
        let stale =
            |(time, revision): &(u64, Revision)| *revision < last && now.saturating_sub(*time) >= history / 8;
        if last > round.compacted && writer.samples.back().is_none_or(stale) {
            writer.samples.push_back((now, last));
        }
    }

    /// Makes the batch durable and then visible.
    fn commit(
        &self,
        writer: &mut Writer,
        batch: &Batch,
        compacted: Revision,
        sweep: u64,
    ) -> Result<(), StoreError> {
        if writer.database.is_none() {
            self.reopen(writer)?;
        }
        let mut meta = Meta { revision: batch.last(), compacted, swept: writer.meta.swept };
        let unswept = sweep > 0 && meta.swept < compacted;
        if batch.changes.is_empty() && meta == writer.meta && !unswept && !writer.undo {
            return Ok(());
        }
        let committed = guarded(|| {
            let Some(database) = &writer.database else { return Err(StoreError::Closed) };
            let stored = store(database, batch, writer, &mut meta, self.state.read().revision, sweep)?;
            Ok((stored, Snapshot::take(database, &self.cache)?))
        });
        match committed {
            Ok((Stored { swept, kept, dropped }, snapshot)) => {
                writer.fill.changed(kept, dropped);
                writer.meta = meta;
                writer.undo = false;
                self.show(writer, batch, &swept, Arc::new(snapshot));
                Ok(())
            }
            Err(error) => {
                tracing::warn!(store = self.place, %error, changes = batch.changes.len(), "commit failed");
                // whether it reached the disk is not known: open again, hide and remove what did
                writer.undo = true;
                writer.database = None;
                if let Err(error) = self.reopen(writer) {
                    tracing::warn!(store = self.place, %error, "opening again after a failure failed");
                }
                Err(error)
            }
        }
    }

    /// Lets readers and watchers see what was committed.
    fn show(&self, writer: &mut Writer, batch: &Batch, swept: &[Arc<str>], snapshot: Arc<Snapshot>) {
        let mut state = self.state.write();
        let keys: Vec<_> =
            batch.changes.iter().map(|change| state.index.apply(&change.key, change.version())).collect();
        for key in swept {
            state.index.prune(key, writer.meta.compacted);
        }
        state.compacted = writer.meta.compacted;
        state.revision = writer.meta.revision;
        state.snapshot = snapshot.clone();
        drop(state);
        for (key, change) in keys.iter().zip(&batch.changes) {
            writer.expiries.set(key, change.expires);
        }
        for change in &batch.changes {
            if let Some(value) = &change.value {
                // a copy: the writer's may be a part of a whole request
                self.cache.put(change.revision, Bytes::copy_from_slice(value));
            }
        }
        self.feed.publish(writer.meta.revision, || events(batch, &keys, &snapshot));
        for version in batch.changes.iter().filter_map(|change| change.previous) {
            self.cache.remove(version.revision);
        }
    }

    /// Opens the database again after a failure. Readers go on with what they saw.
    pub(super) fn reopen(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if self.queue.lock().closed {
            return Err(StoreError::Closed);
        }
        writer.database = None;
        let database = open(&self.disk, self.options.page_bytes())?;
        let (stored, snapshot) =
            guarded(|| Ok((Meta::read(&database)?, Snapshot::take(&database, &self.cache)?)))?;
        let revision = self.state.read().revision;
        if stored.revision < revision {
            let (is, was) = (stored.revision.0, revision.0);
            return Err(StoreError::Corrupt(format!("storage went back from revision {was} to {is}")));
        }
        // revisions of writes that failed are not given again
        writer.meta.revision = writer.meta.revision.max(stored.revision);
        writer.undo = true;
        writer.database = Some(database);
        self.state.write().snapshot = Arc::new(snapshot);
        Ok(())
    }
}

impl Round {
    fn answer(self, result: Result<(), StoreError>) {
        // a receiver that is gone has given up waiting
        for (reply, answer) in self.writes {
            let _ = reply.send(result.clone().and(answer));
        }
        for reply in self.compactions {
            let _ = reply.send(result.clone());
        }
        for reply in self.maintenance {
            let _ = reply.send(result.clone().map(|()| self.expired));
        }
    }
}

/// What a commit did.
#[derive(Default)]
struct Stored {
    /// The keys of what was removed.
    swept: Vec<Arc<str>>,
    /// Bytes of values written, and of those removed.
    kept: u64,
    dropped: u64,
}

/// Writes the batch in one durable transaction and removes what compaction made superfluous.
fn store(
    database: &Database,
    batch: &Batch,
    writer: &Writer,
    meta: &mut Meta,
    visible: Revision,
    sweep: u64,
) -> Result<Stored, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut stored = Stored::default();
    {
        let mut log = transaction.open_table(LOG).map_err(failed)?;
        let mut values = transaction.open_table(VALUES).map_err(failed)?;
        if writer.undo {
            log.retain_in(visible.0 + 1.., |_, _| false).map_err(failed)?;
            values.retain_in(visible.0 + 1.., |_, _| false).map_err(failed)?;
        }
        for change in &batch.changes {
            let record = Record {
                key: &change.key,
                deleted: change.value.is_none(),
                create: change.create,
                previous: change.previous.map_or(Revision(0), |version| version.revision),
                expires: change.expires,
            };
            log.insert(change.revision.0, record.encode().as_slice()).map_err(failed)?;
            if let Some(value) = &change.value {
                values.insert(change.revision.0, encode_value(value).as_slice()).map_err(failed)?;
                stored.kept += value.len() as u64;
            }
        }
        let old = superfluous(&log, meta, sweep)?;
        for Superfluous { revision, key, deleted, previous } in old {
            if previous.0 > 0 {
                log.remove(previous.0).map_err(failed)?;
                let removed = values.remove(previous.0).map_err(failed)?;
                stored.dropped += removed.map_or(0, |value| value.value().len() as u64);
            }
            if deleted {
                log.remove(revision.0).map_err(failed)?;
            }
            if deleted || previous.0 > 0 {
                stored.swept.push(key);
            }
        }
        if writer.undo || (meta.compacted, meta.swept) != (writer.meta.compacted, writer.meta.swept) {
            meta.write(&transaction)?;
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(stored)
}

/// A log record that was compacted: what came before it may go, and it too if it deleted.
struct Superfluous {
    revision: Revision,
    key: Arc<str>,
    deleted: bool,
    previous: Revision,
}

/// The next `most` records to sweep; notes in `meta` how far that gets.
fn superfluous(
    log: &impl ReadableTable<u64, &'static [u8]>,
    meta: &mut Meta,
    most: u64,
) -> Result<Vec<Superfluous>, StoreError> {
    let mut found = Vec::new();
    if meta.swept >= meta.compacted {
        return Ok(found);
    }
    for item in log.range(meta.swept.0 + 1..=meta.compacted.0).map_err(failed)? {
        if found.len() as u64 == most {
            return Ok(found);
        }
        let (revision, stored) = item.map_err(failed)?;
        let revision = Revision(revision.value());
        let record = Record::decode(revision.0, stored.value())?;
        let (key, deleted, previous) = (record.key.into(), record.deleted, record.previous);
        found.push(Superfluous { revision, key, deleted, previous });
        meta.swept = revision;
    }
    meta.swept = meta.compacted;
    Ok(found)
}

/// The batch as watchers see it.
fn events(batch: &Batch, keys: &[Arc<str>], snapshot: &Snapshot) -> Result<Vec<Arc<Event>>, StoreError> {
    let event = |(change, key): (&super::batch::Change, &Arc<str>)| {
        let previous = match change.previous {
            None => None,
            Some(version) => {
                let value = match batch.value(version.revision) {
                    Some(value) => value.clone(),
                    None => guarded(|| snapshot.value(version.revision))?,
                };
                Some(version.entry(key.clone(), value))
            }
        };
        Ok(Arc::new(Event {
            key: key.clone(),
            revision: change.revision,
            value: change.value.clone(),
            previous,
            derived: OnceLock::new(),
        }))
    };
    batch.changes.iter().zip(keys).map(event).collect()
}

impl super::index::Version {
    pub(super) fn entry(self, key: Arc<str>, value: Bytes) -> Entry {
        Entry { key, value, create_revision: self.create, mod_revision: self.revision }
    }
}
