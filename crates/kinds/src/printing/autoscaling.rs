//! Scales and horizontal pod autoscalers.

use super::cells::{age, int, list, row, text, with_more};
use jiff::Timestamp;
use object::{GroupVersion, Value, meta};

pub(super) fn scale(scale: &Value, now: Timestamp) -> Vec<Value> {
    row![
        meta::name(scale),
        int(&scale["spec"]["replicas"]),
        int(&scale["status"]["replicas"]),
        age(scale, now)
    ]
}

/// Of either version: what v1 says is read as v2.
pub(super) fn autoscaler(autoscaler: &Value, now: Timestamp) -> Vec<Value> {
    let v1 = GroupVersion::new("autoscaling", "v1");
    let converted = (autoscaler["apiVersion"] == "autoscaling/v1")
        .then(|| crate::convert::convert(autoscaler.clone(), &v1, &GroupVersion::new("autoscaling", "v2")));
    let autoscaler = converted.as_ref().unwrap_or(autoscaler);
    let (spec, status) = (&autoscaler["spec"], &autoscaler["status"]);
    let target = &spec["scaleTargetRef"];
    row![
        meta::name(autoscaler),
        format!("{}/{}", text(&target["kind"]), text(&target["name"])),
        metrics(list(&spec["metrics"]), list(&status["currentMetrics"])),
        spec["minReplicas"].as_i64().map_or_else(|| "<unset>".into(), |n| n.to_string()),
        int(&spec["maxReplicas"]),
        int(&status["currentReplicas"]),
        age(autoscaler, now),
    ]
}

const MOST: usize = 2;

fn metrics(specs: &[Value], statuses: &[Value]) -> String {
    if specs.is_empty() {
        return "<none>".into();
    }
    let shown: Vec<String> =
        specs.iter().take(MOST).enumerate().map(|(i, spec)| metric(spec, statuses.get(i))).collect();
    with_more(&shown, ", ", specs.len(), MOST)
}

fn metric(spec: &Value, status: Option<&Value>) -> String {
    let (field, named) = match text(&spec["type"]) {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".into(),
    };
    let target = &spec[field]["target"];
    let current = status.map_or(&Value::Null, |s| &s[field]["current"]);
    let average = !target["averageValue"].is_null();
    if named {
        let name = text(&spec[field]["name"]);
        return if average {
            format!("{name}: {}/{}", known(&current["averageValue"]), known(&target["averageValue"]))
        } else {
            let percent = |value: &Value, none: &str| {
                value.as_i64().map_or_else(|| none.to_owned(), |n| format!("{n}%"))
            };
            let now = percent(&current["averageUtilization"], "<unknown>");
            format!("{name}: {now}/{}", percent(&target["averageUtilization"], "<auto>"))
        };
    }
    match (field, average) {
        ("pods", _) => format!("{}/{}", known(&current["averageValue"]), known(&target["averageValue"])),
        (_, true) => format!("{}/{} (avg)", known(&current["averageValue"]), known(&target["averageValue"])),
        _ => format!("{}/{}", known(&current["value"]), known(&target["value"])),
    }
}

fn known(quantity: &Value) -> String {
    if quantity.is_null() { "<unknown>".into() } else { super::cells::quantity(quantity) }
}
