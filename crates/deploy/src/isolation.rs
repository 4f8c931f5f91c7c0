//! The fences that a platform team puts around one virtual cluster, as the host's own objects: a ResourceQuota and a LimitRange
//! for its namespace, and a NetworkPolicy around its pods.

use crate::definition::Spec;
use crate::host_objects::metadata;
use object::{GroupVersionResource, Value, json, meta};
use translate::network_policy::{DIRECTIONS, EGRESS, INGRESS};
use translate::{Ways, fence, marks};

/// The objects that fence a virtual cluster in: resource, and the object or `None` if there should be none.
pub fn isolation(
    owner: &Value,
    spec: &Spec,
    ways: &Ways,
) -> [(GroupVersionResource, String, Option<Value>); 5] {
    let name = format!("{}-isolation", meta::name(owner));
    let core = |resource: &str| GroupVersionResource::new("", "v1", resource);
    let policy = |suffix: &str, spec_of: &dyn Fn() -> Value| {
        let name = format!("{name}{suffix}");
        let object = spec.network_policy.then(|| network_policy(owner, &name, spec_of()));
        (GroupVersionResource::new("networking.k8s.io", "v1", "networkpolicies"), name, object)
    };
    [
        (core("resourcequotas"), name.clone(), quota(owner, &name, &spec.quota)),
        (core("limitranges"), name.clone(), limits(owner, &name, &spec.container_defaults)),
        policy("", &|| nothing(owner)),
        policy("-ingress", &|| ingress(owner)),
        policy("-egress", &|| egress(owner, ways)),
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

fn network_policy(owner: &Value, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(owner, name), "spec": spec})
}

/// What no other policy allows, to or from any pod of the virtual cluster, does not happen.
fn nothing(owner: &Value) -> Value {
    let mut spec = fence::own_pods(meta::name(owner));
    spec["policyTypes"] = json!(["Ingress", "Egress"]);
    spec
}

/// Pods that no policy of their tenant's judges in this direction.
fn unjudged(owner: &Value, directions: [&str; 2]) -> Value {
    json!({
        "matchLabels": {marks::CLUSTER: meta::name(owner)},
        "matchExpressions": [{"key": DIRECTIONS, "operator": "NotIn", "values": directions}],
    })
}

/// Pods hear from pods of their own virtual cluster.
fn ingress(owner: &Value) -> Value {
    json!({
        "podSelector": unjudged(owner, INGRESS), "policyTypes": ["Ingress"],
        "ingress": [{"from": [fence::own_pods(meta::name(owner))]}],
    })
}

/// Pods speak to pods of their own virtual cluster, to their API and DNS servers, and to public addresses.
fn egress(owner: &Value, ways: &Ways) -> Value {
    json!({
        "podSelector": unjudged(owner, EGRESS), "policyTypes": ["Egress"],
        "egress": [
            {"to": [fence::own_pods(meta::name(owner))]},
            {"to": [ways.peer()], "ports": ways.ports()},
            {"to": fence::public()},
        ],
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
        expect![[r#"{"podSelector":{"matchLabels":{"joey.dev/cluster":"demo"}},"policyTypes":["Ingress","Egress"]}"#]]
            .assert_eq(&spec(2));
        expect![[r#"{"ingress":[{"from":[{"podSelector":{"matchLabels":{"joey.dev/cluster":"demo"}}}]}],"podSelector":{"matchExpressions":[{"key":"joey.dev/policies","operator":"NotIn","values":["ingress","ingress-egress"]}],"matchLabels":{"joey.dev/cluster":"demo"}},"policyTypes":["Ingress"]}"#]].assert_eq(&spec(3));
        expect![[r#"{"egress":[{"to":[{"podSelector":{"matchLabels":{"joey.dev/cluster":"demo"}}}]},{"ports":[{"port":5353,"protocol":"UDP"},{"port":5354,"protocol":"TCP"},{"port":6443,"protocol":"TCP"}],"to":[{"ipBlock":{"cidr":"10.244.0.1/32"}}]},{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8","172.16.0.0/12","192.168.0.0/16","100.64.0.0/10","169.254.0.0/16"]}},{"ipBlock":{"cidr":"::/0","except":["fc00::/7","fe80::/10","64:ff9b::a00:0/104","64:ff9b::ac10:0/108","64:ff9b::c0a8:0/112","64:ff9b::6440:0/106","64:ff9b::a9fe:0/112","64:ff9b:1::/48"]}}]}],"podSelector":{"matchExpressions":[{"key":"joey.dev/policies","operator":"NotIn","values":["egress","ingress-egress"]}],"matchLabels":{"joey.dev/cluster":"demo"}},"policyTypes":["Egress"]}"#]].assert_eq(&spec(4));
    }
}
