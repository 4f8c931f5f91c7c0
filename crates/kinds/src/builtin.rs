//! The resources of Kubernetes 1.36, read from the table `facts/resources.txt`.

use crate::resource::{Resource, SchemaRef, Scope, Subresource, Verb};
use base64::{Engine, engine::general_purpose::STANDARD};
use object::{GroupResource, GroupVersion, GroupVersionKind};
use schema::NodeId;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};

/// Every built-in resource, in the order of discovery: groups and versions by priority, resources by name.
pub fn builtin() -> &'static [Arc<Resource>] {
    &BUILTIN.resources
}

/// A built-in group version with the priorities of its APIService.
#[derive(Clone, Debug)]
pub struct BuiltinVersion {
    /// Group and version.
    pub group_version: GroupVersion,
    /// `spec.groupPriorityMinimum` of the APIService.
    pub group_priority: i32,
    /// `spec.versionPriority` of the APIService.
    pub version_priority: i32,
}

/// Every built-in group version, in the order of discovery.
pub fn builtin_versions() -> &'static [BuiltinVersion] {
    &BUILTIN.versions
}

/// What discovery shows as `storageVersionHash` of objects stored as `gvk`.
pub fn storage_version_hash(gvk: &GroupVersionKind) -> String {
    let digest = Sha256::digest(format!("{}/{}/{}", gvk.group, gvk.version, gvk.kind));
    STANDARD.encode(&digest[..8])
}

/// The name of `gvk`'s type in the built-in schema: `io.k8s.api.apps.v1.Deployment`.
pub fn type_name(gvk: &GroupVersionKind) -> String {
    let GroupVersionKind { group, version, kind } = gvk;
    match group.as_str() {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "apiregistration.k8s.io" => {
            format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{kind}")
        }
        "meta.k8s.io" => format!("io.k8s.apimachinery.pkg.apis.meta.{version}.{kind}"),
        _ => format!("io.k8s.api.{}.{version}.{kind}", group.split('.').next().unwrap_or(group)),
    }
}

struct Builtin {
    resources: Vec<Arc<Resource>>,
    versions: Vec<BuiltinVersion>,
}

static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| parse(include_str!("../facts/resources.txt")));

fn parse(table: &str) -> Builtin {
    let mut out = Builtin { resources: Vec::new(), versions: Vec::new() };
    let mut group = ("", 0);
    let mut version = GroupVersion::default();
    let mut open: Option<Resource> = None;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or("-");
        let first = word();
        if let Some(name) = first.strip_prefix('+') {
            let (kind, verbs) = (word(), word());
            if let Some(parent) = &mut open {
                parent.subresources.push(subresource(parent, name, kind, verbs));
            }
            continue;
        }
        out.resources.extend(open.take().map(Arc::new));
        match first {
            "group" => group = (undash(word()), word().parse().unwrap_or(0)),
            "version" => {
                version = GroupVersion::new(group.0, word());
                let version_priority = word().parse().unwrap_or(0);
                let group_version = version.clone();
                out.versions.push(BuiltinVersion {
                    group_version,
                    group_priority: group.1,
                    version_priority,
                });
            }
            plural => {
                let kind = word();
                let singular = word();
                let scope = if word() == "N" { Scope::Namespaced } else { Scope::Cluster };
                let (verbs, short, categories) = (word(), word(), word());
                open = Some(resource(&version, plural, kind, singular, scope, verbs, short, categories));
            }
        }
    }
    out.resources.extend(open.map(Arc::new));
    out
}

/// The version whose hash discovery shows. Servers that may be set back to an older release keep writing its version.
fn hashed_version(stored: &GroupVersion, plural: &str) -> GroupVersion {
    let older = matches!(
        (stored.group.as_str(), plural),
        ("apiextensions.k8s.io", "customresourcedefinitions")
            | (
                "admissionregistration.k8s.io",
                "mutatingadmissionpolicies" | "mutatingadmissionpolicybindings"
            )
    );
    if older { GroupVersion::new(&stored.group, "v1beta1") } else { stored.clone() }
}

#[allow(clippy::too_many_arguments)] // the columns of one row
fn resource(
    version: &GroupVersion,
    plural: &str,
    kind: &str,
    singular: &str,
    scope: Scope,
    verbs: &str,
    short: &str,
    categories: &str,
) -> Resource {
    let gvk = version.kind(kind);
    let (storage, storage_version) = storage(version, plural);
    let verbs = parse_verbs(verbs);
    let storage_version_hash = if verbs.contains(&Verb::Watch) {
        storage_version_hash(&hashed_version(&storage_version, plural).kind(kind))
    } else {
        String::new()
    };
    Resource {
        gvr: version.resource(plural),
        list_kind: format!("{kind}List"),
        kind: kind.to_owned(),
        singular: singular.to_owned(),
        short_names: parse_words(short),
        categories: parse_words(categories),
        scope,
        verbs,
        subresources: Vec::new(),
        schema: schema_ref(&gvk),
        storage,
        storage_version,
        storage_version_hash,
        custom: false,
        definition: None,
    }
}

fn subresource(parent: &Resource, name: &str, kind: &str, verbs: &str) -> Subresource {
    let mut parts = kind.split('/');
    let gvk = match (parts.next(), parts.next(), parts.next()) {
        (Some(group), Some(version), Some(kind)) => GroupVersionKind::new(group, version, kind),
        _ => parent.gvr.group_version().kind(kind),
    };
    let connects = matches!(name, "attach" | "exec" | "log" | "portforward" | "proxy");
    let schema = (!connects).then(|| schema_ref(&gvk));
    Subresource { name: name.to_owned(), gvk, verbs: parse_verbs(verbs), schema }
}

/// Where objects are kept, and in which version.
fn storage(version: &GroupVersion, plural: &str) -> (GroupResource, GroupVersion) {
    match (version.group.as_str(), plural) {
        ("events.k8s.io", "events") => (GroupResource::new("", "events"), GroupVersion::new("", "v1")),
        ("autoscaling", _) => {
            (GroupResource::new("autoscaling", plural), GroupVersion::new("autoscaling", "v2"))
        }
        (group, _) => (GroupResource::new(group, plural), version.clone()),
    }
}

/// The schema of a built-in kind.
pub(crate) fn schema_ref(gvk: &GroupVersionKind) -> SchemaRef {
    SchemaRef::Builtin(schema::builtin().named(&type_name(gvk)).map_or(NodeId(0), schema::Schema::id))
}

fn parse_verbs(letters: &str) -> Vec<Verb> {
    letters
        .chars()
        .filter_map(|letter| {
            Some(match letter {
                'c' => Verb::Create,
                'd' => Verb::Delete,
                'D' => Verb::DeleteCollection,
                'g' => Verb::Get,
                'l' => Verb::List,
                'p' => Verb::Patch,
                'u' => Verb::Update,
                'w' => Verb::Watch,
                _ => return None,
            })
        })
        .collect()
}

fn undash(word: &str) -> &str {
    if word == "-" { "" } else { word }
}

fn parse_words(words: &str) -> Vec<String> {
    undash(words).split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(group: &str, version: &str, plural: &str) -> &'static Resource {
        let gvr = GroupVersion::new(group, version).resource(plural);
        builtin().iter().find(|r| r.gvr == gvr).expect("served")
    }

    #[test]
    fn pods_are_described() {
        let pods = find("", "v1", "pods");
        assert_eq!(pods.storage_version_hash, "xPOwRZ+Yhw8=");
        assert_eq!(pods.short_names, ["po"]);
        assert_eq!(pods.verbs.len(), 8);
        assert!(pods.verbs.is_sorted());
        assert!(pods.subresources.iter().map(|s| &s.name).is_sorted());
        assert_eq!(pods.subresource("eviction").expect("there").gvk.to_string(), "policy/v1, Kind=Eviction");
        assert!(pods.subresource("exec").expect("there").schema.is_none());
    }

    #[test]
    fn two_groups_share_events() {
        let events = find("events.k8s.io", "v1", "events");
        assert_eq!(events.storage, GroupResource::new("", "events"));
        assert_eq!(events.storage_version_hash, find("", "v1", "events").storage_version_hash);
    }

    #[test]
    fn autoscalers_are_kept_in_v2() {
        let v1 = find("autoscaling", "v1", "horizontalpodautoscalers");
        assert_eq!(v1.storage_version_hash, "qwQve8ut294=");
        assert_eq!(v1.storage_version.to_string(), "autoscaling/v2");
    }

    #[test]
    fn every_kind_has_a_schema() {
        for resource in builtin() {
            assert!(
                schema::builtin().named(&type_name(&resource.gvk())).is_some(),
                "{}",
                type_name(&resource.gvk())
            );
        }
    }

    #[test]
    fn unpersisted_kinds_have_no_hash() {
        assert_eq!(find("authorization.k8s.io", "v1", "subjectaccessreviews").storage_version_hash, "");
        assert_eq!(find("", "v1", "componentstatuses").storage_version_hash, "");
    }
}
