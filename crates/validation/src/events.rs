//! Events, in both of their groups. Those with an `eventTime` are new and held to more; paths are those of core/v1.

use crate::node::{Errors, IMMUTABLE, Node, check_text, same};
use object::{FieldError, Path, names};
use serde_json::{Value, json};

/// An event of core/v1.
pub fn core_event(e: &mut Errors, object: &Value) {
    common(e, object, &CORE);
}

/// An event of events.k8s.io/v1.
pub fn event(e: &mut Errors, object: &Value) {
    common(e, object, &EVENTS);
    let root = Node::root(object);
    series(e, &root.get("series"));
    if !root.get("eventTime").is_set() {
        e.push(root.get("eventTime").required(""));
    }
    let kind = root.get("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        e.push(kind.invalid_as("", &format!("has invalid value: {}", kind.text())));
    }
    let unset = |name: &str| FieldError::invalid(&Path::new(name), &json!(""), "needs to be unset");
    for (field, shown) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
    ] {
        if root.get(field).is_set() && root.raw(field) != &json!(0) {
            e.push(unset(shown));
        }
    }
    let source = root.get("deprecatedSource");
    if !source.get("component").is_empty() || !source.get("host").is_empty() {
        e.push(unset("source"));
    }
}

/// An update of an event of core/v1.
pub fn core_event_update(e: &mut Errors, new: &Value, _old: &Value) {
    common(e, new, &CORE);
}

/// An update of an event of events.k8s.io/v1: only its series changes.
pub fn event_update(e: &mut Errors, new: &Value, old: &Value) {
    common(e, new, &EVENTS);
    let (root, old_root) = (Node::root(new), Node::root(old));
    if !same(root.raw("series"), old_root.raw("series")) {
        series(e, &root.get("series"));
    }
    const FIXED: [(&str, &str); 13] = [
        ("regarding", "involvedObject"),
        ("reason", "reason"),
        ("note", "message"),
        ("deprecatedSource", "source"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        // Kubernetes names it twice.
        ("reason", "reason"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
    ];
    for (field, shown) in FIXED.into_iter().chain([("reportingInstance", "reportingInstance")]) {
        if same(root.raw(field), old_root.raw(field)) {
            continue;
        }
        let node = root.get(field).moved(Path::new(shown));
        e.push(match field {
            "regarding" => node.invalid_struct("ObjectReference", IMMUTABLE),
            "related" => node.invalid_struct("*ObjectReference", IMMUTABLE),
            "deprecatedSource" => node.invalid_struct("EventSource", IMMUTABLE),
            "deprecatedCount" => node.invalid_as(node.int(), IMMUTABLE),
            "deprecatedFirstTimestamp" | "deprecatedLastTimestamp" | "eventTime" => node.invalid(IMMUTABLE),
            _ => node.invalid_text(IMMUTABLE),
        });
    }
}

fn series(e: &mut Errors, series: &Node<'_>) {
    if !series.is_set() {
        return;
    }
    if series.get("count").int() < 2 {
        e.push(series.get("count").invalid_as("", "should be at least 2"));
    }
    if !series.get("lastObservedTime").is_set() {
        e.push(series.get("lastObservedTime").required(""));
    }
}

/// How the two groups spell the same fields.
struct Spelling {
    object: &'static str,
    message: &'static str,
    controller: &'static str,
}

const CORE: Spelling =
    Spelling { object: "involvedObject", message: "message", controller: "reportingComponent" };
const EVENTS: Spelling = Spelling { object: "regarding", message: "note", controller: "reportingController" };

fn common(e: &mut Errors, object: &Value, spelling: &Spelling) {
    let root = Node::root(object);
    let namespace = root.get("metadata").get("namespace").text();
    let about = root.get(spelling.object).get("namespace").moved(Path::new("involvedObject.namespace"));
    let mismatch = "does not match event.namespace";
    if root.get("eventTime").is_set() {
        if about.is_empty() && !matches!(namespace, "default" | "kube-system") {
            e.push(about.invalid_text(mismatch));
        }
        new_event(e, &root, spelling);
    } else {
        let matches =
            if about.is_empty() { matches!(namespace, "" | "default") } else { about.text() == namespace };
        if !matches {
            e.push(about.invalid_text(mismatch));
        }
    }
    let namespace = root.get("metadata").get("namespace").moved(Path::new("namespace"));
    check_text(e, &namespace, names::dns1123_subdomain);
}

fn new_event(e: &mut Errors, root: &Node<'_>, spelling: &Spelling) {
    // Both groups keep the controller under the same name inside; only its path in errors differs.
    let field =
        if root.raw("reportingController").is_null() { spelling.controller } else { "reportingController" };
    let controller = root.get(field).moved(Path::new(spelling.controller));
    if controller.is_empty() {
        e.push(controller.required(""));
    }
    check_text(e, &controller, names::qualified_name);
    let limited = |e: &mut Errors, node: &Node<'_>, max: usize, demanded: bool| {
        if demanded && node.is_empty() {
            e.push(node.required(""));
        }
        if node.len() > max {
            e.push(node.invalid_as("", &format!("can have at most {max} characters")));
        }
    };
    limited(e, &root.get("reportingInstance"), 128, true);
    limited(e, &root.get("action"), 128, true);
    limited(e, &root.get("reason"), 128, true);
    limited(e, &root.get(spelling.message).moved(Path::new("message")), 1024, false);
}
