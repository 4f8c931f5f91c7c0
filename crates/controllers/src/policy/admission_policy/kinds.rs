//! Which kinds a policy's rules name.

use client::discovery::Resource;
use object::{GroupVersionKind, GroupVersionResource};
use serde_json::Value;

/// No more kinds than this are judged for one rule, and none after it.
const MAX_KINDS: usize = 10;

/// The resources that each rule names; wildcards and subresources are no names.
pub(super) fn named(rules: &Value) -> Vec<Vec<GroupVersionResource>> {
    rules.as_array().into_iter().flatten().map(of_rule).collect()
}

fn of_rule(rule: &Value) -> Vec<GroupVersionResource> {
    let words = |field: &str| {
        let all = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    };
    let (groups, versions, resources) = (words("apiGroups"), words("apiVersions"), words("resources"));
    if groups.iter().chain(&versions).any(|word| word.contains('*')) {
        return vec![];
    }
    let mut named = vec![];
    for group in groups {
        for version in &versions {
            for resource in resources.iter().filter(|r| !r.contains(['*', '/'])) {
                named.push(GroupVersionResource::new(group, *version, *resource));
            }
        }
    }
    named
}

/// The kinds of these resources, in the order of group, version and kind.
pub(super) fn matched(wanted: &[Vec<GroupVersionResource>], served: &[Resource]) -> Vec<GroupVersionKind> {
    let mut found: Vec<GroupVersionKind> = vec![];
    'rules: for rule in wanted {
        let all = rule.iter().flat_map(|gvr| served.iter().filter(|resource| is_named(resource, gvr)));
        for (count, resource) in all.enumerate() {
            if count == MAX_KINDS {
                break 'rules;
            }
            found.push(resource.gvk());
        }
    }
    found.sort_by(|a, b| (&a.group, &a.version, &a.kind).cmp(&(&b.group, &b.version, &b.kind)));
    found.dedup();
    found
}

/// The core group has no name, so its rules name resources of all groups; singular names are names, too.
fn is_named(resource: &Resource, gvr: &GroupVersionResource) -> bool {
    let name = gvr.resource.to_lowercase();
    (gvr.group.is_empty() || resource.gvr.group == gvr.group)
        && resource.gvr.version == gvr.version
        && (resource.gvr.resource == name || resource.kind.to_lowercase() == name)
}
