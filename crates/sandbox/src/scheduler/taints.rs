//! Taints, tolerations and cordons.

use super::Refusal;
use crate::spec;
use serde_json::Value;

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Whether the node keeps nobody away.
pub(super) fn open(node: &Value) -> bool {
    node["spec"]["unschedulable"] != true && taints(node).next().is_none()
}

/// Whether the node is cordoned, and the pod minds.
pub(super) fn cordoned(pod: &Value, node: &Value) -> Option<Refusal> {
    let cordon = serde_json::json!({"key": UNSCHEDULABLE, "effect": "NoSchedule"});
    let minds = node["spec"]["unschedulable"] == true && !tolerated(pod, &cordon);
    minds.then(|| Refusal::of_node("node(s) were unschedulable"))
}

/// Whether the node's taints keep the pod away.
pub(super) fn refused(pod: &Value, node: &Value) -> Option<Refusal> {
    let hard = |taint: &&Value| matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute"));
    let untolerated = taints(node).filter(hard).any(|taint| !tolerated(pod, taint));
    untolerated.then(|| Refusal::of_node("node(s) had untolerated taint(s)"))
}

/// Whether a taint of the node sends away even who is there.
pub(super) fn evicted(pod: &Value, node: &Value) -> bool {
    taints(node).filter(|taint| taint["effect"] == "NoExecute").any(|taint| !tolerated(pod, taint))
}

/// How many `PreferNoSchedule` taints the pod does not tolerate.
pub(super) fn aversion(pod: &Value, node: &Value) -> i64 {
    let soft = taints(node).filter(|taint| taint["effect"] == "PreferNoSchedule");
    soft.filter(|taint| !tolerated(pod, taint)).count() as i64
}

fn taints(node: &Value) -> impl Iterator<Item = &Value> {
    node["spec"]["taints"].as_array().into_iter().flatten()
}

/// Whether one of the pod's tolerations covers `taint`.
pub(crate) fn tolerated(pod: &Value, taint: &Value) -> bool {
    spec::list(pod, "tolerations").iter().any(|toleration| {
        let text = |field: &str| toleration[field].as_str().unwrap_or("");
        let of = |field: &str| taint[field].as_str().unwrap_or("");
        let effect = text("effect").is_empty() || text("effect") == of("effect");
        let key = text("key").is_empty() || text("key") == of("key");
        effect
            && key
            && match text("operator") {
                "Exists" => true,
                "" | "Equal" => !text("key").is_empty() && text("value") == of("value"),
                "Lt" => {
                    number(of("value")).zip(number(text("value"))).is_some_and(|(taint, limit)| taint < limit)
                }
                "Gt" => {
                    number(of("value")).zip(number(text("value"))).is_some_and(|(taint, limit)| taint > limit)
                }
                _ => false,
            }
    })
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}
