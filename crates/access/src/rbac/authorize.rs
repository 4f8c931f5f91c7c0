//! Walks the rules that apply to a user, and decides with them.

use super::index::{Binding, Bindings, Subject};
use super::{Decision, RbacIndex, Rule};
use crate::attributes::Attributes;
use crate::user::UserInfo;
use object::error::quote;

/// A rule that applies to the user, and through what.
struct Grant<'a> {
    rule: &'a Rule,
    binding: &'a Binding,
    subject: &'a Subject,
    namespace: &'a str,
}

impl Grant<'_> {
    /// `RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "jane"`.
    fn reason(&self) -> String {
        let (kind, name) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", quote(&self.binding.name))
        } else {
            ("RoleBinding", quote(&format!("{}/{}", self.binding.name, self.namespace)))
        };
        let role = &self.binding.role;
        format!(
            "RBAC: allowed by {kind} {name} of {} {} to {}",
            role.kind(),
            quote(&role.name),
            self.subject.describe()
        )
    }
}

impl RbacIndex {
    /// Does some rule of the user's allow the request?
    pub fn authorize(&self, request: &Attributes) -> Decision {
        let mut allowed = None;
        let errors = self.visit(&request.user, &request.namespace, &mut |grant| {
            if grant.rule.allows(request) {
                allowed = Some(grant.reason());
            }
            allowed.is_none()
        });
        match allowed {
            Some(reason) => Decision::Allow(reason),
            None if errors.is_empty() => Decision::NoOpinion(String::new()),
            None => Decision::NoOpinion(format!("RBAC: {}", aggregate(&errors))),
        }
    }

    /// All rules of the user's, in the cluster scope and in `namespace` (if not empty), and the roles that could not
    /// be found. What is found counts even when something is not.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let mut rules = Vec::new();
        let errors = self.visit(user, namespace, &mut |grant| {
            rules.push(grant.rule.clone());
            true
        });
        (rules, errors)
    }

    /// Calls `see` with each rule until it says `false`; gives the errors met.
    fn visit<'a>(
        &'a self,
        user: &UserInfo,
        namespace: &'a str,
        see: &mut dyn FnMut(Grant<'a>) -> bool,
    ) -> Vec<String> {
        let mut errors = Vec::new();
        if self.visit_bindings(self.cluster_bindings(), user, "", see, &mut errors)
            && !namespace.is_empty()
            && let Some(bindings) = self.bindings_in(namespace)
        {
            self.visit_bindings(bindings, user, namespace, see, &mut errors);
        }
        errors
    }

    fn visit_bindings<'a>(
        &'a self,
        bindings: &'a Bindings,
        user: &UserInfo,
        namespace: &'a str,
        see: &mut dyn FnMut(Grant<'a>) -> bool,
        errors: &mut Vec<String>,
    ) -> bool {
        for binding in bindings.of(user) {
            let Some(subject) = binding.subject_of(user) else { continue };
            match self.role_rules(&binding.role, namespace) {
                Ok(rules) => {
                    for rule in rules.iter() {
                        if !see(Grant { rule, binding, subject, namespace }) {
                            return false;
                        }
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        true
    }
}

/// Several errors as Kubernetes joins them: `[a, b]`, each once.
pub(super) fn aggregate(errors: &[String]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for error in errors {
        if !seen.contains(&error.as_str()) {
            seen.push(error);
        }
    }
    match seen.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn role(name: &str, namespace: &str, rules: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace}, "rules": rules})
    }

    fn binding(name: &str, namespace: &str, role: (&str, &str), subjects: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace},
               "roleRef": {"kind": role.0, "name": role.1}, "subjects": subjects})
    }

    fn index() -> RbacIndex {
        let mut index = RbacIndex::default();
        let read = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}]);
        index.upsert("ClusterRole", &role("reader", "", read.clone()));
        index.upsert("Role", &role("r", "ns", read));
        index.upsert(
            "ClusterRole",
            &role("public", "", json!([{"verbs": ["get"], "nonResourceURLs": ["/version"]}])),
        );
        let user = |name: &str| json!({"kind": "User", "name": name});
        let group = |name: &str| json!({"kind": "Group", "name": name});
        index.upsert("RoleBinding", &binding("b", "ns", ("Role", "r"), json!([user("alice")])));
        index.upsert(
            "RoleBinding",
            &binding("c", "ns", ("ClusterRole", "reader"), json!([group("team"), user("alice")])),
        );
        index.upsert("RoleBinding", &binding("s", "ns", ("Role", "r"), json!([
            {"kind": "ServiceAccount", "name": "local"}, {"kind": "ServiceAccount", "name": "far", "namespace": "other"}])));
        index.upsert(
            "ClusterRoleBinding",
            &binding("p", "", ("ClusterRole", "public"), json!([group("system:authenticated")])),
        );
        index.upsert(
            "ClusterRoleBinding",
            &binding("all", "", ("ClusterRole", "reader"), json!([user("root")])),
        );
        index.upsert(
            "ClusterRoleBinding",
            &binding(
                "nobody",
                "",
                ("ClusterRole", "reader"),
                json!([
            {"kind": "ServiceAccount", "name": "local"}]),
            ),
        );
        index.upsert(
            "ClusterRoleBinding",
            &binding("gone", "", ("ClusterRole", "gone"), json!([user("orphan")])),
        );
        index.upsert("RoleBinding", &binding("gone", "ns", ("Role", "gone"), json!([user("orphan")])));
        index
    }

    #[test]
    fn decisions_and_reasons() {
        let index = index();
        let config_maps = |user: &str, groups: &[&str], namespace: &str| {
            Attributes::resource(UserInfo::new(user, groups), "get", "", "configmaps", namespace, "x")
        };
        let gone = r#"clusterrole.rbac.authorization.k8s.io "gone" not found"#;
        for (request, allowed, reason) in [
            (config_maps("alice", &[], "ns"), true, r#"RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "alice""#.to_owned()),
            (config_maps("alice", &[], "other"), false, String::new()),
            (config_maps("alice", &[], ""), false, String::new()),
            (config_maps("bob", &["x", "team"], "ns"), true, r#"RBAC: allowed by RoleBinding "c/ns" of ClusterRole "reader" to Group "team""#.into()),
            (config_maps("root", &[], "any"), true, r#"RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to User "root""#.into()),
            (config_maps("root", &[], ""), true, r#"RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to User "root""#.into()),
            (config_maps("system:serviceaccount:ns:local", &[], "ns"), true, r#"RBAC: allowed by RoleBinding "s/ns" of Role "r" to ServiceAccount "local/ns""#.into()),
            (config_maps("system:serviceaccount:other:far", &[], "ns"), true, r#"RBAC: allowed by RoleBinding "s/ns" of Role "r" to ServiceAccount "far/other""#.into()),
            (config_maps("system:serviceaccount:ns:local", &[], "other"), false, String::new()),
            (config_maps("orphan", &[], ""), false, format!("RBAC: {gone}")),
            (config_maps("orphan", &[], "ns"), false, format!(r#"RBAC: [{gone}, role.rbac.authorization.k8s.io "gone" not found]"#)),
            (Attributes::path(UserInfo::new("x", &["system:authenticated"]), "get", "/version"), true, r#"RBAC: allowed by ClusterRoleBinding "p" of ClusterRole "public" to Group "system:authenticated""#.into()),
            (Attributes::path(UserInfo::new("x", &[]), "get", "/version"), false, String::new()),
        ] {
            let decision = index.authorize(&request);
            assert_eq!((decision.is_allowed(), decision.reason()), (allowed, reason.as_str()), "{request:?}");
        }
    }

    #[test]
    fn rules_of_a_user() {
        let index = index();
        let (rules, errors) = index.rules_for(&UserInfo::new("alice", &["system:authenticated"]), "ns");
        assert_eq!((rules.len(), errors.len()), (3, 0));
        let (rules, _) = index.rules_for(&UserInfo::new("alice", &["system:authenticated"]), "");
        assert_eq!(rules.len(), 1);
    }
}
