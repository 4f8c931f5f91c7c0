//! Go's way of showing a few things, where messages that clients read hold them.

use serde_json::Value;
use std::fmt::Write;

/// A LabelSelector as Go's `%v` shows it.
pub(crate) fn selector(selector: &Value) -> String {
    let Some(map) = selector.as_object() else { return "nil".to_owned() };
    let mut labels = String::new();
    let mut pairs: Vec<_> = map.get("matchLabels").and_then(Value::as_object).into_iter().flatten().collect();
    pairs.sort_by_key(|(key, _)| key.as_str());
    for (key, value) in pairs {
        let _ = write!(labels, "{key}: {},", value.as_str().unwrap_or(""));
    }
    let mut expressions = String::new();
    for one in map.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| one[field].as_str().unwrap_or("").to_owned();
        let values: Vec<_> =
            one["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let _ = write!(
            expressions,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
            text("key"),
            text("operator"),
            values.join(" ")
        );
    }
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn selectors_are_shown_as_go_shows_them() {
        let some = json!({"matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]});
        assert_eq!(
            super::selector(&some),
            "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{\
             LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}"
        );
        assert_eq!(super::selector(&json!(null)), "nil");
    }
}
