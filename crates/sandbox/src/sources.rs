//! The objects that a pod's environment and volumes are made of.

use crate::spec;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a pod may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl Kind {
    /// As messages of the kubelet spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }
}

/// Objects of the pod's namespace, as far as they were looked up.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// By kind and name; absent if there is no such object.
    pub objects: BTreeMap<(Kind, String), Arc<Value>>,
    /// Tokens of the pod's service account, by audience.
    pub tokens: BTreeMap<String, String>,
    /// Environment of the services there are.
    pub services: BTreeMap<String, String>,
}

impl Sources {
    /// An object.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned())).map(Arc::as_ref)
    }
}

/// One value of a ConfigMap or Secret, decoded.
pub fn value(object: &Value, key: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    let decode = |text: &str| base64::prelude::BASE64_STANDARD.decode(text).ok();
    match object["kind"] == "Secret" {
        true => decode(object["data"][key].as_str()?),
        false => match object["data"][key].as_str() {
            Some(text) => Some(text.as_bytes().to_vec()),
            None => decode(object["binaryData"][key].as_str()?),
        },
    }
}

/// All keys of a ConfigMap or Secret.
pub fn keys(object: &Value) -> Vec<String> {
    let of = |field: &str| object[field].as_object().into_iter().flatten().map(|(k, _)| k.clone());
    of("data").chain(of("binaryData")).collect()
}

/// Every ConfigMap and Secret that `pod` names.
pub fn references(pod: &Value) -> Vec<(Kind, String)> {
    let mut found = vec![];
    let mut add = |kind: Kind, name: &Value| {
        if let Some(name) = name.as_str().filter(|n| !n.is_empty()) {
            found.push((kind, name.to_owned()));
        }
    };
    for container in spec::containers(pod) {
        for from in container["envFrom"].as_array().into_iter().flatten() {
            add(Kind::ConfigMap, &from["configMapRef"]["name"]);
            add(Kind::Secret, &from["secretRef"]["name"]);
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            add(Kind::ConfigMap, &variable["valueFrom"]["configMapKeyRef"]["name"]);
            add(Kind::Secret, &variable["valueFrom"]["secretKeyRef"]["name"]);
        }
    }
    for volume in spec::list(pod, "volumes") {
        add(Kind::ConfigMap, &volume["configMap"]["name"]);
        add(Kind::Secret, &volume["secret"]["secretName"]);
        for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
            add(Kind::ConfigMap, &source["configMap"]["name"]);
            add(Kind::Secret, &source["secret"]["name"]);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The audiences of the tokens that `pod` mounts, with their lifetimes in seconds.
pub fn audiences(pod: &Value) -> BTreeMap<String, i64> {
    let volumes = spec::list(pod, "volumes").iter();
    volumes
        .flat_map(|v| v["projected"]["sources"].as_array().into_iter().flatten())
        .filter_map(|s| s["serviceAccountToken"].as_object())
        .map(|token| {
            let audience = token.get("audience").and_then(Value::as_str).unwrap_or("");
            (audience.to_owned(), token.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(3600))
        })
        .collect()
}

/// `NAME_SERVICE_HOST` and so on of the services of the pod's namespace, and of the API server.
pub fn service_environment<'a>(services: impl Iterator<Item = &'a Value>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for service in services {
        let ip = service["spec"]["clusterIP"].as_str().unwrap_or("");
        let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
        if ip.is_empty() || ip == "None" || ports.is_empty() {
            continue;
        }
        let prefix = object::meta::name(service).to_ascii_uppercase().replace('-', "_");
        variables.insert(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
        variables.insert(format!("{prefix}_SERVICE_PORT"), ports[0]["port"].to_string());
        for (at, port) in ports.iter().enumerate() {
            let (number, protocol) = (port["port"].to_string(), port["protocol"].as_str().unwrap_or("TCP"));
            if let Some(name) = port["name"].as_str().filter(|n| !n.is_empty()) {
                let name = name.to_ascii_uppercase().replace('-', "_");
                variables.insert(format!("{prefix}_SERVICE_PORT_{name}"), number.clone());
            }
            let url = format!("{}://{ip}:{number}", protocol.to_ascii_lowercase());
            if at == 0 {
                variables.insert(format!("{prefix}_PORT"), url.clone());
            }
            let base = format!("{prefix}_PORT_{number}_{protocol}");
            variables.insert(format!("{base}_ADDR"), ip.to_owned());
            variables.insert(format!("{base}_PORT"), number);
            variables.insert(format!("{base}_PROTO"), protocol.to_ascii_lowercase());
            variables.insert(base, url);
        }
    }
    variables
}
