//! APIs that other servers serve: an extension API server of gadgets behind a service.

use crate::cluster::Cluster;
use api::{Destination, Outbound};
use bytes::Bytes;
use client::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use object::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const GADGETS: &str = "/apis/ext.example.com/v1/namespaces/default/gadgets";

/// Lists its resource, and tells who asked for everything else.
#[derive(Default)]
struct Extension {
    down: AtomicBool,
}

impl Outbound for Extension {
    fn post(&self, _: Destination, _: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async { Err("nobody is there".into()) })
    }

    fn forward(
        &self,
        to: Destination,
        request: Request<Bytes>,
        _: Option<node::Upgrade>,
    ) -> BoxFuture<'_, Result<Response<Body>, String>> {
        let header =
            |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        let path = request.uri().path().to_owned();
        let body = match path.as_str() {
            "/apis/ext.example.com/v1" => json!({"kind": "APIResourceList", "resources": [
                {"name": "gadgets", "singularName": "gadget", "namespaced": true, "kind": "Gadget", "verbs": ["get"]},
            ]}),
            "/openapi/v3" => {
                json!({"paths": {"apis/ext.example.com/v1": {"serverRelativeURL": "/there?hash=1"}}})
            }
            _ => json!({
                "path": path, "user": header("x-remote-user"), "groups": header("x-remote-group"),
                "to": to.connect.map(|(host, port)| format!("{host}:{port}")), "proven": to.identity.is_some(),
            }),
        };
        let known = !path.starts_with("/openapi/v2") && path != "/apis";
        let down = self.down.load(Ordering::Relaxed);
        Box::pin(async move {
            if down {
                return Err("dial tcp: connect: connection refused".into());
            }
            let mut answer = Response::new(Body::Full(body.to_string().into()));
            *answer.status_mut() =
                http::StatusCode::from_u16(if known { 200 } else { 404 }).unwrap_or_default();
            Ok(answer)
        })
    }
}

/// The first `Available` condition with this reason, whenever it is written.
async fn available(cluster: &Cluster, reason: &str) -> Value {
    let mut watch =
        cluster.watch(&format!("{SERVICES}?watch=1&fieldSelector=metadata.name=v1.ext.example.com")).await;
    loop {
        let (_, object) = watch.next().await;
        if object["status"]["conditions"][0]["reason"] == reason {
            return object["status"]["conditions"][0].clone();
        }
    }
}

async fn cluster() -> (Cluster, Arc<Extension>) {
    let cluster = Cluster::new().await;
    let extension = Arc::new(Extension::default());
    cluster.api.set_outbound(extension.clone());
    let service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.ext.example.com"},
        "spec": {"group": "ext.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "ext", "port": 8443}},
    });
    cluster.create(SERVICES, service).await;
    (cluster, extension)
}

async fn serve(cluster: &Cluster) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext"},
        "spec": {"type": "ExternalName", "externalName": "elsewhere.example.com"}});
    cluster.create("/api/v1/namespaces/default/services", service).await;
    available(cluster, "Passed").await;
}

#[tokio::test]
async fn what_leads_nowhere_is_unavailable() {
    let (cluster, extension) = cluster().await;
    let condition = available(&cluster, "ServiceNotFound").await;
    assert_eq!(condition["message"], "service/ext in \"default\" is not present");
    assert_eq!(cluster.get(GADGETS).await.code, 503);
    assert_eq!(cluster.get("/apis/ext.example.com").await.body["versions"][0]["version"], "v1");
    let services = "/api/v1/namespaces/default/services";
    let port = |number: u16| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext"},
        "spec": {"ports": [{"port": number, "name": "https"}]}})
    };
    cluster.create(services, port(80)).await;
    available(&cluster, "ServicePortError").await;
    cluster.delete(&format!("{services}/ext")).await;
    cluster.create(services, port(8443)).await;
    available(&cluster, "EndpointsNotFound").await;
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "ext", "labels": {"kubernetes.io/service-name": "ext"}},
        "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"name": "other", "port": 1}]});
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    cluster.create(slices, slice).await;
    available(&cluster, "MissingEndpoints").await;
    extension.down.store(true, Ordering::Relaxed);
    cluster.merge(&format!("{slices}/ext"), json!({"ports": [{"name": "https", "port": 1}]})).await;
    let condition = available(&cluster, "FailedDiscoveryCheck").await;
    let message = condition["message"].as_str().unwrap_or("");
    assert!(message.starts_with("failing or missing response from https://10.96."), "{message}");
    assert!(
        message.ends_with(":8443/apis/ext.example.com/v1\": dial tcp: connect: connection refused"),
        "{message}"
    );
}

#[tokio::test]
async fn requests_carry_the_user() {
    let (cluster, _) = cluster().await;
    serve(&cluster).await;
    let told = cluster.get(&format!("{GADGETS}/a")).await.body;
    let expected = json!({"path": format!("{GADGETS}/a"), "user": "admin", "groups": "system:masters",
        "to": "elsewhere.example.com:8443", "proven": true});
    assert_eq!(told, expected);
    assert_eq!(cluster.acting_as("nobody").get(GADGETS).await.code, 403, "they are authorized here");
    let trust = cluster
        .get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")
        .await
        .body;
    assert_eq!(trust["data"]["requestheader-allowed-names"], "[\"front-proxy-client\"]");
    assert!(trust["data"]["requestheader-client-ca-file"].as_str().is_some_and(|pem| pem.contains("BEGIN")));
}

#[tokio::test]
async fn documents_tell_of_it() {
    let (cluster, _) = cluster().await;
    serve(&cluster).await;
    let groups = cluster.get("/apis").await.body;
    let names: Vec<_> =
        groups["groups"].as_array().into_iter().flatten().map(|g| g["name"].clone()).collect();
    assert_eq!(names.last(), Some(&json!("ext.example.com")));
    let index = cluster.get("/openapi/v3").await.body;
    assert_eq!(index["paths"]["apis/ext.example.com/v1"]["serverRelativeURL"], "/there?hash=1");
    let document = cluster.get("/openapi/v3/apis/ext.example.com/v1").await.body;
    assert_eq!(document["user"], "system:aggregator");
    cluster.delete(&format!("{SERVICES}/v1.ext.example.com")).await;
    assert_eq!(cluster.get("/apis/ext.example.com").await.code, 404);
    assert_eq!(cluster.get(GADGETS).await.code, 404);
}
