//! What other API servers serve under this one's address, in its documents.

use object::{GroupVersion, Value, json};
use std::cmp::Reverse;
use std::sync::Arc;

/// A group version that another server serves.
#[derive(Clone, Debug)]
pub struct AggregatedVersion {
    /// Which one.
    pub group_version: GroupVersion,
    /// `groupPriorityMinimum` of its APIService.
    pub group_priority: i64,
    /// `versionPriority` of its APIService.
    pub priority: i64,
    /// Its server answers; what is known of it is not out of date.
    pub fresh: bool,
    /// Its resources, as aggregated discovery lists them.
    pub resources: Vec<Value>,
    /// Where its OpenAPI v3 document is.
    pub openapi_v3: Option<String>,
    /// Its server's OpenAPI v2 document.
    pub openapi_v2: Option<Arc<Value>>,
}

impl AggregatedVersion {
    fn discovery(&self) -> Value {
        let mut version = json!({"version": self.group_version.version});
        if !self.resources.is_empty() {
            version["resources"] = self.resources.as_slice().into();
        }
        version["freshness"] = if self.fresh { "Current" } else { "Stale" }.into();
        version
    }
}

/// A group with the priority that orders it among others.
pub(crate) struct Ranked {
    pub priority: i64,
    pub name: String,
    pub value: Value,
}

/// Which form of discovery groups are in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `APIGroup`.
    Plain,
    /// `APIGroupDiscovery`.
    Aggregated,
}

/// Adds what other servers serve to the groups served here. Versions served here come before others of their group unless
/// those have a higher priority; `priority_here` is that of a local version.
pub(crate) fn merge(
    groups: &mut Vec<Ranked>,
    others: &[AggregatedVersion],
    form: Form,
    priority_here: impl Fn(&str, &str) -> i64,
) {
    let mut others: Vec<&AggregatedVersion> = others.iter().collect();
    others.sort_by_key(|o| (Reverse(o.priority), Reverse(rank(&o.group_version.version))));
    for other in others {
        let (group, version) = (&other.group_version.group, &other.group_version.version);
        let place = match groups.iter().position(|g| g.name == *group) {
            Some(place) => place,
            None => {
                let empty = match form {
                    Form::Plain => json!({"name": group, "versions": []}),
                    Form::Aggregated => json!({"metadata": {"name": group}, "versions": []}),
                };
                let order = |g: &Ranked| {
                    (Reverse(g.priority), g.name.as_str()) < (Reverse(other.group_priority), group)
                };
                let place = groups.iter().take_while(|g| order(g)).count();
                let made = Ranked { priority: other.group_priority, name: group.clone(), value: empty };
                groups.insert(place, made);
                place
            }
        };
        let value = match form {
            Form::Plain => json!({"groupVersion": other.group_version.to_string(), "version": version}),
            Form::Aggregated => other.discovery(),
        };
        let Some(versions) = groups[place].value["versions"].as_array_mut() else { continue };
        versions.retain(|v| v["version"] != **version);
        let before = |v: &Value| {
            let name = v["version"].as_str().unwrap_or("");
            priority_here(group, name) >= other.priority
        };
        let place_of_version = versions.iter().take_while(|v| before(v)).count();
        versions.insert(place_of_version, value);
        if form == Form::Plain {
            let preferred = versions[0].clone();
            groups[place].value["preferredVersion"] = preferred;
        }
    }
}

/// Kubernetes' order of version names: v10, v2, v1, v3beta1, v12alpha1, then the rest.
fn rank(version: &str) -> (u8, u64, u64) {
    let parsed = version.strip_prefix('v').and_then(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        match &rest[digits..] {
            "" => Some((3, major, 0)),
            rest => {
                let (stage, minor) = rest
                    .strip_prefix("beta")
                    .map(|m| (2, m))
                    .or(rest.strip_prefix("alpha").map(|m| (1, m)))?;
                Some((stage, major, minor.parse().ok()?))
            }
        }
    });
    parsed.unwrap_or((0, 0, 0))
}

/// Adds paths and definitions of other servers to an OpenAPI v2 document, where this server has none of the name.
pub(crate) fn merge_v2(document: &mut Value, others: &[AggregatedVersion]) {
    for other in others {
        let Some(theirs) = &other.openapi_v2 else { continue };
        let prefix = format!("/apis/{}/", other.group_version);
        for (part, wanted) in [("paths", Some(prefix.as_str())), ("definitions", None)] {
            let Some(all) = document[part].as_object_mut() else { continue };
            for (name, value) in theirs[part].as_object().into_iter().flatten() {
                if wanted.is_none_or(|prefix| name.starts_with(prefix)) && !all.contains_key(name) {
                    all.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_ranked_among_those_served_here() {
        let other = |group: &str, version: &str, group_priority, priority| AggregatedVersion {
            group_version: GroupVersion::new(group, version),
            group_priority,
            priority,
            fresh: true,
            resources: vec![],
            openapi_v3: None,
            openapi_v2: None,
        };
        let here = |name: &str, priority| Ranked {
            priority,
            name: name.into(),
            value: json!({"name": name, "versions": [{"groupVersion": format!("{name}/v1"), "version": "v1"}]}),
        };
        let mut groups = vec![here("apps", 17800), here("b.example.com", 1000)];
        let others = [
            other("a.example.com", "v1beta1", 1000, 100),
            other("a.example.com", "v1", 1000, 100),
            other("b.example.com", "v2", 1000, 200),
            other("top.example.com", "v1", 20000, 1),
        ];
        merge(&mut groups, &others, Form::Plain, |_, _| 100);
        let shown: Vec<String> = groups
            .iter()
            .map(|g| {
                let versions = g.value["versions"].as_array().into_iter().flatten();
                let versions: Vec<&str> = versions.filter_map(|v| v["version"].as_str()).collect();
                format!("{} {}", g.name, versions.join(" "))
            })
            .collect();
        let expected = ["top.example.com v1", "apps v1", "a.example.com v1 v1beta1", "b.example.com v2 v1"];
        assert_eq!(shown, expected);
    }
}
