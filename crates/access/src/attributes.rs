//! What is asked: the attributes of a request that authorizers look at, and the words that refuse it.

use crate::user::UserInfo;
use object::error::quote;
use object::{ApiError, GroupResource};

/// One requirement of a field or label selector: key, operator (`In`, `NotIn`, `Exists`, `DoesNotExist`), values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorRequirement {
    /// Field or label.
    pub key: String,
    /// As `FieldSelectorRequirement` spells it.
    pub operator: String,
    /// Values of `In` and `NotIn`.
    pub values: Vec<String>,
}

impl SelectorRequirement {
    /// The `requirements` of a review's selector. A `rawSelector` is not looked into: authorization only widens with
    /// what is understood.
    fn list(selector: &serde_json::Value) -> Vec<Self> {
        let texts = |list: &serde_json::Value| {
            list.as_array().into_iter().flatten().filter_map(|v| v.as_str()).map(str::to_owned).collect()
        };
        let requirements = selector["requirements"].as_array().into_iter().flatten();
        requirements
            .map(|requirement| Self {
                key: requirement["key"].as_str().unwrap_or("").to_owned(),
                operator: requirement["operator"].as_str().unwrap_or("").to_owned(),
                values: texts(&requirement["values"]),
            })
            .collect()
    }
}

/// The attributes of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Who asks.
    pub user: UserInfo,
    /// API verb (`get`, `list`, …), or the HTTP method in lower case for paths that are no resources.
    pub verb: String,
    /// Namespace; empty for cluster scope, all namespaces and paths.
    pub namespace: String,
    /// API group; empty for core.
    pub api_group: String,
    /// API version.
    pub api_version: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource, empty if none.
    pub subresource: String,
    /// Object name, empty if unknown.
    pub name: String,
    /// URL path.
    pub path: String,
    /// Is it about a resource, rather than a path?
    pub resource_request: bool,
    /// Field selector of a list, watch or deletecollection.
    pub field_selector: Vec<SelectorRequirement>,
    /// Label selector of the same.
    pub label_selector: Vec<SelectorRequirement>,
}

impl Attributes {
    /// A request about a resource.
    pub fn resource(
        user: UserInfo,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self {
            user,
            verb: verb.into(),
            namespace: namespace.into(),
            api_group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            resource_request: true,
            ..Self::default()
        }
    }

    /// A request about a path that is no resource.
    pub fn path(user: UserInfo, verb: &str, path: &str) -> Self {
        Self { user, verb: verb.into(), path: path.into(), ..Self::default() }
    }

    /// The attributes a `SelfSubjectAccessReview` or `SubjectAccessReview` spec asks about, for `user`.
    pub fn from_review_spec(user: UserInfo, spec: &serde_json::Value) -> Self {
        let text = |of: &str, key: &str| spec[of][key].as_str().unwrap_or("").to_owned();
        if spec["resourceAttributes"].is_object() {
            let of = "resourceAttributes";
            return Self {
                user,
                verb: text(of, "verb"),
                namespace: text(of, "namespace"),
                api_group: text(of, "group"),
                api_version: text(of, "version"),
                resource: text(of, "resource"),
                subresource: text(of, "subresource"),
                name: text(of, "name"),
                resource_request: true,
                field_selector: SelectorRequirement::list(&spec[of]["fieldSelector"]),
                label_selector: SelectorRequirement::list(&spec[of]["labelSelector"]),
                ..Self::default()
            };
        }
        Self::path(user, &text("nonResourceAttributes", "verb"), &text("nonResourceAttributes", "path"))
    }

    /// Verbs that change nothing.
    pub fn is_read_only(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// `pods` or `pods/log`.
    pub fn combined_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// `User "x" cannot list resource "pods" in API group "" in the namespace "default"`.
    pub fn forbidden_message(&self) -> String {
        let user = quote(&self.user.username);
        if !self.resource_request {
            return format!("User {user} cannot {} path {}", self.verb, quote(&self.path));
        }
        let what = format!(
            "User {user} cannot {} resource {} in API group {}",
            self.verb,
            quote(&self.combined_resource()),
            quote(&self.api_group)
        );
        if self.namespace.is_empty() {
            format!("{what} at the cluster scope")
        } else {
            format!("{what} in the namespace {}", quote(&self.namespace))
        }
    }

    /// The refusal itself; `reason` is the authorizer's word and may be empty.
    pub fn forbidden(&self, reason: &str) -> ApiError {
        let mut message = self.forbidden_message();
        if !reason.is_empty() {
            message = format!("{message}: {reason}");
        }
        if self.resource.is_empty() && self.api_group.is_empty() {
            return ApiError::ForbiddenMessage(format!("forbidden: {message}"));
        }
        let resource = GroupResource::new(&self.api_group, &self.resource);
        ApiError::Forbidden { resource, name: self.name.clone(), reason: message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_kubernetes_words() {
        let user = || UserInfo::new("jane", &[]);
        for (attributes, message) in [
            (
                Attributes::resource(user(), "list", "", "pods", "default", ""),
                r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default""#,
            ),
            (
                Attributes::resource(user(), "update", "apps", "deployments/scale", "d", "web"),
                r#"deployments.apps "web" is forbidden: User "jane" cannot update resource "deployments/scale" in API group "apps" in the namespace "d""#,
            ),
            (
                Attributes::resource(user(), "get", "", "nodes", "", "n1"),
                r#"nodes "n1" is forbidden: User "jane" cannot get resource "nodes" in API group "" at the cluster scope"#,
            ),
            (
                Attributes::path(user(), "get", "/metrics"),
                r#"forbidden: User "jane" cannot get path "/metrics""#,
            ),
        ] {
            assert_eq!(attributes.forbidden("").message(), message);
        }
        let with_reason = Attributes::path(user(), "get", "/x").forbidden("RBAC: why");
        assert_eq!(with_reason.message(), r#"forbidden: User "jane" cannot get path "/x": RBAC: why"#);
        assert_eq!(with_reason.code(), 403);
    }
}
