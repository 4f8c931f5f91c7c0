//! Answers the connect verbs of a pod: one function shows what each of them does.

use crate::forward;
use crate::kubelet::Kubelet;
use crate::options::{ExecOptions, LogOptions};
use crate::query::Query;
use crate::upgrade::Upgrade;
use crate::{container, one_way, proxy, spdy_exec, ws};
use bytes::Bytes;
use client::Body;
use futures::StreamExt;
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use object::{ApiError, Result, meta};
use serde_json::Value;
use std::sync::Arc;

/// A request to `pods/NAME/SUBRESOURCE`, authenticated and authorized.
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// Query parameters.
    pub query: Query,
    /// What follows the subresource (`proxy/a/b`: `a/b`).
    pub rest: String,
    /// The query as sent.
    pub raw_query: String,
    /// Body.
    pub body: Bytes,
    /// The connection, when the client wants to upgrade it.
    pub upgrade: Option<Upgrade>,
}

/// Serves `subresource` (`log`, `exec`, `attach`, `portforward`, `proxy`) of `pod` with `kubelet`. `name` is the name
/// part of the path, which for `proxy` may carry scheme and port (`https:web:8080`).
///
/// # Errors
/// What Kubernetes answers when the options are wrong, the pod has no node yet, the client cannot be spoken to, or the
/// kubelet refuses before the session begins.
pub async fn pod(
    kubelet: &Arc<dyn Kubelet>,
    pod: &Value,
    subresource: &str,
    name: &str,
    request: Request,
) -> Result<Response<Body>> {
    match subresource {
        "log" => log(kubelet, pod, request).await,
        "exec" => session(kubelet, pod, request, Verb::Exec).await,
        "attach" => session(kubelet, pod, request, Verb::Attach).await,
        "portforward" => forward::serve(kubelet, pod, request).await,
        "proxy" => {
            require_node(pod)?;
            proxy::to_pod(kubelet, pod, name, request).await
        }
        _ => Err(ApiError::NoSuchPath),
    }
}

/// Proxies to an endpoint of `service`; `name` is the name part of the path, which may carry scheme and port.
///
/// # Errors
/// When the service has no such port or nothing behind it, or when the kubelet refuses.
pub async fn service(
    kubelet: &Arc<dyn Kubelet>,
    service: &Value,
    slices: &[Value],
    name: &str,
    request: Request,
) -> Result<Response<Body>> {
    proxy::to_service(kubelet, service, slices, name, request).await
}

/// Proxies to the kubelet of a node; `node` is its name.
///
/// # Errors
/// When the kubelet does not serve that, or cannot be reached.
pub async fn node(kubelet: &Arc<dyn Kubelet>, node: &str, request: Request) -> Result<Response<Body>> {
    proxy::to_node(kubelet, node, request).await
}

async fn log(kubelet: &Arc<dyn Kubelet>, pod: &Value, request: Request) -> Result<Response<Body>> {
    let mut options = LogOptions::parse(&request.query, meta::name(pod))?;
    options.container = container::choose(pod, &options.container)?;
    let stream = match has_node(pod) {
        // No node yet: nothing was written yet.
        false => None,
        true => Some(kubelet.logs(meta::namespace(pod), meta::name(pod), options).await?),
    };
    if wants_websocket(&request.headers) {
        let stream = stream.unwrap_or_else(|| futures::stream::empty().boxed());
        return one_way::bytes(&request.headers, request.upgrade, stream);
    }
    let mut response = Response::new(stream.map_or(Body::Full(Bytes::new()), Body::Stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

#[derive(Clone, Copy)]
enum Verb {
    Exec,
    Attach,
}

async fn session(
    kubelet: &Arc<dyn Kubelet>,
    pod: &Value,
    request: Request,
    verb: Verb,
) -> Result<Response<Body>> {
    let mut options = ExecOptions::parse(&request.query)?;
    options.container = container::choose(pod, &options.container)?;
    require_node(pod)?;
    if matches!(verb, Verb::Attach) {
        options.command.clear();
    }
    let streams = options.streams;
    let (namespace, name) = (meta::namespace(pod).to_owned(), meta::name(pod).to_owned());
    let start = {
        let kubelet = kubelet.clone();
        async move {
            match verb {
                Verb::Exec => kubelet.exec(&namespace, &name, options).await,
                Verb::Attach => kubelet.attach(&namespace, &name, options).await,
            }
        }
    };
    let (protocol, upgrade) = Protocol::negotiate(request)?;
    match protocol {
        Protocol::WebSocket { key, offered } => {
            let channels = ws::Channels::choose(&offered)?;
            // As Kubernetes' translating proxy does: refusals of the kubelet travel inside of the WebSocket.
            upgrade.serve(move |io| async move { ws::run(io, channels, streams, start.await).await });
            Ok(switch_to_websocket(&key, channels.protocol()))
        }
        Protocol::Spdy { offered } => {
            let version = spdy_exec::Version::choose(&offered)?;
            let session = start.await?;
            upgrade.serve(move |io| spdy_exec::run(io, version, streams, session));
            Ok(switch_to_spdy(version.name()))
        }
    }
}

fn has_node(pod: &Value) -> bool {
    pod["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty())
}

/// Streams need a node to go to.
pub(crate) fn require_node(pod: &Value) -> Result<()> {
    match has_node(pod) {
        true => Ok(()),
        false => Err(ApiError::BadRequest(format!("pod {} does not have a host assigned", meta::name(pod)))),
    }
}

/// How the client wants to stream, and the sub-protocols it offers, best first.
pub(crate) enum Protocol {
    WebSocket { key: String, offered: Vec<String> },
    Spdy { offered: Vec<String> },
}

impl Protocol {
    pub(crate) fn negotiate(request: Request) -> Result<(Self, Upgrade)> {
        let headers = &request.headers;
        let protocol = if wants_websocket(headers) {
            let key = websocket_key(headers)?.to_owned();
            Self::WebSocket { key, offered: listed(headers, SEC_WEBSOCKET_PROTOCOL.as_str()) }
        } else if upgrades_to(headers, "SPDY/3.1") {
            Self::Spdy { offered: listed(headers, STREAM_PROTOCOL) }
        } else {
            return Err(upgrade_required());
        };
        Ok((protocol, request.upgrade.ok_or_else(upgrade_required)?))
    }
}

fn upgrade_required() -> ApiError {
    ApiError::BadRequest("Upgrade request required".into())
}

fn upgrades_to(headers: &HeaderMap, protocol: &str) -> bool {
    headers.get(UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()))
}

/// Whether a request asks for its answer over a WebSocket.
pub fn wants_websocket(headers: &HeaderMap) -> bool {
    upgrades_to(headers, "websocket")
}

/// What the server's half of a WebSocket's handshake is made from.
pub(crate) fn websocket_key(headers: &HeaderMap) -> Result<&str> {
    headers.get("sec-websocket-key").and_then(|v| v.to_str().ok()).ok_or_else(upgrade_required)
}

const STREAM_PROTOCOL: &str = "x-stream-protocol-version";

pub(crate) fn listed(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect()
}

fn switching(protocol: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    response
}

pub(crate) fn switch_to_spdy(protocol: &'static str) -> Response<Body> {
    let mut response = switching("SPDY/3.1");
    response.headers_mut().insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
    response
}

pub(crate) fn switch_to_websocket(key: &str, protocol: &'static str) -> Response<Body> {
    let mut response = switching("websocket");
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if !protocol.is_empty() {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    response
}

/// The whole text of a log stream; for tests and for callers that want no stream.
pub async fn read_all(mut stream: client::BodyStream) -> Vec<u8> {
    let mut out = vec![];
    while let Some(Ok(chunk)) = stream.next().await {
        out.extend_from_slice(&chunk);
    }
    out
}
