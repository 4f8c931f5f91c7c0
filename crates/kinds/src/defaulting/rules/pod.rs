//! Pods, their containers and volumes.

use super::{Object, absent, child, existing, fill, is_zero, items, text, zero};
use object::{Quantity, Value, json};
use std::collections::BTreeMap;

/// `serviceAccount` is the old name of `serviceAccountName`, and always shows the same.
pub(super) fn pod_spec_conversion(spec: &mut Object) {
    let name = text(spec, "serviceAccountName");
    let name = if name.is_empty() { text(spec, "serviceAccount") } else { name }.to_owned();
    if !name.is_empty() {
        spec.insert("serviceAccountName".into(), name.clone().into());
        spec.insert("serviceAccount".into(), name.into());
    }
}

/// Annotations that once stood for init containers are dropped.
pub(super) fn drop_init_container_annotations(template: &mut Object) {
    let annotations = existing(template, "metadata").and_then(|metadata| existing(metadata, "annotations"));
    if let Some(annotations) = annotations {
        for stage in ["alpha", "beta"] {
            annotations.remove(&format!("pod.{stage}.kubernetes.io/init-containers"));
            annotations.remove(&format!("pod.{stage}.kubernetes.io/init-container-statuses"));
        }
    }
}

pub(super) fn pod(pod: &mut Object) {
    drop_init_container_annotations(pod);
    let Some(spec) = existing(pod, "spec") else { return };
    // Kubernetes reads a negative grace period as one second, though not in templates.
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|s| s < 0) {
        spec.insert("terminationGracePeriodSeconds".into(), 1.into());
    }
    for field in ["containers", "initContainers"] {
        for container in items(spec, field) {
            requests_from_limits(container);
        }
    }
    pod_requests(spec);
    absent(spec, "enableServiceLinks", true);
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        for field in ["containers", "initContainers"] {
            for port in items(spec, field).flat_map(|container| items(container, "ports")) {
                let number = port.get("containerPort").cloned().unwrap_or_default();
                zero(port, "hostPort", number);
            }
        }
    }
}

fn requests_from_limits(container: &mut Object) {
    let Some(resources) = existing(container, "resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits") else { return };
    let limits = limits.clone();
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = child(resources, "requests") {
        fill(requests, &limits);
    }
}

/// Requests of the whole pod, where only its limits are given (KEP-2837): what its containers ask for, else the limits.
fn pod_requests(spec: &mut Object) {
    let of = |spec: &Object, field: &str| {
        spec.get("resources").and_then(|r| r[field].as_object()).cloned().unwrap_or_default()
    };
    let (limits, mut requests) = (of(spec, "limits"), of(spec, "requests"));
    if limits.is_empty() {
        return;
    }
    for (name, amount) in container_requests(spec) {
        if matches!(name.as_str(), "cpu" | "memory") && !requests.contains_key(&name) {
            requests.insert(name, amount.to_string().into());
        }
    }
    for (name, limit) in limits {
        let supported = matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-");
        if supported && !requests.contains_key(&name) {
            requests.insert(name, limit);
        }
    }
    if let Some(resources) = existing(spec, "resources").filter(|_| !requests.is_empty()) {
        resources.insert("requests".into(), Value::Object(requests));
    }
}

type Amounts = BTreeMap<String, Quantity>;

/// What the containers of a pod need together: all that run side by side, or more for an init container before them.
fn container_requests(spec: &Object) -> Amounts {
    let list = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
    let mut running = Amounts::new();
    list("containers").for_each(|container| add(&mut running, &requests_of(container)));
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in list("initContainers") {
        let mut needed = requests_of(container);
        if container["restartPolicy"] == "Always" {
            add(&mut running, &needed);
            add(&mut sidecars, &needed);
            needed = sidecars.clone();
        } else {
            add(&mut needed, &sidecars);
        }
        raise(&mut starting, &needed);
    }
    raise(&mut running, &starting);
    running
}

fn requests_of(container: &Value) -> Amounts {
    let requests = container["resources"]["requests"].as_object().into_iter().flatten();
    requests.filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount).ok()?))).collect()
}

fn add(to: &mut Amounts, amounts: &Amounts) {
    for (name, amount) in amounts {
        let sum = to.get(name).map_or_else(|| amount.clone(), |known| known.add(amount));
        to.insert(name.clone(), sum);
    }
}

fn raise(to: &mut Amounts, amounts: &Amounts) {
    for (name, amount) in amounts {
        if to.get(name).is_none_or(|known| known < amount) {
            to.insert(name.clone(), amount.clone());
        }
    }
}

pub(super) fn container(container: &mut Object) {
    if is_zero(container.get("imagePullPolicy")) {
        let policy = pull_policy(text(container, "image"));
        container.insert("imagePullPolicy".into(), policy.into());
    }
}

/// A volume without a source is an empty directory.
pub(super) fn volume(volume: &mut Object) {
    if volume.iter().all(|(field, value)| field == "name" || value.is_null()) {
        volume.insert("emptyDir".into(), json!({}));
    }
    if let Some(image) = existing(volume, "image") {
        let policy = pull_policy(text(image, "reference"));
        zero(image, "pullPolicy", policy);
    }
}

/// `Always` for an image whose tag is `latest`, said or meant.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    let latest = match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none(),
    };
    // What is no image name has no tag either.
    if latest && is_repository(name) { "Always" } else { "IfNotPresent" }
}

/// Whether this is a repository's name, as registries have it: `[host[:port]/]path[:tag]`.
fn is_repository(name: &str) -> bool {
    const LONGEST: usize = 255;
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_host = |part: &str| {
        part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
    };
    let path = match name.split_once('/') {
        Some((host, rest)) if is_host(host) => rest,
        _ => name,
    };
    let path = match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => path,
    };
    !hex(name) && path.len() < LONGEST && path.split('/').all(is_path_component)
}

/// Lower case letters and digits, with a dot, one or two underscores or any number of dashes between them.
fn is_path_component(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && separators.into_iter().all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn latest_is_pulled_always() {
        for image in ["i", "i:latest", "reg:5000/a/i", "reg:5000/a/i:latest", "i:latest@sha256:00"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in ["i:1", "reg:5000/i:1", "i@sha256:00", "", "Bad_Value!", "a..b", "reg/a/B"] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }
}
