//! Which keys are to be deleted by themselves, and when. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Due times (milliseconds since 1970) of the keys that have one.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    by_key: HashMap<Arc<str>, u64>,
    by_time: BTreeSet<(u64, Arc<str>)>,
}

impl Expiries {
    /// Records the key's due time; 0 means none.
    pub(super) fn set(&mut self, key: &Arc<str>, due: u64) {
        if let Some(before) = self.by_key.remove(key) {
            self.by_time.remove(&(before, key.clone()));
        }
        if due > 0 {
            self.by_key.insert(key.clone(), due);
            self.by_time.insert((due, key.clone()));
        }
    }

    /// The earliest due time.
    pub(super) fn next(&self) -> Option<u64> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// At most `limit` keys due at `now`, earliest first.
    pub(super) fn due(&self, now: u64, limit: usize) -> impl Iterator<Item = &Arc<str>> {
        self.by_time.iter().take_while(move |(due, _)| *due <= now).take(limit).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_due_once_at_its_last_time() {
        let mut expiries = Expiries::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        expiries.set(&a, 10);
        expiries.set(&b, 5);
        expiries.set(&b, 20);
        assert_eq!(expiries.next(), Some(10));
        assert_eq!(expiries.due(30, 9).collect::<Vec<_>>(), [&a, &b]);
        assert_eq!(expiries.due(30, 1).collect::<Vec<_>>(), [&a]);
        expiries.set(&a, 0);
        assert_eq!(expiries.due(19, 9).count(), 0);
        assert_eq!(expiries.next(), Some(20));
    }
}
