//! The schema tree: an arena of nodes ([`Types`]) and a cheap, copyable pointer into it ([`Schema`]).

use object::GroupVersionKind;
use serde_json::Value;
use std::collections::HashMap;

/// Index of a node in its [`Types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// An arena of schema nodes. The built-in one lives for ever; each custom version has its own.
#[derive(Debug, Default)]
pub struct Types {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Named types, such as `io.k8s.api.core.v1.Pod`.
    pub names: HashMap<Box<str>, NodeId>,
    /// Kinds, for [`Types::by_gvk`].
    pub kinds: HashMap<GroupVersionKind, NodeId>,
    /// What a custom schema demands beyond its shape; `None` for built-in types.
    pub(crate) custom: Option<Box<crate::custom::Custom>>,
}

/// One place in a schema.
#[derive(Debug, Default)]
pub struct Node {
    /// What values it holds.
    pub shape: Shape,
    /// `null` is a value of its own here, not absence.
    pub nullable: bool,
    /// Written in when absent.
    pub default: Option<Value>,
    /// How lists merge under server-side apply (`x-kubernetes-list-type`).
    pub list_type: ListType,
    /// A map or struct that server-side apply owns as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// How strategic merge patch treats it.
    pub patch: PatchStrategy,
}

/// The structure of a node's values.
#[derive(Clone, Debug, Default)]
pub enum Shape {
    /// Any JSON at all, kept as it is (RawExtension, `x-kubernetes-preserve-unknown-fields` without properties).
    #[default]
    Any,
    /// An object with named fields.
    Object {
        /// Fields, sorted by name.
        fields: Vec<Field>,
        /// Keep fields that are not listed.
        preserve_unknown: bool,
        /// A whole Kubernetes object (`x-kubernetes-embedded-resource`).
        embedded_resource: bool,
    },
    /// An object with free keys, all values of one schema.
    Map(NodeId),
    /// A list, all items of one schema.
    List(NodeId),
    /// A single value.
    Scalar(Scalar),
    /// The built-in type with this id, seen from a custom schema (ObjectMeta of a custom resource).
    Builtin(NodeId),
}

/// A named field of an object.
#[derive(Clone, Debug)]
pub struct Field {
    /// JSON name.
    pub name: Box<str>,
    /// Its schema.
    pub node: NodeId,
    /// Encoders leave it out when it holds its zero value (Go's `omitempty`).
    pub omit_empty: bool,
    /// Where Go's struct has it, counted from 0; custom resources have no order.
    pub order: u16,
    /// Go holds it behind a pointer: `false`, `0` and `""` differ from absence.
    pub pointer: bool,
}

/// The kinds of single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// UTF-8 text.
    String,
    /// base64 text that stands for bytes.
    Bytes,
    /// `true` or `false`.
    Bool,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Floating point.
    Double,
    /// A number or a string (ports, percentages).
    IntOrString,
    /// `100m`, `1Gi`; numbers are taken too.
    Quantity,
    /// RFC 3339, whole seconds.
    Time,
    /// RFC 3339, microseconds.
    MicroTime,
    /// Go duration text such as `1h0m0s`.
    Duration,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Items are their own keys.
    Set,
    /// Items are objects told apart by these fields.
    Map(Vec<Box<str>>),
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// `merge`: lists merge instead of being replaced.
    pub merge: bool,
    /// `replace`: maps are replaced instead of being merged.
    pub replace: bool,
    /// `retainKeys`: keys that the patch does not list go away.
    pub retain_keys: bool,
    /// The field that tells items of a merged list of objects apart.
    pub merge_key: Option<Box<str>>,
}

/// A pointer to one node of a schema tree.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    types: &'a Types,
    id: NodeId,
}

impl Types {
    /// The named type.
    pub fn named(&self, name: &str) -> Option<Schema<'_>> {
        self.names.get(name).map(|id| self.at(*id))
    }

    /// The node `id`; it must be of this arena.
    pub fn at(&self, id: NodeId) -> Schema<'_> {
        Schema { types: self, id }
    }
}

impl<'a> Schema<'a> {
    /// The node, with references into the built-in types followed.
    pub fn node(self) -> &'a Node {
        &self.types.nodes[self.id.0 as usize]
    }

    /// This node's id in its arena.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The arena it lives in.
    pub fn types(self) -> &'a Types {
        self.types
    }

    /// The schema of field `name`: a listed field, or any key of a map.
    pub fn field(self, name: &str) -> Option<Schema<'a>> {
        match &self.node().shape {
            Shape::Object { fields, .. } => {
                let at = fields.binary_search_by(|f| (*f.name).cmp(name)).ok()?;
                Some(self.types.resolve(fields[at].node))
            }
            Shape::Map(value) => Some(self.types.resolve(*value)),
            _ => None,
        }
    }

    /// Where Go's struct has field `name`.
    pub fn order(self, name: &str) -> Option<u16> {
        let Shape::Object { fields, .. } = &self.node().shape else { return None };
        let at = fields.binary_search_by(|f| (*f.name).cmp(name)).ok()?;
        Some(fields[at].order)
    }

    /// The listed fields with their schemas; empty unless an object.
    pub fn fields(self) -> impl Iterator<Item = (&'a Field, Schema<'a>)> {
        let fields: &'a [Field] = match &self.node().shape {
            Shape::Object { fields, .. } => fields,
            _ => &[],
        };
        fields.iter().map(move |f| (f, self.types.resolve(f.node)))
    }

    /// The schema of a list's items.
    pub fn items(self) -> Option<Schema<'a>> {
        match self.node().shape {
            Shape::List(item) => Some(self.types.resolve(item)),
            _ => None,
        }
    }

    /// The schema of a map's values.
    pub fn map_value(self) -> Option<Schema<'a>> {
        match self.node().shape {
            Shape::Map(value) => Some(self.types.resolve(value)),
            _ => None,
        }
    }
}

impl Types {
    /// The node `id`, or the built-in node that it stands for.
    pub fn resolve(&self, id: NodeId) -> Schema<'_> {
        match self.nodes[id.0 as usize].shape {
            Shape::Builtin(builtin) => crate::builtin().at(builtin),
            _ => self.at(id),
        }
    }
}
