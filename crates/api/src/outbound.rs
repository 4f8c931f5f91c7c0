//! Calls to servers outside of this process: where they go. The pipeline has no sockets: whoever opens it brings them.

use crate::{Api, failure, stored};
use base64::Engine;
use bytes::Bytes;
use client::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use object::Value;
use std::time::Duration;

/// Where a call goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// `https://name.namespace.svc:443/path?timeout=10s`: what is asked, and who must prove to be there.
    pub url: String,
    /// The host and port to connect to, when not those of the URL.
    pub connect: Option<(String, u16)>,
    /// PEM of the CAs to trust; the system's when absent.
    pub ca_bundle: Option<Vec<u8>>,
    /// Whoever is there will do (`insecureSkipTLSVerify`).
    pub insecure: bool,
    /// PEM of the certificate and key that this side shows.
    pub identity: Option<(String, String)>,
}

/// Makes calls.
pub trait Outbound: Send + Sync {
    /// Posts JSON; the answer's body, or what went wrong (`Post "<url>": …`).
    fn post(&self, to: Destination, body: Bytes, timeout: Duration) -> BoxFuture<'_, Result<Bytes, String>>;

    /// Passes a request on as it is, and its connection when the client wants to take that over. The answer streams; the
    /// error says why there is none. Takes as long as it takes: who asks sets the limit.
    fn forward(
        &self,
        to: Destination,
        request: Request<Bytes>,
        upgrade: Option<node::Upgrade>,
    ) -> BoxFuture<'_, Result<Response<Body>, String>> {
        let _ = (request, upgrade);
        Box::pin(async move { Err(format!("{}: this server makes no calls", to.url)) })
    }
}

impl Api {
    /// Posts JSON to a destination.
    pub(crate) async fn post(
        &self,
        to: Destination,
        body: &Value,
        timeout: Duration,
    ) -> Result<Bytes, String> {
        match self.outbound.get() {
            Some(outbound) => outbound.post(to, body.to_string().into(), timeout).await,
            None => Err(format!("Post \"{}\": this server makes no calls", to.url)),
        }
    }
}

/// The answer of a webhook as JSON.
///
/// # Errors
/// In the words of a Go client, which takes what is no JSON for a YAML text.
pub(crate) fn parse(answer: &[u8]) -> Result<Value, String> {
    const NO_OBJECT: &str = "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct { \
        APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
    if answer.is_empty() {
        return Err("0-length response with status code: 200 and content type: application/json".into());
    }
    match serde_json::from_slice(answer) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(Value::Null) => Ok(object::json!({})),
        Ok(Value::Array(_)) => Err(NO_OBJECT.replacen("unmarshal string", "unmarshal array", 1)),
        _ => Err(NO_OBJECT.to_owned()),
    }
}

/// What is wrong with the kind of an answer: only `kind` is understood, in the versions `known`.
pub(crate) fn unregistered(answer: &Value, kind: &str, known: &[&str]) -> Option<String> {
    let text = |field: &str| answer[field].as_str().unwrap_or("");
    let (version, found) = (text("apiVersion"), text("kind"));
    (!found.is_empty() && !version.is_empty() && (found != kind || !known.contains(&version))).then(|| {
        format!(
            "no kind \"{found}\" is registered for version \"{version}\" in scheme \"k8s.io/apiserver/pkg/util/webhook/client.go:71\""
        )
    })
}

/// The destination of a webhook's `clientConfig`.
///
/// # Errors
/// `Post "<url>": …` when the service it names cannot be reached.
pub(crate) async fn webhook(api: &Api, config: &Value, seconds: u64) -> Result<Destination, String> {
    let ca_bundle = ca_bundle(&config["caBundle"]);
    let timeout = format!("timeout={seconds}s");
    if let Some(url) = config["url"].as_str() {
        let join = if url.contains('?') { '&' } else { '?' };
        return Ok(Destination { url: format!("{url}{join}{timeout}"), ca_bundle, ..Default::default() });
    }
    let service = &config["service"];
    let text = |key: &str| service[key].as_str().unwrap_or("");
    let (namespace, name) = (text("namespace"), text("name"));
    let port = service["port"].as_u64().unwrap_or(443);
    let path = text("path").trim_start_matches('/');
    let url = format!("https://{name}.{namespace}.svc:{port}/{path}?{timeout}");
    match resolve(api, namespace, name, port).await {
        Ok(address) => Ok(Destination { url, connect: Some(address), ca_bundle, ..Default::default() }),
        Err(why) => Err(format!("Post \"{url}\": {why}")),
    }
}

/// A `caBundle` field: base64 of PEM. What is empty stands for the system's.
pub(crate) fn ca_bundle(field: &Value) -> Option<Vec<u8>> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(field.as_str()?).ok()?;
    (!decoded.trim_ascii().is_empty()).then_some(decoded)
}

/// The address behind a port of a service of this cluster: its ClusterIP, which the network routes, or its external name.
pub(crate) async fn resolve(
    api: &Api,
    namespace: &str,
    name: &str,
    port: u64,
) -> Result<(String, u16), String> {
    if (namespace, name, port) == ("default", "kubernetes", 443) {
        let own = api.config.advertise;
        return Ok((own.ip().to_string(), own.port()));
    }
    let key = format!("/core/services/{namespace}/{name}");
    let entry = api.store.get(&key).await.map_err(|e| failure::store(e).message())?.0;
    let service = entry.as_ref().and_then(stored::decode);
    let Some(service) = service else { return Err(format!("service \"{name}\" not found")) };
    let spec = &service["spec"];
    let number =
        u16::try_from(port).map_err(|_| format!("no service port {port} found for service \"{name}\""))?;
    if spec["type"] == "ExternalName" {
        return Ok((spec["externalName"].as_str().unwrap_or("").to_owned(), number));
    }
    match spec["clusterIP"].as_str().unwrap_or("") {
        "None" => Err("cannot route to service with ClusterIP \"None\"".into()),
        ip if spec["ports"].as_array().is_some_and(|ports| ports.iter().any(|p| p["port"] == port)) => {
            Ok((ip.to_owned(), number))
        }
        _ => Err(format!("no service port {port} found for service \"{name}\"")),
    }
}
