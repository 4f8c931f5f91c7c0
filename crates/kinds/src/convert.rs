//! Conversions between the served versions of built-in objects that are stored in one version.
//!
//! Only two kinds have versions that differ in shape: events (core and `events.k8s.io`) and horizontal pod autoscalers (v1 and v2).
//! All others convert by their `apiVersion`. Custom resources convert that way or by webhook, elsewhere.

mod autoscaling;

use object::{GroupVersion, Map, Value};

/// Converts an object between two versions of its kind.
pub fn convert(mut object: Value, from: &GroupVersion, to: &GroupVersion) -> Value {
    if from == to {
        return object;
    }
    if let Some(map) = object.as_object_mut() {
        let kind = map.get("kind").and_then(Value::as_str).unwrap_or("").to_owned();
        match (kind.as_str(), to.group.as_str(), to.version.as_str()) {
            ("Event", "events.k8s.io", _) => rename(map, true),
            ("Event", "", _) => rename(map, false),
            ("HorizontalPodAutoscaler", "autoscaling", "v1") => autoscaling::to_v1(map),
            ("HorizontalPodAutoscaler", "autoscaling", "v2") => autoscaling::to_v2(map),
            _ => {}
        }
        map.insert("apiVersion".into(), to.to_string().into());
    }
    object
}

/// Fields of core events, and their names in `events.k8s.io`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Renames the fields of an event. Core always spells out who reported it, the other group only if anyone did.
fn rename(event: &mut Map<String, Value>, from_core: bool) {
    for (core, new) in EVENT_FIELDS {
        let (from, to) = if from_core { (core, new) } else { (new, core) };
        if let Some(value) = event.remove(from) {
            event.insert(to.to_owned(), value);
        }
    }
    for field in ["reportingController", "reportingInstance"] {
        if from_core && event.get(field).is_some_and(|v| v == "") {
            event.remove(field);
        }
    }
    for field in ["reportingComponent", "reportingInstance"] {
        if !from_core {
            event.entry(field).or_insert_with(|| "".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn events_are_renamed_and_back() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"name": "p"}, "message": "m",
            "source": {"component": "c"}, "firstTimestamp": null, "lastTimestamp": null, "count": 2, "reportingComponent": "r",
            "reportingInstance": "", "eventTime": null, "reason": "R", "type": "Normal",
        });
        let (v1, new) = (GroupVersion::new("", "v1"), GroupVersion::new("events.k8s.io", "v1"));
        let event = convert(core.clone(), &v1, &new);
        assert_eq!(event["apiVersion"], "events.k8s.io/v1");
        assert_eq!(event["regarding"]["name"], "p");
        assert_eq!(event["note"], "m");
        assert_eq!(event["reportingController"], "r");
        assert!(event.get("reportingInstance").is_none());
        assert_eq!(convert(event, &new, &v1), core);
    }

    #[test]
    fn other_kinds_only_change_their_version() {
        let object = json!({"apiVersion": "a/v1", "kind": "K", "spec": {"x": 1}});
        let converted = convert(object, &GroupVersion::new("a", "v1"), &GroupVersion::new("a", "v2"));
        assert_eq!(converted, json!({"apiVersion": "a/v2", "kind": "K", "spec": {"x": 1}}));
    }
}
