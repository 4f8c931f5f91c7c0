//! Which requests a FlowSchema is for, and what tells one flow of them from another. Pure.

use crate::request::RequestInfo;
use access::UserInfo;
use object::{Value, meta};

/// A FlowSchema, read off its object.
pub(super) struct FlowSchema {
    pub name: String,
    pub uid: String,
    pub precedence: i64,
    /// The PriorityLevelConfiguration it refers to.
    pub level: String,
    distinguisher: Distinguisher,
    rules: Vec<Rule>,
}

enum Distinguisher {
    Nothing,
    User,
    Namespace,
}

struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

struct ResourceRule {
    verbs: Names,
    groups: Names,
    resources: Names,
    namespaces: Names,
    cluster_scope: bool,
}

struct PathRule {
    verbs: Names,
    paths: Vec<String>,
}

/// Some names, or all.
enum Names {
    All,
    These(Vec<String>),
}

impl Names {
    fn read(list: &Value) -> Self {
        let these = strings(list);
        if these.iter().any(|name| name == "*") { Self::All } else { Self::These(these) }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.iter().any(|n| n == name),
        }
    }
}

fn strings(list: &Value) -> Vec<String> {
    items(list).filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

impl FlowSchema {
    pub fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        let distinguisher = match spec["distinguisherMethod"]["type"].as_str() {
            Some("ByUser") => Distinguisher::User,
            Some("ByNamespace") => Distinguisher::Namespace,
            _ => Distinguisher::Nothing,
        };
        Self {
            name: meta::name(object).to_owned(),
            uid: meta::uid(object).to_owned(),
            precedence: spec["matchingPrecedence"].as_i64().unwrap_or(1_000),
            level: text(&spec["priorityLevelConfiguration"]["name"]),
            distinguisher,
            rules: items(&spec["rules"]).map(Rule::read).collect(),
        }
    }

    pub fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        self.rules.iter().any(|rule| rule.matches(user, info))
    }

    /// What the request's flow is called within this schema.
    pub fn flow<'a>(&self, user: &'a UserInfo, info: &'a RequestInfo) -> &'a str {
        match self.distinguisher {
            Distinguisher::Nothing => "",
            Distinguisher::User => &user.username,
            Distinguisher::Namespace => info.resource.as_ref().map_or("", |at| &at.namespace),
        }
    }
}

impl Rule {
    fn read(rule: &Value) -> Self {
        let resource = |rule: &Value| ResourceRule {
            verbs: Names::read(&rule["verbs"]),
            groups: Names::read(&rule["apiGroups"]),
            resources: Names::read(&rule["resources"]),
            namespaces: Names::read(&rule["namespaces"]),
            cluster_scope: rule["clusterScope"].as_bool().unwrap_or(false),
        };
        let path = |rule: &Value| PathRule {
            verbs: Names::read(&rule["verbs"]),
            paths: strings(&rule["nonResourceURLs"]),
        };
        Self {
            subjects: items(&rule["subjects"]).filter_map(Subject::read).collect(),
            resources: items(&rule["resourceRules"]).map(resource).collect(),
            paths: items(&rule["nonResourceRules"]).map(path).collect(),
        }
    }

    fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        self.subjects.iter().any(|subject| subject.is(user))
            && match &info.resource {
                Some(at) => self.resources.iter().any(|rule| {
                    let joined;
                    let resource = if at.subresource.is_empty() {
                        &at.resource
                    } else {
                        joined = format!("{}/{}", at.resource, at.subresource);
                        &joined
                    };
                    rule.verbs.has(info.verb)
                        && rule.groups.has(&at.group)
                        && rule.resources.has(resource)
                        && if at.namespace.is_empty() {
                            rule.cluster_scope
                        } else {
                            rule.namespaces.has(&at.namespace)
                        }
                }),
                None => self.paths.iter().any(|rule| {
                    rule.verbs.has(info.verb) && rule.paths.iter().any(|path| leads_to(path, &info.path))
                }),
            }
    }
}

/// A path of a rule names itself, and what lies below when it ends in `/` or `*`, as in Kubernetes also without.
fn leads_to(rule: &str, path: &str) -> bool {
    let below = rule.trim_end_matches('*');
    let below = below.strip_suffix('/').unwrap_or(below);
    rule == "*" || rule == path || path.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'))
}

impl Subject {
    fn read(subject: &Value) -> Option<Self> {
        match subject["kind"].as_str()? {
            "User" => Some(Self::User(text(&subject["user"]["name"]))),
            "Group" => Some(Self::Group(text(&subject["group"]["name"]))),
            "ServiceAccount" => Some(Self::ServiceAccount {
                namespace: text(&subject["serviceAccount"]["namespace"]),
                name: text(&subject["serviceAccount"]["name"]),
            }),
            _ => None,
        }
    }

    fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => name == "*" || *name == user.username,
            Self::Group(name) => name == "*" || user.groups.contains(name),
            Self::ServiceAccount { namespace, name } => {
                let account = user.username.strip_prefix(access::user::SERVICE_ACCOUNT_USER_PREFIX);
                account
                    .and_then(|rest| rest.split_once(':'))
                    .is_some_and(|(ns, account)| ns == namespace && (name == "*" || name == account))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use node::Query;
    use object::json;

    fn schema(rules: Value) -> FlowSchema {
        FlowSchema::read(&json!({"metadata": {"name": "s", "uid": "u"}, "spec": {
            "matchingPrecedence": 5, "priorityLevelConfiguration": {"name": "l"},
            "distinguisherMethod": {"type": "ByNamespace"}, "rules": rules,
        }}))
    }

    fn info(path: &str) -> RequestInfo {
        RequestInfo::new(&Method::GET, path, &Query::parse(""))
    }

    #[test]
    fn resources_match_by_verb_group_name_and_scope() {
        let schema = schema(json!([{
            "subjects": [{"kind": "Group", "group": {"name": "g"}}],
            "resourceRules": [
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/status"], "namespaces": ["a"]},
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["nodes"], "clusterScope": true},
            ],
        }]));
        let user = UserInfo::new("u", &["g"]);
        for (path, expected) in [
            ("/api/v1/namespaces/a/pods/p", true),
            ("/api/v1/namespaces/a/pods/p/status", true),
            ("/api/v1/namespaces/a/pods/p/log", false),
            ("/api/v1/namespaces/b/pods/p", false),
            ("/api/v1/namespaces/a/pods", false),
            ("/api/v1/nodes", true),
            ("/api/v1/namespaces/a/nodes", false),
            ("/version", false),
        ] {
            assert_eq!(schema.matches(&user, &info(path)), expected, "{path}");
        }
        assert!(!schema.matches(&UserInfo::new("u", &["h"]), &info("/api/v1/nodes")));
        assert_eq!(schema.flow(&user, &info("/api/v1/namespaces/a/pods/p")), "a");
    }

    #[test]
    fn subjects_and_paths() {
        let of = |subject: Value, paths: Value| {
            schema(
                json!([{"subjects": [subject], "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": paths}]}]),
            )
        };
        let account = UserInfo::new("system:serviceaccount:ns:sa", &[]);
        let named = |name: &str| json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "ns", "name": name}});
        for (name, expected) in [("sa", true), ("*", true), ("other", false)] {
            assert_eq!(of(named(name), json!(["*"])).matches(&account, &info("/x")), expected, "{name}");
        }
        let all = json!({"kind": "User", "user": {"name": "*"}});
        let paths = of(all, json!(["/healthz", "/readyz/", "/a/*"]));
        for (path, expected) in
            [("/healthz", true), ("/healthz/ping", true), ("/healthzz", false), ("/a/b", true), ("/b", false)]
        {
            assert_eq!(paths.matches(&account, &info(path)), expected, "{path}");
        }
    }
}
