//! Writes of roles and bindings: nobody may give others, or themselves, more than they have.
//!
//! Free are members of `system:masters`, those with the verb `escalate` on the role (for roles), and those with the
//! verb `bind` on the role (for bindings).

use super::Decision;
use super::aggregation::has_aggregation_rule;
use super::cover::confirm_no_escalation;
use super::index::{RbacIndex, RoleRef};
use super::rule::{Rule, rules_from_json};
use crate::attributes::Attributes;
use crate::user::UserInfo;
use object::{ApiError, GroupResource, Result, meta};
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";

/// A write of a role or binding, before it is stored.
pub struct RoleWrite<'a> {
    /// Who writes.
    pub user: &'a UserInfo,
    /// `clusterroles`, `roles`, `clusterrolebindings` or `rolebindings`; of any other nothing is asked.
    pub resource: &'a str,
    /// The request's namespace, empty for cluster scope.
    pub namespace: &'a str,
    /// The name in the request's URL, empty for a create.
    pub url_name: &'a str,
    /// What is to be stored.
    pub object: &'a Value,
    /// What it replaces.
    pub old: Option<&'a Value>,
}

impl RoleWrite<'_> {
    /// May it be stored?
    pub fn check(&self, index: &RbacIndex, authorize: &dyn Fn(&Attributes) -> Decision) -> Result<()> {
        let role = matches!(self.resource, "clusterroles" | "roles");
        let binding = matches!(self.resource, "clusterrolebindings" | "rolebindings");
        if self.user.is_privileged() || !(role || binding) {
            return Ok(());
        }
        if self.old.is_some_and(|old| only_garbage_collection_differs(self.object, old)) {
            return Ok(());
        }
        let (verb, resource, name) = if role {
            ("escalate", self.resource, self.url_name)
        } else {
            let cluster = RoleRef::from_json(&self.object["roleRef"]).cluster;
            let resource = if cluster { "clusterroles" } else { "roles" };
            ("bind", resource, self.object["roleRef"]["name"].as_str().unwrap_or(""))
        };
        let mut request =
            Attributes::resource(self.user.clone(), verb, GROUP, resource, self.namespace, name);
        request.api_version = "*".into();
        if authorize(&request).is_allowed() {
            return Ok(());
        }
        if role { self.check_role(index) } else { self.check_binding(index) }
    }

    fn check_role(&self, index: &RbacIndex) -> Result<()> {
        self.confirm(index, &rules_from_json(&self.object["rules"]))?;
        let aggregates = has_aggregation_rule(self.object) || self.old.is_some_and(has_aggregation_rule);
        if self.resource == "clusterroles" && aggregates {
            // It can gather anything, and nobody can tighten it.
            let everything = [Rule::resources(&["*"], &["*"], &["*"], &[]), Rule::urls(&["*"], &["*"])];
            self.confirm(index, &everything).map_err(|_| {
                self.forbidden("must have cluster-admin privileges to use the aggregationRule".into())
            })?;
        }
        Ok(())
    }

    fn check_binding(&self, index: &RbacIndex) -> Result<()> {
        let role = RoleRef::from_json(&self.object["roleRef"]);
        match index.role_rules(&role, self.namespace) {
            Ok(rules) => self.confirm(index, rules),
            // Kubernetes names the resource of the request here, not the role's.
            Err(_) => Err(ApiError::NotFound {
                resource: GroupResource::new(GROUP, self.resource),
                name: role.name.to_string(),
            }),
        }
    }

    fn confirm(&self, index: &RbacIndex, rules: &[Rule]) -> Result<()> {
        confirm_no_escalation(index, self.user, self.namespace, rules)
            .map_err(|reason| self.forbidden(reason))
    }

    fn forbidden(&self, reason: String) -> ApiError {
        let name = meta::name(self.object).to_owned();
        ApiError::Forbidden { resource: GroupResource::new(GROUP, self.resource), name, reason }
    }
}

/// Do only owners and finalizers change? Then the garbage collector is at work.
fn only_garbage_collection_differs(new: &Value, old: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "managedFields", "selfLink"] {
            meta::unset(&mut object, field);
        }
        object
    };
    stripped(new) == stripped(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn index() -> RbacIndex {
        let mut index = RbacIndex::default();
        let rules = json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
            {"apiGroups": [GROUP], "resources": ["roles"], "resourceNames": ["strong"], "verbs": ["bind", "escalate"]},
        ]);
        index.upsert("Role", &json!({"metadata": {"name": "manager", "namespace": "ns"}, "rules": rules}));
        let strong = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]);
        for name in ["strong", "other"] {
            index.upsert("Role", &json!({"metadata": {"name": name, "namespace": "ns"}, "rules": strong}));
        }
        index.upsert(
            "RoleBinding",
            &json!({"metadata": {"name": "b", "namespace": "ns"}, "roleRef": {"kind": "Role", "name": "manager"},
                    "subjects": [{"kind": "User", "name": "alice"}]}),
        );
        index
    }

    fn role(name: &str, resource: &str) -> Value {
        json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]})
    }

    fn binding(name: &str) -> Value {
        json!({"metadata": {"name": "b"}, "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": name}})
    }

    #[test]
    fn who_may_write_what() {
        let index = index();
        let authorize = |request: &Attributes| index.authorize(request);
        let aggregate = json!({"metadata": {"name": "a"}, "aggregationRule": {"clusterRoleSelectors": [{}]}});
        let mut finalized = role("strong", "secrets");
        finalized["metadata"]["finalizers"] = json!(["x"]);
        for (user, resource, url_name, object, old, code) in [
            ("alice", "roles", "", role("same", "configmaps"), None, 0),
            ("alice", "roles", "", role("more", "secrets"), None, 403),
            ("alice", "roles", "strong", role("strong", "secrets"), Some(role("strong", "x")), 0),
            ("alice", "roles", "", role("strong", "secrets"), None, 403),
            ("alice", "roles", "other", role("other", "secrets"), Some(role("other", "x")), 403),
            ("alice", "rolebindings", "", binding("strong"), None, 0),
            ("alice", "rolebindings", "", binding("other"), None, 403),
            ("alice", "rolebindings", "", binding("missing"), None, 404),
            ("bob", "roles", "strong", finalized, Some(role("strong", "secrets")), 0),
            ("alice", "clusterroles", "", aggregate, None, 403),
            ("bob", "configmaps", "", json!({}), None, 0),
        ] {
            let groups: &[&str] = &["system:authenticated"];
            let user = UserInfo::new(user, groups);
            let write = RoleWrite {
                user: &user,
                resource,
                namespace: "ns",
                url_name,
                object: &object,
                old: old.as_ref(),
            };
            let result = write.check(&index, &authorize);
            assert_eq!(
                result.as_ref().err().map_or(0, ApiError::code),
                code,
                "{resource} {object} {result:?}"
            );
            let master = UserInfo::new("root", &["system:masters"]);
            assert_eq!(RoleWrite { user: &master, ..write }.check(&index, &authorize), Ok(()));
        }
    }

    #[test]
    fn a_missing_role_is_named_after_the_binding() {
        let index = index();
        let (user, object) = (UserInfo::new("alice", &[]), binding("missing"));
        let write = RoleWrite {
            user: &user,
            resource: "rolebindings",
            namespace: "ns",
            url_name: "",
            object: &object,
            old: None,
        };
        let error = write.check(&index, &|request| index.authorize(request)).unwrap_err();
        assert_eq!(error.message(), "rolebindings.rbac.authorization.k8s.io \"missing\" not found");
    }
}
