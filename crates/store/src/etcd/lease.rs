//! Leases for keys with a ttl. Keys written at about the same time share one, as with kube-apiserver: an etcd with a
//! lease for every Event would be slow.

use super::client::Client;
use crate::StoreError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Keys per lease: all of them are deleted in one step.
const KEYS: usize = 1_000;
/// Different times to live that are remembered; more are simply not shared.
const KINDS: usize = 64;

#[derive(Default)]
pub(super) struct Leases {
    /// By time to live in seconds: the lease, until when it is shared, and how many keys have it.
    current: Mutex<HashMap<u64, (i64, Instant, usize)>>,
}

impl Leases {
    /// A lease that ends after `ttl` (rounded up to seconds), or up to a twentieth and at most a minute later.
    pub(super) async fn lease(&self, client: &Client, ttl: Duration) -> Result<i64, StoreError> {
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = seconds.max(1);
        let shared = (seconds / 20).min(60);
        let now = Instant::now();
        if let Some((lease, until, keys)) = self.current.lock().get_mut(&seconds)
            && now < *until
            && *keys < KEYS
        {
            *keys += 1;
            return Ok(*lease);
        }
        let granted = i64::try_from(seconds + shared).unwrap_or(i64::MAX);
        let lease = client.grant(granted).await?;
        let mut current = self.current.lock();
        current.retain(|_, (_, until, _)| now < *until);
        if shared > 0 && current.len() < KINDS {
            current.insert(seconds, (lease, now + Duration::from_secs(shared), 1));
        }
        Ok(lease)
    }
}
