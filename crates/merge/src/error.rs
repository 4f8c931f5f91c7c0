//! The refusals of patches that have no kind of their own among [`ApiError`]s.

use object::ApiError;
use serde_json::json;

/// A 500 that says no more than its message: what Kubernetes answers to errors it has not classified.
pub(crate) fn plain_error(message: &str) -> ApiError {
    ApiError::Status(Box::new(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": 500,
    })))
}

/// The 422 for a patch that does not fit its object. The reason is not told.
pub(crate) fn unprocessable() -> ApiError {
    ApiError::Status(Box::new(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the server rejected our request due to an error in our request",
        "reason": "Invalid", "details": {}, "code": 422,
    })))
}
