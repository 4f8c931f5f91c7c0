//! The feed by itself, with a history that tests can watch.

use super::*;
use crate::Watch;
use futures::FutureExt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Wake};

/// All events ever published, and how often they were read.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<Arc<Event>>>,
    compacted: AtomicU64,
    reads: AtomicUsize,
}

impl History for Log {
    fn changes(
        self: Arc<Self>,
        prefix: Arc<str>,
        after: Revision,
    ) -> BoxFuture<'static, Result<Changes, StoreError>> {
        async move {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let compacted = Revision(self.compacted.load(Ordering::Relaxed));
            if after < compacted {
                return Err(StoreError::Compacted(compacted));
            }
            let events = self.events.lock();
            // a few at a time, whole revisions
            let end = Revision(after.0 + 3);
            let last = events.last().map_or(Revision(0), |event| event.revision);
            let part = events.iter().filter(|event| event.revision > after && event.revision <= end);
            let events = part.filter(|event| event.key.starts_with(&*prefix)).cloned().collect();
            Ok(Changes { events, through: end.min(last).max(after) })
        }
        .boxed()
    }
}

struct Setup {
    feed: Arc<Feed>,
    log: Arc<Log>,
}

impl Setup {
    fn new(events: usize) -> Self {
        let limits = Limits { events, bytes: 1 << 20 };
        Self { feed: Arc::new(Feed::new(Revision(0), limits)), log: Arc::default() }
    }

    fn watch(&self, prefix: &str, from: u64) -> FeedWatch {
        let log: Arc<dyn History> = self.log.clone();
        self.feed.watch(prefix, Revision(from), Arc::downgrade(&log))
    }

    /// Publishes one revision that changes these keys.
    fn publish(&self, keys: &[&str]) -> u64 {
        let revision = Revision(self.feed.head().0 + 1);
        let event = |key: &&str| {
            Arc::new(Event {
                key: (*key).into(),
                revision,
                value: None,
                previous: None,
                derived: OnceLock::new(),
            })
        };
        let events: Vec<_> = keys.iter().map(event).collect();
        self.log.events.lock().extend(events.iter().cloned());
        self.feed.publish::<()>(revision, || Ok(events));
        revision.0
    }

    fn reads(&self) -> usize {
        self.log.reads.load(Ordering::Relaxed)
    }
}

/// All that is there, as `revision key`.
fn drain(watch: &mut FeedWatch) -> Vec<String> {
    std::iter::from_fn(|| watch.next().now_or_never().map(|event| event.expect("a running watch")))
        .map(|event| format!("{} {}", event.revision.0, event.key))
        .collect()
}

#[test]
fn watchers_get_their_prefix_in_order() {
    let setup = Setup::new(100);
    let mut watches = ["/a/", "/a/b", "", "/ab", "/a/b/c", "/b"].map(|prefix| setup.watch(prefix, 0));
    for key in ["/a/x", "/ab", "/a/b", "/a/b/c/d", "/c", "/b"] {
        setup.publish(&[key]);
    }
    let seen = watches.each_mut().map(|watch| drain(watch).join(", "));
    assert_eq!(
        seen,
        [
            "1 /a/x, 3 /a/b, 4 /a/b/c/d",
            "3 /a/b, 4 /a/b/c/d",
            "1 /a/x, 2 /ab, 3 /a/b, 4 /a/b/c/d, 5 /c, 6 /b",
            "2 /ab",
            "4 /a/b/c/d",
            "6 /b",
        ]
    );
    assert_eq!(setup.reads(), 0, "all of it was in the ring");
}

#[test]
fn a_late_watcher_uses_the_ring_or_history() {
    let setup = Setup::new(4);
    let keep = setup.watch("/", 0);
    for number in 1..=10 {
        setup.publish(&[if number % 2 == 0 { "/a/x" } else { "/b/x" }]);
    }
    assert_eq!(drain(&mut setup.watch("/a/", 6)), ["8 /a/x", "10 /a/x"]);
    assert_eq!(setup.reads(), 0);
    assert_eq!(drain(&mut setup.watch("/a/", 3)), ["4 /a/x", "6 /a/x", "8 /a/x", "10 /a/x"]);
    assert!(setup.reads() > 0);
    setup.log.compacted.store(5, Ordering::Relaxed);
    assert_eq!(setup.watch("/a/", 4).try_next().err(), Some(StoreError::Compacted(Revision(5))));
    assert_eq!(drain(&mut setup.watch("/a/", 5)), ["6 /a/x", "8 /a/x", "10 /a/x"]);
    drop(keep);
}

#[test]
fn a_slow_watcher_misses_nothing() {
    let setup = Setup::new(4);
    let mut slow = setup.watch("/a/", 0);
    setup.publish(&["/a/1"]);
    assert_eq!(drain(&mut slow), ["1 /a/1"]);
    for number in 2..=12 {
        setup.publish(&[&format!("/a/{number}")]);
    }
    let expected: Vec<_> = (2..=12).map(|number| format!("{number} /a/{number}")).collect();
    assert_eq!(drain(&mut slow), expected);
    let reads = setup.reads();
    assert!(reads > 0, "it read history");
    setup.publish(&["/a/13"]);
    assert_eq!(drain(&mut slow), ["13 /a/13"]);
    assert_eq!(setup.reads(), reads, "and is back at the ring");
}

/// A watcher of a quiet prefix is not taken for one that lags when history is compacted.
#[test]
fn a_quiet_watcher_survives_compaction() {
    let setup = Setup::new(4);
    let mut quiet = setup.watch("/quiet/", 0);
    for _ in 0..100 {
        setup.publish(&["/busy"]);
    }
    setup.log.compacted.store(100, Ordering::Relaxed);
    // so many at once that the ring does not hold them
    for _ in 0..9 {
        setup.publish(&["/quiet/x"]);
    }
    let expected: Vec<_> = (101..110).map(|number| format!("{number} /quiet/x")).collect();
    assert_eq!(drain(&mut quiet), expected);
}

#[test]
fn changes_of_one_revision_stay_together() {
    let setup = Setup::new(3);
    let mut watch = setup.watch("/", 0);
    let mut other = setup.watch("/b", 0);
    setup.publish(&["/a", "/b", "/c"]);
    assert_eq!(watch.position(), Revision(0));
    let first = watch.try_next().expect("a running watch").map(|event| event.key.to_string());
    assert_eq!(first.as_deref(), Some("/a"));
    assert_eq!(watch.position(), Revision(0), "the revision is not complete yet");
    setup.publish(&["/d", "/b"]);
    assert_eq!(drain(&mut watch), ["1 /b", "1 /c", "2 /d", "2 /b"]);
    assert_eq!(watch.position(), Revision(2));
    assert_eq!(drain(&mut other), ["1 /b", "2 /b"]);
}

#[test]
fn position_advances_with_the_store_but_not_past_what_waits() {
    let setup = Setup::new(100);
    let mut watch = setup.watch("/a/", 0);
    for _ in 0..5 {
        setup.publish(&["/b"]);
    }
    assert_eq!(watch.position(), Revision(5));
    let waiting = setup.publish(&["/a/x"]);
    setup.publish(&["/b"]);
    assert_eq!(watch.position(), Revision(waiting - 1));
    assert_eq!(drain(&mut watch).len(), 1);
    assert_eq!(watch.position(), Revision(7));
    let ahead = setup.watch("/a/", 9);
    assert_eq!(ahead.position(), Revision(9), "a list may be ahead of what was published");
}

#[test]
fn changes_nobody_could_describe_come_from_history() {
    let setup = Setup::new(100);
    let mut watch = setup.watch("/a/", 0);
    setup.publish(&["/a/1"]);
    let event = Event {
        key: "/a/2".into(),
        revision: Revision(2),
        value: None,
        previous: None,
        derived: OnceLock::new(),
    };
    setup.log.events.lock().push(Arc::new(event));
    setup.feed.publish(Revision(2), || Err(()));
    setup.publish(&["/a/3"]);
    assert_eq!(drain(&mut watch), ["1 /a/1", "2 /a/2", "3 /a/3"]);
    assert!(setup.reads() > 0);
}

#[test]
fn without_watchers_nothing_is_kept_or_asked_for() {
    let setup = Setup::new(100);
    drop(setup.watch("/", 0));
    setup.feed.publish::<()>(Revision(1), || panic!("nobody asks for events"));
    let watch = setup.watch("/a/", 1);
    setup.publish(&["/a/x"]);
    assert_eq!((setup.feed.watchers(), setup.feed.state.lock().ring.len()), (1, 1));
    drop(watch);
    assert_eq!((setup.feed.watchers(), setup.feed.state.lock().ring.len()), (0, 0));
}

#[test]
fn the_ring_is_bounded_by_bytes_too() {
    let limits = Limits { events: 1_000, bytes: 5_000 };
    let setup = Setup { feed: Arc::new(Feed::new(Revision(0), limits)), log: Arc::default() };
    let mut watch = setup.watch("/", 0);
    let key = format!("/{}", "k".repeat(1_000));
    for _ in 0..50 {
        setup.publish(&[&key]);
    }
    let state = setup.feed.state.lock();
    assert!(state.bytes <= 5_000 && state.ring.len() < 5 && !state.ring.is_empty());
    drop(state);
    assert_eq!(drain(&mut watch).len(), 50);
    setup.feed.shrink(Limits { events: 0, bytes: 0 });
    assert!(setup.feed.state.lock().ring.is_empty());
    setup.publish(&["/x"]);
    assert_eq!(drain(&mut watch), ["51 /x"]);
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn only_those_concerned_are_woken() {
    let setup = Setup::new(100);
    let counters: Vec<Arc<Woken>> = (0..3).map(|_| Arc::default()).collect();
    let mut watches: Vec<_> =
        (0..3_000).map(|number| setup.watch(["/a/", "/b/", "/c/"][number % 3], 0)).collect();
    let mut waits: Vec<_> = watches.iter_mut().map(Watch::next).collect();
    for (number, wait) in waits.iter_mut().enumerate() {
        let waker = counters[number % 3].clone().into();
        assert!(wait.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    }
    setup.publish(&["/a/1", "/a/2", "/d"]);
    setup.publish(&["/d"]);
    let woken = || counters.iter().map(|counter| counter.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
    assert_eq!(woken(), [1_000, 0, 0], "each once, the others not at all");
    setup.feed.end(StoreError::Closed);
    assert_eq!(woken(), [1_000, 1_000, 1_000]);
    for (number, wait) in waits.iter_mut().enumerate() {
        let result = wait.now_or_never().expect("everyone was woken");
        assert!(result.is_err_and(|error| error == StoreError::Closed), "{number}");
    }
    drop(waits);
    assert_eq!(setup.watch("/new", 0).try_next().err(), Some(StoreError::Closed));
}

/// Whom the wake-ups reached, in order.
struct Numbered(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        self.1.lock().push(self.0);
    }
}

#[test]
fn watchers_keep_their_places() {
    let setup = Setup::new(100);
    let mut watches: Vec<_> = (0..5).map(|_| setup.watch("/a/", 0)).collect();
    let woken = Arc::new(Mutex::new(vec![]));
    drop(watches.remove(1));
    let mut waits: Vec<_> = watches.iter_mut().map(Watch::next).collect();
    for (number, wait) in waits.iter_mut().enumerate().rev() {
        let waker = Arc::new(Numbered(number, woken.clone())).into();
        assert!(wait.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    }
    setup.publish(&["/a/1"]);
    assert_eq!(*woken.lock(), [0, 1, 2, 3], "as they came, not as they began to wait");
}
