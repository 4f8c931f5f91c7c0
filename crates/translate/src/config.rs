//! ConfigMaps and Secrets that pods refer to.

use crate::{Cluster, marks};
use object::{Map, Value};

/// The host object of a virtual ConfigMap or Secret. A service-account token Secret becomes an opaque one: the host's token
/// controller would otherwise fill it with a token of the host.
pub fn config(cluster: &Cluster, object: &Value) -> Value {
    let mut out = Map::new();
    for field in ["apiVersion", "kind", "data", "binaryData", "type"] {
        if let Some(value) = object.get(field).filter(|v| !v.is_null()) {
            out.insert(field.into(), value.clone());
        }
    }
    if matches!(
        object["type"].as_str(),
        Some("kubernetes.io/service-account-token" | "bootstrap.kubernetes.io/token")
    ) {
        out.insert("type".into(), "Opaque".into());
    }
    let mut metadata = marks::metadata(cluster, object);
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.retain(|key, _| !key.starts_with("kubernetes.io/service-account."));
    }
    out.insert("metadata".into(), metadata);
    out.into()
}
