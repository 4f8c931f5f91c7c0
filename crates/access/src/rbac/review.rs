//! What a user may do in a namespace, as a `SelfSubjectRulesReview` tells it.

use super::authorize::aggregate;
use super::{RbacIndex, Rule};
use crate::user::UserInfo;
use serde_json::{Map, Value, json};

/// The `status` of a `SelfSubjectRulesReview`.
pub fn rules_review_status(index: &RbacIndex, user: &UserInfo, namespace: &str) -> Value {
    let (rules, errors) = index.rules_for(user, namespace);
    let (mut resource_rules, mut non_resource_rules) = (Vec::new(), Vec::new());
    for rule in &rules {
        if !rule.resources.is_empty() {
            resource_rules.push(part(rule, &["verbs", "apiGroups", "resources", "resourceNames"]));
        }
        if !rule.non_resource_urls.is_empty() {
            non_resource_rules.push(part(rule, &["verbs", "nonResourceURLs"]));
        }
    }
    let mut status = json!({
        "resourceRules": resource_rules, "nonResourceRules": non_resource_rules, "incomplete": false,
    });
    if !errors.is_empty() {
        status["evaluationError"] = aggregate(&errors).into();
    }
    status
}

fn part(rule: &Rule, keys: &[&str]) -> Value {
    let mut json = rule.to_json();
    let json = json.as_object_mut().map(std::mem::take).unwrap_or_default();
    json.into_iter().filter(|(key, _)| keys.contains(&key.as_str())).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_and_path_rules_apart() {
        let mut index = RbacIndex::default();
        let rules = json!([
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"]},
            {"verbs": ["get"], "nonResourceURLs": ["/version"]},
        ]);
        index.upsert("ClusterRole", &json!({"metadata": {"name": "r"}, "rules": rules}));
        for (binding, role) in [("a", "r"), ("b", "gone")] {
            index.upsert(
                "ClusterRoleBinding",
                &json!({"metadata": {"name": binding}, "roleRef": {"kind": "ClusterRole", "name": role},
                        "subjects": [{"kind": "User", "name": "jane"}]}),
            );
        }
        let status = rules_review_status(&index, &UserInfo::new("jane", &[]), "ns");
        assert_eq!(
            status,
            json!({
                "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"]}],
                "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/version"]}],
                "incomplete": false,
                "evaluationError": "clusterrole.rbac.authorization.k8s.io \"gone\" not found",
            })
        );
    }
}
