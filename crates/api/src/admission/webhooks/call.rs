//! Asking a webhook.

use super::review;
use crate::call::Call;
use crate::outbound;
use object::Value;
use std::time::Duration;

/// Posts a review to a hook; its answer, or why there is none.
pub(super) async fn call(call: &Call, hook: &Value, review: &Value) -> Result<Value, String> {
    let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(10).clamp(1, 30);
    let failed = |why: String| format!("failed to call webhook: {why}");
    let destination = outbound::webhook(&call.api, &hook["clientConfig"], seconds).await.map_err(failed)?;
    let answer = call.api.post(destination, review, Duration::from_secs(seconds)).await.map_err(failed)?;
    let answer = outbound::parse(&answer).map_err(failed)?;
    if answer["kind"] == "AdmissionReview" && answer["apiVersion"] == "admission.k8s.io/v1beta1" {
        let why = "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion";
        return Err(failed(why.into()));
    }
    review::readable(&answer).map_err(failed)?;
    match outbound::unregistered(&answer, "AdmissionReview", &["admission.k8s.io/v1"]) {
        Some(why) => Err(failed(why)),
        None => Ok(answer),
    }
}
