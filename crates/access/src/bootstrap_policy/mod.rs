//! The roles and bindings every cluster starts with, and how they are kept when someone changed them.
//!
//! The table is text (`policy.txt`), read whenever a cluster starts: as objects it takes twenty times the memory, and is
//! wanted seldom. Aggregated roles (`admin`, `edit`, `view`) come with their rules filled in, so that they work before any
//! controller runs.

mod reconcile;

pub use reconcile::{Reconcile, reconcile};

use crate::rbac::aggregated_rules;
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("policy.txt");
const GROUP: &str = "rbac.authorization.k8s.io";

/// All of them: ClusterRoles and their bindings, Roles and RoleBindings of `kube-system` and `kube-public`; each with
/// `apiVersion`, `kind` and name. Roles come before the bindings that give them.
pub fn objects() -> Vec<Value> {
    let mut objects = parse(TABLE);
    // Inner before outer: admin takes in edit, edit takes in view.
    for name in ["view", "edit", "admin"] {
        let at = objects
            .iter()
            .position(|object| object["kind"] == "ClusterRole" && object["metadata"]["name"] == name);
        if let Some(at) = at {
            let roles = objects.iter().filter(|object| object["kind"] == "ClusterRole");
            let rules = aggregated_rules(&objects[at], roles);
            objects[at]["rules"] = rules.into();
        }
    }
    objects
}

fn parse(table: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    let mut bindings: Vec<Value> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            if let Some(role) = objects.last_mut() {
                add_rule(role, &words);
            }
            continue;
        }
        match words.as_slice() {
            ["clusterrole", name, labels @ ..] => objects.push(role("ClusterRole", "", name, labels)),
            ["role", namespace, name] => objects.push(role("Role", namespace, name, &[])),
            ["controller", account] => {
                let name = format!("system:controller:{account}");
                bindings.push(binding(
                    "",
                    &name,
                    "ClusterRole",
                    &name,
                    &[&format!("ServiceAccount:kube-system/{account}")],
                ));
                objects.push(role("ClusterRole", "", &name, &[]));
            }
            ["clusterrolebinding", name, role, subjects @ ..] => {
                bindings.push(binding("", name, "ClusterRole", role, subjects));
            }
            ["rolebinding", namespace, name, role, subjects @ ..] => {
                bindings.push(binding(namespace, name, "Role", role, subjects));
            }
            _ => debug_assert!(false, "policy.txt: {line}"),
        }
    }
    objects.append(&mut bindings);
    objects
}

fn metadata(namespace: &str, name: &str, labels: &[&str]) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    for label in labels {
        metadata["labels"][format!("{GROUP}/{label}")] = "true".into();
    }
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn role(kind: &str, namespace: &str, name: &str, labels: &[&str]) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": metadata(namespace, name, labels), "rules": [],
    })
}

fn binding(namespace: &str, name: &str, role_kind: &str, role: &str, subjects: &[&str]) -> Value {
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata(namespace, name, &[]),
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role},
    });
    if !subjects.is_empty() {
        object["subjects"] = subjects.iter().filter_map(|text| subject(text)).collect::<Vec<_>>().into();
    }
    object
}

fn subject(text: &str) -> Option<Value> {
    let (kind, name) = text.split_once(':')?;
    Some(match name.split_once('/').filter(|_| kind == "ServiceAccount") {
        Some((namespace, name)) => json!({"kind": kind, "namespace": namespace, "name": name}),
        None => json!({"kind": kind, "apiGroup": GROUP, "name": name}),
    })
}

fn add_rule(role: &mut Value, words: &[&str]) {
    if let ["aggregate", label] = words {
        let selector = json!({"matchLabels": {format!("{GROUP}/{label}"): "true"}});
        role["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
        return;
    }
    let list = |text: &str| -> Value { text.split(',').collect::<Vec<_>>().into() };
    let mut rule = Map::new();
    match words {
        ["events"] => {
            rule.insert("verbs".into(), list("create,patch,update"));
            rule.insert("apiGroups".into(), list(",events.k8s.io"));
            rule.insert("resources".into(), list("events"));
        }
        [verbs, paths] => {
            rule.insert("verbs".into(), self::verbs(verbs));
            rule.insert("nonResourceURLs".into(), list(paths));
        }
        [verbs, groups, resources, names @ ..] => {
            rule.insert("verbs".into(), self::verbs(verbs));
            let groups: Vec<_> =
                groups.split(',').map(|group| if group == "core" { "" } else { group }).collect();
            rule.insert("apiGroups".into(), groups.into());
            rule.insert("resources".into(), list(resources));
            if let [names] = names {
                rule.insert("resourceNames".into(), list(names));
            }
        }
        _ => debug_assert!(false, "policy.txt: rule {words:?}"),
    }
    if let Some(rules) = role["rules"].as_array_mut() {
        rules.push(rule.into());
    }
}

fn verbs(text: &str) -> Value {
    let mut verbs: Vec<&str> = Vec::new();
    for word in text.split(',') {
        match word {
            "read" => verbs.extend(["get", "list", "watch"]),
            "write" => verbs.extend(["create", "delete", "deletecollection", "patch", "update"]),
            verb => verbs.push(verb),
        }
    }
    verbs.sort_unstable();
    verbs.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::{RbacIndex, reconcile_aggregation};
    use crate::{Attributes, UserInfo};

    #[test]
    fn the_table_is_whole() {
        let count = |kind: &str| objects().iter().filter(|object| object["kind"] == kind).count();
        let counts = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"].map(count);
        assert_eq!(counts, [69, 50, 7, 7]);
        let mut names = std::collections::HashSet::new();
        let objects = objects();
        for object in &objects {
            assert!(names.insert((
                object["kind"].as_str(),
                object["metadata"]["namespace"].as_str(),
                object["metadata"]["name"].as_str()
            )));
            let rules = object["rules"].as_array().into_iter().flatten();
            for rule in rules {
                let verbs = rule["verbs"].as_array().unwrap();
                assert!(!verbs.is_empty() && verbs.iter().all(|verb| verb != ""), "{object}");
                for key in ["apiGroups", "resources", "resourceNames", "nonResourceURLs"] {
                    let words: Vec<_> = rule[key].as_array().into_iter().flatten().collect();
                    assert!(words.is_sorted_by_key(|word| word.as_str()), "{key} of {rule}");
                }
            }
        }
    }

    #[test]
    fn every_binding_has_its_role_and_every_aggregate_its_rules() {
        let objects = objects();
        for object in objects.iter().filter(|object| object["roleRef"].is_object()) {
            let kind = &object["roleRef"]["kind"];
            let namespace =
                if kind == "Role" { object["metadata"]["namespace"].clone() } else { Value::Null };
            assert!(
                objects.iter().any(|role| &role["kind"] == kind
                    && role["metadata"]["name"] == object["roleRef"]["name"]
                    && role["metadata"]["namespace"] == namespace),
                "{object}"
            );
        }
        let roles = || objects.iter().filter(|object| object["kind"] == "ClusterRole");
        for role in roles() {
            assert_eq!(reconcile_aggregation(role, roles()), None);
            assert!(!role["rules"].as_array().unwrap().is_empty());
        }
    }

    #[test]
    fn who_may_do_what_by_default() {
        let mut index = RbacIndex::default();
        for object in objects() {
            index.upsert(object["kind"].as_str().unwrap(), &object);
        }
        let bind = |name: &str| {
            json!({"metadata": {"name": name, "namespace": "ns"}, "roleRef": {"kind": "ClusterRole", "name": name},
                   "subjects": [{"kind": "User", "name": format!("{name}or")}]})
        };
        for name in ["admin", "edit", "view"] {
            index.upsert("RoleBinding", &bind(name));
        }
        let on = |user: &str, groups: &[&str], verb: &str, group: &str, resource: &str, namespace: &str| {
            Attributes::resource(UserInfo::new(user, groups), verb, group, resource, namespace, "x")
        };
        let at = |user: UserInfo, path: &str| Attributes::path(user, "get", path);
        let known = || UserInfo::new("x", &["system:authenticated"]);
        for (request, allowed) in [
            (on("x", &["system:masters"], "delete", "any", "thing", ""), true),
            (at(UserInfo::anonymous(), "/version"), true),
            (at(UserInfo::anonymous(), "/healthz"), true),
            (at(UserInfo::anonymous(), "/api"), false),
            (at(known(), "/apis/apps/v1"), true),
            (at(known(), "/openapi/v3"), true),
            (at(known(), "/metrics"), false),
            (at(known(), "/.well-known/openid-configuration"), false),
            (at(UserInfo::service_account("a", "b", "").authenticated(), "/openid/v1/jwks"), true),
            (on("viewor", &[], "get", "", "pods", "ns"), true),
            (on("viewor", &[], "get", "", "secrets", "ns"), false),
            (on("viewor", &[], "create", "apps", "deployments", "ns"), false),
            (on("editor", &[], "get", "", "pods", "ns"), true),
            (on("editor", &[], "create", "apps", "deployments", "ns"), true),
            (on("editor", &[], "create", "rbac.authorization.k8s.io", "roles", "ns"), false),
            (on("editor", &[], "create", "", "pods", "other"), false),
            (on("adminor", &[], "create", "rbac.authorization.k8s.io", "roles", "ns"), true),
            (on("adminor", &[], "update", "", "resourcequotas", "ns"), false),
            (on("system:kube-scheduler", &[], "create", "", "pods/binding", "ns"), true),
            (on("system:serviceaccount:kube-system:job-controller", &[], "create", "", "pods", "ns"), true),
            (on("system:serviceaccount:kube-system:job-controller", &[], "get", "", "secrets", "ns"), false),
            (on("system:node:n", &["system:nodes"], "get", "", "pods", "ns"), false),
        ] {
            assert_eq!(index.authorize(&request).is_allowed(), allowed, "{request:?}");
        }
    }
}
