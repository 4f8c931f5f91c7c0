//! What another server serves, read off its discovery and OpenAPI documents.

use super::{Remote, proxy};
use crate::Api;
use access::UserInfo;
use bytes::Bytes;
use client::Body;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use object::{GroupVersion, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Larger documents are not read.
const MAX_DOCUMENT: usize = 32 << 20;
/// An API server that takes longer is as good as gone.
const WITHIN: Duration = Duration::from_secs(5);

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// What is known of a group version of another server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Discovered {
    /// Its resources, as aggregated discovery lists them.
    pub resources: Vec<Value>,
    /// Where its OpenAPI v3 document is.
    pub openapi_v3: Option<String>,
    /// Its server's OpenAPI v2 document.
    pub openapi_v2: Option<Arc<Value>>,
}

/// Whether the server answers for its group version, and if not, why.
pub(super) async fn check(api: &Api, remote: &Remote) -> Result<(), String> {
    let path = format!("/apis/{}", remote.group_version);
    let mut to = remote.destination(api, &path).await?;
    if let Some((host, port)) = &to.connect {
        to.url = format!("https://{}{path}", authority(host, *port));
    }
    let url = to.url.clone();
    let failing = |why: String| format!("failing or missing response from {url}: {why}");
    match get(api, remote, &path, "").await {
        Err(why) => Err(failing(format!("Get \"{url}\": {why}"))),
        Ok((200..=399, _)) => Ok(()),
        Ok((code, _)) => Err(failing(format!("bad status from {url}: {code}"))),
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Everything there is to know.
pub(super) async fn discover(api: &Api, remote: &Remote) -> Discovered {
    let document = async |path: &str, accept: &'static str| match get(api, remote, path, accept).await {
        Ok((200, body)) => serde_json::from_slice::<Value>(&body).ok(),
        _ => None,
    };
    let aggregated = document("/apis", AGGREGATED).await;
    let resources = match aggregated.and_then(|list| of_aggregated(&list, &remote.group_version)) {
        Some(resources) => resources,
        None => {
            let list = document(&format!("/apis/{}", remote.group_version), "application/json").await;
            of_legacy(&list.unwrap_or_default())
        }
    };
    let index = document("/openapi/v3", "application/json").await.unwrap_or_default();
    let url = &index["paths"][format!("apis/{}", remote.group_version)]["serverRelativeURL"];
    let v2 = document("/openapi/v2", "application/json").await;
    Discovered { resources, openapi_v3: url.as_str().map(str::to_owned), openapi_v2: v2.map(Arc::new) }
}

/// The code and the body of an answer to this server itself.
async fn get(api: &Api, remote: &Remote, path: &str, accept: &'static str) -> Result<(u16, Bytes), String> {
    let outbound = api.outbound.get().ok_or("this server makes no calls")?;
    let to = remote.destination(api, path).await?;
    let mut headers = HeaderMap::new();
    proxy::name_user(&mut headers, &UserInfo::new("system:kube-aggregator", &["system:masters"]));
    if !accept.is_empty() {
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    }
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = path.parse().map_err(|e: http::uri::InvalidUri| e.to_string())?;
    *request.headers_mut() = headers;
    let exchange = async {
        let answer = outbound.forward(to, request, None).await?;
        let code = answer.status().as_u16();
        Ok((code, collected(answer.into_body()).await?))
    };
    let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    tokio::time::timeout(WITHIN, exchange).await.unwrap_or_else(|_| Err(late.into()))
}

async fn collected(body: Body) -> Result<Bytes, String> {
    let mut stream = match body {
        Body::Full(bytes) => return Ok(bytes),
        Body::Stream(stream) => stream,
    };
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        all.extend_from_slice(&chunk.map_err(|e| e.0)?);
        if all.len() > MAX_DOCUMENT {
            return Err("the document is too large".into());
        }
    }
    Ok(all.into())
}

/// The resources of a version in an `APIGroupDiscoveryList`.
fn of_aggregated(list: &Value, of: &GroupVersion) -> Option<Vec<Value>> {
    if list["kind"] != "APIGroupDiscoveryList" {
        return None;
    }
    let mut groups = list["items"].as_array()?.iter();
    let group = groups.find(|g| g["metadata"]["name"] == *of.group)?;
    let version = group["versions"].as_array()?.iter().find(|v| v["version"] == *of.version)?;
    version["resources"].as_array().cloned()
}

/// The same out of an `APIResourceList`.
fn of_legacy(list: &Value) -> Vec<Value> {
    let mut resources: Vec<Value> = Vec::new();
    for resource in list["resources"].as_array().into_iter().flatten() {
        let text = |field: &str| resource[field].as_str().unwrap_or("");
        let kind = json!({"group": text("group"), "version": text("version"), "kind": text("kind")});
        if let Some((parent, name)) = text("name").split_once('/') {
            let subresource = json!({"subresource": name, "responseKind": kind, "verbs": resource["verbs"]});
            let parent = resources.iter_mut().find(|r| r["resource"] == parent);
            if let Some(parent) = parent {
                match parent["subresources"].as_array_mut() {
                    Some(all) => all.push(subresource),
                    None => parent["subresources"] = json!([subresource]),
                }
            }
            continue;
        }
        let scope = if resource["namespaced"] == true { "Namespaced" } else { "Cluster" };
        let mut shown = json!({
            "resource": text("name"), "responseKind": kind, "scope": scope,
            "singularResource": text("singularName"), "verbs": resource["verbs"],
        });
        for field in ["shortNames", "categories"] {
            if resource[field].is_array() {
                shown[field] = resource[field].clone();
            }
        }
        resources.push(shown);
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let of = GroupVersion::new("a.b", "v1");
        let legacy = json!({"resources": [
            {"name": "xs", "singularName": "x", "namespaced": true, "kind": "X", "verbs": ["get"], "shortNames": ["s"]},
            {"name": "xs/status", "singularName": "", "namespaced": true, "kind": "X", "verbs": ["update"]},
        ]});
        let resources = of_legacy(&legacy);
        let kind = json!({"group": "", "version": "", "kind": "X"});
        let expected = json!([{"resource": "xs", "responseKind": kind, "scope": "Namespaced", "singularResource": "x",
            "verbs": ["get"], "shortNames": ["s"],
            "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["update"]}]}]);
        assert_eq!(json!(resources), expected);
        let list = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "a.b"}, "versions": [{"version": "v1", "resources": resources}]},
        ]});
        assert_eq!(of_aggregated(&list, &of).map(Value::from), Some(expected));
    }
}
