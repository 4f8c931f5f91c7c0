//! The Node and Lease objects of simulated nodes.

use crate::options::Options;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Version of the kubelet that is simulated.
pub const VERSION: &str = "v1.36.2";

/// Seconds for which a lease is good; it is renewed at half of that, so that idle nodes cost next to nothing.
pub const LEASE_SECONDS: i64 = 3600;

/// The Node object of node `index`, without its status.
pub fn node(options: &Options, index: u16) -> Value {
    let name = options.node_name(index);
    let network = options.pod_network(index);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "sandbox", "topology.kubernetes.io/zone": format!("sandbox-{}", (b'a' + (index % 3) as u8) as char),
                "node.kubernetes.io/instance-type": "simulated",
            },
            "annotations": {"sandbox.joey.dev/simulated": "true"},
        },
        "spec": {"podCIDR": format!("{network}/24"), "podCIDRs": [format!("{network}/24")], "providerID": format!("sandbox://{name}")},
    })
}

/// The status of node `index`.
pub fn status(options: &Options, index: u16, now: Timestamp) -> Value {
    let time = object::time::format(now);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": time, "lastTransitionTime": time,
        })
    };
    let room = json!({
        "cpu": options.cpu, "memory": options.memory, "pods": options.pods.to_string(),
        "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
    });
    json!({
        "capacity": room, "allocatable": room,
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ],
        "addresses": [
            {"type": "InternalIP", "address": options.node_ip(index).to_string()},
            {"type": "Hostname", "address": options.node_name(index)},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": id(options, index, 0), "systemUUID": id(options, index, 1), "bootID": id(options, index, 2),
            "kernelVersion": "6.12.0-sandbox", "osImage": "joey sandbox (simulated)", "operatingSystem": "linux",
            "architecture": "amd64", "containerRuntimeVersion": "sandbox://0.1.0", "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
        },
    })
}

/// The Lease by which node `index` says that it lives; `uid` is the Node's.
pub fn lease(options: &Options, index: u16, uid: &str, now: Timestamp) -> Value {
    let name = options.node_name(index);
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name, "namespace": "kube-node-lease",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}],
        },
        "spec": {
            "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": object::time::format_micro(now),
        },
    })
}

fn id(options: &Options, index: u16, which: u16) -> String {
    let word = |salt: u16| crate::events::hash(&format!("{}/{which}/{salt}", options.node_name(index)));
    format!("{:016x}{:016x}", word(0), word(1))
}
