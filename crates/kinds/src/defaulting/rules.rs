//! Defaults that a constant cannot say, one function per type, named in `facts/defaults.txt`.

mod autoscaling;
mod pod;
mod workloads;

use super::{Rule, is_absent, is_zero};
use base64::{Engine, engine::general_purpose::STANDARD};
use object::{Map, Quantity, Value, json};

type Object = Map<String, Value>;

/// The rule that the table calls `name`.
pub(super) fn named(name: &str) -> Option<Rule> {
    Some(match name {
        "autoscaler_v1" => autoscaling::autoscaler_v1,
        "autoscaler_v2" => autoscaling::autoscaler_v2,
        "container" => pod::container,
        "custom_resource_definition" => custom_resource_definition,
        "daemon_set_strategy" => workloads::daemon_set_strategy,
        "data_sources" => data_sources,
        "deployment_strategy" => workloads::deployment_strategy,
        "device_request" => device_request,
        "drop_init_container_annotations" => pod::drop_init_container_annotations,
        "job" => workloads::job,
        "limit_range_item" => limit_range_item,
        "namespace" => namespace,
        "network_policy" => network_policy,
        "node_spec" => node_spec,
        "node_status" => node_status,
        "persistent_volume" => persistent_volume,
        "persistent_volume_claim" => persistent_volume_claim,
        "pod" => pod::pod,
        "pod_spec_conversion" => pod::pod_spec_conversion,
        "replication_controller" => workloads::replication_controller,
        "round_quantities" => round_quantities,
        "secret" => secret,
        "service" => service,
        "stateful_set_spec" => workloads::stateful_set_spec,
        "subject" => subject,
        "volume" => pod::volume,
        _ => return None,
    })
}

/// Sets an absent field (a Go pointer).
fn absent(object: &mut Object, field: &str, value: impl Into<Value>) {
    if is_absent(object.get(field)) {
        object.insert(field.to_owned(), value.into());
    }
}

/// Sets a field that is absent or zero.
fn zero(object: &mut Object, field: &str, value: impl Into<Value>) {
    if is_zero(object.get(field)) {
        object.insert(field.to_owned(), value.into());
    }
}

fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or("")
}

/// The object in a field, made when absent; `None` when something else is there.
fn child<'a>(object: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    absent(object, field, json!({}));
    object.get_mut(field)?.as_object_mut()
}

/// The object in a field, if there.
fn existing<'a>(object: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    object.get_mut(field)?.as_object_mut()
}

fn items<'a>(object: &'a mut Object, field: &str) -> impl Iterator<Item = &'a mut Object> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Copies the entries of `from` that `into` lacks.
fn fill(into: &mut Object, from: &Object) {
    for (key, value) in from {
        if !into.contains_key(key) {
            into.insert(key.clone(), value.clone());
        }
    }
}

fn persistent_volume(volume: &mut Object) {
    if let Some(status) = child(volume, "status") {
        zero(status, "phase", "Pending");
    }
    if let Some(spec) = existing(volume, "spec") {
        zero(spec, "persistentVolumeReclaimPolicy", "Retain");
        absent(spec, "volumeMode", "Filesystem");
    }
}

fn persistent_volume_claim(claim: &mut Object) {
    if let Some(status) = child(claim, "status") {
        zero(status, "phase", "Pending");
    }
}

/// `dataSource` and `dataSourceRef` stand for each other, unless the reference leaves the namespace.
fn data_sources(spec: &mut Object) {
    let source = spec.get("dataSource").filter(|s| s.is_object()).cloned();
    let reference = spec.get("dataSourceRef").filter(|s| s.is_object()).cloned();
    match (source, reference) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".into(), source);
        }
        (None, Some(mut reference)) if is_zero(reference.get("namespace")) => {
            if let Some(map) = reference.as_object_mut() {
                map.remove("namespace");
            }
            spec.insert("dataSource".into(), reference);
        }
        _ => {}
    }
}

fn service(service: &mut Object) {
    let Some(spec) = existing(service, "spec") else { return };
    zero(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            if let Some(client) =
                child(spec, "sessionAffinityConfig").and_then(|config| child(config, "clientIP"))
            {
                absent(client, "timeoutSeconds", 10800);
            }
        }
        _ => {}
    }
    zero(spec, "type", "ClusterIP");
    for port in items(spec, "ports") {
        zero(port, "protocol", "TCP");
        if is_zero(port.get("targetPort")) {
            let same = port.get("port").cloned().unwrap_or_else(|| 0.into());
            port.insert("targetPort".into(), same);
        }
    }
    let kind = text(spec, "type").to_owned();
    let balanced = kind == "LoadBalancer";
    let external =
        balanced || kind == "NodePort" || (kind == "ClusterIP" && !is_zero(spec.get("externalIPs")));
    if external {
        zero(spec, "externalTrafficPolicy", "Cluster");
    }
    if balanced || kind == "NodePort" || kind == "ClusterIP" {
        absent(spec, "internalTrafficPolicy", "Cluster");
    }
    if balanced {
        absent(spec, "allocateLoadBalancerNodePorts", true);
        let status = existing(service, "status").and_then(|status| existing(status, "loadBalancer"));
        for ingress in status.into_iter().flat_map(|balancer| items(balancer, "ingress")) {
            if !is_zero(ingress.get("ip")) {
                absent(ingress, "ipMode", "VIP");
            }
        }
    }
}

/// `stringData` is written into `data` and never read back.
fn secret(secret: &mut Object) {
    let Some(Value::Object(plain)) = secret.remove("stringData") else { return };
    if plain.is_empty() {
        return;
    }
    if let Some(data) = child(secret, "data") {
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or("")).into());
        }
    }
}

fn namespace(namespace: &mut Object) {
    if let Some(metadata) = existing(namespace, "metadata") {
        let name = text(metadata, "name").to_owned();
        if !name.is_empty()
            && let Some(labels) = child(metadata, "labels")
        {
            labels.insert("kubernetes.io/metadata.name".into(), name.into());
        }
    }
    if let Some(status) = child(namespace, "status") {
        zero(status, "phase", "Active");
    }
}

/// `podCIDR` is the old name of the first of `podCIDRs`, and wins where they differ.
fn node_spec(spec: &mut Object) {
    let first = || spec.get("podCIDRs").and_then(|all| all.get(0)).and_then(Value::as_str);
    let (old, first) = (text(spec, "podCIDR").to_owned(), first().map(str::to_owned));
    match first {
        Some(first) if old.is_empty() => {
            spec.insert("podCIDR".into(), first.into());
        }
        Some(first) if first == old => {}
        _ if old.is_empty() => {}
        _ => {
            spec.insert("podCIDRs".into(), json!([old]));
        }
    }
}

fn node_status(status: &mut Object) {
    if is_absent(status.get("allocatable"))
        && let Some(capacity) = status.get("capacity").filter(|c| !is_zero(Some(c))).cloned()
    {
        status.insert("allocatable".into(), capacity);
    }
}

fn limit_range_item(item: &mut Object) {
    if text(item, "type") != "Container" {
        return;
    }
    let list =
        |item: &Object, field: &str| item.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut default = list(item, "default");
    fill(&mut default, &list(item, "max"));
    let mut requests = list(item, "defaultRequest");
    fill(&mut requests, &default);
    fill(&mut requests, &list(item, "min"));
    for (field, filled) in [("default", default), ("defaultRequest", requests)] {
        if !filled.is_empty() {
            item.insert(field.into(), Value::Object(filled));
        }
    }
}

/// Amounts finer than a thousandth are rounded up to it.
fn round_quantities(object: &mut Object) {
    const LISTS: [&str; 12] = [
        "limits",
        "requests",
        "hard",
        "used",
        "capacity",
        "allocatable",
        "max",
        "min",
        "default",
        "defaultRequest",
        "maxLimitRequestRatio",
        "overhead",
    ];
    for field in LISTS {
        let Some(amounts) = existing(object, field) else { continue };
        for amount in amounts.values_mut() {
            // Whole and milli amounts are by far the most common, and stay as they were written.
            let fine = amount.as_str().is_some_and(|text| text.contains(['n', 'u', '.', 'e', 'E']));
            if let Some(rounded) =
                fine.then(|| Quantity::from_json(amount).ok().and_then(|q| rounded_up(&q))).flatten()
            {
                *amount = rounded.to_string().into();
            }
        }
    }
}

fn rounded_up(amount: &Quantity) -> Option<Quantity> {
    // Beyond this, thousandths do not fit 64 bits.
    if amount.as_f64().abs() > 9e15 {
        return None;
    }
    let rounded = Quantity::new(amount.milli_value(), -3, amount.format());
    (rounded != *amount).then_some(rounded)
}

fn network_policy(spec: &mut Object) {
    if is_zero(spec.get("policyTypes")) {
        let egress = !is_zero(spec.get("egress"));
        spec.insert(
            "policyTypes".into(),
            if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) },
        );
    }
}

fn subject(subject: &mut Object) {
    if matches!(text(subject, "kind"), "User" | "Group") {
        zero(subject, "apiGroup", "rbac.authorization.k8s.io");
    }
}

fn custom_resource_definition(definition: &mut Object) {
    let Some(names) = existing(definition, "spec").and_then(|spec| existing(spec, "names")) else { return };
    let kind = text(names, "kind").to_owned();
    zero(names, "singular", kind.to_lowercase());
    if !kind.is_empty() {
        zero(names, "listKind", format!("{kind}List"));
    }
}

fn device_request(request: &mut Object) {
    zero(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" {
        zero(request, "count", 1);
    }
}
