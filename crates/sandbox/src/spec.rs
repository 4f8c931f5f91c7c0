//! Reading pods.

use jiff::{SignedDuration, Timestamp};
use object::meta;
use serde_json::Value;

/// Where annotations that script a pod begin: `sandbox.joey.dev/exit-code`. One container's own:
/// `exit-code.sandbox.joey.dev/NAME`.
const DOMAIN: &str = "sandbox.joey.dev";

/// A list under `spec`, empty if absent.
pub fn list<'a>(pod: &'a Value, name: &str) -> &'a [Value] {
    pod["spec"][name].as_array().map_or(&[], Vec::as_slice)
}

/// All containers: init, regular, ephemeral.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|l| list(pod, l))
}

/// A container's name.
pub fn name(container: &Value) -> &str {
    container["name"].as_str().unwrap_or("")
}

/// An init container that keeps running.
pub fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// Whether the container is one of the pod's init containers that must end.
pub fn is_init(pod: &Value, container: &Value) -> bool {
    !is_sidecar(container) && list(pod, "initContainers").iter().any(|c| c["name"] == container["name"])
}

/// A scripting annotation: the container's own, else the pod's.
pub fn script<'a>(pod: &'a Value, container: &Value, what: &str) -> Option<&'a str> {
    meta::annotation(pod, &format!("{what}.{DOMAIN}/{}", name(container)))
        .or_else(|| meta::annotation(pod, &format!("{DOMAIN}/{what}")))
}

/// A time as objects hold it.
pub fn time(value: &Value) -> Option<Timestamp> {
    object::time::parse(value.as_str()?).ok()
}

/// `seconds` after `from`; the end of time where that overflows.
pub fn later(from: Timestamp, seconds: f64) -> Timestamp {
    let seconds = if seconds.is_finite() { seconds.clamp(-1e9, 1e10) } else { 0.0 };
    from.checked_add(SignedDuration::from_millis((seconds * 1000.0) as i64)).unwrap_or(Timestamp::MAX)
}

/// Strings of an array.
pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The pod's host name as its containers see it.
pub fn hostname(pod: &Value) -> String {
    if host_network(pod) {
        return node_name(pod).to_owned();
    }
    let name = pod["spec"]["hostname"].as_str().filter(|h| !h.is_empty()).unwrap_or(meta::name(pod));
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

/// Whether `spec.hostNetwork` is set.
pub fn host_network(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] == true
}

/// The node that the pod is bound to, empty if none.
pub fn node_name(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or("")
}

/// Whether the pod has ended for good.
pub fn is_terminal(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// The pod's priority.
pub fn priority(pod: &Value) -> i64 {
    pod["spec"]["priority"].as_i64().unwrap_or(0)
}
