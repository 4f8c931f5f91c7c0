//! Reaching a webhook: by its URL, or by the service it stands behind.

use crate::call::Call;
use crate::outbound::Destination;
use crate::{failure, stored};
use base64::Engine;
use object::Value;
use std::time::Duration;

/// Posts a review to a hook; its answer, or why there is none.
pub(super) async fn call(call: &Call, hook: &Value, review: &Value) -> Result<Value, String> {
    let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(10).clamp(1, 30);
    let failed = |why: String| format!("failed to call webhook: {why}");
    let destination = destination(call, &hook["clientConfig"], seconds).await.map_err(failed)?;
    let Some(outbound) = call.api.outbound.get() else {
        return Err(failed(format!("Post \"{}\": this server makes no calls", destination.url)));
    };
    let body = review.to_string().into();
    let answer = outbound.post(destination, body, Duration::from_secs(seconds)).await.map_err(failed)?;
    serde_json::from_slice(&answer)
        .map_err(|e| failed(format!("couldn't get version/kind; json parse error: {e}")))
}

async fn destination(call: &Call, config: &Value, seconds: u64) -> Result<Destination, String> {
    let ca_bundle = config["caBundle"].as_str().filter(|b| !b.is_empty());
    let ca_bundle = ca_bundle.and_then(|b| base64::engine::general_purpose::STANDARD.decode(b).ok());
    let timeout = format!("timeout={seconds}s");
    if let Some(url) = config["url"].as_str() {
        let join = if url.contains('?') { '&' } else { '?' };
        return Ok(Destination { url: format!("{url}{join}{timeout}"), connect: None, ca_bundle });
    }
    let service = &config["service"];
    let text = |key: &str| service[key].as_str().unwrap_or("");
    let (namespace, name) = (text("namespace"), text("name"));
    let port = service["port"].as_u64().unwrap_or(443);
    let path = text("path").trim_start_matches('/').to_owned();
    let url = format!("https://{name}.{namespace}.svc:{port}/{path}?{timeout}");
    let refuse = |why: String| Err(format!("Post \"{url}\": {why}"));
    let key = format!("/core/services/{namespace}/{name}");
    let entry = call.api.store.get(&key).await.map_err(|e| failure::store(e).message())?.0;
    let Some(found) = entry.as_ref().and_then(stored::decode) else {
        return refuse(format!("service \"{name}\" not found"));
    };
    let host = match found["spec"]["type"].as_str() {
        Some("ExternalName") => found["spec"]["externalName"].as_str(),
        _ => found["spec"]["clusterIP"].as_str().filter(|ip| *ip != "None"),
    };
    match (host, u16::try_from(port)) {
        (Some(host), Ok(port)) => Ok(Destination { url, connect: Some((host.to_owned(), port)), ca_bundle }),
        _ => refuse(format!("no endpoints available for service \"{name}\"")),
    }
}
