//! What a `TokenReview` answers.

use crate::user::UserInfo;
use serde_json::{Value, json};

/// The `status` for a token that is good for `audiences`.
pub fn token_review_status(user: &UserInfo, audiences: &[String]) -> Value {
    let mut status = json!({"authenticated": true, "user": user.to_json()});
    if !audiences.is_empty() {
        status["audiences"] = audiences.to_vec().into();
    }
    status
}

/// The `status` for a token nobody accepts; `errors` are the words of those that knew it.
pub fn token_review_failed(errors: &[String]) -> Value {
    let first = "invalid bearer token".to_owned();
    let error = if errors.is_empty() { first } else { format!("[{first}, {}]", errors.join(", ")) };
    json!({"user": {}, "error": error})
}
