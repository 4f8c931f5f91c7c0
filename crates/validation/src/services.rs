//! Services.

use crate::ip;
use crate::metadata::labels;
use crate::node::{Errors, Node, check_required_supported, check_supported, check_text};
use crate::pod::containers::port_number_or_name;
use object::{FieldError, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
const CHANGED: &str = "may not change once set";

/// A Service, with or without its allocated addresses.
pub fn service(e: &mut Errors, object: &Value) {
    validate(e, object, None);
}

fn validate(e: &mut Errors, object: &Value, old: Option<&Value>) {
    let root = Node::root(object);
    let spec = root.get("spec");
    topology_annotations(e, &root.get("metadata").get("annotations"));
    let (kind, ports) = (spec.get("type"), spec.get("ports"));
    if ports.is_empty() && !is_headless(&spec) && kind.text() != "ExternalName" {
        e.push(ports.required(""));
    }
    by_type(e, &spec);
    let mut names_seen = BTreeSet::new();
    for port in ports.items() {
        service_port(e, &port, ports.len() > 1, &mut names_seen);
    }
    labels(e, &spec.get("selector"));
    session_affinity(e, &spec);
    cluster_ips(e, &spec, old);
    let kept = old_texts(old, &["externalIPs"]);
    for address in spec.get("externalIPs").items() {
        let before = e.len();
        ip::legacy_ip(e, &address, &kept);
        if e.len() == before {
            ip::non_special(e, &address);
        }
    }
    check_required_supported(e, &kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    port_uniqueness(e, &spec);
    load_balancer(e, &root, old);
    traffic(e, &spec);
}

/// Texts of lists of the old spec, which stay acceptable.
fn old_texts<'a>(old: Option<&'a Value>, fields: &[&str]) -> Vec<&'a str> {
    let lists = fields.iter().filter_map(|field| old?["spec"][*field].as_array());
    lists.flatten().filter_map(Value::as_str).collect()
}

/// The addresses of a Service and their families.
pub fn addresses(service: &Value, old: Option<&Value>) -> Errors {
    let mut errors = vec![];
    cluster_ips(&mut errors, &Node::root(service).get("spec"), old);
    errors
}

fn topology_annotations(e: &mut Errors, annotations: &Node<'_>) {
    let (mode, hints) = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints");
    if let (Some(mode_value), Some(hints_value)) = (annotations.value.get(mode), annotations.value.get(hints))
        && mode_value != hints_value
    {
        let detail = format!("must match annotations[{hints}] when both are specified");
        e.push(FieldError::invalid(&annotations.path.key(mode), mode_value, &detail));
    }
}

fn is_headless(spec: &Node<'_>) -> bool {
    matches!(spec.get("clusterIPs").texts().as_slice(), ["None"])
}

fn by_type(e: &mut Errors, spec: &Node<'_>) {
    let kind = spec.get("type").text();
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let path = spec.path.field("clusterIPs").index(0);
            let detail = format!("may not be set to 'None' for {kind} services");
            e.push(FieldError::invalid(&path, &json!("None"), &detail));
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let set = if field == "ipFamilyPolicy" {
                    spec.get(field).is_set()
                } else {
                    !spec.get(field).is_empty()
                };
                if set {
                    e.push(spec.get(field).forbidden("may not be set for ExternalName services"));
                }
            }
            let name = spec.get("externalName");
            let trimmed = json!(name.text().strip_suffix('.').unwrap_or(name.text()));
            let trimmed = Node::at(&trimmed, name.path);
            if trimmed.is_empty() {
                e.push(trimmed.required(""));
            } else {
                check_text(e, &trimmed, names::dns1123_subdomain);
            }
        }
        _ => {}
    }
}

fn service_port<'a>(e: &mut Errors, port: &Node<'a>, need_name: bool, seen: &mut BTreeSet<&'a str>) {
    let name = port.get("name");
    if !name.is_empty() {
        check_text(e, &name, names::dns1123_label);
        if !seen.insert(name.text()) {
            e.push(name.duplicate());
        }
    } else if need_name {
        e.push(name.required(""));
    }
    let number = port.get("port");
    e.extend(names::port_number(number.int()).iter().map(|m| number.invalid_as(number.int(), m)));
    check_required_supported(e, &port.get("protocol"), &["SCTP", "TCP", "UDP"]);
    port_number_or_name(e, &port.get("targetPort"));
    if port.get("appProtocol").is_set() {
        check_text(e, &port.get("appProtocol"), names::qualified_name);
    }
}

fn session_affinity(e: &mut Errors, spec: &Node<'_>) {
    let (affinity, config) = (spec.get("sessionAffinity"), spec.get("sessionAffinityConfig"));
    check_required_supported(e, &affinity, &["ClientIP", "None"]);
    match affinity.text() {
        "ClientIP" => {
            let timeout = config.get("clientIP").get("timeoutSeconds");
            let missing =
                [config.clone(), config.get("clientIP"), timeout.clone()].into_iter().find(|n| !n.is_set());
            if let Some(missing) = missing {
                e.push(missing.required("when session affinity type is ClientIP"));
            } else if !(1..=86400).contains(&timeout.int()) {
                e.push(timeout.invalid("must be greater than 0 and less than 86400"));
            }
        }
        "None" if config.is_set() => {
            e.push(config.forbidden("must not be set when session affinity is None"))
        }
        _ => {}
    }
}

fn cluster_ips(e: &mut Errors, spec: &Node<'_>, old: Option<&Value>) {
    if spec.get("type").text() == "ExternalName" {
        return;
    }
    let (ips, families, policy) =
        (spec.get("clusterIPs"), spec.get("ipFamilies"), spec.get("ipFamilyPolicy"));
    let listed = ips.texts();
    match (spec.get("clusterIP").text(), listed.first()) {
        ("", None) => {}
        ("", Some(_)) => e.push(ips.invalid("must be empty when `clusterIP` is not specified")),
        (_, None) => e.push(ips.required("")),
        (ip, Some(first)) if ip != *first => e.push(ips.invalid("first value must match `clusterIP`")),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for family in families.items() {
        check_supported(e, &family, &["IPv4", "IPv6"]);
        if !seen.insert(family.text()) {
            e.push(family.duplicate());
        }
    }
    check_supported(e, &policy, &["PreferDualStack", "RequireDualStack", "SingleStack"]);
    let (before, kept) = (e.len(), old_texts(old, &["clusterIPs"]));
    for (i, address) in ips.items().enumerate() {
        if i == 0 && address.text() == "None" {
            if listed.len() > 1 {
                e.push(ips.invalid("'None' must be the first and only value"));
            }
            continue;
        }
        ip::legacy_ip(e, &address, &kept);
    }
    let broken = e.len() > before;
    if listed.len() > 2 {
        e.push(ips.invalid("may only hold up to 2 values"));
    }
    if broken {
        return;
    }
    if listed.len() > 1 && !ip::is_dual_stack(&listed) {
        e.push(ips.invalid("may specify no more than one IP for each IP family"));
    }
    if !is_headless(spec) {
        for (i, (address, family)) in ips.items().zip(families.texts()).enumerate() {
            if (family == "IPv6") != address.text().contains(':') {
                let detail = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
                e.push(address.invalid(&detail));
            }
        }
    }
}

fn port_uniqueness(e: &mut Errors, spec: &Node<'_>) {
    let ports: Vec<_> = spec.get("ports").items().collect();
    if spec.get("type").text() == "ClusterIP" {
        for port in ports.iter().filter(|p| p.get("nodePort").int() != 0) {
            e.push(port.get("nodePort").forbidden("may not be used when `type` is 'ClusterIP'"));
        }
    }
    let mut seen = BTreeSet::new();
    for port in ports.iter().filter(|p| p.get("nodePort").int() != 0) {
        if !seen.insert((port.get("protocol").text(), port.get("nodePort").int())) {
            e.push(port.get("nodePort").duplicate());
        }
    }
    let mut seen = BTreeSet::new();
    for port in &ports {
        let (protocol, number) = (port.get("protocol").text(), port.get("port").int());
        if !seen.insert((protocol, number)) {
            // Go shows its own struct, all fields but these two empty.
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}",
                json!(protocol)
            );
            e.push(duplicate_shown(port, &shown));
        }
    }
}

fn duplicate_shown(node: &Node<'_>, shown: &str) -> FieldError {
    let mut error = FieldError::duplicate(&node.path, &Value::Null);
    error.message = format!("Duplicate value: {shown}");
    error
}

fn load_balancer(e: &mut Errors, root: &Node<'_>, old: Option<&Value>) {
    let spec = root.get("spec");
    let is_load_balancer = spec.get("type").text() == "LoadBalancer";
    let ranges = spec.get("loadBalancerSourceRanges").moved(spec.path.field("LoadBalancerSourceRanges"));
    let annotations = root.get("metadata").get("annotations");
    let kept = old_texts(old, &["loadBalancerSourceRanges"]);
    if !ranges.is_empty() {
        if !is_load_balancer {
            e.push(ranges.forbidden(ONLY_LOAD_BALANCER));
        }
        for range in ranges.items() {
            let trimmed = json!(range.text().trim());
            if !kept.contains(&range.text()) {
                ip::legacy_cidr(e, &Node::at(&trimmed, range.path), &kept);
            }
        }
    } else if let Some(annotation) = annotations.value.get(SOURCE_RANGES) {
        let path = annotations.path.key(SOURCE_RANGES);
        if !is_load_balancer {
            e.push(FieldError::forbidden(&path, ONLY_LOAD_BALANCER));
        }
        let text = annotation.as_str().unwrap_or("").trim();
        for range in text.split(',').filter(|_| !text.is_empty()) {
            ip::legacy_cidr(e, &Node::at(&json!(range.trim()), path.clone()), &[]);
        }
    }
    let allocate = spec.get("allocateLoadBalancerNodePorts");
    if allocate.is_set() && !is_load_balancer {
        e.push(allocate.forbidden(ONLY_LOAD_BALANCER));
    }
    if is_load_balancer && !allocate.is_set() {
        e.push(FieldError::required(&object::Path::new("allocateLoadBalancerNodePorts"), ""));
    }
    let class = spec.get("loadBalancerClass");
    if is_load_balancer {
        if class.is_set() {
            check_text(e, &class, names::qualified_name);
        }
    } else if class.is_set() {
        e.push(class.forbidden(ONLY_LOAD_BALANCER));
    }
}

fn externally_accessible(spec: &Node<'_>) -> bool {
    match spec.get("type").text() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec.get("externalIPs").is_empty(),
        _ => false,
    }
}

fn needs_health_check(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn traffic(e: &mut Errors, spec: &Node<'_>) {
    let external = spec.get("externalTrafficPolicy");
    if !externally_accessible(spec) {
        if !external.is_empty() {
            e.push(external.invalid("may only be set for externally-accessible services"));
        }
    } else {
        check_required_supported(e, &external, &["Cluster", "Local"]);
    }
    let health = spec.get("healthCheckNodePort");
    if !needs_health_check(spec.value) {
        if health.int() != 0 {
            let detail =
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            e.push(health.invalid(detail));
        }
    } else if health.int() != 0 {
        e.extend(names::port_number(health.int()).iter().map(|m| health.invalid(m)));
    }
    let internal = spec.get("internalTrafficPolicy");
    if !internal.is_set() && matches!(spec.get("type").text(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        e.push(internal.required(""));
    }
    check_supported(e, &internal, &["Cluster", "Local"]);
    check_supported(
        e,
        &spec.get("trafficDistribution"),
        &["PreferClose", "PreferSameZone", "PreferSameNode"],
    );
}

/// An update of a Service: what is allocated stays, families may be added or dropped at the end.
pub fn service_update(e: &mut Errors, new: &Value, old: &Value) {
    let (root, old_root) = (Node::root(new), Node::root(old));
    let (spec, was) = (root.get("spec"), old_root.get("spec"));
    let external_name = [&spec, &was].iter().any(|s| s.get("type").text() == "ExternalName");
    if !external_name {
        let (headless, was_headless) = (is_headless(&spec), is_headless(&was));
        if !(headless && was_headless) {
            allocated(e, &spec, &was, "clusterIPs", "clusterIP");
        }
        if !headless && !was_headless {
            allocated(e, &spec, &was, "ipFamilies", "ipFamily");
        }
    }
    let class = spec.get("loadBalancerClass");
    let balanced = [&spec, &was].iter().all(|s| s.get("type").text() == "LoadBalancer");
    if balanced && class.value != was.raw("loadBalancerClass") {
        e.push(class.invalid(CHANGED));
    }
    // Kubernetes asks this once more of updates.
    if spec.get("type").text() != "LoadBalancer" && class.is_set() {
        e.push(class.forbidden(ONLY_LOAD_BALANCER));
    }
    let health = spec.get("healthCheckNodePort");
    if needs_health_check(spec.value)
        && needs_health_check(was.value)
        && health.int() != was.get("healthCheckNodePort").int()
    {
        e.push(health.forbidden("field is immutable"));
    }
    validate(e, new, Some(old));
}

fn allocated(e: &mut Errors, spec: &Node<'_>, was: &Node<'_>, field: &str, what: &str) {
    let (now, before) = (spec.get(field), was.get(field));
    let (list, old_list) = (now.texts(), before.texts());
    let at = |i: usize| Node::at(now.value, now.path.index(i));
    if list.len() == old_list.len() {
        for (i, _) in list.iter().zip(&old_list).enumerate().filter(|(_, (a, b))| a != b) {
            e.push(at(if field == "clusterIPs" { i } else { 0 }).invalid(CHANGED));
        }
        return;
    }
    if list.is_empty() {
        let detail = format!("primary {what} can not be unset");
        e.push(at(0).invalid(&detail));
        return;
    }
    if !old_list.is_empty() && list[0] != old_list[0] {
        e.push(at(0).invalid(CHANGED));
    }
    let policy = spec.get("ipFamilyPolicy");
    if list.len() < old_list.len() && policy.text() != "SingleStack" {
        e.push(policy.invalid(&format!("must be set to 'SingleStack' when releasing the secondary {what}")));
    }
}

/// The addresses a load balancer reports.
pub fn service_status(e: &mut Errors, new: &Value, old: &Value) {
    let root = Node::root(new);
    let ingress = root.get("status").get("loadBalancer").get("ingress");
    if root.get("spec").get("type").text() != "LoadBalancer" && !ingress.is_empty() {
        e.push(ingress.forbidden("may only be used when `spec.type` is 'LoadBalancer'"));
        return;
    }
    load_balancer_ingress(e, &ingress, &old["status"]["loadBalancer"]["ingress"], true);
}

/// `status.loadBalancer.ingress` of a Service or an Ingress; only a Service's has an `ipMode`.
pub fn load_balancer_ingress(e: &mut Errors, ingress: &Node<'_>, old: &Value, with_mode: bool) {
    let kept: Vec<_> = old.as_array().into_iter().flatten().filter_map(|i| i["ip"].as_str()).collect();
    for entry in ingress.items() {
        let (address, mode, hostname) = (entry.get("ip"), entry.get("ipMode"), entry.get("hostname"));
        if !address.is_empty() {
            ip::legacy_ip(e, &address, &kept);
        }
        if with_mode {
            match (address.is_empty(), mode.is_set()) {
                (false, false) => e.push(mode.required("must be specified when `ip` is set")),
                (true, true) => e.push(mode.forbidden("may not be specified when `ip` is not set")),
                _ => check_supported(e, &mode, &["Proxy", "VIP"]),
            }
        }
        if !hostname.is_empty() {
            check_text(e, &hostname, names::dns1123_subdomain);
            if ip::parse_sloppy(hostname.text()).is_some() {
                e.push(hostname.invalid("must be a DNS name, not an IP address"));
            }
        }
    }
}
