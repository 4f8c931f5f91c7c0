//! The resources one API server serves: the built-in ones, which all share, and its own custom ones.
//!
//! A [`Registry`] is a persistent value: cloning is cheap, and a clone that is changed leaves the other as it was. So
//! a request works on the registry it began with while custom resources come and go. Built-in resources are never
//! removed or replaced.

use crate::builtin::{builtin, builtin_versions};
use crate::resource::Resource;
use crate::version::priority_order;
use object::{GroupVersion, GroupVersionKind, GroupVersionResource};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The resources served, by group, version and name.
#[derive(Clone, Debug)]
pub struct Registry {
    groups: Arc<BTreeMap<Arc<str>, Arc<Group>>>,
    generation: u64,
}

/// One API group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name; empty for core.
    pub name: Arc<str>,
    /// `groupPriorityMinimum`: groups are listed by it, highest first, then by name.
    pub priority: i32,
    /// Its versions, preferred one first.
    pub versions: Vec<Arc<Version>>,
}

/// One version of an API group.
#[derive(Clone, Debug)]
pub struct Version {
    /// Group and version.
    pub group_version: GroupVersion,
    /// `versionPriority`: versions are listed by it, highest first, then in Kubernetes' order of version names.
    pub priority: i32,
    /// Resources by their plural names.
    pub resources: BTreeMap<String, Arc<Resource>>,
    kinds: BTreeMap<String, String>,
}

/// Priority of a custom resource's group.
pub const CUSTOM_GROUP_PRIORITY: i32 = 1000;
/// Priority of a custom resource's version.
pub const CUSTOM_VERSION_PRIORITY: i32 = 100;

static BUILTIN: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry { groups: Arc::default(), generation: 0 };
    for resource in builtin() {
        registry.put(Arc::clone(resource));
    }
    registry.generation = 0;
    registry
});

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Registry {
    /// The registry of a server without custom resources.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }

    /// Grows with every change; equal generations of one server mean equal contents.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The resource in URLs under `/apis/<group>/<version>/<resource>`.
    pub fn get(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<Resource>> {
        self.version(group, version)?.resources.get(resource)
    }

    /// The resource `gvr`.
    pub fn by_gvr(&self, gvr: &GroupVersionResource) -> Option<&Arc<Resource>> {
        self.get(&gvr.group, &gvr.version, &gvr.resource)
    }

    /// The resource whose objects are of kind `gvk`.
    pub fn by_gvk(&self, gvk: &GroupVersionKind) -> Option<&Arc<Resource>> {
        let version = self.version(&gvk.group, &gvk.version)?;
        version.resources.get(version.kinds.get(&gvk.kind)?)
    }

    /// The resource in the preferred version that has it.
    pub fn preferred(&self, group: &str, resource: &str) -> Option<&Arc<Resource>> {
        self.group(group)?.versions.iter().find_map(|v| v.resources.get(resource))
    }

    /// The resource of a kind in the preferred version that has it.
    pub fn preferred_kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.group(group)?.versions.iter().find_map(|v| v.resources.get(v.kinds.get(kind)?))
    }

    /// The resource in every version of the group that serves it, preferred one first.
    pub fn served_versions<'a>(
        &'a self,
        group: &str,
        resource: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.group(group).into_iter().flat_map(|g| &g.versions).filter_map(move |v| v.resources.get(resource))
    }

    /// The group `name`; empty for core.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name).map(Arc::as_ref)
    }

    /// One version of a group.
    pub fn version(&self, group: &str, version: &str) -> Option<&Version> {
        let versions = &self.groups.get(group)?.versions;
        versions.iter().find(|v| v.group_version.version == version).map(Arc::as_ref)
    }

    /// All groups in the order of discovery, core first.
    pub fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.values().map(Arc::as_ref).collect();
        // Core has no APIService order of its own to honour in `/apis`; it is listed before all.
        groups.sort_by_key(|g| (!g.name.is_empty(), -g.priority));
        groups
    }

    /// All resources in the order of discovery.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups().into_iter().flat_map(|g| &g.versions).flat_map(|v| v.resources.values())
    }

    /// All custom resources, unordered between groups.
    pub fn custom(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups.values().flat_map(|g| &g.versions).flat_map(|v| v.resources.values()).filter(|r| r.custom)
    }

    /// Serves a custom resource's version, in place of an earlier definition of the same. Refused (`false`) when a built-in resource has
    /// that group, version and name or kind.
    pub fn insert(&mut self, resource: Arc<Resource>) -> bool {
        let taken = |other: Option<&Arc<Resource>>| other.is_some_and(|r| !r.custom);
        if taken(self.by_gvr(&resource.gvr)) || taken(self.by_gvk(&resource.gvk())) {
            return false;
        }
        self.put(resource);
        true
    }

    /// No longer serves one version of a custom resource. `false` when it was not served.
    pub fn remove(&mut self, gvr: &GroupVersionResource) -> bool {
        if !self.by_gvr(gvr).is_some_and(|r| r.custom) {
            return false;
        }
        let groups = Arc::make_mut(&mut self.groups);
        let Some(group) = groups.get_mut(gvr.group.as_str()) else { return false };
        let versions = &mut Arc::make_mut(group).versions;
        if let Some(version) = versions.iter_mut().find(|v| v.group_version.version == gvr.version) {
            let version = Arc::make_mut(version);
            version.resources.remove(&gvr.resource);
            version.kinds.retain(|_, plural| *plural != gvr.resource);
        }
        versions.retain(|v| !v.resources.is_empty());
        if versions.is_empty() {
            groups.remove(gvr.group.as_str());
        }
        self.generation += 1;
        true
    }

    /// Adds or replaces a resource, whatever it is.
    fn put(&mut self, resource: Arc<Resource>) {
        let (group_priority, version_priority) = priorities(&resource.gvr.group_version());
        let name: Arc<str> = resource.gvr.group.as_str().into();
        let group = Arc::make_mut(&mut self.groups)
            .entry(Arc::clone(&name))
            .or_insert_with(|| Arc::new(Group { name, priority: group_priority, versions: Vec::new() }));
        let group = Arc::make_mut(group);
        let version = resource.gvr.group_version();
        let at = group.versions.iter().position(|v| v.group_version == version).unwrap_or_else(|| {
            let order = |v: &Version| {
                (-v.priority)
                    .cmp(&-version_priority)
                    .then_with(|| priority_order(&v.group_version.version, &version.version))
            };
            let at = group.versions.partition_point(|v| order(v).is_lt());
            let (resources, kinds) = (BTreeMap::new(), BTreeMap::new());
            let added =
                Version { group_version: version.clone(), priority: version_priority, resources, kinds };
            group.versions.insert(at, Arc::new(added));
            at
        });
        let version = Arc::make_mut(&mut group.versions[at]);
        version.kinds.retain(|_, plural| *plural != resource.gvr.resource);
        version.kinds.insert(resource.kind.clone(), resource.gvr.resource.clone());
        version.resources.insert(resource.gvr.resource.clone(), resource);
        self.generation += 1;
    }
}

/// The priorities of a group and of its version.
pub fn priorities(group_version: &GroupVersion) -> (i32, i32) {
    let group = builtin_versions().iter().find(|v| v.group_version.group == group_version.group);
    let version = builtin_versions().iter().find(|v| v.group_version == *group_version);
    (
        group.map_or(CUSTOM_GROUP_PRIORITY, |v| v.group_priority),
        version.map_or(CUSTOM_VERSION_PRIORITY, |v| v.version_priority),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::GroupResource;

    fn custom(group: &str, version: &str, plural: &str, kind: &str) -> Arc<Resource> {
        let mut resource = Resource::clone(&builtin()[2]);
        resource.gvr = GroupVersionResource::new(group, version, plural);
        resource.kind = kind.into();
        resource.storage = GroupResource::new(group, plural);
        resource.custom = true;
        Arc::new(resource)
    }

    #[test]
    fn groups_come_by_priority() {
        let mut registry = Registry::builtin();
        assert!(registry.insert(custom("z.example.com", "v1", "things", "Thing")));
        assert!(registry.insert(custom("a.example.com", "v1", "things", "Thing")));
        let names: Vec<&str> = registry.groups().iter().map(|g| &*g.name).collect();
        assert_eq!(names[..4], ["", "apiregistration.k8s.io", "apps", "events.k8s.io"]);
        assert_eq!(
            names[names.len() - 3..],
            ["flowcontrol.apiserver.k8s.io", "a.example.com", "z.example.com"]
        );
        let builtin_names: Vec<_> = builtin().iter().map(|r| &r.gvr).collect();
        let listed: Vec<_> = registry.resources().filter(|r| !r.custom).map(|r| &r.gvr).collect();
        assert_eq!(listed, builtin_names);
    }

    #[test]
    fn versions_come_by_stability() {
        let mut registry = Registry::builtin();
        for version in ["v1alpha1", "v2", "v1", "v2beta1"] {
            registry.insert(custom("example.com", version, "things", "Thing"));
        }
        let versions: Vec<_> =
            registry.served_versions("example.com", "things").map(|r| r.gvr.version.as_str()).collect();
        assert_eq!(versions, ["v2", "v1", "v2beta1", "v1alpha1"]);
        assert_eq!(
            registry.preferred("autoscaling", "horizontalpodautoscalers").expect("served").gvr.version,
            "v2"
        );
    }

    #[test]
    fn a_change_leaves_clones_alone() {
        let mut registry = Registry::builtin();
        let thing = custom("example.com", "v1", "things", "Thing");
        registry.insert(Arc::clone(&thing));
        let before = registry.clone();
        assert!(registry.remove(&thing.gvr));
        assert!(!registry.remove(&thing.gvr));
        assert!(registry.by_gvk(&thing.gvk()).is_none() && registry.group("example.com").is_none());
        assert!(before.by_gvk(&thing.gvk()).is_some());
        assert!(registry.generation() > before.generation());
    }

    #[test]
    fn built_in_resources_stay() {
        let mut registry = Registry::builtin();
        assert!(!registry.insert(custom("apps", "v1", "deployments", "Mine")));
        assert!(!registry.insert(custom("apps", "v1", "mine", "Deployment")));
        assert!(!registry.remove(&GroupVersionResource::new("apps", "v1", "deployments")));
        assert!(registry.insert(custom("apps", "v9", "mine", "Mine")));
    }
}
