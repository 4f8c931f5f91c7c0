//! Environment variables and what they are taken from.

use crate::node::{Errors, Node, check_required_text, check_text};
use crate::paths::local_non_reserved;
use crate::resources;
use object::names;

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields that files of a downward API volume may hold.
pub const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const UNITS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// `env`.
pub fn validate(e: &mut Errors, variables: &Node<'_>) {
    for variable in variables.items() {
        check_required_text(e, &variable.get("name"), names::relaxed_env_var_name);
        value_from(e, &variable);
    }
}

fn value_from(e: &mut Errors, variable: &Node<'_>) {
    let from = variable.get("valueFrom");
    if !from.is_set() {
        return;
    }
    let mut sources = 0;
    let mut source = |name: &str| {
        let node = from.get(name);
        sources += usize::from(node.is_set());
        Some(node).filter(Node::is_set)
    };
    if let Some(field) = source("fieldRef") {
        object_field(e, &field, &ENV_FIELDS);
    }
    if let Some(resource) = source("resourceFieldRef") {
        resource_field(e, &resource, false);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(key) = source(name) {
            check_text(e, &key.get("name"), names::dns1123_subdomain);
            check_required_text(e, &key.get("key"), names::config_map_key);
        }
    }
    if let Some(key) = source("fileKeyRef") {
        file_key(e, &key);
    }
    let detail = match sources {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !variable.get("value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    e.push(from.invalid_as("", detail));
}

fn file_key(e: &mut Errors, key: &Node<'_>) {
    check_required_text(e, &key.get("key"), names::relaxed_env_var_name);
    let (volume, path) = (key.get("volumeName"), key.get("path"));
    if volume.is_empty() {
        e.push(volume.required(""));
    }
    if path.is_empty() {
        e.push(path.required(""));
    } else {
        local_non_reserved(e, &path);
    }
}

/// The files that variables are read from lie in volumes of the pod.
pub fn file_volumes(e: &mut Errors, spec: &Node<'_>) {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.iter().flat_map(|list| spec.get(list).items().collect::<Vec<_>>());
    for variable in containers.flat_map(|container| container.get("env").items().collect::<Vec<_>>()) {
        let key = variable.get("valueFrom").get("fileKeyRef");
        if !key.is_set() {
            continue;
        }
        let volume = key.get("volumeName");
        let source = spec.get("volumes").items().find(|v| v.get("name").text() == volume.text());
        match source {
            None => e.push(object::FieldError::not_found(&volume.path, &volume.text().into())),
            Some(source) if !source.get("emptyDir").is_set() => {
                e.push(volume.invalid("referenced volume must be of type emptyDir"));
            }
            Some(_) => {}
        }
    }
}

/// `envFrom`. Errors of the choice itself name the list, as upstream.
pub fn validate_from(e: &mut Errors, sources: &Node<'_>) {
    for source in sources.items() {
        if !source.get("prefix").is_empty() {
            check_text(e, &source.get("prefix"), names::relaxed_env_var_name);
        }
        let mut count = 0;
        for name in ["configMapRef", "secretRef"] {
            let reference = source.get(name);
            if reference.is_set() {
                count += 1;
                check_required_text(e, &reference.get("name"), |n| {
                    names::dns1123_subdomain(&names::mask_trailing_dash(n))
                });
            }
        }
        match count {
            0 => e.push(sources.invalid_as("", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => e.push(sources.invalid_as("", "may not have more than one field specified at a time")),
        }
    }
}

/// `metadata.labels['key']` as path and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['").filter(|(head, _)| !head.is_empty())
}

/// An ObjectFieldSelector that may name one of `fields`, a label or an annotation.
pub fn object_field(e: &mut Errors, field: &Node<'_>, fields: &[&str]) {
    let (version, path) = (field.get("apiVersion"), field.get("fieldPath"));
    if version.is_empty() {
        e.push(version.required(""));
        return;
    }
    if path.is_empty() {
        e.push(path.required(""));
        return;
    }
    if let Some(problem) = unknown_label(version.text(), path.text()) {
        e.push(path.invalid(&format!("error converting fieldPath: {problem}")));
        return;
    }
    match subscript(path.text()) {
        Some(("metadata.annotations", key)) => {
            e.extend(
                names::qualified_name(&key.to_lowercase())
                    .iter()
                    .map(|m| field.invalid_as(key.to_lowercase(), m)),
            );
        }
        Some((_, key)) => e.extend(names::qualified_name(key).iter().map(|m| field.invalid_as(key, m))),
        None => {
            let known = if path.text() == "spec.host" { "spec.nodeName" } else { path.text() };
            if !fields.contains(&known) {
                e.push(path.not_supported(fields));
            }
        }
    }
}

fn unknown_label(version: &str, path: &str) -> Option<String> {
    if version != "v1" {
        return Some(format!("unsupported pod version: {version}"));
    }
    match subscript(path) {
        Some(("metadata.annotations" | "metadata.labels", _)) => None,
        Some(_) => Some(format!("field label does not support subscript: {path}")),
        None => {
            let others = ["spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"];
            let known = ENV_FIELDS.contains(&path) || VOLUME_FIELDS.contains(&path) || others.contains(&path);
            (!known).then(|| format!("field label not supported: {path}"))
        }
    }
}

/// A ResourceFieldSelector; in a volume it must name its container.
pub fn resource_field(e: &mut Errors, field: &Node<'_>, in_volume: bool) {
    let (container, resource) = (field.get("containerName"), field.get("resource"));
    let name = resource.text();
    let huge = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if in_volume && container.is_empty() {
        e.push(container.required(""));
    } else if resource.is_empty() {
        e.push(resource.required(""));
    } else if !RESOURCES.contains(&name) && !huge {
        e.push(resource.not_supported(&RESOURCES));
    }
    divisor(e, &field.get("divisor"), name, huge);
}

fn divisor(e: &mut Errors, divisor: &Node<'_>, resource: &str, huge: bool) {
    let quantity = resources::quantity(divisor.value);
    if quantity.is_zero() {
        return;
    }
    let text = quantity.to_string();
    let units = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let (ok, detail) = match resource {
        "limits.cpu" | "requests.cpu" => (
            matches!(text.as_str(), "1m" | "1"),
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned(),
        ),
        "limits.memory" | "requests.memory" => (
            UNITS.contains(&text.as_str()),
            format!("only divisor's values {units} are supported with the memory resource"),
        ),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (
            UNITS.contains(&text.as_str()),
            format!("only divisor's values {units} are supported with the local ephemeral storage resource"),
        ),
        _ if huge => (
            UNITS.contains(&text.as_str()),
            format!("only divisor's values {units} are supported with the hugepages resource"),
        ),
        _ => return,
    };
    if !ok {
        e.push(divisor.invalid_as(resource, &detail));
    }
}
