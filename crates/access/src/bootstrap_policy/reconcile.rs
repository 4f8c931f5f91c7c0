//! Keeps a default role or binding able to do its work: what is missing is added, what someone added stays.
//!
//! An object annotated `rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone.

use crate::rbac::{covers, rules_from_json, rules_to_json};
use object::meta;
use serde_json::{Value, json};

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Reconcile {
    /// There is none yet.
    Create(Value),
    /// Replace the existing one.
    Update(Value),
    /// Delete the existing one and create this: a binding's role cannot be changed.
    Recreate(Value),
}

/// Compares an existing default role or binding with what it should be; `None` when it is good.
pub fn reconcile(existing: Option<&Value>, wanted: &Value) -> Option<Reconcile> {
    let Some(existing) = existing else { return Some(Reconcile::Create(wanted.clone())) };
    if meta::annotation(existing, AUTOUPDATE) == Some("false") {
        return None;
    }
    if wanted["roleRef"].is_object() && !same_role(&existing["roleRef"], &wanted["roleRef"]) {
        return Some(Reconcile::Recreate(wanted.clone()));
    }
    let mut result = existing.clone();
    for (key, value) in meta::annotations(wanted) {
        if meta::annotation(existing, key).is_none() {
            meta::set_annotation(&mut result, key, value);
        }
    }
    for (key, value) in meta::labels(wanted) {
        if meta::label(existing, key).is_none() {
            meta::set_label(&mut result, key, value);
        }
    }
    if wanted["roleRef"].is_object() {
        add_missing(&mut result, "subjects", &wanted["subjects"]);
    } else if wanted["aggregationRule"].is_object() {
        // The rules of an aggregated role are the aggregation controller's.
        let selectors = &wanted["aggregationRule"]["clusterRoleSelectors"];
        let mut rule = existing
            .get("aggregationRule")
            .filter(|rule| rule.is_object())
            .cloned()
            .unwrap_or_else(|| json!({}));
        add_missing(&mut rule, "clusterRoleSelectors", selectors);
        result["aggregationRule"] = rule;
    } else {
        let (_, missing) = covers(&rules_from_json(&existing["rules"]), &rules_from_json(&wanted["rules"]));
        add_missing(&mut result, "rules", &rules_to_json(&missing));
    }
    (result != *existing).then_some(Reconcile::Update(result))
}

fn same_role(a: &Value, b: &Value) -> bool {
    // A v1 binding may leave out the group, which has one value only.
    a["kind"] == b["kind"] && a["name"] == b["name"]
}

/// Appends what the list under `key` (made if there is none) lacks of `wanted`.
fn add_missing(parent: &mut Value, key: &str, wanted: &Value) {
    let have = parent[key].as_array().map_or(&[][..], Vec::as_slice);
    let missing: Vec<Value> =
        wanted.as_array().into_iter().flatten().filter(|item| !have.contains(item)).cloned().collect();
    if missing.is_empty() {
        return;
    }
    match parent.get_mut(key).and_then(Value::as_array_mut) {
        Some(list) => list.extend(missing),
        None => parent[key] = missing.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap_policy::objects;

    fn find(kind: &str, name: &str) -> Value {
        objects().into_iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name).unwrap()
    }

    #[test]
    fn new_and_unchanged() {
        for object in &objects() {
            assert_eq!(reconcile(Some(object), object), None);
            assert_eq!(reconcile(None, object), Some(Reconcile::Create(object.clone())));
        }
    }

    #[test]
    fn missing_rules_come_back_and_extra_ones_stay() {
        let wanted = find("ClusterRole", "system:volume-scheduler");
        let extra = json!({"verbs": ["get"], "apiGroups": ["x"], "resources": ["y"]});
        let mut existing = wanted.clone();
        existing["rules"][2] = extra.clone();
        existing["metadata"]["labels"] = json!({"own": "label"});
        let Some(Reconcile::Update(updated)) = reconcile(Some(&existing), &wanted) else {
            panic!("an update")
        };
        assert_eq!(updated["rules"][2], extra);
        assert_eq!(
            updated["metadata"]["labels"],
            json!({"own": "label", "kubernetes.io/bootstrapping": "rbac-defaults"})
        );
        assert_eq!(reconcile(Some(&updated), &wanted), None);
        assert!(updated["rules"].as_array().unwrap().len() > 3);

        existing["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        assert_eq!(reconcile(Some(&existing), &wanted), None);
    }

    #[test]
    fn bindings() {
        let wanted = find("ClusterRoleBinding", "system:discovery");
        let mut existing = wanted.clone();
        existing["subjects"] =
            json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "own"}]);
        let Some(Reconcile::Update(updated)) = reconcile(Some(&existing), &wanted) else {
            panic!("an update")
        };
        assert_eq!(updated["subjects"].as_array().unwrap().len(), 2);
        existing["roleRef"]["name"] = "other".into();
        assert_eq!(reconcile(Some(&existing), &wanted), Some(Reconcile::Recreate(wanted)));
    }

    #[test]
    fn aggregated_roles_keep_their_rules() {
        let wanted = find("ClusterRole", "view");
        let mut existing = wanted.clone();
        existing["rules"] = json!([]);
        assert_eq!(reconcile(Some(&existing), &wanted), None);
        existing.as_object_mut().unwrap().remove("aggregationRule");
        let Some(Reconcile::Update(updated)) = reconcile(Some(&existing), &wanted) else {
            panic!("an update")
        };
        assert_eq!(updated["aggregationRule"], wanted["aggregationRule"]);
    }
}
