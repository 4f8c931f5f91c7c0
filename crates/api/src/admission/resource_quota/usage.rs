//! How much of what an object takes, in the names that quotas use.

use super::Amounts;
use crate::admission::Operation;
use crate::admission::limit_ranger::pod_total;
use object::{Quantity, Value, meta};
use std::collections::BTreeMap;

/// What containers must say when a quota counts it.
const COMPUTE: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
/// Resources that quotas also count by their bare names.
const BARE: [&str; 7] = [
    "pods",
    "services",
    "persistentvolumeclaims",
    "configmaps",
    "secrets",
    "replicationcontrollers",
    "resourcequotas",
];

/// Is the write of this resource one that quotas look at?
pub(super) fn handles(resource: &str, subresource: &str, operation: Operation) -> bool {
    matches!(
        (resource, subresource, operation),
        (_, "", Operation::Create)
            | ("pods", "resize", Operation::Update)
            | ("services" | "persistentvolumeclaims", "", Operation::Update)
    )
}

/// Does `quota`, a name in a quota, count objects of `resource`?
pub(super) fn tracks(resource: &str, quota: &str) -> bool {
    if quota.strip_prefix("count/") == Some(resource) || (BARE.contains(&resource) && quota == resource) {
        return true;
    }
    match resource {
        "pods" => {
            let extended =
                ["requests.", "limits."].iter().any(|p| quota.starts_with(p)) && quota != "requests.storage";
            matches!(quota, "cpu" | "memory" | "ephemeral-storage")
                || quota.starts_with("hugepages-")
                || extended
        }
        "services" => matches!(quota, "services.nodeports" | "services.loadbalancers"),
        "persistentvolumeclaims" => {
            quota == "requests.storage" || quota.contains(".storageclass.storage.k8s.io/")
        }
        _ => false,
    }
}

/// What the object takes.
pub(super) fn of(resource: &str, object: &Value) -> Amounts {
    let one = Quantity::from_int(1);
    let mut used = Amounts::from([(format!("count/{resource}"), one.clone())]);
    match resource {
        "pods" => pod(object, &mut used),
        "services" => service(object, &mut used),
        "persistentvolumeclaims" => claim(object, &mut used),
        _ if BARE.contains(&resource) => drop(used.insert(resource.into(), one)),
        _ => {}
    }
    used
}

fn pod(pod: &Value, used: &mut Amounts) {
    if matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded")) {
        return;
    }
    used.insert("pods".into(), Quantity::from_int(1));
    for (name, amount) in pod_total(pod, "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            used.insert(name.clone(), amount.clone());
        }
        used.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in pod_total(pod, "limits") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            used.insert(format!("limits.{name}"), amount);
        }
    }
}

fn service(service: &Value, used: &mut Amounts) {
    let spec = &service["spec"];
    let ports = spec["ports"].as_array().map_or(0, Vec::len) as i64;
    let balanced = spec["type"] == "LoadBalancer";
    let node_ports = match spec["type"].as_str() {
        Some("NodePort") => ports,
        Some("LoadBalancer") if spec["allocateLoadBalancerNodePorts"] != false => ports,
        Some("LoadBalancer") => {
            let all = spec["ports"].as_array().into_iter().flatten();
            all.filter(|p| p["nodePort"].as_i64().unwrap_or(0) != 0).count() as i64
        }
        _ => 0,
    };
    used.insert("services".into(), Quantity::from_int(1));
    used.insert("services.nodeports".into(), Quantity::from_int(node_ports));
    used.insert("services.loadbalancers".into(), Quantity::from_int(i64::from(balanced)));
}

fn claim(claim: &Value, used: &mut Amounts) {
    used.insert("persistentvolumeclaims".into(), Quantity::from_int(1));
    let class = claim["spec"]["storageClassName"]
        .as_str()
        .or_else(|| meta::annotation(claim, "volume.beta.kubernetes.io/storage-class"))
        .unwrap_or("");
    let storage = Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]).ok();
    if !class.is_empty() {
        used.insert(
            format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"),
            Quantity::from_int(1),
        );
        if let Some(storage) = &storage {
            used.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), storage.clone());
        }
    }
    if let Some(storage) = storage {
        used.insert("requests.storage".into(), storage);
    }
}

/// What containers must say but do not, in a quota's names.
pub(super) fn missing(resource: &str, tracked: &[&String], pod: &Value) -> Option<String> {
    if resource != "pods" {
        return None;
    }
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let pod_level = &pod["spec"]["resources"];
    for name in tracked.iter().map(|t| t.as_str()).filter(|t| COMPUTE.contains(t)) {
        let (field, amount) = name.split_once('.').unwrap_or(("requests", name));
        if pod_level[field].get(amount).is_some() {
            continue;
        }
        for list in ["containers", "initContainers"] {
            for container in pod["spec"][list].as_array().into_iter().flatten() {
                if container["resources"][field].get(amount).is_none() {
                    missing.entry(name).or_default().push(container["name"].as_str().unwrap_or(""));
                }
            }
        }
    }
    let parts: Vec<String> = missing
        .into_iter()
        .map(|(name, mut containers)| {
            containers.sort_unstable();
            format!("{name} for: {}", containers.join(","))
        })
        .collect();
    (!parts.is_empty()).then(|| format!("must specify {}", parts.join("; ")))
}
