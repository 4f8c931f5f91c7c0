//! What a host says of its pods beside logs: figures of its metrics server, and answers through its proxy.

use crate::{HostTransport, links};
use bytes::Bytes;
use client::{Body, Transport, TransportError};
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, header};
use node::proxy::SeenAt;
use node::{Metrics, Sample};
use object::{ApiError, Result, Value, meta};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The API of a metrics server.
const API: &str = "/apis/metrics.k8s.io/v1beta1";

/// How long it is remembered whether the host has one.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A host's own metrics.
pub(crate) struct RemoteMetrics {
    transport: HostTransport,
    known: Mutex<Option<(Instant, bool)>>,
}

impl RemoteMetrics {
    pub(crate) fn new(transport: HostTransport) -> Self {
        Self { transport, known: Mutex::default() }
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(path).body(Bytes::new()).map_err(|e| ApiError::Internal(e.to_string()))?;
        let answer = send(&self.transport, request).await?;
        let (status, body) = (answer.status(), answer.into_body());
        match (status.is_success(), body) {
            (true, Body::Full(bytes)) => {
                serde_json::from_slice(&bytes).map_err(|e| ApiError::Internal(format!("the host: {e}")))
            }
            (_, body) => Err(crate::kubelet::refusal(body).await),
        }
    }

    async fn samples(&self, path: String) -> Result<Vec<Sample>> {
        let list = self.get(&path).await?;
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(items.iter().map(sample).collect())
    }
}

fn sample(object: &Value) -> Sample {
    let text = |field: &str| object[field].as_str().unwrap_or("").to_owned();
    let containers = &object["containers"];
    Sample {
        namespace: meta::namespace(object).to_owned(),
        name: meta::name(object).to_owned(),
        timestamp: text("timestamp"),
        window: text("window"),
        usage: if containers.is_array() { containers.clone() } else { object["usage"].clone() },
    }
}

impl Metrics for RemoteMetrics {
    fn available(&self) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let known = *self.known.lock();
            if let Some((at, available)) = known
                && at.elapsed() < REMEMBERED
            {
                return available;
            }
            let available = self.get(API).await.is_ok();
            *self.known.lock() = Some((Instant::now(), available));
            available
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<Sample>>> {
        Box::pin(self.samples(format!("{API}/nodes")))
    }

    fn pods(&self, namespace: &str) -> BoxFuture<'_, Result<Vec<Sample>>> {
        Box::pin(self.samples(match namespace {
            "" => format!("{API}/pods"),
            namespace => format!("{API}/namespaces/{namespace}/pods"),
        }))
    }
}

/// Headers that concern the client's connection, or say who it is.
const OWN: [header::HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Sends a request to a port of a pod through the host's API.
pub(crate) async fn proxy(
    transport: &HostTransport,
    namespace: &str,
    pod: &str,
    port: u16,
    request: Request<Bytes>,
) -> Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    let scheme = if parts.uri.scheme_str() == Some("https") { "https:" } else { "" };
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    stays_below(path)?;
    let there = format!("/api/v1/namespaces/{namespace}/pods/{scheme}{pod}:{port}/proxy");
    let uri = format!("{there}{path}").parse();
    parts.uri = uri.map_err(|_| ApiError::BadRequest("the path to proxy to is not valid".into()))?;
    pass_no_credentials(&mut parts.headers);
    // Links in packed pages cannot be led back.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let seen = parts.extensions.remove::<SeenAt>();
    let answer = pass_on(transport, Request::from_parts(parts, body)).await?;
    Ok(match seen {
        Some(SeenAt(here)) => links::lead_back(answer, there, here),
        None => answer,
    })
}

/// Answers a GET of a node's kubelet through the host's API.
pub(crate) async fn node_get(transport: &HostTransport, node: &str, path: &str) -> Result<Response<Body>> {
    stays_below(path)?;
    let path = format!("/api/v1/nodes/{node}/proxy{path}");
    let request = Request::builder().method(Method::GET).uri(path).body(Bytes::new());
    pass_on(transport, request.map_err(|e| ApiError::BadRequest(e.to_string()))?).await
}

/// Whatever is between here and the host's API server may take `..` for the way up, with joey's rights.
fn stays_below(path: &str) -> Result<()> {
    let path = path.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let path = path
        .replace("%25", "%")
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/")
        .replace('\\', "/");
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(ApiError::BadRequest("the path to proxy to is not valid".into()));
    }
    Ok(())
}

fn pass_no_credentials(headers: &mut HeaderMap) {
    OWN.iter().for_each(|name| drop(headers.remove(name)));
    let said: Vec<_> = headers.keys().filter(|n| n.as_str().starts_with("impersonate-")).cloned().collect();
    said.iter().for_each(|name| drop(headers.remove(name)));
}

async fn send(transport: &HostTransport, request: Request<Bytes>) -> Result<Response<Body>> {
    transport.send(request).await.map_err(unreachable)
}

async fn pass_on(transport: &HostTransport, request: Request<Bytes>) -> Result<Response<Body>> {
    transport.stream(request).await.map_err(unreachable)
}

fn unreachable(error: TransportError) -> ApiError {
    ApiError::ServiceUnavailable(format!("the host cannot be reached: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn a_clients_credentials_stay_here() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "impersonate-user", "impersonate-extra-a", "cookie", "x-kept", "accept"]
        {
            headers.insert(header::HeaderName::from_static(name), header::HeaderValue::from_static("v"));
        }
        pass_no_credentials(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(|n| n.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-kept"]);
    }

    #[test]
    fn no_path_leads_out_of_the_proxy() {
        for path in
            ["/../../secrets", "/a/..", "/%2e%2E/x", "/a%2f..%2fb", "/.%2e/", "/a\\..\\b", "/%252e%252e/x"]
        {
            assert!(stays_below(path).is_err(), "{path}");
        }
        for path in ["/", "/a..b/c", "/...", "/?q=/../x", "/%20"] {
            assert!(stays_below(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn samples_are_read_from_metrics() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n"}, "timestamp": "t", "window": "15s",
            "containers": [{"name": "c", "usage": {"cpu": "1n"}}],
        });
        assert_eq!(sample(&pod).usage[0]["name"], "c");
        let node = json!({"metadata": {"name": "x"}, "usage": {"cpu": "1"}});
        assert_eq!((sample(&node).namespace.as_str(), &sample(&node).usage["cpu"]), ("", &json!("1")));
    }
}
