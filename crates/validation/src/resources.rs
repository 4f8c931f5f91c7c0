//! Compute resources: their names and quantities, and requests against limits.

use crate::node::{Errors, NEGATIVE, Node};
use object::{FieldError, Path, Quantity, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
const QUOTA: [&str; 18] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
];
const INTEGER: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// The quantity here; zero if it cannot be read.
pub fn quantity(value: &Value) -> Quantity {
    Quantity::from_json(value).unwrap_or_default()
}

/// `hugepages-<size>`.
pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// A name without a prefix, or of the kubernetes.io domain.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource of someone else's, such as `example.com/gpu`.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether requests may be below limits.
pub fn is_overcommit_allowed(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// A name known to resource quotas.
pub fn is_standard_quota(name: &str) -> bool {
    QUOTA.contains(&name)
        || name == "services.loadbalancers"
        || is_huge_page(name)
        || name.starts_with("requests.hugepages-")
}

fn is_integer(name: &str) -> bool {
    INTEGER.contains(&name) || is_extended(name)
}

/// The name of a resource anywhere.
pub fn resource_name(e: &mut Errors, name: &str, path: &Path) {
    let errors = names::qualified_name(name);
    let standard = STANDARD.contains(&name) || is_huge_page(name) || name.starts_with("requests.hugepages-");
    if errors.is_empty() && !name.contains('/') && !standard {
        e.push(FieldError::invalid(
            path,
            &json!(name),
            "must be a standard resource type or fully qualified",
        ));
    }
    e.extend(errors.iter().map(|message| FieldError::invalid(path, &json!(name), message)));
}

/// The name of a resource that containers may have.
pub fn container_resource_name(e: &mut Errors, name: &str, path: &Path) {
    resource_name(e, name, path);
    let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name);
    if !name.contains('/') {
        if !standard {
            e.push(FieldError::invalid(path, &json!(name), "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        e.push(FieldError::invalid(path, &json!(name), "doesn't follow extended resource name standard"));
    }
}

/// The name of a resource that a whole pod may have.
pub fn pod_resource_name(e: &mut Errors, name: &str, path: &Path) {
    let before = e.len();
    resource_name(e, name, path);
    if e.len() == before && !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
        e.push(FieldError::not_supported(path, &json!(name), &["cpu", "hugepages-", "memory"]));
    }
}

/// The name of a resource that a quota may count.
pub fn quota_resource_name(e: &mut Errors, name: &str, path: &Path) {
    resource_name(e, name, path);
    if !name.contains('/') && !is_standard_quota(name) {
        e.push(FieldError::invalid(path, &json!(name), "must be a standard resource for quota"));
    }
}

/// Not negative, and whole where the resource is counted.
pub fn quantity_value(e: &mut Errors, name: &str, node: &Node<'_>) {
    let quantity = quantity(node.value);
    if quantity.signum() < 0 {
        e.push(node.invalid_as(quantity.to_string(), NEGATIVE));
    }
    if is_integer(name) && quantity.milli_value() % 1000 != 0 {
        e.push(node.invalid_as(quantity.to_string(), "must be an integer"));
    }
}

/// More than nothing.
pub fn positive(e: &mut Errors, node: &Node<'_>) {
    let quantity = quantity(node.value);
    if quantity.signum() <= 0 {
        e.push(node.invalid_as(quantity.to_string(), "must be greater than zero"));
    }
}

/// A quantity of at least nothing (storage sizes).
pub fn basic(e: &mut Errors, node: &Node<'_>) {
    let value = quantity(node.value).value();
    if value < 0 {
        e.push(node.invalid_as(value, "must be a valid resource quantity"));
    }
}

fn huge_page_value(e: &mut Errors, name: &str, node: &Node<'_>) {
    let amount = quantity(node.value);
    let size = name.strip_prefix("hugepages-").and_then(|s| Quantity::parse(s).ok());
    let divisible = size.is_some_and(|size| size.value() > 0 && amount.value() % size.value() == 0);
    if !divisible {
        e.push(
            node.invalid_as(
                amount.to_string(),
                &format!("{amount} is not positive integer multiple of {name}"),
            ),
        );
    }
}

/// ResourceRequirements of a container or a pod, with `name_check` for the names it may hold.
pub fn requirements(
    e: &mut Errors,
    node: &Node<'_>,
    name_check: fn(&mut Errors, &str, &Path),
    claim_names: &BTreeSet<&str>,
) {
    let (limits, requests) = (node.get("limits"), node.get("requests"));
    let (mut cpu_or_memory, mut huge_pages) = (false, false);
    for (name, amount) in limits.entries().chain(requests.entries()) {
        cpu_or_memory |= matches!(name, "cpu" | "memory");
        huge_pages |= is_huge_page(name);
        let _ = amount;
    }
    for (name, amount) in limits.entries() {
        name_check(e, name, &amount.path);
        quantity_value(e, name, &amount);
        if is_huge_page(name) {
            huge_page_value(e, name, &amount);
        }
    }
    for (name, amount) in requests.entries() {
        name_check(e, name, &amount.path);
        quantity_value(e, name, &amount);
        request_against_limit(e, name, &amount, &limits, &requests);
        if is_huge_page(name) {
            huge_page_value(e, name, &amount);
        }
    }
    if huge_pages && !cpu_or_memory {
        e.push(node.forbidden("HugePages require cpu or memory"));
    }
    claims(e, &node.get("claims"), claim_names);
}

fn request_against_limit(
    e: &mut Errors,
    name: &str,
    amount: &Node<'_>,
    limits: &Node<'_>,
    requests: &Node<'_>,
) {
    let request = quantity(amount.value);
    match limits.value.get(name).map(quantity) {
        Some(limit) if request != limit && !is_overcommit_allowed(name) => {
            e.push(
                requests
                    .invalid_as(request.to_string(), &format!("must be equal to {name} limit of {limit}")),
            );
        }
        Some(limit) if request > limit => {
            e.push(requests.invalid_as(
                request.to_string(),
                &format!("must be less than or equal to {name} limit of {limit}"),
            ));
        }
        None if !is_overcommit_allowed(name) => {
            e.push(limits.required("Limit must be set for non overcommitable resources"));
        }
        _ => {}
    }
}

fn claims(e: &mut Errors, claims: &Node<'_>, known: &BTreeSet<&str>) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for claim in claims.items() {
        let (name, request) = (claim.get("name").text(), claim.get("request"));
        if name.is_empty() {
            e.push(claim.required(""));
            continue;
        }
        if seen.contains(name) {
            e.push(FieldError::duplicate(&claim.path, &json!(name)));
        } else {
            let mut key = name.to_owned();
            if !request.text().is_empty() {
                crate::node::check_text(e, &request, names::dns1123_label);
                key = format!("{name}/{}", request.text());
            }
            if seen.contains(&key) {
                e.push(FieldError::duplicate(&claim.path, &json!(key)));
            } else if request.text().is_empty() {
                let overlap =
                    seen.iter().filter(|k| k.split_once('/').is_some_and(|(head, _)| head == name)).count();
                e.extend((0..overlap).map(|_| FieldError::duplicate(&claim.path, &json!(name))));
            }
            seen.insert(key);
        }
        if !known.contains(name) {
            let mut error = FieldError::not_found(&claim.path, &json!(name));
            error.message += ": must be one of the names in pod.spec.resourceClaims";
            if known.is_empty() {
                error.message += " which is empty";
            } else {
                error.message += &format!(": {}", known.iter().copied().collect::<Vec<_>>().join(", "));
            }
            e.push(error);
        }
    }
}
