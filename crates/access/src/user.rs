//! Who is asking: a user as authenticators make it and authorizers judge it, and the names Kubernetes reserves.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Members may do anything; no authorizer is asked.
pub const GROUP_MASTERS: &str = "system:masters";
/// Everyone who is known.
pub const GROUP_AUTHENTICATED: &str = "system:authenticated";
/// Everyone who is not.
pub const GROUP_UNAUTHENTICATED: &str = "system:unauthenticated";
/// All nodes.
pub const GROUP_NODES: &str = "system:nodes";
/// Control plane components that monitor.
pub const GROUP_MONITORING: &str = "system:monitoring";
/// All service accounts; with `:NAMESPACE` those of one namespace.
pub const GROUP_SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
/// Who asks without credentials.
pub const USER_ANONYMOUS: &str = "system:anonymous";
/// The API server itself.
pub const USER_APISERVER: &str = "system:apiserver";
/// Prefix of a node's user name.
pub const NODE_USER_PREFIX: &str = "system:node:";
/// Prefix of a service account's user name.
pub const SERVICE_ACCOUNT_USER_PREFIX: &str = "system:serviceaccount:";

/// Extra key: the id of the credential that was shown.
pub const EXTRA_CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// Extra key: the pod a service account token is bound to.
pub const EXTRA_POD_NAME: &str = "authentication.kubernetes.io/pod-name";
/// Extra key: that pod's uid.
pub const EXTRA_POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// Extra key: the node of that pod.
pub const EXTRA_NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// Extra key: that node's uid.
pub const EXTRA_NODE_UID: &str = "authentication.kubernetes.io/node-uid";

/// A user: name, uid, groups and whatever else its authenticator said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The name that rules and messages speak of.
    pub username: String,
    /// Unique over time; often empty.
    pub uid: String,
    /// Groups in the order the authenticator gave them.
    pub groups: Vec<String>,
    /// Further facts, such as the pod a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user with groups and nothing else.
    pub fn new(username: impl Into<String>, groups: &[&str]) -> Self {
        Self {
            username: username.into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Whoever asks without credentials.
    pub fn anonymous() -> Self {
        Self::new(USER_ANONYMOUS, &[GROUP_UNAUTHENTICATED])
    }

    /// A service account, with its groups (not yet `system:authenticated`).
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            username: service_account_username(namespace, name),
            uid: uid.to_owned(),
            groups: service_account_groups(namespace),
            extra: BTreeMap::new(),
        }
    }

    /// Is the user a member of `group`?
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// A member of `system:masters` is never refused.
    pub fn is_privileged(&self) -> bool {
        self.has_group(GROUP_MASTERS)
    }

    /// Adds `system:authenticated`, as the server does for everyone an authenticator recognized.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        let known = |group: &String| group == GROUP_AUTHENTICATED || group == GROUP_UNAUTHENTICATED;
        if self.username != USER_ANONYMOUS && !self.groups.iter().any(known) {
            self.groups.push(GROUP_AUTHENTICATED.into());
        }
        self
    }

    /// The single value of an extra key; `None` when there is none or there are several.
    pub fn extra_value(&self, key: &str) -> Option<&str> {
        match self.extra.get(key)?.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// `authentication.k8s.io/v1` `UserInfo`; what is empty is left out.
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        for (key, text) in [("username", &self.username), ("uid", &self.uid)] {
            if !text.is_empty() {
                json.insert(key.into(), text.as_str().into());
            }
        }
        if !self.groups.is_empty() {
            json.insert("groups".into(), self.groups.clone().into());
        }
        if !self.extra.is_empty() {
            let extra: Map<_, _> = self.extra.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
            json.insert("extra".into(), extra.into());
        }
        json.into()
    }

    /// Reads a `UserInfo`, or the `spec` of a `SubjectAccessReview` (which says `user` for `username`).
    pub fn from_json(json: &Value) -> Self {
        let text = |key: &str| json[key].as_str().unwrap_or("").to_owned();
        let username = if json["username"].is_string() { text("username") } else { text("user") };
        let extra = json["extra"].as_object().into_iter().flatten();
        Self {
            username,
            uid: text("uid"),
            groups: strings(&json["groups"]),
            extra: extra.map(|(key, values)| (key.clone(), strings(values))).collect(),
        }
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `system:serviceaccount:NAMESPACE:NAME`.
pub fn service_account_username(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT_USER_PREFIX}{namespace}:{name}")
}

/// The groups every service account of a namespace is in.
pub fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![GROUP_SERVICE_ACCOUNTS.into(), format!("{GROUP_SERVICE_ACCOUNTS}:{namespace}")]
}

/// Namespace and name of a service account's user name; `None` for any other user.
pub fn split_service_account_username(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix(SERVICE_ACCOUNT_USER_PREFIX)?.split_once(':')?;
    (is_dns_label(namespace) && is_dns_subdomain(name)).then_some((namespace, name))
}

/// The node's name, if the user name is a node's.
pub fn node_name(username: &str) -> Option<&str> {
    username.strip_prefix(NODE_USER_PREFIX).filter(|name| is_dns_subdomain(name))
}

pub(crate) fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match bytes {
        [] => false,
        [first, .., last] | [first @ last] => {
            bytes.len() <= 63 && edge(*first) && edge(*last) && bytes.iter().all(|b| edge(*b) || *b == b'-')
        }
    }
}

pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    // Unlike a label, a part of a subdomain has no length of its own: the whole has.
    let part = |part: &str| {
        let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = part.as_bytes();
        bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.iter().all(|b| edge(b) || *b == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn service_account_names() {
        for (username, parsed) in [
            ("system:serviceaccount:ns:name", Some(("ns", "name"))),
            ("system:serviceaccount:ns:a.b-c", Some(("ns", "a.b-c"))),
            ("system:serviceaccount:ns:", None),
            ("system:serviceaccount::name", None),
            ("system:serviceaccount:n.s:name", None),
            ("system:serviceaccount:ns:a:b", None),
            ("system:serviceaccount:NS:a", None),
            ("jane", None),
        ] {
            assert_eq!(split_service_account_username(username), parsed, "{username}");
        }
        assert_eq!(node_name("system:node:a.example"), Some("a.example"));
        assert_eq!(node_name("system:node:"), None);
    }

    #[test]
    fn json_leaves_out_what_is_empty() {
        let mut user = UserInfo::new("jane", &[]);
        assert_eq!(user.to_json(), json!({"username": "jane"}));
        user.uid = "u".into();
        user.extra.insert("k".into(), vec!["v".into()]);
        user = user.authenticated();
        let json = json!({"username": "jane", "uid": "u", "groups": ["system:authenticated"], "extra": {"k": ["v"]}});
        assert_eq!(user.to_json(), json);
        assert_eq!(UserInfo::from_json(&json), user);
        assert_eq!(UserInfo::anonymous().authenticated(), UserInfo::anonymous());
    }
}
