//! Namespaces, events, configuration, quotas and API services.

use super::cells::{age, int, len, list, quantity, row, since, text, text_or};
use jiff::Timestamp;
use object::{Value, meta};

pub(super) fn namespace(namespace: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(namespace), text(&namespace["status"]["phase"]), age(namespace, now)]
}

pub(super) fn config_map(map: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(map), len(&map["data"]) + len(&map["binaryData"]), age(map, now)]
}

pub(super) fn secret(secret: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(secret), text(&secret["type"]), len(&secret["data"]), age(secret, now)]
}

pub(super) fn lease(lease: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(lease), text(&lease["spec"]["holderIdentity"]), age(lease, now)]
}

pub(super) fn component_status(component: &Value, _: Timestamp) -> Vec<Value> {
    let healthy =
        list(&component["conditions"]).iter().find(|c| c["type"] == "Healthy").unwrap_or(&Value::Null);
    let status = match text(&healthy["status"]) {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    row![meta::name(component), status, text(&healthy["message"]), text(&healthy["error"])]
}

/// Of either group: the names of `events.k8s.io` stand for those of core.
pub(super) fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let either = |a: &str, b: &str| -> &Value { event.get(a).unwrap_or_else(|| &event[b]) };
    let about = either("involvedObject", "regarding");
    let first = match either("firstTimestamp", "deprecatedFirstTimestamp") {
        Value::Null => since(&event["eventTime"], now),
        time => since(time, now),
    };
    let mut last = match either("lastTimestamp", "deprecatedLastTimestamp") {
        Value::Null => first.clone(),
        time => since(time, now),
    };
    let mut count = int(either("count", "deprecatedCount")).max(1);
    if event["series"].is_object() {
        last = since(&event["series"]["lastObservedTime"], now);
        count = int(&event["series"]["count"]);
    }
    let mut object = text(&about["kind"]).to_lowercase();
    if !text(&about["name"]).is_empty() {
        object = format!("{object}/{}", text(&about["name"]));
    }
    let source = either("source", "deprecatedSource");
    let component = text_or(&source["component"], text(either("reportingComponent", "reportingController")));
    let host = text_or(&source["host"], text(&event["reportingInstance"]));
    let source = if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") };
    row![
        last,
        text(&event["type"]),
        text(&event["reason"]),
        object,
        text(&about["fieldPath"]),
        source,
        text(either("message", "note")).trim(),
        first,
        count,
        meta::name(event),
    ]
}

pub(super) fn resource_quota(quota: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in quota["status"]["hard"].as_object().into_iter().flatten() {
        let shown =
            format!("{resource}: {}/{}", quantity(&quota["status"]["used"][resource]), quantity(hard));
        if resource.starts_with("limits.") { limits.push(shown) } else { requests.push(shown) }
    }
    row![meta::name(quota), requests.join(", "), limits.join(", "), age(quota, now)]
}

pub(super) fn api_service(api: &Value, now: Timestamp) -> Vec<Value> {
    let service = &api["spec"]["service"];
    let service = if service.is_object() {
        format!("{}/{}", text(&service["namespace"]), text(&service["name"]))
    } else {
        "Local".into()
    };
    let available = list(&api["status"]["conditions"]).iter().find(|c| c["type"] == "Available");
    let available = match available {
        None => "Unknown".into(),
        Some(condition) if condition["status"] == "True" => "True".into(),
        Some(condition) => format!("{} ({})", text(&condition["status"]), text(&condition["reason"])),
    };
    row![meta::name(api), service, available, age(api, now)]
}
