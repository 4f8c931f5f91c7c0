//! Roles, ClusterRoles and their bindings.

use crate::node::{Errors, Node, check_required_text, check_text};
use crate::selectors::label_selector;
use object::{FieldError, LabelSelector, names};
use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";

fn rules(e: &mut Errors, object: &Value, namespaced: bool) {
    for rule in Node::root(object).get("rules").items() {
        let urls = rule.get("nonResourceURLs");
        if rule.get("verbs").is_empty() {
            e.push(rule.get("verbs").required("verbs must contain at least one value"));
        }
        if !urls.is_empty() {
            if namespaced {
                e.push(urls.invalid("namespaced rules cannot apply to non-resource URLs"));
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|f| !rule.get(f).is_empty()) {
                e.push(urls.invalid("rules cannot apply to both regular resources and non-resource URLs"));
            }
            continue;
        }
        if rule.get("apiGroups").is_empty() {
            e.push(rule.get("apiGroups").required("resource rules must supply at least one api group"));
        }
        if rule.get("resources").is_empty() {
            e.push(rule.get("resources").required("resource rules must supply at least one resource"));
        }
    }
}

/// A Role.
pub fn role(e: &mut Errors, object: &Value) {
    rules(e, object, true);
}

/// An update of a Role.
pub fn role_update(e: &mut Errors, new: &Value, _old: &Value) {
    role(e, new);
}

/// A ClusterRole.
pub fn cluster_role(e: &mut Errors, object: &Value) {
    rules(e, object, false);
    let aggregation = Node::root(object).get("aggregationRule");
    if !aggregation.is_set() {
        return;
    }
    let selectors = aggregation.get("clusterRoleSelectors");
    if selectors.is_empty() {
        e.push(selectors.required("at least one clusterRoleSelector required if aggregationRule is non-nil"));
    }
    for selector in selectors.items() {
        label_selector(e, &selector);
        if LabelSelector::from_object(selector.value).is_err() {
            e.push(selector.invalid_as(Value::Null, "invalid label selector."));
        }
    }
}

/// An update of a ClusterRole.
pub fn cluster_role_update(e: &mut Errors, new: &Value, _old: &Value) {
    cluster_role(e, new);
}

/// A RoleBinding.
pub fn role_binding(e: &mut Errors, object: &Value) {
    binding(e, object, true);
}

/// A ClusterRoleBinding.
pub fn cluster_role_binding(e: &mut Errors, object: &Value) {
    binding(e, object, false);
}

fn binding(e: &mut Errors, object: &Value, namespaced: bool) {
    let root = Node::root(object);
    let role = root.get("roleRef");
    let (group, kind) = (role.get("apiGroup"), role.get("kind"));
    if group.text() != GROUP {
        e.push(group.not_supported(&[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind.text()) {
        e.push(kind.not_supported(kinds));
    }
    check_required_text(e, &role.get("name"), names::path_segment_name);
    root.get("subjects").items().for_each(|s| subject(e, &s, namespaced));
}

fn subject(e: &mut Errors, subject: &Node<'_>, namespaced: bool) {
    let (name, kind, group) = (subject.get("name"), subject.get("kind"), subject.get("apiGroup"));
    if name.is_empty() {
        e.push(name.required(""));
    }
    match kind.text() {
        "ServiceAccount" => {
            if !name.is_empty() {
                check_text(e, &name, names::dns1123_subdomain);
            }
            if !group.is_empty() {
                e.push(group.not_supported(&[""]));
            }
            if !namespaced && subject.get("namespace").is_empty() {
                e.push(subject.get("namespace").required(""));
            }
        }
        "User" | "Group" => {
            if group.text() != GROUP {
                e.push(group.not_supported(&[GROUP]));
            }
        }
        _ => e.push(kind.not_supported(&["ServiceAccount", "User", "Group"])),
    }
}

fn same_role(e: &mut Errors, new: &Value, old: &Value) {
    let role = Node::root(new).get("roleRef");
    if role.value != &old["roleRef"] {
        // Go shows its own struct.
        let text = |field: &str| json!(role.get(field).text());
        let shown = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            text("apiGroup"),
            text("kind"),
            text("name")
        );
        e.push(FieldError::invalid_shown(&role.path, &shown, "cannot change roleRef"));
    }
}

/// An update of a RoleBinding: its role stays.
pub fn role_binding_update(e: &mut Errors, new: &Value, old: &Value) {
    role_binding(e, new);
    same_role(e, new, old);
}

/// An update of a ClusterRoleBinding: its role stays.
pub fn cluster_role_binding_update(e: &mut Errors, new: &Value, old: &Value) {
    cluster_role_binding(e, new);
    same_role(e, new, old);
}
