//! Which of a host's nodes a virtual cluster's pods may be on: those that its policy selects, and no control plane's.

use crate::{Cluster, Policy};
use object::{Map, Value, json, meta};
use std::collections::BTreeSet;

/// Taints that keep pods away from the nodes of a control plane.
const ROLES: &str = "node-role.kubernetes.io/";

/// Taints that say how a node is. Whoever tolerates everything tolerates these.
const CONDITIONS: [&str; 7] = [
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
];

fn taints(node: &Value) -> impl Iterator<Item = &Value> {
    node["spec"]["taints"].as_array().into_iter().flatten()
}

fn is_role(taint: &Value) -> bool {
    taint["effect"] != "PreferNoSchedule" && taint["key"].as_str().is_some_and(|key| key.starts_with(ROLES))
}

/// Whether a virtual cluster's pods may be on a host node; if not, its tenants do not see it.
pub fn may_use(policy: &Policy, node: &Value) -> bool {
    let selected = policy.node_selector.iter().all(|(k, v)| meta::label(node, k) == Some(v));
    selected && (policy.privileged || !taints(node).any(is_role))
}

/// The keys of a node's taints.
pub fn taint_keys(node: &Value) -> impl Iterator<Item = &str> {
    taints(node).filter_map(|taint| taint["key"].as_str())
}

/// The pod's wishes, within the policy. `known` are the keys of taints of nodes that it may be on.
pub(crate) fn add(cluster: &Cluster, spec: &Value, known: &BTreeSet<String>, out: &mut Map<String, Value>) {
    let policy = &cluster.policy;
    let mut selector = spec["nodeSelector"].as_object().cloned().unwrap_or_default();
    selector.extend(policy.node_selector.iter().map(|(k, v)| (k.clone(), v.clone().into())));
    if !selector.is_empty() {
        out.insert("nodeSelector".into(), selector.into());
    }
    let Some(tolerations) = spec["tolerations"].as_array() else { return };
    let tolerations = match policy.privileged {
        true => tolerations.clone(),
        false => tolerations.iter().flat_map(|toleration| within(toleration, known)).collect(),
    };
    out.insert("tolerations".into(), tolerations.into());
}

/// A toleration of everything becomes one of each taint that there is, but those of control planes.
fn within(toleration: &Value, known: &BTreeSet<String>) -> Vec<Value> {
    match toleration["key"].as_str().filter(|key| !key.is_empty()) {
        Some(key) if key.starts_with(ROLES) => vec![],
        Some(_) => vec![toleration.clone()],
        None => {
            let keys: BTreeSet<&str> = known.iter().map(String::as_str).chain(CONDITIONS).collect();
            let each = keys.into_iter().filter(|key| !key.starts_with(ROLES)).map(|key| {
                let mut one = toleration.clone();
                one["key"] = key.into();
                one["operator"] = json!("Exists");
                one
            });
            each.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_planes_nodes_are_out_of_reach() {
        let node = |taints: Value| json!({"metadata": {"labels": {"pool": "a"}}, "spec": {"taints": taints}});
        let master = node(json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]));
        let gpu = node(json!([{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]));
        let policy = Policy::default();
        assert!(!may_use(&policy, &master) && may_use(&policy, &gpu));
        assert!(may_use(&Policy { privileged: true, ..Policy::default() }, &master));
        let elsewhere = Policy { node_selector: [("pool".into(), "b".into())].into(), ..Policy::default() };
        assert!(!may_use(&elsewhere, &gpu));
        let spec = json!({"tolerations": [{"operator": "Exists"}, {"key": "node-role.kubernetes.io/master"}, {"key": "a", "value": "b"}]});
        let known: BTreeSet<String> =
            taint_keys(&gpu).chain(taint_keys(&master)).map(str::to_owned).collect();
        let mut out = Map::new();
        add(&Cluster::test(), &spec, &known, &mut out);
        let keys: Vec<&str> =
            out["tolerations"].as_array().unwrap().iter().filter_map(|t| t["key"].as_str()).collect();
        assert_eq!(keys.len(), CONDITIONS.len() + 2);
        assert!(
            keys.contains(&"nvidia.com/gpu")
                && keys.contains(&"a")
                && !keys.iter().any(|k| k.starts_with(ROLES))
        );
    }
}
