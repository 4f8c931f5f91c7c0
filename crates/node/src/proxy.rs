//! The `proxy` subresource of pods, services and nodes: which port of what is meant, and what is passed on.
//!
//! Only pods are reached, through their kubelet: an endpoint that is none is passed over, as Kubernetes does.

use crate::connect::Request;
use crate::kubelet::Kubelet;
use bytes::Bytes;
use client::Body;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};
use object::error::quote;
use object::{ApiError, Result, Value, meta};
use std::sync::Arc;

/// `[scheme:]name[:port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// `http`, `https`, or empty.
    pub scheme: &'a str,
    /// The object's name.
    pub name: &'a str,
    /// Name or number, or empty.
    pub port: &'a str,
}

impl<'a> Named<'a> {
    /// Reads the name part of a path; `None` for what cannot be one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match *parts.as_slice() {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return None,
        };
        (!name.is_empty() && matches!(scheme, "" | "http" | "https")).then_some(Self { scheme, name, port })
    }
}

/// Where a client sees what is proxied: the path up to `/proxy`. Goes with a request to a [`Kubelet`], which makes links of
/// pages lead there if it knows another place.
#[derive(Clone, Debug)]
pub struct SeenAt(pub String);

impl SeenAt {
    fn new(object: &Value, resource: &str, name: &str) -> Self {
        Self(format!("/api/v1/namespaces/{}/{resource}/{name}/proxy", meta::namespace(object)))
    }
}

pub(crate) async fn to_pod(
    kubelet: &Arc<dyn Kubelet>,
    pod: &Value,
    name: &str,
    request: Request,
) -> Result<Response<Body>> {
    let invalid = || ApiError::BadRequest(format!("invalid pod request {}", quote(name)));
    let named = Named::parse(name).ok_or_else(invalid)?;
    let port = pod_port(pod, named.port).ok_or_else(invalid)?;
    let seen = SeenAt::new(pod, "pods", name);
    pass_on(kubelet, meta::namespace(pod), meta::name(pod), (named.scheme, port), seen, request).await
}

/// The port of a pod that is meant: a number or a container port's name; its first one if none is named.
fn pod_port(pod: &Value, wanted: &str) -> Option<u16> {
    if let Ok(number) = wanted.parse() {
        return Some(number);
    }
    let containers = pod["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let mut ports = containers.iter().flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let found = ports.find(|p| wanted.is_empty() || p["name"] == wanted);
    let number = found.and_then(|p| p["containerPort"].as_u64()).and_then(|p| u16::try_from(p).ok());
    number.or(wanted.is_empty().then_some(80))
}

/// Passes a request on to one of the pods behind `service`; `slices` are its EndpointSlices.
pub(crate) async fn to_service(
    kubelet: &Arc<dyn Kubelet>,
    service: &Value,
    slices: &[Value],
    name: &str,
    request: Request,
) -> Result<Response<Body>> {
    let invalid = || ApiError::BadRequest(format!("invalid service request {}", quote(name)));
    let named = Named::parse(name).ok_or_else(invalid)?;
    let (pod, port) = endpoint(service, slices, name, named)?;
    let seen = SeenAt::new(service, "services", name);
    pass_on(kubelet, meta::namespace(service), pod, (named.scheme, port), seen, request).await
}

/// A ready pod behind the port that is meant, and its port there.
fn endpoint<'a>(
    service: &Value,
    slices: &'a [Value],
    asked: &str,
    named: Named<'_>,
) -> Result<(&'a str, u16)> {
    let none = |what: &str| {
        ApiError::ServiceUnavailable(format!("no endpoints available for service {}", quote(what)))
    };
    let mut port_name = named.port;
    if let Ok(number) = named.port.parse::<i64>() {
        let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
        let port = ports.iter().find(|p| p["port"] == number).ok_or_else(|| {
            let name = quote(named.name);
            ApiError::ServiceUnavailable(format!("no service port {number} found for service {name}"))
        })?;
        port_name = port["name"].as_str().unwrap_or("");
    }
    if slices.iter().all(|s| s["endpoints"].as_array().is_none_or(Vec::is_empty)) {
        return Err(none(named.name));
    }
    for slice in slices {
        let mut ports = slice["ports"].as_array().into_iter().flatten();
        let port = ports.find(|p| p["name"].as_str().unwrap_or("") == port_name);
        let port = port.and_then(|p| p["port"].as_u64()).and_then(|p| u16::try_from(p).ok());
        let mut endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let pod = endpoints
            .find(|e| e["conditions"]["ready"] != false && e["targetRef"]["kind"] == "Pod")
            .and_then(|e| e["targetRef"]["name"].as_str());
        if let (Some(port), Some(pod)) = (port, pod) {
            return Ok((pod, port));
        }
    }
    Err(none(asked))
}

/// Passes a request on to the kubelet of `node`.
pub(crate) async fn to_node(
    kubelet: &Arc<dyn Kubelet>,
    node: &str,
    request: Request,
) -> Result<Response<Body>> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let mut answer = Response::new(Body::Full(Bytes::from_static(b"405: Method Not Allowed")));
        *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return Ok(answer);
    }
    kubelet.node_get(node, &path_of(&request)).await
}

fn path_of(request: &Request) -> String {
    let query = if request.raw_query.is_empty() { String::new() } else { format!("?{}", request.raw_query) };
    format!("/{}{query}", request.rest.trim_start_matches('/'))
}

async fn pass_on(
    kubelet: &Arc<dyn Kubelet>,
    namespace: &str,
    pod: &str,
    (scheme, port): (&str, u16),
    seen: SeenAt,
    request: Request,
) -> Result<Response<Body>> {
    let path = path_of(&request);
    let uri = if scheme == "https" { format!("https://{pod}:{port}{path}") } else { path };
    let mut inner = http::Request::new(request.body);
    inner.extensions_mut().insert(seen);
    *inner.method_mut() = request.method;
    *inner.headers_mut() = request.headers;
    // A tenant's credentials for the API are none of the pod's business.
    for own in [AUTHORIZATION, http::header::HOST, http::header::CONNECTION, http::header::CONTENT_LENGTH] {
        inner.headers_mut().remove(own);
    }
    *inner.uri_mut() =
        uri.parse().map_err(|_| ApiError::BadRequest("the path to proxy to is not valid".into()))?;
    kubelet.proxy(namespace, pod, port, inner).await
}

/// The answer to a path without a slash at its end, for which relative links would lead astray; `query` is empty or what
/// follows the `?`.
pub fn redirect(path: &str, query: &str) -> Option<Response<Body>> {
    let mut answer = Response::new(Body::Full(Bytes::new()));
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let to = if query.is_empty() { format!("{path}/") } else { format!("{path}/?{query}") };
    answer.headers_mut().insert(LOCATION, HeaderValue::from_str(&to).ok()?);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn names_carry_scheme_and_port() {
        let named = |scheme, name, port| Some(Named { scheme, name, port });
        assert_eq!(Named::parse("web"), named("", "web", ""));
        assert_eq!(Named::parse("web:80"), named("", "web", "80"));
        assert_eq!(Named::parse("https:web:tls"), named("https", "web", "tls"));
        assert_eq!(Named::parse("https:web:"), named("https", "web", ""));
        for bad in ["", ":80", "ftp:web:80", "a:b:c:d"] {
            assert_eq!(Named::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_redirect_keeps_the_query() {
        let to =
            |query| redirect("/p/proxy", query).unwrap().headers()[LOCATION].to_str().unwrap().to_owned();
        assert_eq!((to(""), to("a=b")), ("/p/proxy/".into(), "/p/proxy/?a=b".into()));
    }

    #[test]
    fn a_pods_port_is_found_by_number_name_or_order() {
        let pod = json!({"spec": {"containers": [
            {"name": "a"}, {"name": "b", "ports": [{"name": "web", "containerPort": 8080}, {"name": "x", "containerPort": 9}]},
        ]}});
        assert_eq!(pod_port(&pod, ""), Some(8080));
        assert_eq!(pod_port(&pod, "x"), Some(9));
        assert_eq!(pod_port(&pod, "1234"), Some(1234));
        assert_eq!(pod_port(&pod, "y"), None);
        assert_eq!(pod_port(&json!({}), ""), Some(80));
    }

    #[test]
    fn a_service_leads_to_a_ready_pod() {
        let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "web", "port": 80}]}});
        let slices = [json!({
            "ports": [{"name": "web", "port": 8080}],
            "endpoints": [
                {"conditions": {"ready": true}, "addresses": ["1.2.3.4"]},
                {"conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "a"}},
                {"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "b"}},
            ],
        })];
        let of = |asked: &str, slices: &[Value]| {
            let found = endpoint(&service, slices, asked, Named::parse(asked).unwrap());
            found.map(|(pod, port)| format!("{pod}:{port}")).map_err(|e| e.message())
        };
        assert_eq!(of("s:80", &slices).unwrap(), "b:8080");
        assert_eq!(of("s:web", &slices).unwrap(), "b:8080");
        assert_eq!(of("s:81", &slices).unwrap_err(), "no service port 81 found for service \"s\"");
        assert_eq!(of("s:x", &slices).unwrap_err(), "no endpoints available for service \"s:x\"");
        assert_eq!(of("s:80", &[]).unwrap_err(), "no endpoints available for service \"s\"");
    }
}
