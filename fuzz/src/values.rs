//! Small languages: selectors, quantities, times, paths, schedules, names; audit policies; frames of SPDY.

use crate::targets::{line, text};
use kinds::jsonpath::JsonPath;
use node::spdy::frame::Frame;
use object::{FieldSelector, GroupVersionKind, LabelSelector, Quantity, Value, json, time};

/// Label and field selectors; as JSON, those of objects.
pub(crate) fn selectors(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let labels = json!({"app": "a", "tier": "", "n": "7"});
    if let Ok(selector) = LabelSelector::parse(text) {
        let written = selector.to_string();
        let again = LabelSelector::parse(&written).unwrap_or_else(|e| panic!("{written}: {e}"));
        assert_eq!(again.to_string(), written);
        assert_eq!(again.matches_labels(&labels), selector.matches_labels(&labels), "{written}");
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let written = selector.to_string();
        let again = FieldSelector::parse(&written).unwrap_or_else(|e| panic!("{written}: {e}"));
        // Parts are sorted as they were written, so `a==c` may change places with `a=b`.
        assert_eq!(again.requirements().len(), selector.requirements().len(), "{written}");
        selector.matches(|field| if field == "metadata.name" { "a" } else { "" });
    }
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && let Ok(selector) = LabelSelector::from_object(&value)
    {
        selector.matches_labels(&labels);
    }
}

/// What stands in one string.
pub(crate) fn values(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(quantity) = Quantity::parse(text) {
        let written = quantity.to_string();
        let again = Quantity::parse(&written).unwrap_or_else(|e| panic!("{text} is {written}: {e}"));
        assert_eq!(again.to_string(), written, "{text}");
        let _ = (quantity.add(&again), quantity.sub(&again).is_zero(), quantity.milli_value());
        let _ = (quantity.value(), quantity.as_f64(), quantity.negated().signum());
    }
    for at in [time::parse(text), time::parse_micro(text)].into_iter().flatten() {
        let written = time::format(at);
        assert!(time::parse(&written).is_ok(), "{text} is {written}");
    }
    if let Ok(nanoseconds) = time::duration::parse(text) {
        let written = time::duration::format(nanoseconds);
        assert_eq!(time::duration::parse(&written), Ok(nanoseconds), "{text} is {written}");
    }
    if let Ok(path) = JsonPath::parse(text) {
        let (object, _) = sample();
        assert!(path.find(&object).len() < 100_000);
    }
    let (_, mut job) = sample();
    job["spec"]["schedule"] = text.into();
    job["spec"]["timeZone"] = text.into();
    job["metadata"]["name"] = text.into();
    job["metadata"]["labels"] = json!({text: text});
    validation::validate_create(&GroupVersionKind::new("batch", "v1", "CronJob"), &job);
    let _ = schema::custom::go_regex(text);
    let _ = kinds::version::priority_order(text, "v1beta1");
}

fn sample() -> (Value, Value) {
    let object = json!({"a": {"b": [{"c": 1, "d": "x"}, {"c": 2, "e": [1, 2, 3]}], "k.l/m": {"n": null}}, "f": [[1], [2, 3]]});
    let pod = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    (
        object,
        json!({"metadata": {"namespace": "default"}, "spec": {"jobTemplate": {"spec": {"template": pod}}}}),
    )
}

/// A cron schedule; on the next line a time zone, then the time from which on it counts. The next times come in order, and end.
pub(crate) fn schedules(data: &[u8]) {
    let (schedule, rest) = line(data);
    let (zone, after) = line(rest);
    let (Some(schedule), Some(zone), Some(after)) = (text(schedule), text(zone), text(after)) else { return };
    let after = time::parse(after.trim_end()).unwrap_or_default();
    let Ok(Some(next)) = controllers::next_start(schedule, zone, after) else { return };
    assert!(next > after, "{schedule} in {zone}: {next} is not after {after}");
    if let Ok(Some(later)) = controllers::next_start(schedule, zone, next) {
        assert!(later > next, "{schedule} in {zone}: {later} is not after {next}");
    }
}

/// The policy of an audit log, in YAML.
pub(crate) fn audit_policy(data: &[u8]) {
    if let Some(text) = text(data) {
        let _ = audit::Policy::parse(text);
    }
}

/// Frames of a SPDY connection after each other; on the first line, what clients say of terminals and addresses.
pub(crate) fn streams(data: &[u8]) {
    let (first, mut frames) = line(data);
    let _ = node::TerminalSize::parse(first);
    if let Some(text) = text(first) {
        let query = node::Query::parse(text);
        let _ = (node::ExecOptions::parse(&query), node::LogOptions::parse(&query, "pod"));
        let _ = (node::PortForwardOptions::parse(&query), node::proxy::Named::parse(text));
    }
    let reading = async {
        while let Ok(Some(frame)) = Frame::read(&mut frames).await {
            let written = frame.encode();
            if written.is_empty() {
                // What is passed over is never written.
                continue;
            }
            let mut rest = &written[..];
            let again = Frame::read(&mut rest).await.expect("what was written is readable");
            assert_eq!(again.map(|frame| frame.encode()), Some(written), "writing twice changes nothing");
        }
    };
    futures::FutureExt::now_or_never(reading).expect("bytes that are there are not waited for");
}
