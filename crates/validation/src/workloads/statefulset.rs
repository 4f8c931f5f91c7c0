//! StatefulSets.

use super::{
    always_restarted, at_most_all, collision_count, counters, int_or_percent, int_or_percent_value,
    invalid_selector, not_above, own_selector, selector_matches,
};
use crate::node::{Errors, Node, check_non_negative, check_text, same};
use object::{FieldError, names};
use serde_json::{Value, json};

const CHANGED: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
    'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// A StatefulSet.
pub fn stateful_set(e: &mut Errors, object: &Value) {
    validate(e, object, true);
}

fn validate(e: &mut Errors, object: &Value, is_new: bool) {
    let spec = Node::root(object).get("spec");
    let management = spec.get("podManagementPolicy");
    match management.text() {
        "" => e.push(management.required("")),
        "OrderedReady" | "Parallel" => {}
        _ => e.push(management.invalid("must be 'OrderedReady' or 'Parallel'")),
    }
    strategy(e, &spec.get("updateStrategy"));
    retention(e, &spec.get("persistentVolumeClaimRetentionPolicy"));
    if is_new {
        for claim in spec.get("volumeClaimTemplates").items() {
            crate::storage::claims::spec(e, &claim.get("spec"));
        }
    }
    check_non_negative(e, &spec.get("replicas"));
    check_non_negative(e, &spec.get("minReadySeconds"));
    check_non_negative(e, &spec.get("ordinals").get("start"));
    if is_new && !spec.get("serviceName").is_empty() {
        check_text(e, &spec.get("serviceName"), names::dns1123_label);
    }
    let selector = spec.get("selector");
    let parsed = own_selector(e, &selector, "statefulset");
    let template = spec.get("template");
    match parsed {
        Some(parsed) => {
            selector_matches(e, &parsed, &template);
            pod_template(e, &spec);
        }
        None => e.push(invalid_selector(&selector, "")),
    }
    always_restarted(e, &template, "StatefulSet");
}

/// The template without host names, which the pods get, and with the volumes that its claims will become.
fn pod_template(e: &mut Errors, spec: &Node<'_>) {
    let template = spec.get("template");
    let claims: Vec<_> =
        spec.get("volumeClaimTemplates").items().map(|c| c.get("metadata").get("name").text()).collect();
    let mut judged = template.value.clone();
    if let Some(pod) = judged.get_mut("spec").and_then(Value::as_object_mut) {
        pod.remove("hostname");
        pod.remove("subdomain");
        let claimed = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        let mut volumes: Vec<Value> = claims.iter().map(claimed).collect();
        let own = template.get("spec").get("volumes");
        let others = |v: &&Value| !claims.contains(&v["name"].as_str().unwrap_or(""));
        volumes.extend(own.list().iter().filter(others).cloned());
        pod.insert("volumes".into(), volumes.into());
    }
    crate::pod::validate_template(e, &Node::at(&judged, template.path.clone()));
    // Kubernetes looks at these once more.
    crate::pod::template_metadata(e, &template);
}

fn strategy(e: &mut Errors, strategy: &Node<'_>) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "" => e.push(strategy.required("")),
        "OnDelete" => {
            if rolling.is_set() {
                e.push(rolling.invalid("only allowed for updateStrategy 'RollingUpdate'"));
            }
        }
        "RollingUpdate" => {
            check_non_negative(e, &rolling.get("partition"));
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.is_set() {
                int_or_percent(e, &unavailable);
                if int_or_percent_value(&unavailable) == 0 {
                    e.push(unavailable.invalid("cannot be 0"));
                }
                at_most_all(e, &unavailable);
            }
        }
        other => {
            let rolling = match rolling.value {
                Value::Null => "null".to_owned(),
                value => format!(
                    "{{\"Partition\":{},\"MaxUnavailable\":{}}}",
                    rolling.get("partition").int(),
                    value["maxUnavailable"]
                ),
            };
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", json!(other));
            e.push(FieldError::invalid_shown(
                &strategy.path,
                &shown,
                "must be 'RollingUpdate' or 'OnDelete'",
            ));
        }
    }
}

fn retention(e: &mut Errors, policy: &Node<'_>) {
    if !policy.is_set() {
        return;
    }
    for field in ["whenDeleted", "whenScaled"] {
        if !matches!(policy.get(field).text(), "Retain" | "Delete") {
            e.push(policy.get(field).not_supported(&["Retain", "Delete"]));
        }
    }
}

/// An update of a StatefulSet: only a few fields change.
pub fn stateful_set_update(e: &mut Errors, new: &Value, old: &Value) {
    validate(e, new, false);
    let spec = Node::root(new).get("spec");
    let rest = |spec: &Value| {
        let mut fields = spec.as_object().cloned().unwrap_or_default();
        fields.retain(|key, _| !MUTABLE.contains(&key.as_str()));
        Value::Object(fields)
    };
    if !same(&rest(spec.value), &rest(&old["spec"])) {
        e.push(spec.forbidden(CHANGED));
    }
}

/// An update of a StatefulSet's status.
pub fn stateful_set_status(e: &mut Errors, new: &Value, old: &Value) {
    let status = Node::root(new).get("status");
    let fields = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    counters(e, &status, &fields);
    let replicas = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    not_above(e, &status, &replicas, "replicas", "cannot be greater than status.replicas");
    not_above(
        e,
        &status,
        &["availableReplicas"],
        "readyReplicas",
        "cannot be greater than status.readyReplicas",
    );
    collision_count(e, &status, old);
}
