//! Horizontal pod autoscalers: v1 knows only CPU utilization; what else v2 says is in annotations of v1 objects, as JSON
//! in v1's old shapes (and behavior in the shape of Kubernetes' internal type, capitals and all).

use object::{Map, Value, json};

type Object = Map<String, Value>;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

pub(super) fn to_v1(autoscaler: &mut Object) {
    let mut notes: Vec<(&str, String)> = Vec::new();
    if let Some(spec) = autoscaler.get_mut("spec").and_then(Value::as_object_mut) {
        let metrics = take_list(spec, "metrics");
        let cpu =
            metrics.iter().find(|m| is_cpu(m)).map(|m| m["resource"]["target"]["averageUtilization"].clone());
        if let Some(percent) = cpu.filter(|p| !p.is_null()) {
            spec.insert("targetCPUUtilizationPercentage".into(), percent);
        }
        let says_more = |m: &&Value| !is_cpu(m) || m["resource"]["target"]["averageUtilization"].is_null();
        let others: Vec<String> = metrics.iter().filter(says_more).map(|m| v1_metric(m, "target")).collect();
        if !others.is_empty() {
            notes.push((METRICS, format!("[{}]", others.join(","))));
        }
        if let Some(behavior) = spec.remove("behavior").filter(Value::is_object) {
            notes.push((BEHAVIOR, internal_behavior(&behavior)));
        }
    }
    if let Some(status) = autoscaler.get_mut("status").and_then(Value::as_object_mut) {
        let current = take_list(status, "currentMetrics");
        let conditions = take_list(status, "conditions");
        let cpu = current
            .iter()
            .rfind(|m| is_cpu(m))
            .map(|m| m["resource"]["current"]["averageUtilization"].clone());
        if let Some(percent) = cpu.filter(|p| !p.is_null()) {
            status.insert("currentCPUUtilizationPercentage".into(), percent);
        }
        status.entry("currentReplicas").or_insert_with(|| 0.into());
        status.entry("desiredReplicas").or_insert_with(|| 0.into());
        if !current.is_empty() {
            let current: Vec<String> = current.iter().map(|m| v1_metric(m, "current")).collect();
            notes.push((CURRENT_METRICS, format!("[{}]", current.join(","))));
        }
        if !conditions.is_empty() {
            const FIELDS: [&str; 5] = ["type", "status", "lastTransitionTime", "reason", "message"];
            let conditions: Vec<String> = conditions
                .iter()
                .map(|c| ordered(FIELDS.iter().map(|f| (*f, c.get(*f).map(Value::to_string)))))
                .collect();
            notes.push((CONDITIONS, format!("[{}]", conditions.join(","))));
        }
    }
    annotate(autoscaler, notes);
}

pub(super) fn to_v2(autoscaler: &mut Object) {
    let mut note = |key: &str| {
        let annotations = autoscaler.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()?;
        serde_json::from_str::<Value>(annotations.remove(key)?.as_str()?).ok()
    };
    let (metrics, current) = (note(METRICS), note(CURRENT_METRICS));
    let (conditions, behavior) = (note(CONDITIONS), note(BEHAVIOR));
    drop_empty_annotations(autoscaler);
    if let Some(spec) = autoscaler.get_mut("spec").and_then(Value::as_object_mut) {
        let mut all: Vec<Value> = as_list(metrics).iter().map(|m| v2_metric(m, "target")).collect();
        if let Some(percent) = spec.remove("targetCPUUtilizationPercentage").filter(|p| !p.is_null()) {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            all.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        if !all.is_empty() {
            spec.insert("metrics".into(), Value::Array(all));
        }
        if let Some(behavior) = behavior.filter(Value::is_object) {
            spec.insert("behavior".into(), v2_behavior(&behavior));
        }
    }
    if let Some(status) = autoscaler.get_mut("status").and_then(Value::as_object_mut) {
        let mut all: Vec<Value> = as_list(current).iter().map(|m| v2_metric(m, "current")).collect();
        if let Some(percent) = status.remove("currentCPUUtilizationPercentage").filter(|p| !p.is_null())
            && all.is_empty()
        {
            let current = json!({"averageUtilization": percent});
            all.push(json!({"type": "Resource", "resource": {"name": "cpu", "current": current}}));
        }
        if !all.is_empty() {
            status.insert("currentMetrics".into(), Value::Array(all));
        }
        if let Some(conditions) = conditions.filter(Value::is_array) {
            status.insert("conditions".into(), conditions);
        }
    }
}

fn take_list(map: &mut Object, field: &str) -> Vec<Value> {
    as_list(map.remove(field))
}

fn as_list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn is_cpu(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

fn annotate(autoscaler: &mut Object, notes: Vec<(&str, String)>) {
    if notes.is_empty() {
        return;
    }
    let metadata = autoscaler.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        return;
    }
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    for (key, value) in notes {
        metadata["annotations"][key] = value.into();
    }
}

fn drop_empty_annotations(autoscaler: &mut Object) {
    if let Some(metadata) = autoscaler.get_mut("metadata").and_then(Value::as_object_mut)
        && metadata.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        metadata.remove("annotations");
    }
}

/// JSON of an object whose fields keep their order, as Go writes structs; absent ones are left out.
fn ordered<'a>(fields: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let fields = fields.into_iter().filter_map(|(name, value)| Some(format!("{name:?}:{}", value?)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// The field of a metric of a type, and whether a metric has a name inside.
fn field_of(metric: &Value) -> &'static str {
    match metric["type"].as_str() {
        Some("Object") => "object",
        Some("Pods") => "pods",
        Some("Resource") => "resource",
        Some("ContainerResource") => "containerResource",
        Some("External") => "external",
        _ => "",
    }
}

/// A v2 metric in v1's shape: its `target` in a spec, its `current` value in a status.
fn v1_metric(metric: &Value, side: &str) -> String {
    let field = field_of(metric);
    let source = &metric[field];
    let value = &source[side];
    let there = |v: &Value| (!v.is_null()).then(|| v.to_string());
    let or_zero = |v: &Value| Some(if v.is_null() { "\"0\"".into() } else { v.to_string() });
    let reference = &source["describedObject"];
    let target = ordered(["kind", "name", "apiVersion"].map(|f| (f, there(&reference[f]))));
    let (name, selector) = (or_empty(&source["metric"]["name"]), there(&source["metric"]["selector"]));
    let (plain, average) = (&value["value"], &value["averageValue"]);
    let utilization = there(&value["averageUtilization"]);
    let in_spec = side == "target";
    let named = |spec: &'static str, status: &'static str| if in_spec { spec } else { status };
    let inner = match field {
        "object" => ordered([
            ("target", Some(target)),
            ("metricName", Some(name)),
            (named("targetValue", "currentValue"), or_zero(plain)),
            ("selector", selector),
            ("averageValue", there(average)),
        ]),
        "pods" => ordered([
            ("metricName", Some(name)),
            (named("targetAverageValue", "currentAverageValue"), or_zero(average)),
            ("selector", selector),
        ]),
        "resource" | "containerResource" => ordered([
            ("name", Some(or_empty(&source["name"]))),
            (named("targetAverageUtilization", "currentAverageUtilization"), utilization),
            (
                named("targetAverageValue", "currentAverageValue"),
                if in_spec { there(average) } else { or_zero(average) },
            ),
            ("container", there(&source["container"])),
        ]),
        "external" => ordered([
            ("metricName", Some(name)),
            ("metricSelector", selector),
            (named("targetValue", "currentValue"), if in_spec { there(plain) } else { or_zero(plain) }),
            (named("targetAverageValue", "currentAverageValue"), there(average)),
        ]),
        _ => return ordered([("type", Some(or_empty(&metric["type"])))]),
    };
    ordered([("type", Some(or_empty(&metric["type"]))), (field, Some(inner))])
}

fn or_empty(value: &Value) -> String {
    Value::from(value.as_str().unwrap_or("")).to_string()
}

/// A v1 metric of an annotation in v2's shape.
fn v2_metric(metric: &Value, side: &str) -> Value {
    let field = field_of(metric);
    if field.is_empty() {
        return json!({"type": metric["type"]});
    }
    let source = &metric[field];
    let word = if side == "target" { "target" } else { "current" };
    let plain = &source[format!("{word}Value")];
    let average = match field {
        "object" => &source["averageValue"],
        _ => &source[format!("{word}AverageValue")],
    };
    let utilization = &source[format!("{word}AverageUtilization")];
    let mut value = Object::new();
    if side == "target" {
        let kind = match (utilization.is_null(), average.is_null()) {
            (false, _) => "Utilization",
            (_, false) => "AverageValue",
            _ => "Value",
        };
        value.insert("type".into(), kind.into());
    }
    let keep_plain = average.is_null() || plain.as_str().is_some_and(|v| v != "0");
    for (name, amount) in [("value", plain), ("averageValue", average), ("averageUtilization", utilization)] {
        if !amount.is_null() && (name != "value" || keep_plain) {
            value.insert(name.into(), amount.clone());
        }
    }
    let mut out = Object::from_iter([(side.to_owned(), Value::Object(value))]);
    match field {
        "resource" | "containerResource" => {
            for name in ["name", "container"] {
                out.extend(source.get(name).map(|v| (name.to_owned(), v.clone())));
            }
        }
        _ => {
            let mut identity = json!({"name": source["metricName"]});
            let selector = if field == "external" { &source["metricSelector"] } else { &source["selector"] };
            if !selector.is_null() {
                identity["selector"] = selector.clone();
            }
            out.insert("metric".into(), identity);
        }
    }
    if field == "object" {
        out.insert("describedObject".into(), source["target"].clone());
    }
    json!({"type": metric["type"], field: out})
}

/// Behavior with the field names of the internal Go type, which is what the annotation holds.
fn internal_behavior(behavior: &Value) -> String {
    let rules = |rules: &Value| {
        if rules.is_null() {
            return "null".to_owned();
        }
        let policies: Vec<String> =
            rules["policies"].as_array().into_iter().flatten().map(internal_policy).collect();
        let policies =
            if rules["policies"].is_array() { format!("[{}]", policies.join(",")) } else { "null".into() };
        ordered([
            ("StabilizationWindowSeconds", Some(rules["stabilizationWindowSeconds"].to_string())),
            ("SelectPolicy", Some(rules["selectPolicy"].to_string())),
            ("Policies", Some(policies)),
            ("Tolerance", Some(rules["tolerance"].to_string())),
        ])
    };
    ordered([
        ("ScaleUp", Some(rules(&behavior["scaleUp"]))),
        ("ScaleDown", Some(rules(&behavior["scaleDown"]))),
    ])
}

fn internal_policy(policy: &Value) -> String {
    ordered(
        [("Type", "type"), ("Value", "value"), ("PeriodSeconds", "periodSeconds")]
            .map(|(to, from)| (to, Some(policy[from].to_string()))),
    )
}

fn v2_behavior(internal: &Value) -> Value {
    let mut out = Object::new();
    for (from, to) in [("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")] {
        let Some(rules) = field_ignoring_case(internal, from).and_then(Value::as_object) else { continue };
        out.insert(
            to.into(),
            Value::Object(rules.iter().filter(|(_, v)| !v.is_null()).map(lowered).collect()),
        );
    }
    Value::Object(out)
}

/// Go matches JSON fields whatever their case.
fn field_ignoring_case<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.as_object()?.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v)
}

fn lowered((name, value): (&String, &Value)) -> (String, Value) {
    let mut chars = name.chars();
    let name = chars.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(chars).collect();
    let value = match value {
        Value::Array(policies) => policies
            .iter()
            .map(|p| Value::Object(p.as_object().into_iter().flatten().map(lowered).collect()))
            .collect(),
        other => other.clone(),
    };
    (name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2() -> Value {
        json!({
            "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {
                "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
                "metrics": [
                    {"type": "Pods", "pods": {"metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "5"}}},
                    {"type": "Object", "object": {"metric": {"name": "o"}, "describedObject": {"kind": "Service", "name": "s"},
                        "target": {"type": "Value", "value": "2k"}}},
                    {"type": "External", "external": {"metric": {"name": "e", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "AverageValue", "averageValue": "7"}}},
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
                ],
                "behavior": {"scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}},
            },
            "status": {
                "currentReplicas": 1, "desiredReplicas": 2,
                "conditions": [{"type": "AbleToScale", "status": "True", "reason": "R"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 50, "averageValue": "1m"}}}],
            },
        })
    }

    #[test]
    fn v1_keeps_in_annotations_what_it_cannot_say() {
        let mut object = v2();
        to_v1(object.as_object_mut().expect("an object"));
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 60);
        assert_eq!(object["status"]["currentCPUUtilizationPercentage"], 50);
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(
            annotations[METRICS].as_str().expect("text"),
            r#"[{"type":"Pods","pods":{"metricName":"q","targetAverageValue":"5"}},{"type":"Object","object":{"target":{"kind":"Service","name":"s"},"metricName":"o","targetValue":"2k"}},{"type":"External","external":{"metricName":"e","metricSelector":{"matchLabels":{"a":"b"}},"targetAverageValue":"7"}}]"#
        );
        assert_eq!(
            annotations[BEHAVIOR].as_str().expect("text"),
            r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null}}"#
        );
        assert_eq!(
            annotations[CURRENT_METRICS].as_str().expect("text"),
            r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":50,"currentAverageValue":"1m"}}]"#
        );
        assert!(object["spec"].get("metrics").is_none() && object["status"].get("conditions").is_none());
    }

    #[test]
    fn and_back() {
        let mut object = v2();
        let map = object.as_object_mut().expect("an object");
        to_v1(map);
        to_v2(map);
        assert_eq!(object, v2());
    }

    #[test]
    fn broken_annotations_are_dropped() {
        let mut object =
            json!({"metadata": {"annotations": {METRICS: "{", BEHAVIOR: "[]", "mine": "x"}}, "spec": {}});
        to_v2(object.as_object_mut().expect("an object"));
        assert_eq!(object, json!({"metadata": {"annotations": {"mine": "x"}}, "spec": {}}));
    }
}
