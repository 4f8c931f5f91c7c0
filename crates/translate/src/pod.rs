//! Pods: names, references, selectors, DNS, environment and tokens are the host's; what runs is the tenant's.

use crate::containers::{Environment, containers};
use crate::{Cluster, Refusal, affinity, marks, names, volumes};
use object::{Map, Value, json, meta};
use std::collections::BTreeMap;

/// What a pod's translation needs to know of its surroundings.
#[derive(Clone, Debug, Default)]
pub struct PodContext {
    /// The services of the pod's namespace, as `NAME -> (address, [(port name, number, protocol)])`, for `_SERVICE_HOST`
    /// variables; `kubernetes` among them.
    pub services: BTreeMap<String, (String, Vec<(String, i64, String)>)>,
    /// Labels of every virtual namespace, for namespace selectors.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The host Secret that holds the pod's service-account token under the key `token-N` of its Nth projected source.
    pub token_secret: String,
}

/// Fields that pass as they are.
const PASSED: [&str; 13] = [
    "activeDeadlineSeconds",
    "hostAliases",
    "nodeSelector",
    "os",
    "readinessGates",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "securityContext",
    "shareProcessNamespace",
    "terminationGracePeriodSeconds",
    "tolerations",
    "hostUsers",
];

/// The host pod of a virtual pod.
///
/// # Errors
/// What the policy refuses, or what cannot be translated.
pub fn pod(cluster: &Cluster, pod: &Value, context: &PodContext) -> Result<Value, Refusal> {
    cluster.policy.check(pod)?;
    let namespace = meta::namespace(pod);
    let spec = &pod["spec"];
    if spec["resourceClaims"].as_array().is_some_and(|c| !c.is_empty()) {
        return Err(Refusal("spec.resourceClaims is not supported in virtual clusters".into()));
    }
    let mut out = Map::new();
    for field in PASSED {
        pass(&mut out, spec, field);
    }
    if cluster.policy.host_namespaces {
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            pass(&mut out, spec, field);
        }
    }
    let environment = Environment::new(cluster, pod, context);
    for field in ["initContainers", "containers"] {
        if let Some(list) = spec[field].as_array() {
            out.insert(field.into(), containers(cluster, namespace, list, &environment).into());
        }
    }
    out.insert("volumes".into(), volumes::volumes(cluster, pod, context)?.into());
    if let Some(secrets) = spec["imagePullSecrets"].as_array() {
        let translated = secrets.iter().filter_map(|s| s["name"].as_str());
        let translated: Vec<_> =
            translated.map(|n| json!({"name": names::host(cluster, namespace, n)})).collect();
        out.insert("imagePullSecrets".into(), translated.into());
    }
    affinity::add(cluster, namespace, spec, context, &mut out);
    // The host's own account must not leak in, nor its services.
    out.insert("automountServiceAccountToken".into(), false.into());
    out.insert("enableServiceLinks".into(), false.into());
    let hostname = spec["hostname"].as_str().unwrap_or(meta::name(pod));
    let hostname: String = hostname.chars().take(63).collect();
    out.insert("hostname".into(), hostname.trim_end_matches(['-', '.']).replace('.', "-").into());
    dns(cluster, namespace, spec, &mut out);

    let mut metadata = marks::metadata(cluster, pod);
    metadata["annotations"][LABELS_ANNOTATION] = listed(&pod["metadata"]["labels"]).into();
    metadata["annotations"][ANNOTATIONS_ANNOTATION] = listed(&pod["metadata"]["annotations"]).into();
    if let Some(kind) = meta::controller_of(pod).and_then(|owner| owner["kind"].as_str()) {
        metadata["annotations"][CONTROLLER_ANNOTATION] = kind.into();
    }
    metadata["annotations"][ACCOUNT_ANNOTATION] =
        spec["serviceAccountName"].as_str().unwrap_or("default").into();
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": out}))
}

/// Annotation with the virtual labels in the format of the downward API.
pub(crate) const LABELS_ANNOTATION: &str = "joey.dev/pod-labels";
/// Annotation with the virtual annotations in the format of the downward API.
pub(crate) const ANNOTATIONS_ANNOTATION: &str = "joey.dev/pod-annotations";
/// Annotation with the kind of the virtual pod's controller: people and sandboxes want to know.
const CONTROLLER_ANNOTATION: &str = "joey.dev/controller-kind";
/// Annotation with the virtual service account.
pub(crate) const ACCOUNT_ANNOTATION: &str = "joey.dev/service-account";

/// What must change of `host` so that it follows `pod`'s labels, annotations and images; `None` when nothing does.
pub fn pod_update(cluster: &Cluster, pod: &Value, host: &Value) -> Option<Value> {
    let mut changed = host.clone();
    let metadata = marks::metadata(cluster, pod);
    changed["metadata"]["labels"] = metadata["labels"].clone();
    // What the host's own controllers annotated stays.
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        changed["metadata"]["annotations"][key] = value.clone();
    }
    changed["metadata"]["annotations"][LABELS_ANNOTATION] = listed(&pod["metadata"]["labels"]).into();
    changed["metadata"]["annotations"][ANNOTATIONS_ANNOTATION] =
        listed(&pod["metadata"]["annotations"]).into();
    for field in ["containers", "initContainers"] {
        for container in changed["spec"].get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let wanted =
                pod["spec"][field].as_array().into_iter().flatten().find(|c| c["name"] == container["name"]);
            if let Some(image) = wanted.map(|w| w["image"].clone()).filter(Value::is_string) {
                container["image"] = image;
            }
        }
    }
    if let Some(deadline) = pod["spec"].get("activeDeadlineSeconds") {
        changed["spec"]["activeDeadlineSeconds"] = deadline.clone();
    }
    (changed != *host).then_some(changed)
}

/// `key="value"` lines, sorted: how the downward API writes a map into a file.
fn listed(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k, v.as_str()?)));
    let lines: Vec<_> = pairs.map(|(k, v)| format!("{k}={}", object::error::quote(v))).collect();
    lines.join("\n")
}

fn pass(out: &mut Map<String, Value>, spec: &Value, field: &str) {
    if let Some(value) = spec.get(field).filter(|v| !v.is_null()) {
        out.insert(field.into(), value.clone());
    }
}

/// Pods resolve the names of their own cluster's services.
fn dns(cluster: &Cluster, namespace: &str, spec: &Value, out: &mut Map<String, Value>) {
    let policy = spec["dnsPolicy"].as_str().unwrap_or("ClusterFirst");
    let own = matches!(policy, "ClusterFirst" | "ClusterFirstWithHostNet");
    let Some(server) = cluster.dns.filter(|_| own) else {
        out.insert("dnsPolicy".into(), policy.into());
        pass(out, spec, "dnsConfig");
        return;
    };
    let domain = &cluster.domain;
    let mut config = json!({
        "nameservers": [server.to_string()],
        "searches": [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain],
        "options": [{"name": "ndots", "value": "5"}],
    });
    for field in ["nameservers", "searches", "options"] {
        if let (Some(own), Some(all)) = (spec["dnsConfig"][field].as_array(), config[field].as_array_mut()) {
            all.extend(own.iter().cloned());
        }
    }
    out.insert("dnsPolicy".into(), "None".into());
    out.insert("dnsConfig".into(), config);
}
