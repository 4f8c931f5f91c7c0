//! Containers: references to config maps and secrets, the downward API, and the variables that name services.

use crate::pod::{ACCOUNT_ANNOTATION, ANNOTATIONS_ANNOTATION, LABELS_ANNOTATION, PodContext};
use crate::{Cluster, marks, names};
use object::{Value, json};
use std::collections::BTreeSet;

/// The variables that every container of a pod gets.
pub(crate) struct Environment(Vec<Value>);

/// Variables that name services in all containers of a pod together: more would fill an object on the host. Beyond, only
/// those of `kubernetes` are set.
const MOST_VARIABLES: usize = 10_000;

impl Environment {
    /// Those of the services that the pod's context names.
    pub fn new(pod: &Value, context: &PodContext) -> Self {
        let count = |field: &str| pod["spec"][field].as_array().map_or(0, Vec::len);
        let containers = count("initContainers") + count("containers");
        // Four of each service, and four of each of its ports.
        let each: usize = context.services.values().map(|(_, ports)| 4 + 4 * ports.len()).sum();
        let links = pod["spec"]["enableServiceLinks"].as_bool().unwrap_or(true)
            && each.saturating_mul(containers) <= MOST_VARIABLES;
        let mut all = Vec::new();
        for (name, (address, ports)) in &context.services {
            if links || name == "kubernetes" {
                service_variables(name, address, ports, &mut all);
            }
        }
        Self(all)
    }
}

fn service_variables(name: &str, address: &str, ports: &[(String, i64, String)], all: &mut Vec<Value>) {
    let prefix = name.to_uppercase().replace(['-', '.'], "_");
    let mut add = |suffix: String, value: String| {
        all.push(json!({"name": format!("{prefix}_{suffix}"), "value": value}))
    };
    let Some((_, first, protocol)) = ports.first() else { return };
    add("SERVICE_HOST".into(), address.into());
    add("SERVICE_PORT".into(), first.to_string());
    for (port_name, port, _) in ports.iter().filter(|(n, ..)| !n.is_empty()) {
        add(format!("SERVICE_PORT_{}", port_name.to_uppercase().replace('-', "_")), port.to_string());
    }
    add("PORT".into(), format!("{}://{address}:{first}", protocol.to_lowercase()));
    for (_, port, protocol) in ports {
        let base = format!("PORT_{port}_{}", protocol.to_uppercase());
        add(base.clone(), format!("{}://{address}:{port}", protocol.to_lowercase()));
        add(format!("{base}_PROTO"), protocol.to_lowercase());
        add(format!("{base}_PORT"), port.to_string());
        add(format!("{base}_ADDR"), address.into());
    }
}

/// Host containers of virtual ones.
pub(crate) fn containers(
    cluster: &Cluster,
    namespace: &str,
    list: &[Value],
    environment: &Environment,
) -> Vec<Value> {
    list.iter().map(|c| container(cluster, namespace, c, environment)).collect()
}

/// Fields of containers that pass, some of them with other names in them.
const PASSED: [&str; 26] = [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "targetContainerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

fn container(cluster: &Cluster, namespace: &str, container: &Value, environment: &Environment) -> Value {
    let mut container = container.clone();
    let own: Vec<Value> = container["env"].as_array().cloned().unwrap_or_default();
    let names: BTreeSet<&str> = own.iter().filter_map(|variable| variable["name"].as_str()).collect();
    let given = |e: &&Value| !e["name"].as_str().is_some_and(|name| names.contains(name));
    let mut env: Vec<Value> = environment.0.iter().filter(given).cloned().collect();
    env.extend(own.into_iter().map(|e| variable(cluster, namespace, e)));
    if !env.is_empty() {
        container["env"] = env.into();
    }
    for source in container.get_mut("envFrom").and_then(Value::as_array_mut).into_iter().flatten() {
        for field in ["configMapRef", "secretRef"] {
            rename(cluster, namespace, source, field);
        }
    }
    if let Some(map) = container.as_object_mut() {
        map.retain(|field, v| !v.is_null() && PASSED.contains(&field.as_str()));
    }
    container
}

fn variable(cluster: &Cluster, namespace: &str, mut variable: Value) -> Value {
    if let Some(source) = variable.get_mut("valueFrom") {
        for field in ["configMapKeyRef", "secretKeyRef"] {
            rename(cluster, namespace, source, field);
        }
        if let Some(reference) = source.get_mut("fieldRef") {
            field_reference(reference);
        }
    }
    variable
}

/// The name in `holder[field].name` becomes the host's.
pub(crate) fn rename(cluster: &Cluster, namespace: &str, holder: &mut Value, field: &str) {
    if let Some(name) = holder.get(field).and_then(|r| r["name"].as_str()).map(str::to_owned) {
        holder[field]["name"] = names::host(cluster, namespace, &name).into();
    }
}

/// What the downward API says of a pod is what its tenant calls it.
pub(crate) fn field_reference(reference: &mut Value) {
    for map in ["labels", "annotations"] {
        if let Some(key) = single(reference, map).map(|key| marks::host_key(map, &key)) {
            reference["fieldPath"] = format!("metadata.{map}['{key}']").into();
            return;
        }
    }
    let annotation = match reference["fieldPath"].as_str() {
        Some("metadata.name") => marks::NAME_ANNOTATION,
        Some("metadata.namespace") => marks::NAMESPACE_ANNOTATION,
        Some("metadata.uid") => marks::UID_ANNOTATION,
        Some("metadata.labels") => LABELS_ANNOTATION,
        Some("metadata.annotations") => ANNOTATIONS_ANNOTATION,
        Some("spec.serviceAccountName") => ACCOUNT_ANNOTATION,
        _ => return,
    };
    reference["fieldPath"] = format!("metadata.annotations['{annotation}']").into();
}

/// The one label or annotation that a reference to a field names.
fn single(reference: &Value, map: &str) -> Option<String> {
    let path = reference["fieldPath"].as_str()?.strip_prefix("metadata.")?.strip_prefix(map)?;
    path.strip_prefix("['")?.strip_suffix("']").map(str::to_owned)
}

/// The annotations that a pod's own fields refer to by name.
pub(crate) fn read_annotations(pod: &Value) -> Vec<String> {
    fn search(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("fieldRef").and_then(|reference| single(reference, "annotations")));
                map.values().for_each(|inner| search(inner, found));
            }
            Value::Array(list) => list.iter().for_each(|inner| search(inner, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for field in ["initContainers", "containers", "volumes"] {
        search(&pod["spec"][field], &mut found);
    }
    found
}
