//! How long to wait before trying again: twice as long each time, up to a cap, with jitter.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Grows from `base` to `cap`.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts at `base`, never exceeds `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// The wait after one more failure: between half and the whole of the doubled time.
    pub fn next_delay(&mut self) -> Duration {
        let whole = delay(self.base, self.cap, self.failures);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + random() / 2.0)
    }

    /// Starts again from `base`.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `base` doubled `failures` times, at most `cap`.
pub fn delay(base: Duration, cap: Duration, failures: u32) -> Duration {
    base.saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX)).min(cap)
}

/// In `[0, 1)`, from the randomness of the standard hasher's keys: good enough to spread retries.
fn random() -> f64 {
    let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (hash >> 11) as f64 / (1u64 << 53) as f64
}
