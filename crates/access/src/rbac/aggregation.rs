//! ClusterRoles whose rules are the union of other ClusterRoles' rules, chosen by label selectors.

use object::meta;
use serde_json::Value;

/// Has the role an aggregation rule with a selector?
pub fn is_aggregated(role: &Value) -> bool {
    selectors(role).next().is_some()
}

/// Has it an aggregation rule at all, even one that selects nothing?
pub(super) fn has_aggregation_rule(role: &Value) -> bool {
    role["aggregationRule"].is_object()
}

fn selectors(role: &Value) -> impl Iterator<Item = &Value> {
    role["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten()
}

/// The rules an aggregated role must have, given all ClusterRoles (itself is passed over): selector by selector, the
/// matching roles by name, each rule once.
pub fn aggregated_rules<'a>(role: &Value, all: impl Iterator<Item = &'a Value> + Clone) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for selector in selectors(role) {
        let mut matching: Vec<&Value> = all
            .clone()
            .filter(|other| meta::name(other) != meta::name(role) && selects(selector, other))
            .collect();
        matching.sort_by_key(|other| meta::name(other));
        for rule in matching.iter().flat_map(|other| other["rules"].as_array().into_iter().flatten()) {
            if seen.insert(rule.to_string()) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}

/// The rules to set, if the role is aggregated and has other rules.
pub fn reconcile_aggregation<'a>(
    role: &Value,
    all: impl Iterator<Item = &'a Value> + Clone,
) -> Option<Value> {
    if !is_aggregated(role) {
        return None;
    }
    let rules = aggregated_rules(role, all);
    let current = role["rules"].as_array().map_or(&[][..], Vec::as_slice);
    (current != rules.as_slice()).then(|| rules.into())
}

/// Does a `LabelSelector` object select the object's labels? A malformed one selects nothing.
fn selects(selector: &Value, object: &Value) -> bool {
    let labels = |key: &str| meta::label(object, key);
    let matches = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    matches.into_iter().all(|(key, value)| value.as_str().is_some_and(|value| labels(key) == Some(value)))
        && expressions.into_iter().all(|expression| {
            let value = expression["key"].as_str().and_then(labels);
            let listed = || {
                let values = expression["values"].as_array().into_iter().flatten();
                values.filter_map(Value::as_str).any(|one| value == Some(one))
            };
            match expression["operator"].as_str().unwrap_or("") {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(name: &str, label: &str, verb: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {label: "true"}},
               "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]})
    }

    #[test]
    fn union_in_order_without_repeats() {
        let all = [
            role("z", "to-admin", "get"),
            role("a", "to-admin", "list"),
            role("m", "to-admin", "get"),
            role("n", "other", "x"),
        ];
        let mut admin = json!({"metadata": {"name": "admin", "labels": {"to-admin": "true"}},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-admin": "true"}}]}, "rules": null});
        let rules = reconcile_aggregation(&admin, all.iter()).unwrap();
        let verbs: Vec<_> =
            rules.as_array().unwrap().iter().map(|rule| rule["verbs"][0].as_str().unwrap()).collect();
        assert_eq!(verbs, ["list", "get"]);
        admin["rules"] = rules;
        assert_eq!(reconcile_aggregation(&admin, all.iter()), None);
        assert_eq!(reconcile_aggregation(&all[0], all.iter()), None);
    }

    #[test]
    fn selectors() {
        let object = json!({"metadata": {"labels": {"a": "1"}}});
        for (selector, selected) in [
            (json!({}), true),
            (json!({"matchLabels": {"a": "1"}}), true),
            (json!({"matchLabels": {"a": "2"}}), false),
            (json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}), true),
            (json!({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}), true),
            (json!({"matchExpressions": [{"key": "b", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}), true),
            (json!({"matchExpressions": [{"key": "a", "operator": "Nonsense"}]}), false),
        ] {
            assert_eq!(selects(&selector, &object), selected, "{selector}");
        }
    }
}
