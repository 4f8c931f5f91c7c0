//! Services, endpoints, policies, ingresses and nodes: addresses in odd forms, and fields that do nothing.

use super::Warnings;
use crate::ip::{cidr_warnings, ip_warnings};
use crate::node::Node;

/// A Service.
pub fn service(w: &mut Warnings, root: &Node<'_>) {
    let spec = root.get("spec");
    let kind = spec.get("type").text();
    if object::meta::annotation(root.value, "service.kubernetes.io/topology-aware-hints").is_some() {
        w.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead"
                .to_owned(),
        );
    }
    let headless = kind == "ClusterIP" && spec.get("clusterIP").text() == "None";
    if !headless && kind != "ExternalName" && !spec.get("clusterIP").is_empty() {
        spec.get("clusterIPs").items().for_each(|ip| w.extend(ip_warnings(&ip)));
    }
    if headless {
        ignored_when_headless(w, &spec);
    }
    let (external, balancer) = (spec.get("externalIPs"), spec.get("loadBalancerIP"));
    external.items().for_each(|ip| w.extend(ip_warnings(&ip)));
    if !external.is_empty() && !headless && kind != "ExternalName" {
        w.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    if !balancer.is_empty() {
        w.extend(ip_warnings(&balancer));
    }
    spec.get("loadBalancerSourceRanges").items().for_each(|cidr| w.extend(cidr_warnings(&cidr)));
    if kind == "ExternalName" && !external.is_empty() {
        w.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if kind != "ExternalName" && !spec.get("externalName").is_empty() {
        w.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.get("trafficDistribution").text() == "PreferClose" {
        w.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
    }
}

fn ignored_when_headless(w: &mut Warnings, spec: &Node<'_>) {
    for field in ["loadBalancerIP", "externalIPs"] {
        if !spec.get(field).is_empty() {
            w.push(format!("spec.{field} is ignored for headless services"));
        }
    }
    if spec.get("sessionAffinity").text() != "None" {
        w.push("spec.SessionAffinity is ignored for headless services".to_owned());
    }
}

/// An Endpoints object.
pub fn endpoints(w: &mut Warnings, root: &Node<'_>) {
    for subset in root.get("subsets").items() {
        for list in ["addresses", "notReadyAddresses"] {
            subset.get(list).items().for_each(|address| w.extend(ip_warnings(&address.get("ip"))));
        }
    }
}

/// An EndpointSlice.
pub fn endpoint_slice(w: &mut Warnings, root: &Node<'_>, is_new: bool) {
    if is_new && root.get("addressType").text() == "FQDN" {
        w.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    let manager = object::meta::label(root.value, "endpointslice.kubernetes.io/managed-by").unwrap_or("");
    if !["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"].contains(&manager) {
        for endpoint in root.get("endpoints").items() {
            endpoint.get("addresses").items().for_each(|ip| w.extend(ip_warnings(&ip)));
        }
    }
}

/// A Node.
pub fn node(w: &mut Warnings, root: &Node<'_>) {
    let spec = root.get("spec");
    if spec.get("configSource").is_set() {
        w.push("spec.configSource: the feature is no longer supported".to_owned());
    }
    if !spec.get("externalID").is_empty() {
        w.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    spec.get("podCIDRs").items().for_each(|cidr| w.extend(cidr_warnings(&cidr)));
}

/// A NetworkPolicy.
pub fn policy(w: &mut Warnings, root: &Node<'_>) {
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in root.get("spec").get(rules).items() {
            for peer in rule.get(peers).items() {
                let block = peer.get("ipBlock");
                if block.is_set() {
                    w.extend(cidr_warnings(&block.get("cidr")));
                    block.get("except").items().for_each(|cidr| w.extend(cidr_warnings(&cidr)));
                }
            }
        }
    }
}

/// An Ingress.
pub fn ingress(w: &mut Warnings, root: &Node<'_>) {
    const KEY: &str = "kubernetes.io/ingress.class";
    let annotated = object::meta::annotation(root.value, KEY).is_some();
    if annotated && !root.get("spec").get("ingressClassName").is_set() {
        w.push(format!("annotation \"{KEY}\" is deprecated, please use 'spec.ingressClassName' instead"));
    }
}
