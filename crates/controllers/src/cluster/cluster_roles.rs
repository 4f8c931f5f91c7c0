//! Cluster roles that are made of others: the rules of all roles that their selectors take.

use crate::common::owners;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::CLUSTER_ROLES;
use client::{Cache, Change};
use jiff::Timestamp;
use object::{GroupVersionResource, LabelSelector, meta};
use serde_json::{Value, json};

pub(crate) struct ClusterRoleAggregation;

impl Controller for ClusterRoleAggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&CLUSTER_ROLES]
    }

    fn keys(&self, cache: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        for role in cache.list(&CLUSTER_ROLES, "") {
            let Some(value) = role.value() else { continue };
            let selectors = selectors(&value);
            let concerned = role.name == change.entry().name
                || change
                    .both()
                    .any(|changed| selectors.iter().any(|selector| owners::matches(selector, changed)));
            if !selectors.is_empty() && concerned {
                add(Key::new("", &role.name));
            }
        }
    }

    fn plan(&self, cache: &Cache, key: &Key, _: Timestamp) -> Plan {
        let Some(role) = cache.get(&CLUSTER_ROLES, "", &key.name) else { return Plan::nothing() };
        let selectors = selectors(&role);
        if selectors.is_empty() || meta::deletion_timestamp(&role).is_some() {
            return Plan::nothing();
        }
        let mut rules: Vec<Value> = vec![];
        for selector in &selectors {
            for other in cache.list(&CLUSTER_ROLES, "") {
                if *other.name == *key.name || !owners::matches(selector, &other) {
                    continue;
                }
                for rule in other
                    .value()
                    .iter()
                    .flat_map(|other| other["rules"].as_array().cloned().unwrap_or_default())
                {
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
        let known = role["rules"].as_array().cloned().unwrap_or_default();
        if known == rules {
            return Plan::nothing();
        }
        Plan::of(vec![Action::merge(&CLUSTER_ROLES, &role, json!({"rules": rules}))])
    }
}

fn selectors(role: &Value) -> Vec<LabelSelector> {
    let all = role["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten();
    all.filter_map(|selector| LabelSelector::from_object(selector).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{shown, snapshot};

    #[test]
    fn rules_are_gathered_once_each() {
        let role = |name: &str, label: &str, rules: Value| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": name, "labels": {"to": label}}, "rules": rules})
        };
        let mut all = role("all", "", json!([]));
        all["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]});
        let (one, two) = (json!({"verbs": ["get"]}), json!({"verbs": ["list"]}));
        let cache = snapshot(vec![
            all,
            role("a", "all", json!([one])),
            role("b", "all", json!([one, two])),
            role("c", "x", json!([two])),
        ]);
        let plan =
            shown(ClusterRoleAggregation.plan(&cache, &Key::new("", "all"), Timestamp::UNIX_EPOCH), &cache);
        assert_eq!(plan.len(), 1);
        assert_eq!(plan[0].matches("get").count() + plan[0].matches("list").count(), 2, "{plan:?}");
    }
}
