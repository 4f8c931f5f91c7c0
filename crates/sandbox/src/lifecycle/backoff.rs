//! Crash loops: the first restart comes at once, then after 10 s, 20 s … 5 min; a run of ten minutes is forgiven.

use crate::spec;
use jiff::Timestamp;
use serde_json::Value;

const FIRST: i64 = 10;
const LONGEST: i64 = 300;
const FORGIVEN: i64 = 600;

/// Seconds between the end of a run and the next start; `restarts` were made before.
pub(super) fn seconds(restarts: i64, terminated: &Value) -> i64 {
    let ran = match (spec::time(&terminated["startedAt"]), spec::time(&terminated["finishedAt"])) {
        (Some(started), Some(finished)) => finished.as_second() - started.as_second(),
        _ => 0,
    };
    match restarts {
        ..=0 => 0,
        _ if ran >= FORGIVEN => 0,
        1..6 => (FIRST << (restarts - 1)).min(LONGEST),
        _ => LONGEST,
    }
}

/// When the next start is due.
pub(super) fn due(restarts: i64, terminated: &Value) -> Timestamp {
    let finished = spec::time(&terminated["finishedAt"]).unwrap_or(Timestamp::UNIX_EPOCH);
    spec::later(finished, seconds(restarts, terminated) as f64)
}
