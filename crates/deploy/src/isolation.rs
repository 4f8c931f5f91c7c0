//! The fences that a platform team puts around one virtual cluster, as the host's own objects: a ResourceQuota and a LimitRange
//! for its namespace, and a NetworkPolicy around its pods.

use crate::definition::Spec;
use crate::host_objects::metadata;
use object::{GroupVersionResource, Value, json, meta};
use std::net::IpAddr;

/// Networks that a fenced pod does not reach outside of its virtual cluster: private ones, and those of the link, where clouds
/// keep their metadata.
const FENCED: [&str; 5] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"];

/// Ports that pods use to reach what belongs to their virtual cluster but runs outside of it.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Where joey listens.
    pub ip: IpAddr,
    /// The API server's port.
    pub api: u16,
    /// The DNS server's ports: datagrams, streams.
    pub dns: (u16, u16),
}

/// The objects that fence a virtual cluster in: resource, and the object or `None` if there should be none.
pub fn isolation(
    owner: &Value,
    spec: &Spec,
    ways: &Ways,
) -> [(GroupVersionResource, String, Option<Value>); 3] {
    let name = format!("{}-isolation", meta::name(owner));
    let core = |resource: &str| GroupVersionResource::new("", "v1", resource);
    let policies = GroupVersionResource::new("networking.k8s.io", "v1", "networkpolicies");
    [
        (core("resourcequotas"), name.clone(), quota(owner, &name, &spec.quota)),
        (core("limitranges"), name.clone(), limits(owner, &name, &spec.container_defaults)),
        (policies, name.clone(), spec.network_policy.then(|| network_policy(owner, &name, ways))),
    ]
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(|map| map.is_empty())
}

fn quota(owner: &Value, name: &str, hard: &Value) -> Option<Value> {
    let quota = || json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata(owner, name), "spec": {"hard": hard}});
    (!is_empty(hard)).then(quota)
}

fn limits(owner: &Value, name: &str, defaults: &Value) -> Option<Value> {
    if is_empty(defaults) {
        return None;
    }
    let mut limit = json!({"type": "Container"});
    for (from, to) in [("limits", "default"), ("requests", "defaultRequest")] {
        if !is_empty(&defaults[from]) {
            limit[to] = defaults[from].clone();
        }
    }
    Some(
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata(owner, name), "spec": {"limits": [limit]}}),
    )
}

/// Pods hear from pods of their own virtual cluster, and speak to those, to their API and DNS servers, and to public addresses.
fn network_policy(owner: &Value, name: &str, ways: &Ways) -> Value {
    let own = json!({"podSelector": {"matchLabels": {"joey.dev/cluster": meta::name(owner)}}});
    let block =
        |ip: IpAddr| json!({"ipBlock": {"cidr": format!("{ip}/{}", if ip.is_ipv6() { 128 } else { 32 })}});
    let port = |protocol: &str, port: u16| json!({"protocol": protocol, "port": port});
    let servers = [port("TCP", ways.api), port("UDP", ways.dns.0), port("TCP", ways.dns.1)];
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(owner, name),
        "spec": {
            "podSelector": own["podSelector"], "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [own]}],
            "egress": [
                {"to": [own]},
                {"to": [block(ways.ip)], "ports": servers},
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": FENCED}}, {"ipBlock": {"cidr": "::/0", "except": ["fc00::/7", "fe80::/10"]}}]},
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn nothing_is_fenced_unless_asked_for() {
        let ways = Ways { ip: "10.244.0.1".parse().unwrap(), api: 6443, dns: (5353, 5354) };
        let owner = json!({"metadata": {"name": "demo", "namespace": "joey-demo", "uid": "u"}, "spec": {}});
        assert!(isolation(&owner, &Spec::read(&owner), &ways).iter().all(|(.., object)| object.is_none()));
        let owner = json!({"metadata": {"name": "demo", "namespace": "joey-demo", "uid": "u"}, "spec": {"isolation": {
            "quota": {"pods": "20"}, "containerDefaults": {"requests": {"cpu": "50m"}}, "networkPolicy": true,
        }}});
        let all = isolation(&owner, &Spec::read(&owner), &ways);
        let spec = |i: usize| all[i].2.as_ref().unwrap()["spec"].to_string();
        expect![[r#"{"hard":{"pods":"20"}}"#]].assert_eq(&spec(0));
        expect![[r#"{"limits":[{"defaultRequest":{"cpu":"50m"},"type":"Container"}]}"#]].assert_eq(&spec(1));
        let policy = all[2].2.as_ref().unwrap();
        expect![[r#"{"ports":[{"port":6443,"protocol":"TCP"},{"port":5353,"protocol":"UDP"},{"port":5354,"protocol":"TCP"}],"to":[{"ipBlock":{"cidr":"10.244.0.1/32"}}]}"#]]
            .assert_eq(&policy["spec"]["egress"][1].to_string());
        expect![[r#"{"matchLabels":{"joey.dev/cluster":"demo"}}"#]]
            .assert_eq(&policy["spec"]["podSelector"].to_string());
    }
}
