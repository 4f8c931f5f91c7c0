//! Decides a batch of writes: who wins, at which revision, on top of what. Pure.

use super::index::{Index, Version};
use crate::{Expect, Revision, Write};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A write that won.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) revision: Revision,
    pub(super) key: Arc<str>,
    /// The new value; `None` deletes.
    pub(super) value: Option<Bytes>,
    /// The revision that made the key.
    pub(super) create: Revision,
    /// The key's live version before.
    pub(super) previous: Option<Version>,
    /// Milliseconds since 1970; 0 for never.
    pub(super) expires: u64,
}

impl Change {
    /// What the index is to hold.
    pub(super) fn version(&self) -> Version {
        let create = if self.value.is_some() { self.create } else { Revision(0) };
        Version { revision: self.revision, create }
    }
}

/// Changes that will be committed together, in order of their consecutive revisions.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    /// Position in `changes` of a key's last change.
    latest: HashMap<Arc<str>, usize>,
    last: Revision,
}

impl Batch {
    /// An empty batch whose first change comes after `last`.
    pub(super) fn after(last: Revision) -> Self {
        Self { changes: Vec::new(), latest: HashMap::new(), last }
    }

    /// The revision of the last change, or the one before the batch.
    pub(super) fn last(&self) -> Revision {
        self.last
    }

    /// Lets a revision pass in which nothing changes.
    pub(super) fn skip(&mut self) {
        self.last.0 += 1;
    }

    /// The key's version after the changes so far, if it lives.
    fn current(&self, index: &Index, key: &str) -> Option<Version> {
        match self.latest.get(key) {
            Some(position) => {
                let change = &self.changes[*position];
                change.value.is_some().then(|| change.version())
            }
            None => index.get(key).map(|(_, version)| version),
        }
    }

    /// Adds the write if what it expects holds; else returns the key's version, if it lives.
    pub(super) fn write(
        &mut self,
        index: &Index,
        write: Write,
        now: u64,
    ) -> Result<Revision, Option<Version>> {
        let current = self.current(index, &write.key);
        let holds = match write.expect {
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current.is_some_and(|version| version.revision == revision),
        };
        if !holds {
            return Err(current);
        }
        if current.is_none() && write.value.is_none() {
            return Ok(self.last);
        }
        let expires = match (&write.value, write.ttl) {
            (Some(_), Some(ttl)) => due(now, ttl),
            _ => 0,
        };
        Ok(self.push(write.key, write.value, current, expires))
    }

    /// Deletes the key if it lives, and says whether it did.
    pub(super) fn delete(&mut self, index: &Index, key: &Arc<str>) -> bool {
        let current = self.current(index, key);
        if current.is_some() {
            self.push(key.clone(), None, current, 0);
        }
        current.is_some()
    }

    fn push(
        &mut self,
        key: Arc<str>,
        value: Option<Bytes>,
        previous: Option<Version>,
        expires: u64,
    ) -> Revision {
        self.last.0 += 1;
        let revision = self.last;
        let create = previous.map_or(revision, |version| version.create);
        self.latest.insert(key.clone(), self.changes.len());
        self.changes.push(Change { revision, key, value, create, previous, expires });
        revision
    }

    /// The value written at `revision`, if that is in this batch.
    pub(super) fn value(&self, revision: Revision) -> Option<&Bytes> {
        let first = self.changes.first()?.revision.0;
        let position = usize::try_from(revision.0.checked_sub(first)?).ok()?;
        self.changes.get(position)?.value.as_ref()
    }
}

/// When a key written now is due, never "never".
fn due(now: u64, ttl: Duration) -> u64 {
    now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &str, expect: Expect, value: Option<&'static str>) -> Write {
        Write { key: key.into(), expect, value: value.map(Bytes::from), ttl: None }
    }

    #[test]
    fn writes_of_one_batch_see_each_other() {
        let mut index = Index::default();
        index.apply(&"/a".into(), Version { revision: Revision(4), create: Revision(2) });
        let mut batch = Batch::after(Revision(7));
        let old = Version { revision: Revision(4), create: Revision(2) };
        assert_eq!(batch.write(&index, write("/a", Expect::Absent, Some("x")), 0), Err(Some(old)));
        assert_eq!(batch.write(&index, write("/a", Expect::At(Revision(4)), Some("x")), 0), Ok(Revision(8)));
        let new = Version { revision: Revision(8), create: Revision(2) };
        assert_eq!(batch.write(&index, write("/a", Expect::At(Revision(4)), None), 0), Err(Some(new)));
        assert_eq!(batch.write(&index, write("/a", Expect::At(Revision(8)), None), 0), Ok(Revision(9)));
        assert_eq!(batch.write(&index, write("/a", Expect::At(Revision(8)), None), 0), Err(None));
        assert_eq!(batch.write(&index, write("/a", Expect::Absent, Some("y")), 0), Ok(Revision(10)));
        assert_eq!(batch.changes[2].create, Revision(10));
        assert_eq!(batch.changes[2].previous, None);
        assert_eq!(batch.changes[1].previous, Some(new));
        assert_eq!(batch.value(Revision(8)).map(|value| &value[..]), Some(&b"x"[..]));
        assert_eq!(batch.value(Revision(7)), None);
        assert_eq!(
            batch.write(&index, write("/none", Expect::Absent, None), 0),
            Ok(Revision(10)),
            "nothing to delete"
        );
    }
}
