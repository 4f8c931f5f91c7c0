//! Horizontal pod autoscalers.

use super::{Object, absent, child, existing, is_zero};
use object::{Value, json};

/// Metrics that v1 cannot say are in this annotation of v1 objects.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

/// CPU at 80 %, unless other metrics were given.
pub(super) fn autoscaler_v1(autoscaler: &mut Object) {
    let annotated = autoscaler.get("metadata").is_some_and(|m| m["annotations"].get(METRICS).is_some());
    if let Some(spec) = existing(autoscaler, "spec").filter(|_| !annotated) {
        absent(spec, "targetCPUUtilizationPercentage", 80);
    }
}

pub(super) fn autoscaler_v2(spec: &mut Object) {
    if is_zero(spec.get("metrics")) {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        spec.insert(
            "metrics".into(),
            json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
        );
    }
    if let Some(behavior) = existing(spec, "behavior") {
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        if let Some(up) = child(behavior, "scaleUp") {
            absent(up, "stabilizationWindowSeconds", 0);
            scaling_rules(up, json!([pods, percent]));
        }
        if let Some(down) = child(behavior, "scaleDown") {
            scaling_rules(down, json!([percent]));
        }
    }
}

fn scaling_rules(rules: &mut Object, policies: Value) {
    absent(rules, "selectPolicy", "Max");
    absent(rules, "policies", policies);
}
