//! What is to be looked at, each key once, now or at a time.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What kind of object a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Pod,
    Service,
    Claim,
    ConfigMap,
    Secret,
    EndpointSlice,
    NetworkPolicy,
    Ingress,
    /// A host event, by its host name.
    Event,
    Node,
    StorageClass,
}

impl Kind {
    /// As it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::Claim => "PersistentVolumeClaim",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::EndpointSlice => "EndpointSlice",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Ingress => "Ingress",
            Self::Event => "Event",
            Self::Node => "Node",
            Self::StorageClass => "StorageClass",
        }
    }
}

/// A virtual object, or for host-only kinds the host's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub kind: Kind,
    pub namespace: Box<str>,
    pub name: Box<str>,
}

impl Key {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

/// Keys waiting, keys being worked on (which wait until that is over), and keys for later. Bounded by the number of objects.
#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    ready: VecDeque<Key>,
    queued: HashSet<Key>,
    working: HashSet<Key>,
    again: HashSet<Key>,
    later: BTreeMap<(Instant, Key), ()>,
    failures: BTreeMap<Key, u32>,
}

const RETRY_BASE: Duration = Duration::from_millis(50);
const RETRY_CAP: Duration = Duration::from_secs(60);

impl Queue {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Look at `key` soon.
    pub fn add(&self, key: Key) {
        let mut inner = self.inner.lock();
        if inner.working.contains(&key) {
            inner.again.insert(key);
        } else if inner.queued.insert(key.clone()) {
            inner.ready.push_back(key);
            drop(inner);
            self.wake.notify_one();
        }
    }

    /// Look at `key` after `delay`.
    pub fn add_later(&self, key: Key, delay: Duration) {
        self.inner.lock().later.insert((Instant::now() + delay, key), ());
        self.wake.notify_one();
    }

    /// The next key; waits for one. It is this caller's until [`done`](Self::done).
    pub async fn next(&self) -> Key {
        loop {
            let due = {
                let mut inner = self.inner.lock();
                inner.ripen();
                if let Some(key) = inner.ready.pop_front() {
                    inner.queued.remove(&key);
                    inner.working.insert(key.clone());
                    return key;
                }
                inner.later.first_key_value().map(|((at, _), ())| *at)
            };
            match due {
                None => self.wake.notified().await,
                Some(at) => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
            }
        }
    }

    /// The work on `key` is over; after a failure it is tried again, later each time.
    pub fn done(&self, key: Key, failed: bool) {
        let mut inner = self.inner.lock();
        inner.working.remove(&key);
        let again = inner.again.remove(&key);
        if failed {
            let failures = inner.failures.entry(key.clone()).or_insert(0);
            *failures += 1;
            let delay = RETRY_CAP.min(RETRY_BASE * 2u32.saturating_pow((*failures - 1).min(12)));
            inner.later.insert((Instant::now() + delay, key), ());
        } else {
            inner.failures.remove(&key);
            if again && inner.queued.insert(key.clone()) {
                inner.ready.push_back(key);
            }
        }
        drop(inner);
        self.wake.notify_one();
    }
}

impl Inner {
    /// Moves keys whose time has come to the ready ones.
    fn ripen(&mut self) {
        let now = Instant::now();
        while let Some(((at, key), ())) = self.later.first_key_value().map(|(k, v)| (k.clone(), *v)) {
            if at > now {
                return;
            }
            self.later.remove(&(at, key.clone()));
            if self.working.contains(&key) {
                self.again.insert(key);
            } else if self.queued.insert(key.clone()) {
                self.ready.push_back(key);
            }
        }
    }
}
