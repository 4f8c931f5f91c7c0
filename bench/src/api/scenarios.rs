//! What is asked of a server.

use super::connection::Asked;
use super::load::Make;
use bytes::Bytes;
use http::Method;
use object::{Value, json};
use std::sync::Arc;

/// Where everything is made, except for what lists of a fixed size show.
pub(crate) const NAMESPACE: &str = "bench";
/// Objects that are read and changed.
pub(crate) const OBJECTS: u64 = 1_000;

/// One kind of load.
pub(crate) struct Scenario {
    pub name: &'static str,
    pub make: Make,
    /// How many times the peer's operations per processor second are aimed at.
    pub aim: f64,
}

/// A ConfigMap of about 2 kB.
pub(crate) fn config_map(name: &str) -> Value {
    let text = "Objects of two kilobytes are what a cluster is full of. ".repeat(4);
    let data: Vec<(String, Value)> =
        (0..7).map(|n| (format!("key-{n}.conf"), format!("{n} {text}").into())).collect();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench", "app.kubernetes.io/part-of": "measurements"}},
        "data": data.into_iter().collect::<object::Map<String, Value>>(),
    })
}

/// A Deployment as people write it.
fn deployment(name: &str, change: u64) -> Value {
    let container = json!({
        "name": "main", "image": "registry.example/app:1", "ports": [{"containerPort": 80, "name": "http"}],
        "env": [{"name": "CHANGE", "value": change.to_string()}, {"name": "MODE", "value": "production"}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5},
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    })
}

/// The path of a collection of ConfigMaps.
pub(crate) fn collection(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

/// Makes object number `n` of a collection.
pub(crate) fn creation(namespace: &str, prefix: &str) -> Make {
    let (path, prefix) = (collection(namespace), prefix.to_owned());
    let template = config_map("NAME").to_string();
    Arc::new(move |number| {
        let body = template.replace("NAME", &format!("{prefix}-{number:06}"));
        Asked::send(Method::POST, &path, body)
    })
}

/// All loads but the watches. `salt` makes the names of one run its own.
pub(crate) fn all(salt: &str) -> Vec<Scenario> {
    let path = collection(NAMESPACE);
    let named = move |number: u64| format!("{path}/object-{:06}", number % OBJECTS);
    let read = named.clone();
    let list = |count: u64| -> Make {
        let path = collection(&format!("list-{count}"));
        Arc::new(move |_| Asked::get(&path))
    };
    let changed = {
        let mut template = config_map("NAME");
        template["data"]["change"] = "CHANGE".into();
        template.to_string()
    };
    let update: Make = Arc::new(move |number| {
        let name = format!("object-{:06}", number % OBJECTS);
        let body = changed.replace("NAME", &name).replace("CHANGE", &number.to_string());
        Asked::send(Method::PUT, named(number), body)
    });
    let apply: Make = Arc::new(|number| {
        let name = format!("applied-{:03}", number % 200);
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}?fieldManager=bench");
        let mut asked = Asked::send(Method::PATCH, path, deployment(&name, number).to_string());
        asked.content_type = "application/apply-patch+yaml";
        asked
    });
    let deployments = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    let salted = salt.to_owned();
    let create_deployment: Make = Arc::new(move |number| {
        let body = deployment(&format!("made-{salted}-{number:06}"), number).to_string();
        Asked::send(Method::POST, &deployments, Bytes::from(body))
    });
    vec![
        Scenario { name: "GET of one object", make: Arc::new(move |n| Asked::get(read(n))), aim: 10.0 },
        Scenario { name: "LIST of 500", make: list(500), aim: 10.0 },
        Scenario { name: "LIST of 5,000", make: list(5_000), aim: 10.0 },
        Scenario { name: "create a ConfigMap", make: creation(NAMESPACE, &format!("made-{salt}")), aim: 4.0 },
        Scenario { name: "create a Deployment", make: create_deployment, aim: 4.0 },
        Scenario { name: "update a ConfigMap", make: update, aim: 4.0 },
        Scenario { name: "apply a Deployment", make: apply, aim: 4.0 },
    ]
}
