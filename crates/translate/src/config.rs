//! ConfigMaps and Secrets that pods refer to.

use crate::{Cluster, marks};
use object::{Map, Value, meta};

/// Types of Secrets that mean something to kubelets and ingress controllers. To others of a host's controllers a type is an
/// invitation: the token controller, say, would put a token of the host into a Secret of its own.
const TYPES: [&str; 5] = [
    "kubernetes.io/basic-auth",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/tls",
];

/// The host object of a virtual ConfigMap or Secret. Pods refer to it by name; labels would only be found by those who gather
/// from all namespaces what is labelled for them, such as dashboards, and so they stay behind.
pub fn config(cluster: &Cluster, object: &Value) -> Value {
    let mut out = Map::new();
    for field in ["apiVersion", "kind", "data", "binaryData", "type"] {
        if let Some(value) = object.get(field).filter(|v| !v.is_null()) {
            out.insert(field.into(), value.clone());
        }
    }
    if object["type"].as_str().is_some_and(|kind| !TYPES.contains(&kind)) {
        out.insert("type".into(), "Opaque".into());
    }
    let mut metadata = marks::metadata(cluster, object);
    metadata["labels"] = marks::labels(cluster, meta::namespace(object), &Value::Null);
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.retain(|key, _| !key.starts_with("kubernetes.io/service-account."));
    }
    out.insert("metadata".into(), metadata);
    out.into()
}
