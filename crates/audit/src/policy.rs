//! The policy file: how much is kept of which request. The first rule that matches decides; without one, nothing is kept.

use crate::stage::{Level, Stage};
use access::Attributes;
use object::{FieldError, Path, Value};

/// An `audit.k8s.io/v1` `Policy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: bool,
}

/// What is kept of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How much.
    pub level: Level,
    /// Moments of which no event is made.
    pub omit_stages: Vec<Stage>,
    /// Objects are kept without their `managedFields`.
    pub omit_managed_fields: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kept: Kept,
    users: Vec<String>,
    groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<Resources>,
    namespaces: Vec<String>,
    urls: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Resources {
    group: String,
    resources: Vec<String>,
    names: Vec<String>,
}

impl Policy {
    /// The same of every request.
    pub fn uniform(level: Level) -> Self {
        let kept = Kept { level, omit_stages: vec![], omit_managed_fields: false };
        let rule = Rule {
            kept,
            users: vec![],
            groups: vec![],
            verbs: vec![],
            resources: vec![],
            namespaces: vec![],
            urls: vec![],
        };
        Self { rules: vec![rule], omit_stages: vec![], omit_managed_fields: false }
    }

    /// Reads a policy file, YAML or JSON.
    ///
    /// # Errors
    /// In words for the person who wrote the file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Value = serde_saphyr::from_str(text).map_err(|e| format!("failed decoding: {e}"))?;
        let (version, kind) = (file["apiVersion"].as_str(), file["kind"].as_str());
        if version != Some("audit.k8s.io/v1") || kind != Some("Policy") {
            return Err(format!(
                "unknown group version field {} {} in policy: give audit.k8s.io/v1 Policy",
                version.unwrap_or("(none)"),
                kind.unwrap_or("(none)")
            ));
        }
        let errors = validate(&file);
        if !errors.is_empty() {
            let errors: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
            return Err(errors.join(", "));
        }
        let omit_stages = stages(&file["omitStages"]);
        let omit_managed_fields = file["omitManagedFields"] == true;
        let rules = list(&file["rules"]).iter();
        let rules: Vec<_> = rules.map(|rule| Rule::read(rule, &omit_stages, omit_managed_fields)).collect();
        if rules.is_empty() {
            return Err("loaded illegal policy with 0 rules".into());
        }
        Ok(Self { rules, omit_stages, omit_managed_fields })
    }

    /// What is kept of a request.
    pub fn of(&self, request: &Attributes) -> Kept {
        match self.rules.iter().find(|rule| rule.matches(request)) {
            Some(rule) => rule.kept.clone(),
            None => Kept {
                level: Level::None,
                omit_stages: self.omit_stages.clone(),
                omit_managed_fields: self.omit_managed_fields,
            },
        }
    }
}

impl Rule {
    fn read(rule: &Value, omit_stages: &[Stage], omit_managed_fields: bool) -> Self {
        let mut omit = omit_stages.to_vec();
        omit.extend(stages(&rule["omitStages"]));
        let level = rule["level"].as_str().and_then(Level::parse).unwrap_or(Level::None);
        let omit_managed_fields = rule["omitManagedFields"].as_bool().unwrap_or(omit_managed_fields);
        let resources = list(&rule["resources"]).iter().map(|entry| Resources {
            group: entry["group"].as_str().unwrap_or("").to_owned(),
            resources: texts(&entry["resources"]),
            names: texts(&entry["resourceNames"]),
        });
        Self {
            kept: Kept { level, omit_stages: omit, omit_managed_fields },
            users: texts(&rule["users"]),
            groups: texts(&rule["userGroups"]),
            verbs: texts(&rule["verbs"]),
            resources: resources.collect(),
            namespaces: texts(&rule["namespaces"]),
            urls: texts(&rule["nonResourceURLs"]),
        }
    }

    fn matches(&self, request: &Attributes) -> bool {
        let has = |list: &[String], one: &str| list.is_empty() || list.iter().any(|own| own == one);
        let groups = &request.user.groups;
        if !has(&self.users, &request.user.username)
            || !has(&self.verbs, &request.verb)
            || !(self.groups.is_empty() || groups.iter().any(|group| self.groups.contains(group)))
        {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return request.resource_request
                && has(&self.namespaces, &request.namespace)
                && (self.resources.is_empty() || self.resources.iter().any(|own| own.matches(request)));
        }
        let of_path = |url: &String| match url.strip_suffix('*') {
            Some(start) => request.path.starts_with(start.trim_end_matches('*')),
            None => *url == request.path,
        };
        self.urls.is_empty() || (!request.resource_request && self.urls.iter().any(of_path))
    }
}

impl Resources {
    fn matches(&self, request: &Attributes) -> bool {
        if self.group != "*" && self.group != request.api_group {
            return false;
        }
        let named = self.names.is_empty() || self.names.contains(&request.name);
        let combined = request.combined_resource();
        self.resources.is_empty()
            || named
                && self.resources.iter().any(|own| {
                    own == "*"
                        || *own == combined
                        || !request.subresource.is_empty()
                            && own.strip_prefix("*/") == Some(&request.subresource)
                        || own.strip_suffix("/*") == Some(&request.resource)
                })
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn stages(value: &Value) -> Vec<Stage> {
    list(value).iter().filter_map(Value::as_str).filter_map(Stage::parse).collect()
}

fn validate(file: &Value) -> Vec<FieldError> {
    let mut errors = omitted(&file["omitStages"], &Path::new("omitStages"));
    for (index, rule) in list(&file["rules"]).iter().enumerate() {
        validate_rule(rule, &Path::new("rules").index(index), &mut errors);
    }
    errors
}

fn validate_rule(rule: &Value, at: &Path, errors: &mut Vec<FieldError>) {
    match rule["level"].as_str().unwrap_or("") {
        "" => errors.push(FieldError::required(&at.field("level"), "")),
        level if Level::parse(level).is_none() => {
            errors.push(FieldError::not_supported(&at.field("level"), &level.into(), &Level::NAMES));
        }
        _ => {}
    }
    let urls = at.field("nonResourceURLs");
    for (index, url) in texts(&rule["nonResourceURLs"]).iter().enumerate().filter(|(_, url)| *url != "*") {
        let mut refuse = |message: &str| {
            errors.push(FieldError::invalid(&urls.index(index), &url.as_str().into(), message))
        };
        if !url.starts_with('/') {
            refuse("non-resource URL rules must begin with a '/' character");
        }
        if url.strip_suffix('*').unwrap_or(url).contains('*') {
            refuse("non-resource URL wildcards '*' must be the final character of the rule");
        }
    }
    for entry in list(&rule["resources"]) {
        let group = entry["group"].as_str().unwrap_or("");
        if group.contains('/') {
            let message = "a group has no version: give apps, not apps/v1";
            errors.push(FieldError::invalid(&at.field("resources").field("group"), &group.into(), message));
        }
        if !texts(&entry["resourceNames"]).is_empty() && texts(&entry["resources"]).is_empty() {
            let message = "using resourceNames requires at least one resource";
            let names = at.field("resources").field("resourceNames");
            errors.push(FieldError::invalid(&names, &entry["resourceNames"], message));
        }
    }
    errors.extend(omitted(&rule["omitStages"], &at.field("omitStages")));
    let both = !list(&rule["resources"]).is_empty() || !list(&rule["namespaces"]).is_empty();
    if both && !list(&rule["nonResourceURLs"]).is_empty() {
        let message = "rules cannot apply to both regular resources and non-resource URLs";
        errors.push(FieldError::invalid(&urls, &rule["nonResourceURLs"], message));
    }
}

fn omitted(value: &Value, at: &Path) -> Vec<FieldError> {
    let unknown = |(index, stage): (usize, &Value)| {
        let known = stage.as_str().and_then(Stage::parse).is_some();
        let message = format!("allowed stages are {}", Stage::NAMES.join(","));
        (!known).then(|| FieldError::invalid(&at.index(index), stage, &message))
    };
    list(value).iter().enumerate().filter_map(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::UserInfo;

    const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-proxy"]
  verbs: [watch]
- level: None
  nonResourceURLs: ["/healthz*", "/version"]
- level: Metadata
  resources: [{group: "", resources: [secrets, "*/token"]}]
- level: RequestResponse
  namespaces: [prod]
  omitManagedFields: true
- level: Request
  userGroups: [dev]
  resources: [{group: apps}, {group: "", resources: ["pods/*"], resourceNames: [web]}]
- level: None
  namespaces: [""]
- level: Metadata
  omitStages: [Panic]
"#;

    fn request(user: &str, verb: &str, group: &str, resource: &str, namespace: &str) -> Attributes {
        Attributes::resource(UserInfo::new(user, &["dev"]), verb, group, resource, namespace, "web")
    }

    #[test]
    fn the_first_rule_that_matches() {
        let policy = Policy::parse(POLICY).unwrap();
        for (request, level) in [
            (request("system:kube-proxy", "watch", "", "services", "a"), Level::None),
            (request("system:kube-proxy", "list", "", "services", "a"), Level::Metadata),
            (Attributes::path(UserInfo::new("x", &[]), "get", "/healthz/ping"), Level::None),
            (Attributes::path(UserInfo::new("x", &[]), "get", "/version/x"), Level::Metadata),
            (request("x", "get", "", "secrets", "prod"), Level::Metadata),
            (request("x", "create", "", "serviceaccounts/token", "prod"), Level::Metadata),
            (request("x", "get", "", "configmaps", "prod"), Level::RequestResponse),
            (request("x", "get", "apps", "deployments/scale", "a"), Level::Request),
            (request("x", "get", "", "pods/log", "a"), Level::Request),
            (request("x", "get", "", "pods", "a"), Level::Request),
            (request("x", "get", "", "nodes", ""), Level::None),
        ] {
            assert_eq!(policy.of(&request).level, level, "{request:?}");
        }
        let kept = policy.of(&request("x", "get", "", "configmaps", "prod"));
        assert!(kept.omit_managed_fields);
        assert_eq!(kept.omit_stages, [Stage::RequestReceived]);
        let kept = policy.of(&request("x", "get", "", "configmaps", "a"));
        assert_eq!(kept.omit_stages, [Stage::RequestReceived, Stage::Panic]);
    }

    #[test]
    fn what_is_no_policy() {
        let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n";
        for (rules, message) in [
            ("", "loaded illegal policy with 0 rules"),
            ("- users: [x]", "rules[0].level: Required value"),
            ("- level: Some", "rules[0].level: Unsupported value: \"Some\""),
            ("- {level: None, nonResourceURLs: [x]}", "must begin with a '/' character"),
            ("- {level: None, nonResourceURLs: ['/*/x']}", "must be the final character"),
            ("- {level: None, nonResourceURLs: ['/x'], namespaces: [a]}", "cannot apply to both"),
            ("- {level: None, omitStages: [Late]}", "allowed stages are RequestReceived,"),
            ("- {level: None, resources: [{group: apps/v1}]}", "a group has no version"),
        ] {
            let error = Policy::parse(&format!("{head}{rules}")).unwrap_err();
            assert!(error.contains(message), "{rules}: {error}");
        }
        assert!(Policy::parse("kind: Policy").is_err());
        assert!(Policy::parse("[").is_err());
    }
}
