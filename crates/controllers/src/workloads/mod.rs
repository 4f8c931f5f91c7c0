//! Controllers that keep pods running.

pub(crate) mod cron_job;
pub(crate) mod daemon_set;
pub(crate) mod deployment;
pub(crate) mod job;
mod nodes;
pub(crate) mod replica_set;
mod revisions;
pub(crate) mod stateful_set;
pub(crate) mod ttl_after_finished;

use serde_json::Value;

/// Resolves an IntOrString of `total`; percentages are rounded up or down.
pub(crate) fn scaled(value: &Value, total: i64, round_up: bool) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent =
        value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok());
    let hundredths = percent.unwrap_or(0).saturating_mul(total);
    if round_up { hundredths.saturating_add(99) / 100 } else { hundredths / 100 }
}

/// A whole number, 0 if absent.
pub(crate) fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}
