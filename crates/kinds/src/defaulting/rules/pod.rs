//! Pods, their containers and volumes.

use super::{Object, absent, child, existing, fill, is_zero, items, text, zero};
use object::{Value, json};

/// `serviceAccount` is the old name of `serviceAccountName`, and always shows the same.
pub(super) fn pod_spec_conversion(spec: &mut Object) {
    let name = text(spec, "serviceAccountName");
    let name = if name.is_empty() { text(spec, "serviceAccount") } else { name }.to_owned();
    if !name.is_empty() {
        spec.insert("serviceAccountName".into(), name.clone().into());
        spec.insert("serviceAccount".into(), name.into());
    }
    // Kubernetes reads a negative grace period as one second.
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|s| s < 0) {
        spec.insert("terminationGracePeriodSeconds".into(), 1.into());
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

/// Requests of the whole pod, where only its limits are given (KEP-2837).
fn pod_requests(spec: &mut Object) {
    let Some(resources) = existing(spec, "resources") else { return };
    let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut requests = resources.get("requests").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, limit) in limits {
        let supported = matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-");
        if supported && !requests.contains_key(&name) {
            requests.insert(name, limit);
        }
    }
    if !requests.is_empty() {
        resources.insert("requests".into(), Value::Object(requests));
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
    if latest && !image.is_empty() { "Always" } else { "IfNotPresent" }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn latest_is_pulled_always() {
        for image in ["i", "i:latest", "reg:5000/a/i", "reg:5000/a/i:latest", "i:latest@sha256:00"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in ["i:1", "reg:5000/i:1", "i@sha256:00", ""] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }
}
