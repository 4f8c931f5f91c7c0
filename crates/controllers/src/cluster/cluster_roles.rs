//! Cluster roles that are made of others: the rules of all roles that their selectors take.

use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan, Verb};
use crate::resources::CLUSTER_ROLES;
use client::{Cache, Change, ListOptions, Patch};
use futures::future::BoxFuture;
use object::{GroupVersionResource, LabelSelector, Result, meta};
use serde_json::{Value, json};

/// No roles are kept: a cluster has many, few are made of others, and they seldom change.
pub(crate) struct ClusterRoleAggregation;

impl Controller for ClusterRoleAggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![]
    }

    fn watches_changes(&self) -> Vec<&'static GroupVersionResource> {
        vec![&CLUSTER_ROLES]
    }

    fn starts_with(&self) -> Vec<Key> {
        vec![Key::new("", "")]
    }

    fn keys(&self, _: &Cache, _: &Change, add: &mut dyn FnMut(Key)) {
        // All are looked at together.
        add(Key::new("", ""));
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, _: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let roles = shell.client.list_all(&CLUSTER_ROLES, "", &ListOptions::default()).await?.items;
            Ok(Plan::of(roles.iter().filter_map(|role| aggregate(role, &roles)).collect()))
        })
    }
}

/// What makes a role have all the rules it should.
fn aggregate(role: &Value, all: &[Value]) -> Option<Action> {
    let selectors = selectors(role);
    if selectors.is_empty() || meta::deletion_timestamp(role).is_some() {
        return None;
    }
    let mut rules: Vec<Value> = vec![];
    for selector in &selectors {
        let others = all
            .iter()
            .filter(|other| meta::name(other) != meta::name(role) && selector.matches_object(other));
        for rule in others.flat_map(|other| other["rules"].as_array().into_iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    let known = role["rules"].as_array().map_or(&[][..], Vec::as_slice);
    (known != rules).then(|| apply(role, rules))
}

fn apply(role: &Value, rules: Vec<Value>) -> Action {
    let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": meta::name(role)}, "rules": rules});
    let mut action = Action::merge(&CLUSTER_ROLES, role, Value::Null);
    if let Verb::Patch { patch, .. } = &mut action.verb {
        *patch = Patch::Apply { manager: "clusterrole-aggregation-controller".into(), force: true, object };
    }
    action
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
        let roles = [
            all,
            role("a", "all", json!([one])),
            role("b", "all", json!([one, two])),
            role("c", "x", json!([two])),
        ];
        let actions = roles.iter().filter_map(|role| aggregate(role, &roles)).collect();
        let plan = shown(Plan::of(actions), &snapshot(vec![]));
        assert_eq!(plan.len(), 1);
        assert_eq!(plan[0].matches("get").count() + plan[0].matches("list").count(), 2, "{plan:?}");
    }
}
