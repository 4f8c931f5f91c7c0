//! NetworkPolicies: a tenant's rules for its own pods, in the words of a host where all its namespaces are one.
//!
//! Whom a rule names are pods of the same virtual cluster, or blocks of addresses. Where the cluster is fenced, a rule never
//! lets through what the fence does not ([`crate::fence`]). Its DNS and API servers are no pods of the host: rules that
//! allow `kube-dns`, or the API's address, allow the ways that lead there.

use crate::fence::{self, Ways};
use crate::marks::{self, Spelled};
use crate::{Cluster, Namespaces, Refusal};
use object::{LabelSelector, Value, json, meta};
use std::net::IpAddr;

/// Label of a host pod: the directions in which its tenant's policies judge it, and the fence's own permissions do not.
pub const DIRECTIONS: &str = "joey.dev/policies";
/// Values of [`DIRECTIONS`] that hold `Ingress`.
pub const INGRESS: [&str; 2] = ["ingress", "ingress-egress"];
/// Values of [`DIRECTIONS`] that hold `Egress`.
pub const EGRESS: [&str; 2] = ["egress", "ingress-egress"];

/// What joey's name server looks like to rules: the namespace and labels that people select it by.
const DNS_NAMESPACE: &str = "kube-system";
const DNS_LABELS: [(&str, &str); 1] = [("k8s-app", "kube-dns")];

/// The host policy of a virtual one. `namespaces` are the virtual ones, with their labels.
///
/// # Errors
/// When it selects more namespaces than can be spelled out.
pub fn network_policy(cluster: &Cluster, policy: &Value, namespaces: &Namespaces) -> Result<Value, Refusal> {
    let namespace = meta::namespace(policy);
    let spec = &policy["spec"];
    let mut pods = spec.get("podSelector").filter(|s| s.is_object()).cloned().unwrap_or_else(|| json!({}));
    marks::narrow(cluster, Some(&[namespace.to_owned()]), &mut pods);
    let mut out = json!({"podSelector": pods, "policyTypes": types(spec)});
    let rules = Rules { cluster, namespace, namespaces, spelled: Spelled::new(namespaces) };
    for (field, peers) in [("ingress", "from"), ("egress", "to")] {
        let Some(list) = spec[field].as_array() else { continue };
        let mut all = Vec::new();
        for rule in list {
            all.extend(rules.rule(rule, peers)?);
        }
        out[field] = all.into();
    }
    Ok(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": marks::metadata(cluster, policy), "spec": out,
    }))
}

/// Whether a policy's meaning depends on the labels of namespaces.
pub fn selects_namespaces(policy: &Value) -> bool {
    let rules = |field: &'static str, peers: &'static str| {
        let rules = policy["spec"][field].as_array().into_iter().flatten();
        rules.flat_map(move |rule| rule[peers].as_array().into_iter().flatten())
    };
    rules("ingress", "from").chain(rules("egress", "to")).any(|peer| peer["namespaceSelector"].is_object())
}

/// The directions in which a namespace's policies judge a pod with these labels, as a value of [`DIRECTIONS`].
pub fn directions<'a>(policies: impl IntoIterator<Item = &'a Value>, pod: &Value) -> Option<&'static str> {
    let (mut ingress, mut egress) = (false, false);
    for policy in policies {
        let spec = &policy["spec"];
        let empty = json!({});
        let selector = spec.get("podSelector").filter(|s| s.is_object()).unwrap_or(&empty);
        let selector = LabelSelector::from_object(selector);
        if !selector.is_ok_and(|selector| selector.matches(|key| meta::label(pod, key))) {
            continue;
        }
        for kind in types(spec) {
            ingress |= kind == "Ingress";
            egress |= kind == "Egress";
        }
    }
    match (ingress, egress) {
        (true, true) => Some("ingress-egress"),
        (true, false) => Some("ingress"),
        (false, true) => Some("egress"),
        (false, false) => None,
    }
}

fn types(spec: &Value) -> Vec<&str> {
    match spec["policyTypes"].as_array() {
        Some(types) if !types.is_empty() => types.iter().filter_map(Value::as_str).collect(),
        _ if spec["egress"].as_array().is_some_and(|rules| !rules.is_empty()) => vec!["Ingress", "Egress"],
        _ => vec!["Ingress"],
    }
}

struct Rules<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    namespaces: &'a Namespaces,
    spelled: Spelled<'a>,
}

impl Rules<'_> {
    /// The host's rules for one of the tenant's. None at all where nobody is left whom it lets through: a rule without
    /// peers would let through everybody.
    fn rule(&self, rule: &Value, field: &str) -> Result<Vec<Value>, Refusal> {
        let ports = rule.get("ports").filter(|p| p.as_array().is_some_and(|p| !p.is_empty()));
        let with = |peers: Option<Vec<Value>>| {
            let mut made = json!({});
            if let Some(peers) = peers {
                made[field] = peers.into();
            }
            if let Some(ports) = ports {
                made["ports"] = ports.clone();
            }
            made
        };
        let named = rule[field].as_array().filter(|peers| !peers.is_empty());
        let fenced = self.cluster.network.fenced;
        let peers = match named {
            None if !fenced => None,
            None => Some(self.anybody(field)),
            Some(peers) => {
                let peers = peers.iter().filter_map(|peer| self.peer(peer, field).transpose());
                Some(peers.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let mut rules = Vec::new();
        if peers.as_ref().is_none_or(|peers| !peers.is_empty()) {
            rules.push(with(peers));
        }
        if field == "to" && (fenced || named.is_some() || ports.is_some()) {
            rules.extend(self.ways(named.map_or(&[][..], Vec::as_slice), ports));
        }
        Ok(rules)
    }

    /// Everybody whom the fence lets through.
    fn anybody(&self, field: &str) -> Vec<Value> {
        let mut all = vec![fence::own_pods(&self.cluster.name)];
        if field == "to" {
            all.extend(fence::public());
        }
        all
    }

    fn peer(&self, peer: &Value, field: &str) -> Result<Option<Value>, Refusal> {
        if let Some(block) = peer.get("ipBlock").filter(|b| b.is_object()) {
            let block = match (self.cluster.network.fenced, field) {
                (false, _) => Some(block.clone()),
                (true, "to") => fence::public_part(block),
                (true, _) => None,
            };
            return Ok(block.map(|block| json!({"ipBlock": block})));
        }
        let mut pods =
            peer.get("podSelector").filter(|s| s.is_object()).cloned().unwrap_or_else(|| json!({}));
        let namespaces = match peer.get("namespaceSelector").filter(|s| s.is_object()) {
            Some(selector) => self.spelled.matching(selector)?,
            None => Some(vec![self.namespace.to_owned()]),
        };
        marks::narrow(self.cluster, namespaces.as_deref(), &mut pods);
        Ok(Some(json!({"podSelector": pods})))
    }

    /// The rule for what of joey's own these peers and ports mean.
    fn ways(&self, peers: &[Value], ports: Option<&Value>) -> Option<Value> {
        let ways = self.cluster.network.ways?;
        let anybody = peers.is_empty();
        let blocks = || peers.iter().map(|p| &p["ipBlock"]).filter(|b| b.is_object());
        let held = |ip: IpAddr| blocks().any(|block| fence::holds(block, ip));
        let dns = anybody
            || held(ways.ip)
            || self.cluster.dns.is_some_and(held)
            || peers.iter().any(|peer| self.means_name_server(peer));
        let api = anybody || held(ways.ip);
        let mut open = Vec::new();
        if dns {
            let (datagrams, streams) = ways.dns;
            let asked = [("UDP", "dns", datagrams), ("TCP", "dns-tcp", streams)];
            let asked = asked.into_iter().filter(|(protocol, name, port)| {
                covers(ports, protocol, name, 53) || covers(ports, protocol, name, *port)
            });
            open.extend(asked.map(|(protocol, _, port)| fence::port(protocol, port)));
        }
        if api && (covers(ports, "TCP", "https", 443) || covers(ports, "TCP", "https", ways.api)) {
            open.push(fence::port("TCP", ways.api));
        }
        (!open.is_empty()).then(|| json!({"to": [Ways::peer(&ways)], "ports": open}))
    }

    fn means_name_server(&self, peer: &Value) -> bool {
        if peer["ipBlock"].is_object() {
            return false;
        }
        let labels = self.namespaces.get(DNS_NAMESPACE);
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        let there = match peer.get("namespaceSelector").filter(|s| s.is_object()) {
            Some(selector) => LabelSelector::from_object(selector).is_ok_and(|s| s.matches(label)),
            None => self.namespace == DNS_NAMESPACE,
        };
        let pods = match peer.get("podSelector").filter(|s| s.is_object()) {
            Some(selector) => LabelSelector::from_object(selector),
            None => Ok(LabelSelector::everything()),
        };
        let label = |key: &str| DNS_LABELS.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
        there && pods.is_ok_and(|pods| pods.matches(label))
    }
}

/// Whether `ports` (none: all) let a port through, by its number or name.
fn covers(ports: Option<&Value>, protocol: &str, name: &str, number: u16) -> bool {
    let Some(ports) = ports.and_then(Value::as_array) else { return true };
    ports.iter().any(|port| {
        let same = port["protocol"].as_str().unwrap_or("TCP") == protocol;
        let number = i64::from(number);
        same && match &port["port"] {
            Value::String(text) => text == name,
            Value::Number(first) => {
                let first = first.as_i64().unwrap_or(-1);
                (first..=port["endPort"].as_i64().unwrap_or(first)).contains(&number)
            }
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests;
