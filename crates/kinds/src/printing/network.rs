//! Services, endpoints, ingresses, policies and addresses.

use super::cells::{age, int, joined, labels, list, row, selector, text, text_or, with_more};
use jiff::Timestamp;
use object::{GroupResource, Value, meta};
use std::collections::BTreeSet;

pub(super) fn service(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    let ports: Vec<String> = list(&spec["ports"]).iter().map(service_port).collect();
    row![
        meta::name(service),
        text(&spec["type"]),
        text_or(&spec["clusterIPs"][0], "<none>"),
        external_ip(service),
        if ports.is_empty() { "<none>".into() } else { ports.join(",") },
        age(service, now),
        labels(&spec["selector"]),
    ]
}

fn service_port(port: &Value) -> String {
    let (number, node_port, protocol) = (int(&port["port"]), int(&port["nodePort"]), text(&port["protocol"]));
    if node_port > 0 { format!("{number}:{node_port}/{protocol}") } else { format!("{number}/{protocol}") }
}

fn external_ip(service: &Value) -> String {
    let spec = &service["spec"];
    let external = joined(&spec["externalIPs"], ",");
    match text(&spec["type"]) {
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".into(),
        "ClusterIP" | "NodePort" => external,
        "LoadBalancer" => match (load_balancer(service), external.as_str()) {
            (ips, "") if ips.is_empty() => "<pending>".into(),
            (ips, "") => ips,
            (ips, external) if ips.is_empty() => external.to_owned(),
            (ips, external) => format!("{ips},{external}"),
        },
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        _ => "<unknown>".into(),
    }
}

/// Addresses and host names that a load balancer reported, in order.
fn load_balancer(object: &Value) -> String {
    let ingress = list(&object["status"]["loadBalancer"]["ingress"]);
    let set: BTreeSet<&str> = ingress.iter().map(|i| text_or(&i["ip"], text(&i["hostname"]))).collect();
    set.into_iter().filter(|a| !a.is_empty()).collect::<Vec<_>>().join(",")
}

const MOST: usize = 3;

pub(super) fn endpoints(endpoints: &Value, now: Timestamp) -> Vec<Value> {
    let subsets = list(&endpoints["subsets"]);
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = || list(&subset["addresses"]).iter().map(|a| text(&a["ip"]));
        if list(&subset["ports"]).is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in list(&subset["ports"]) {
            let number = int(&port["port"]);
            all.extend(addresses().map(|ip| {
                if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }
            }));
        }
    }
    let count = all.len();
    all.truncate(MOST);
    let shown = if subsets.is_empty() { "<none>".into() } else { with_more(&all, ",", count, MOST) };
    row![meta::name(endpoints), shown, age(endpoints, now)]
}

pub(super) fn endpoint_slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    let ports =
        list(&slice["ports"]).iter().map(|port| match (port["port"].as_i64(), port["name"].as_str()) {
            (Some(number), _) => number.to_string(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => "*".into(),
        });
    let addresses =
        list(&slice["endpoints"]).iter().flat_map(|e| list(&e["addresses"])).map(|a| text(a).to_owned());
    row![
        meta::name(slice),
        text(&slice["addressType"]),
        some_of(ports.collect()),
        some_of(addresses.collect()),
        age(slice, now),
    ]
}

fn some_of(mut all: Vec<String>) -> String {
    let count = all.len();
    all.truncate(MOST);
    let shown = with_more(&all, ",", count, MOST);
    if shown.is_empty() { "<unset>".into() } else { shown }
}

pub(super) fn ingress(ingress: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &ingress["spec"];
    let ports = if list(&spec["tls"]).is_empty() { "80" } else { "80, 443" };
    row![
        meta::name(ingress),
        spec["ingressClassName"].as_str().unwrap_or("<none>"),
        hosts(list(&spec["rules"])),
        load_balancer(ingress),
        ports,
        age(ingress, now),
    ]
}

/// Rules without a host count as hosts left out, once three were shown.
fn hosts(rules: &[Value]) -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == MOST;
        if !more && !text(&rule["host"]).is_empty() {
            shown.push(text(&rule["host"]).to_owned());
        }
    }
    match (shown.is_empty(), more) {
        (true, _) => "*".into(),
        (_, false) => shown.join(","),
        (_, true) => with_more(&shown, ",", rules.len(), MOST),
    }
}

pub(super) fn ingress_class(class: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = &class["spec"]["parameters"];
    let shown = if parameters.is_object() {
        let group = parameters["apiGroup"].as_str().map_or_else(String::new, |g| format!(".{g}"));
        format!("{}{group}/{}", text(&parameters["kind"]), text(&parameters["name"]))
    } else {
        "<none>".into()
    };
    row![meta::name(class), text(&class["spec"]["controller"]), shown, age(class, now)]
}

pub(super) fn network_policy(policy: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(policy), selector(&policy["spec"]["podSelector"]), age(policy, now)]
}

/// Kubernetes gives these rows an age, though the table has no column for it.
pub(super) fn ip_address(address: &Value, now: Timestamp) -> Vec<Value> {
    let parent = &address["spec"]["parentRef"];
    let mut shown = "<none>".to_owned();
    if parent.is_object() {
        shown =
            GroupResource::new(text(&parent["group"]), text(&parent["resource"])).to_string().to_lowercase();
        for field in ["namespace", "name"] {
            if field == "name" || !text(&parent[field]).is_empty() {
                shown = format!("{shown}/{}", text(&parent[field]));
            }
        }
    }
    row![meta::name(address), shown, age(address, now)]
}

pub(super) fn service_cidr(cidr: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(cidr), joined(&cidr["spec"]["cidrs"], ","), age(cidr, now)]
}
