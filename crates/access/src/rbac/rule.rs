//! One rule of a role: which verbs on which resources or paths, and whether it allows a request.

use crate::attributes::Attributes;
use object::error::quote;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Words of a rule; shared between the rules of a [`RulePool`](super::RulePool).
pub(super) type Words = Box<[Arc<str>]>;

/// A `PolicyRule`. A word `*` stands for all, except among resource names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rule {
    pub(super) verbs: Words,
    pub(super) api_groups: Words,
    pub(super) resources: Words,
    pub(super) resource_names: Words,
    pub(super) non_resource_urls: Words,
}

impl Rule {
    /// A rule about resources.
    pub fn resources(
        verbs: &[&str],
        api_groups: &[&str],
        resources: &[&str],
        resource_names: &[&str],
    ) -> Self {
        Self {
            verbs: words(verbs),
            api_groups: words(api_groups),
            resources: words(resources),
            resource_names: words(resource_names),
            non_resource_urls: words(&[]),
        }
    }

    /// A rule about paths.
    pub fn urls(verbs: &[&str], non_resource_urls: &[&str]) -> Self {
        Self { verbs: words(verbs), non_resource_urls: words(non_resource_urls), ..Self::default() }
    }

    /// Reads a `PolicyRule`, passing every word through `intern`. What is not a string is passed over.
    pub(super) fn parse(json: &Value, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Self {
        let mut list = |key: &str| -> Words {
            json[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(&mut *intern).collect()
        };
        Self {
            verbs: list("verbs"),
            api_groups: list("apiGroups"),
            resources: list("resources"),
            resource_names: list("resourceNames"),
            non_resource_urls: list("nonResourceURLs"),
        }
    }

    /// The `PolicyRule` object; what is empty is left out, except the verbs.
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("verbs".into(), list(&self.verbs));
        for (key, words) in [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ] {
            if !words.is_empty() {
                json.insert(key.into(), list(words));
            }
        }
        json.into()
    }

    /// Does this rule allow the request?
    pub fn allows(&self, request: &Attributes) -> bool {
        if !has_or_star(&self.verbs, &request.verb) {
            return false;
        }
        if !request.resource_request {
            return self.non_resource_urls.iter().any(|url| url_matches(url, &request.path));
        }
        has_or_star(&self.api_groups, &request.api_group)
            && self.resources.iter().any(|own| resource_matches(own, request))
            && (self.resource_names.is_empty() || has(&self.resource_names, &request.name))
    }

    /// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`, as escalation errors show it.
    pub fn compact_string(&self) -> String {
        let parts: Vec<_> = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, words)| !words.is_empty())
        .map(|(name, words)| format!("{name}:{}", quote_list(words.iter().map(AsRef::as_ref))))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// `["a" "b"]`: a list as Go's `%q` prints it.
pub(crate) fn quote_list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quote).collect::<Vec<_>>().join(" "))
}

/// The `rules` of a role object, as rules.
pub fn rules_from_json(rules: &Value) -> Vec<Rule> {
    rules.as_array().into_iter().flatten().map(|rule| Rule::parse(rule, &mut |word| word.into())).collect()
}

/// Rules as the `rules` of a role object.
pub fn rules_to_json<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Value {
    rules.into_iter().map(Rule::to_json).collect::<Vec<_>>().into()
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| Arc::from(*word)).collect()
}

fn list(words: &Words) -> Value {
    words.iter().map(|word| Value::from(word.as_ref())).collect::<Vec<_>>().into()
}

pub(super) fn has(words: &[Arc<str>], word: &str) -> bool {
    words.iter().any(|own| own.as_ref() == word)
}

pub(super) fn has_or_star(words: &[Arc<str>], word: &str) -> bool {
    words.iter().any(|own| own.as_ref() == "*" || own.as_ref() == word)
}

/// `pods` matches pods, `pods/log` that subresource, `*/log` it of every resource, `*` everything.
fn resource_matches(own: &str, request: &Attributes) -> bool {
    if own == "*" {
        return true;
    }
    if request.subresource.is_empty() {
        return own == request.resource;
    }
    match own.split_once('/') {
        Some((resource, subresource)) => {
            subresource == request.subresource && (resource == "*" || resource == request.resource)
        }
        None => false,
    }
}

/// Equal, or `own` ends in `*` and the rest of it is a prefix.
pub(super) fn url_matches(own: &str, path: &str) -> bool {
    own == "*" || own == path || (own.ends_with('*') && path.starts_with(own.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::UserInfo;

    fn ask(verb: &str, group: &str, resource: &str, name: &str) -> Attributes {
        Attributes::resource(UserInfo::default(), verb, group, resource, "ns", name)
    }

    #[test]
    fn resource_rules() {
        type Asked<'a> = (&'a str, &'a str, &'a str, &'a str, bool);
        let rows: &[(Rule, &[Asked<'_>])] = &[
            (
                Rule::resources(&["get"], &[""], &["pods"], &[]),
                &[
                    ("get", "", "pods", "", true),
                    ("get", "", "pods", "a", true),
                    ("list", "", "pods", "", false),
                    ("get", "apps", "pods", "", false),
                    ("get", "", "pods/log", "a", false),
                    ("get", "", "secrets", "", false),
                ],
            ),
            (
                Rule::resources(&["*"], &["*"], &["*"], &[]),
                &[("get", "", "pods/log", "a", true), ("anything", "any.group", "x", "", true)],
            ),
            (
                Rule::resources(&["get"], &["*"], &["*/scale"], &[]),
                &[
                    ("get", "apps", "deployments/scale", "a", true),
                    ("get", "apps", "deployments", "a", false),
                    ("get", "apps", "deployments/status", "a", false),
                ],
            ),
            (
                Rule::resources(&["get"], &[""], &["pods/log"], &["one"]),
                &[
                    ("get", "", "pods/log", "one", true),
                    ("get", "", "pods/log", "two", false),
                    ("get", "", "pods/log", "", false),
                    ("get", "", "pods", "one", false),
                ],
            ),
            (Rule::resources(&["get"], &[""], &["pods"], &["*"]), &[("get", "", "pods", "one", false)]),
            (Rule::resources(&["get"], &[], &["pods"], &[]), &[("get", "", "pods", "", false)]),
            (Rule::urls(&["get"], &["*"]), &[("get", "", "pods", "", false)]),
        ];
        for (rule, asked) in rows {
            for (verb, group, resource, name, allowed) in *asked {
                let request = ask(verb, group, resource, name);
                assert_eq!(rule.allows(&request), *allowed, "{} {request:?}", rule.compact_string());
            }
        }
    }

    #[test]
    fn url_rules() {
        for (url, path, allowed) in [
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/x", false),
            ("/healthz/*", "/healthz/x/y", true),
            ("/healthz/*", "/healthz", false),
            ("/api*", "/apis", true),
            ("*", "/", true),
        ] {
            let request = Attributes::path(UserInfo::default(), "get", path);
            assert_eq!(Rule::urls(&["get"], &[url]).allows(&request), allowed, "{url} {path}");
            assert!(!Rule::urls(&["post"], &[url]).allows(&request));
            assert!(!Rule::resources(&["*"], &["*"], &["*"], &[]).allows(&request));
        }
    }

    #[test]
    fn round_trip_and_compact() {
        let json = serde_json::json!([
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
            {"verbs": ["get"], "nonResourceURLs": ["/x"]},
        ]);
        let rules = rules_from_json(&json);
        assert_eq!(rules_to_json(&rules), json);
        assert_eq!(
            rules[0].compact_string(),
            r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}"#
        );
        assert_eq!(rules[1].compact_string(), r#"{NonResourceURLs:["/x"], Verbs:["get"]}"#);
    }
}
