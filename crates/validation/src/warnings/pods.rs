//! Pods and pod templates.

use super::{Warnings, labels, volumes};
use crate::ip::ip_warnings;
use crate::node::Node;
use crate::resources::quantity;
use object::{Path, error::quote};
use std::collections::{BTreeMap, BTreeSet};

const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];
const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

/// A pod, or the template of pods; `holder` has the metadata and the spec.
pub fn all(w: &mut Warnings, holder: &Node<'_>, is_pod: bool) {
    let spec = holder.get("spec");
    let annotations = holder.get("metadata").get("annotations");
    node_labels(w, &spec);
    for (key, message) in OLD_ANNOTATIONS {
        if annotations.get(key).is_set() {
            w.push(format!("{}: {message}", annotations.path.key(key)));
        }
    }
    spec.get("volumes").items().for_each(|volume| volumes::volume(w, &volume));
    spec.get("volumes").items().for_each(|volume| volumes::files(w, &volume));
    duplicates(w, &spec.get("hostAliases"), "ip");
    duplicates(w, &spec.get("imagePullSecrets"), "name");
    for secret in spec.get("imagePullSecrets").items() {
        if secret.get("name").is_empty() {
            w.push(format!("{}: invalid empty name \"\"", secret.path.field("name")));
        }
    }
    for resource in ["memory", "ephemeral-storage"] {
        fractional(w, &spec.get("overhead"), resource);
    }
    let profile = spec.get("securityContext").get("seccompProfile");
    let key = "seccomp.security.alpha.kubernetes.io/pod";
    if !profile.is_set() && annotations.get(key).is_set() {
        w.push(format!("{}: {SECCOMP}", annotations.path.key(key)));
    }
    for container in containers(&spec) {
        self::container(w, &container, holder, is_pod);
    }
    ports(w, &spec);
    port_names(w, &spec);
    let grace = spec.get("terminationGracePeriodSeconds");
    if grace.int() < 0 && !is_pod {
        w.push(format!("{}: must be >= 0; negative values are invalid and will be treated as 1", grace.path));
    }
    pod_affinity(w, &spec);
    spec.get("dnsConfig").get("nameservers").items().for_each(|ip| w.extend(ip_warnings(&ip)));
    spec.get("hostAliases").items().for_each(|alias| w.extend(ip_warnings(&alias.get("ip"))));
}

fn containers<'a>(spec: &Node<'a>) -> impl Iterator<Item = Node<'a>> + use<'a> {
    let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| spec.get(list));
    lists.into_iter().flat_map(|list| list.items())
}

fn node_labels(w: &mut Warnings, spec: &Node<'_>) {
    labels::map(w, &spec.get("nodeSelector"));
    let affinity = spec.get("affinity").get("nodeAffinity");
    let required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution");
    required.get("nodeSelectorTerms").items().for_each(|term| labels::term(w, &term, false));
    let preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution");
    preferred.items().for_each(|term| labels::term(w, &term.get("preference"), true));
    for constraint in spec.get("topologySpreadConstraints").items() {
        let key = constraint.get("topologyKey");
        w.extend(labels::deprecated(key.text()).map(|m| format!("{}: {} is {m}", key.path, key.text())));
        null_selector(w, &constraint);
    }
}

fn null_selector(w: &mut Warnings, holder: &Node<'_>) {
    let selector = holder.get("labelSelector");
    if !selector.is_set() {
        w.push(format!("{}: a null labelSelector results in matching no pod", selector.path));
    }
}

fn duplicates(w: &mut Warnings, list: &Node<'_>, field: &str) {
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let value = item.get(field);
        if !seen.insert(value.text()) {
            w.push(format!("{}: duplicate {field} {}", value.path, quote(value.text())));
        }
    }
}

/// Bytes come whole.
pub fn fractional(w: &mut Warnings, list: &Node<'_>, resource: &str) {
    if let Some((_, value)) = list.entries().find(|(name, _)| *name == resource) {
        let amount = quantity(value.value);
        if amount.milli_value() % 1000 != 0 {
            w.push(format!(
                "{}: fractional byte value {} is invalid, must be an integer",
                value.path,
                quote(&amount.to_string())
            ));
        }
    }
}

fn container(w: &mut Warnings, container: &Node<'_>, holder: &Node<'_>, is_pod: bool) {
    let annotations = holder.get("metadata").get("annotations");
    let name = container.get("name").text();
    let key = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
    if !container.get("securityContext").get("seccompProfile").is_set() && annotations.get(&key).is_set() {
        w.push(format!("{}: {SECCOMP}", annotations.path.key(&key)));
    }
    if !is_pod {
        app_armor_of(w, container, holder);
    }
    for resource in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            fractional(w, &container.get("resources").get(list), resource);
        }
    }
    let mut seen = BTreeSet::new();
    for variable in container.get("env").items() {
        let name = variable.get("name").text();
        let hidden = variable.get("valueFrom").is_set() || {
            let (value, reference) = (variable.get("value").text(), format!("$({name})"));
            value == reference || !value.contains(&reference)
        };
        if !seen.insert(name) && hidden {
            w.push(format!(
                "{}: hides previous definition of {}, which may be dropped when using apply",
                variable.path,
                quote(name)
            ));
        }
    }
}

fn app_armor_of(w: &mut Warnings, container: &Node<'_>, holder: &Node<'_>) {
    let key = format!("container.apparmor.security.beta.kubernetes.io/{}", container.get("name").text());
    let annotation = holder.get("metadata").get("annotations");
    let has_field = |holder: &Node<'_>| holder.get("securityContext").get("appArmorProfile").is_set();
    let said = annotation.get(&key);
    let pod = holder.get("spec").get("securityContext").get("appArmorProfile");
    if said.is_set() && !has_field(container) && !means(said.text(), &pod) {
        let path = annotation.path.key(&key);
        w.push(format!("{path}: deprecated since v1.30; use the \"appArmorProfile\" field instead"));
    }
}

/// Whether an annotation says what a pod's AppArmor profile says.
fn means(annotation: &str, profile: &Node<'_>) -> bool {
    let kind = profile.get("type").text();
    match annotation.split_once('/') {
        _ if annotation == "unconfined" => kind == "Unconfined",
        _ if annotation == "runtime/default" => kind == "RuntimeDefault",
        Some(("localhost", name)) => kind == "Localhost" && profile.get("localhostProfile").text() == name,
        _ => false,
    }
}

/// A port that was seen, and where.
type Seen<'a> = (Path, i64, &'a str);

fn ports(w: &mut Warnings, spec: &Node<'_>) {
    let mut all: BTreeMap<(i64, &str), Vec<Seen<'_>>> = BTreeMap::new();
    for port in containers(spec).flat_map(|c| c.get("ports").items()) {
        let (number, protocol) = (port.get("containerPort").int(), port.get("protocol").text());
        let (host_port, host_ip) = (port.get("hostPort").int(), port.get("hostIP").text());
        if !host_ip.is_empty() && host_port == 0 {
            w.push(format!(
                "{}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}",
                port.path,
                port.get("name").text()
            ));
        }
        let others = all.entry((number, protocol)).or_default();
        for (path, other_port, other_ip) in others.iter() {
            let what = if host_ip == *other_ip && host_port == *other_port {
                "duplicate"
            } else if host_port == 0 || *other_port == 0 {
                "overlapping"
            } else if host_port == *other_port && host_ip.is_empty() != other_ip.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            w.push(format!("{}: {what} port definition with {path}", port.path));
        }
        others.push((port.path.clone(), host_port, host_ip));
    }
}

fn port_names(w: &mut Warnings, spec: &Node<'_>) {
    let mut seen: BTreeMap<&str, Path> = BTreeMap::new();
    for port in containers(spec).flat_map(|c| c.get("ports").items()) {
        let name = port.get("name").text();
        if name.is_empty() {
            continue;
        }
        if let Some(first) = seen.get(name) {
            w.push(format!(
                "{}: duplicate port name {} with {first}, services and probes that select ports by name will use {first}",
                port.path,
                quote(name)
            ));
        } else {
            seen.insert(name, port.path.clone());
        }
    }
}

fn pod_affinity(w: &mut Warnings, spec: &Node<'_>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = spec.get("affinity").get(kind);
        let required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution");
        required.items().for_each(|term| null_selector(w, &term));
        let preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution");
        preferred.items().for_each(|term| null_selector(w, &term.get("podAffinityTerm")));
    }
}
