//! etcd's keys and records in the store's terms. Pure.

use super::messages::{EventType, KeyValue, ResponseHeader, WatchEvent};
use crate::{Entry, Event, Revision};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// Where a store's keys, which start with a slash, are in etcd: each under the prefix, which does not end with one. What has
/// a byte below 2 after that slash is the engine's own.
pub(super) struct Keys {
    prefix: Vec<u8>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').as_bytes().to_vec() }
    }

    /// What all keys start with.
    fn base(&self) -> Vec<u8> {
        self.key("/")
    }

    /// A key as etcd has it.
    pub(super) fn key(&self, key: &str) -> Vec<u8> {
        [&self.prefix, key.as_bytes()].concat()
    }

    /// A key that no reader sees but the engine's watches do.
    pub(super) fn sync_key(&self) -> Vec<u8> {
        [&self.base(), &b"\0sync"[..]].concat()
    }

    /// The range (end exclusive) of all keys that start with `prefix`, for readers.
    pub(super) fn range(&self, prefix: &str) -> (Vec<u8>, Vec<u8>) {
        if matches!(prefix, "" | "/") {
            return ([&self.base(), &[2][..]].concat(), after(&self.base()));
        }
        let key = self.key(prefix);
        let end = after(&key);
        (key, end)
    }

    /// The range of everything, with the engine's own keys.
    pub(super) fn everything(&self) -> (Vec<u8>, Vec<u8>) {
        let own = [&self.base(), &[0][..]].concat();
        (own, after(&self.base()))
    }

    /// A record as an entry; `None` when the key is not one of a store's.
    pub(super) fn entry(&self, found: &KeyValue) -> Option<Entry> {
        Some(Entry {
            key: self.name(&found.key)?.into(),
            value: owned(&found.value),
            create_revision: revision(found.create_revision),
            mod_revision: revision(found.mod_revision),
        })
    }

    /// An etcd event; `None` when the key is not one of a store's.
    pub(super) fn event(&self, event: &WatchEvent) -> Option<Arc<Event>> {
        let after = event.kv.as_ref()?;
        let value = match event.r#type() {
            EventType::Put => Some(owned(&after.value)),
            EventType::Delete => None,
        };
        Some(Arc::new(Event {
            key: self.name(&after.key)?.into(),
            revision: revision(after.mod_revision),
            value,
            previous: event.prev_kv.as_ref().and_then(|before| self.entry(before)),
            derived: OnceLock::new(),
        }))
    }

    fn name<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        let name = key.strip_prefix(self.prefix.as_slice())?;
        std::str::from_utf8(name).ok().filter(|_| matches!(name, [b'/', first, ..] if *first >= 2))
    }
}

/// The first key after all that start with `prefix`; etcd's `\0` for "no end" when there is none.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

pub(super) fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or(0))
}

pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// The revision at which an answer was true.
pub(super) fn revision_of(header: Option<ResponseHeader>) -> Revision {
    revision(header.map_or(0, |header| header.revision))
}

/// The bytes by themselves: an answer's parts would keep all of it in memory.
fn owned(part: &Bytes) -> Bytes {
    Bytes::copy_from_slice(part)
}

#[cfg(test)]
mod key_tests {
    use super::*;

    #[test]
    fn ranges_hold_what_starts_with_the_prefix() {
        let keys = Keys::new("/vc/");
        assert_eq!(keys.range("/a/"), (b"/vc/a/".to_vec(), b"/vc/a0".to_vec()));
        assert_eq!(keys.range(""), (b"/vc/\x02".to_vec(), b"/vc0".to_vec()));
        assert_eq!(keys.range("/"), keys.range(""));
        let sync = keys.sync_key();
        let ((readers, _), (all, end)) = (keys.range(""), keys.everything());
        assert!(sync < readers && all < sync && sync < end);
        assert_eq!(keys.name(&sync), None);
        assert_eq!(keys.name(b"/vc/a"), Some("/a"));
        assert_eq!(keys.name(b"/vc-2/a"), None);
        assert_eq!(keys.name(b"/other"), None);
        assert_eq!(keys.name(b"/vc/\xff"), None);
        assert_eq!(after(b"a\xff\xff"), b"b");
        assert_eq!(after(b""), b"\0");
    }
}
