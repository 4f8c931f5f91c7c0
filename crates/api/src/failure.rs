//! The one place that turns store errors into API errors.

use object::{ApiError, Value, json};
use store::{Revision, StoreError};

/// What a client is told of a store failure. Conflicts are handled where they arise.
pub(crate) fn store(error: StoreError) -> ApiError {
    match error {
        StoreError::Compacted(oldest) => ApiError::Expired {
            message: format!(
                "The resourceVersion for the provided watch is too old. (oldest is {})",
                oldest.0
            ),
            continue_token: None,
        },
        StoreError::Future(current) => too_large(Revision(current.0 + 1), current),
        StoreError::Conflict(_) => ApiError::Internal("unexpected conflict".into()),
        StoreError::Full(_) => ApiError::Internal(error.to_string()),
        StoreError::Closed => ApiError::ServiceUnavailable("the server is shutting down".into()),
        StoreError::Io(_) | StoreError::Locked(_) | StoreError::Corrupt(_) => {
            tracing::error!(%error, "store failed");
            ApiError::Internal(told(&error))
        }
    }
}

/// What happened, but not where: paths of the machine are for the log.
fn told(error: &StoreError) -> String {
    match error {
        StoreError::Io(what) => format!("storage failed: {}", what.rsplit(": ").next().unwrap_or(what)),
        StoreError::Corrupt(_) => "stored data is damaged".into(),
        StoreError::Locked(_) => "the store is in use by another process".into(),
        other => other.to_string(),
    }
}

/// Refuses a resourceVersion that lies ahead of the store.
pub(crate) fn too_large(wanted: Revision, current: Revision) -> ApiError {
    let message = format!("Too large resource version: {}, current: {}", wanted.0, current.0);
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    let status: Value = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": format!("Timeout: {message}"),
        "reason": "Timeout", "code": 504, "details": {"causes": [cause], "retryAfterSeconds": 1},
    });
    ApiError::Status(Box::new(status))
}

/// An error that Kubernetes passes on as it came: a 500 without a reason.
pub(crate) fn plain(message: String) -> ApiError {
    ApiError::Status(Box::new(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": 500,
    })))
}
