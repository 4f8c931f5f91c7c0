//! How full a store is, where it may only become so full: one of many must not take the disk of all.
//!
//! What is counted are the values that are kept, those of deleted keys among them until compaction takes them. Pure.

use crate::{Expect, StoreError, Write};

/// The bytes of a store's values against what they may be.
#[derive(Debug)]
pub(super) struct Fill {
    limit: Option<u64>,
    held: u64,
    /// Whether `held` was counted; until it has to be, the file's length stands for it, which is no less.
    counted: bool,
}

impl Fill {
    /// Of a store whose file has this length.
    pub(super) fn new(limit: Option<u64>, length: u64) -> Self {
        Self { limit, held: length, counted: false }
    }

    /// A commit kept and dropped this much.
    pub(super) fn changed(&mut self, kept: u64, dropped: u64) {
        self.held = (self.held + kept).saturating_sub(dropped);
    }

    /// Why a write is refused, if it is. Deleting is always possible, and changing for longer than creating: a namespace
    /// that is to go has to be updated first. `count` is asked once at most.
    pub(super) fn refuses(
        &mut self,
        write: &Write,
        count: impl FnOnce() -> Option<u64>,
    ) -> Option<StoreError> {
        let limit = self.limit.filter(|_| write.value.is_some())?;
        let most = match write.expect {
            Expect::Absent => limit,
            Expect::At(_) => limit.saturating_add(limit / 4),
        };
        if self.held <= most {
            return None;
        }
        if !self.counted {
            self.held = count()?;
            self.counted = true;
        }
        (self.held > most).then_some(StoreError::Full(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{EmbeddedStore, Options};
    use crate::{Revision, Store};
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_deleted_makes_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { most_bytes: Some(1 << 20), history: Duration::ZERO, ..Options::default() };
        let store = EmbeddedStore::open(folder.path(), options).expect("open");
        let put = |key: String| {
            let value = Some(vec![0; 64 << 10].into());
            store.write(Write { key: key.into(), expect: Expect::Absent, value, ttl: None })
        };
        let mut made = Vec::new();
        let full = loop {
            match put(format!("/k/{}", made.len())).await {
                Ok(revision) => made.push(revision),
                Err(error) => break error,
            }
            assert!(made.len() < 100, "there is an end");
        };
        assert_eq!(full, StoreError::Full(1 << 20));
        let mut last = Revision(0);
        for (i, revision) in made.iter().enumerate() {
            let key = format!("/k/{i}").into();
            let gone = Write { key, expect: Expect::At(*revision), value: None, ttl: None };
            last = store.write(gone).await.expect("deleting is always possible");
        }
        store.compact(last).await.expect("compacts");
        // Sweeping goes on behind; each try is a round of it.
        let mut tries = 0;
        while put(format!("/again/{tries}")).await.is_err() {
            tries += 1;
            assert!(tries < 10_000, "there is room again");
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn creating_ends_first_then_changing_and_deleting_never() {
        let write = |expect, value: Option<&'static [u8]>| Write {
            key: "k".into(),
            expect,
            value: value.map(Into::into),
            ttl: None,
        };
        let create = write(Expect::Absent, Some(b"v"));
        let change = write(Expect::At(Revision(1)), Some(b"v"));
        let delete = write(Expect::At(Revision(1)), None);
        let mut fill = Fill::new(Some(100), 1_000);
        assert_eq!(fill.refuses(&create, || Some(90)), None, "the file is long and holds little");
        fill.changed(20, 0);
        let never = || unreachable!("counted already");
        assert_eq!(fill.refuses(&create, never), Some(StoreError::Full(100)));
        assert_eq!((fill.refuses(&change, never), fill.refuses(&delete, never)), (None, None));
        fill.changed(50, 0);
        assert_eq!(fill.refuses(&change, never), Some(StoreError::Full(100)));
        assert_eq!(fill.refuses(&delete, never), None);
        fill.changed(0, 100);
        assert_eq!(fill.refuses(&create, never), None);
        assert_eq!(Fill::new(None, u64::MAX).refuses(&create, || None), None);
    }
}
