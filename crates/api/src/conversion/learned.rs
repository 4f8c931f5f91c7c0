//! Conversions in the middle of what cannot wait: who owns which field is computed at once, but a webhook converts
//! eventually. So the computation runs, notes which conversions it misses, and runs again when they are there.

use super::webhook;
use crate::call::{Call, Target};
use object::{ApiError, Result, Value};
use parking_lot::Mutex;

/// Computations that still miss something after so many rounds are given up.
const ROUNDS: usize = 8;

/// The conversions of one request.
#[derive(Default)]
pub(crate) struct Learned(Mutex<Vec<Lesson>>);

struct Lesson {
    object: Value,
    api_version: String,
    /// Nothing yet when it is still to be asked for.
    converted: Option<Value>,
}

/// `object` in another version, if the webhook was asked already; else it will be.
pub(crate) fn lookup(call: &Call, object: &Value, api_version: &str) -> Option<Value> {
    if object["apiVersion"] == api_version {
        return Some(object.clone());
    }
    let mut lessons = call.conversions.0.lock();
    if let Some(known) = lessons.iter().find(|l| l.api_version == api_version && l.object == *object) {
        return known.converted.clone();
    }
    lessons.push(Lesson { object: object.clone(), api_version: api_version.to_owned(), converted: None });
    None
}

/// Runs `work`, which may look up conversions and does nothing else to the world, until it misses none.
pub(crate) async fn with_conversions<T>(
    call: &Call,
    target: &Target,
    work: impl Fn() -> T + Send,
) -> Result<T> {
    if webhook(&target.resource).is_none() {
        return Ok(work());
    }
    for _ in 0..ROUNDS {
        let done = work();
        let missing: Vec<(Value, String)> = {
            let lessons = call.conversions.0.lock();
            let missing = lessons.iter().filter(|l| l.converted.is_none());
            missing.map(|l| (l.object.clone(), l.api_version.clone())).collect()
        };
        if missing.is_empty() {
            return Ok(done);
        }
        for (object, api_version) in missing {
            let Some(to) = target.version(&api_version) else { continue };
            let converted = call.api.convert_one(&target.resource, object.clone(), &to.gvk()).await?;
            let mut lessons = call.conversions.0.lock();
            let lesson = lessons.iter_mut().find(|l| l.api_version == api_version && l.object == object);
            if let Some(lesson) = lesson {
                lesson.converted = Some(converted);
            }
        }
    }
    Err(ApiError::Internal("conversions between versions do not come to an end".into()))
}
