//! Whether a node's own kubelet takes a pod that was put there, by whomever: reason and message of its refusal.

use super::{Cluster, node_affinity, resources, taints};
use object::meta;
use serde_json::Value;

impl Cluster {
    /// Why the kubelet of `node` refuses `pod`.
    pub fn rejected(&self, pod: &Value, node: &str) -> Option<(String, String)> {
        let node = self.nodes.get(node)?;
        let value = node.value.as_ref()?;
        let others = || node.pods.iter().filter(|(uid, _)| *uid != meta::uid(pod)).map(|(_, placed)| placed);
        if let Some(shortage) = resources::shortage(pod, node, others()) {
            return Some(shortage);
        }
        let predicate =
            |name: &str, why: &str| Some((name.to_owned(), format!("Predicate {name} failed: {why}")));
        if let Some(refusal) = node_affinity::refused(pod, value) {
            return predicate("NodeAffinity", &refusal.reason);
        }
        let ports = resources::host_ports(pod);
        if ports.iter().any(|port| others().any(|other| resources::conflicts(&other.ports, port))) {
            return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports");
        }
        if taints::evicted(pod, value) {
            return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate");
        }
        None
    }
}
