//! One served resource, as data.

use crate::custom::CustomVersion;
use object::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
use schema::{NodeId, Schema, Types};
use std::sync::Arc;

/// What clients may do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// As discovery and RBAC spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// Whether objects live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// Without one.
    Cluster,
}

/// Where a resource's schema is.
#[derive(Clone, Debug)]
pub enum SchemaRef {
    /// A built-in type.
    Builtin(NodeId),
    /// A custom version's own types.
    Custom(Arc<Types>, NodeId),
}

impl SchemaRef {
    /// The schema's root node.
    pub fn get(&self) -> Schema<'_> {
        match self {
            Self::Builtin(id) => schema::builtin().at(*id),
            Self::Custom(types, id) => types.at(*id),
        }
    }
}

/// A subresource such as `status`, `scale` or `log`.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// `status`.
    pub name: String,
    /// The kind it reads and writes; often the parent's.
    pub gvk: GroupVersionKind,
    /// Its verbs.
    pub verbs: Vec<Verb>,
    /// The schema of its kind; `None` for connect verbs (log, exec, proxy …).
    pub schema: Option<SchemaRef>,
}

/// One resource in one version.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Group, version and plural.
    pub gvr: GroupVersionResource,
    /// CamelCase kind.
    pub kind: String,
    /// Kind of its lists.
    pub list_kind: String,
    /// Lower-case singular.
    pub singular: String,
    /// `po`, `deploy` …
    pub short_names: Vec<String>,
    /// `all` …
    pub categories: Vec<String>,
    /// Namespaced or not.
    pub scope: Scope,
    /// Its verbs, sorted.
    pub verbs: Vec<Verb>,
    /// Its subresources, sorted by name.
    pub subresources: Vec<Subresource>,
    /// The shape of its objects.
    pub schema: SchemaRef,
    /// Where its objects are kept: the group and resource in store keys. Differs from `gvr` when two groups serve the same
    /// objects (`events.k8s.io` events are kept as core events).
    pub storage: GroupResource,
    /// The version its objects are kept in. Differs from `gvr.version` where a group serves several.
    pub storage_version: GroupVersion,
    /// The storage version hash that discovery shows; empty when not persisted.
    pub storage_version_hash: String,
    /// Set for custom resources.
    pub custom: bool,
    /// What the definition of a custom resource says beyond this.
    pub definition: Option<Arc<CustomVersion>>,
}

impl Resource {
    /// The kind with its group and version.
    pub fn gvk(&self) -> GroupVersionKind {
        self.gvr.group_version().kind(&self.kind)
    }

    /// The kind with its group.
    pub fn group_kind(&self) -> GroupKind {
        self.gvk().group_kind()
    }

    /// The resource with its group: what errors and RBAC rules name.
    pub fn group_resource(&self) -> GroupResource {
        self.gvr.group_resource()
    }

    /// Objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// What clients are warned of at every request, when this version should not be used any more.
    pub fn deprecation(&self) -> Option<&str> {
        match (self.gvr.group.as_str(), self.gvr.resource.as_str(), &self.definition) {
            (.., Some(custom)) => custom.deprecation.as_deref(),
            ("", "componentstatuses", None) => Some("v1 ComponentStatus is deprecated in v1.19+"),
            ("", "endpoints", None) => {
                Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
            }
            _ => None,
        }
    }

    /// The subresource `name`.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
}
