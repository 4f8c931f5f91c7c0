//! Builds the arena of built-in types from the fact table.
//!
//! Nodes are shared: every `string` without attributes is one node, and a field whose type is a struct points at the
//! struct's own node. Only a field that adds something of its own (a list type, a default) gets its own node.

use crate::{
    Field, ListType, Node, NodeId, PatchStrategy, Scalar, Shape, Types,
    facts::{self, Entry, Line, Meaning, Table, attribute},
};
use object::{GroupVersion, GroupVersionKind};
use rustc_hash::FxHashMap;

/// Reads the whole table.
pub(crate) fn builtin() -> Types {
    let mut loader = Loader {
        table: facts::table(),
        types: Types::default(),
        shared: FxHashMap::default(),
        copies: Vec::new(),
    };
    loader.name_all();
    for entry in &loader.table.entries {
        loader.fill(entry);
    }
    loader.copy();
    loader.types.nodes.shrink_to_fit();
    loader.types
}

struct Loader {
    table: &'static Table,
    types: Types,
    /// Nodes without a name, by package, Go type and attributes.
    shared: FxHashMap<(usize, &'static str, &'static str), NodeId>,
    /// Fields that add attributes to a struct: (their node, the struct's node, the attributes).
    copies: Vec<(NodeId, NodeId, &'static str)>,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Types that encode themselves: package, name, prefix in OpenAPI.
const SCALARS: [(&str, &str, &str, Scalar); 5] = [
    ("resource", "Quantity", "io.k8s.apimachinery.pkg.api.resource", Scalar::Quantity),
    ("meta.v1", "Time", META, Scalar::Time),
    ("meta.v1", "MicroTime", META, Scalar::MicroTime),
    ("meta.v1", "Duration", META, Scalar::Duration),
    ("intstr", "IntOrString", "io.k8s.apimachinery.pkg.util.intstr", Scalar::IntOrString),
];

/// Types that hold any JSON: package, name, prefix in OpenAPI.
const ANY: [(&str, &str, &str); 2] =
    [("runtime", "RawExtension", "io.k8s.apimachinery.pkg.runtime"), ("meta.v1", "FieldsV1", META)];

/// Structs of apiextensions that stand for JSON of several shapes and decode themselves.
const SELF_DECODED: [&str; 4] =
    ["JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"];

impl Loader {
    fn add(&mut self, shape: Shape) -> NodeId {
        self.types.nodes.push(Node { shape, ..Node::default() });
        NodeId(self.types.nodes.len() as u32 - 1)
    }

    fn name_all(&mut self) {
        for (_, name, prefix, scalar) in SCALARS {
            let id = self.add(Shape::Scalar(scalar));
            self.types.names.insert(format!("{prefix}.{name}").into(), id);
        }
        for (_, name, prefix) in ANY {
            let id = self.add(Shape::Any);
            self.types.names.insert(format!("{prefix}.{name}").into(), id);
        }
        for entry in &self.table.entries {
            let package = &self.table.packages[entry.package];
            let id = self.add(Shape::Any);
            self.types.names.insert(format!("{}.{}", package.prefix, entry.name).into(), id);
            let gv = match attribute(entry.attributes, "kind") {
                Some(gv) => Some(gv),
                None => package.group_version.filter(|_| entry.attributes.split(' ').any(|w| w == "kind")),
            };
            if let Some((group, version)) = gv.and_then(|gv| gv.split_once('/')) {
                self.types.kinds.insert(GroupVersionKind::new(group, version, entry.name), id);
            }
        }
    }

    /// The node of a struct: they follow the types that encode themselves, in the order of the table.
    fn named(entry: &Entry) -> NodeId {
        NodeId((SCALARS.len() + ANY.len() + entry.index) as u32)
    }

    /// The node of a type that encodes itself.
    fn own(&self, package: usize, go_type: &str) -> Option<NodeId> {
        let wanted = self.table.split(package, go_type);
        let scalar = SCALARS.iter().position(|(key, name, ..)| (*key, *name) == wanted);
        let any =
            || ANY.iter().position(|(key, name, _)| (*key, *name) == wanted).map(|at| at + SCALARS.len());
        scalar.or_else(any).map(|at| NodeId(at as u32))
    }

    fn fill(&mut self, entry: &Entry) {
        let id = Self::named(entry);
        if SELF_DECODED.contains(&entry.name) {
            return;
        }
        let mut fields = Vec::new();
        self.collect(entry, &mut fields);
        for (at, field) in fields.iter_mut().enumerate() {
            field.order = at as u16;
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let node = &mut self.types.nodes[id.0 as usize];
        node.shape = Shape::Object { fields, preserve_unknown: false, embedded_resource: false };
        node.atomic = attribute(entry.attributes, "map") == Some("atomic");
    }

    fn collect(&mut self, entry: &Entry, fields: &mut Vec<Field>) {
        for line in entry.lines() {
            match line.name {
                "&" | "+" => {
                    if let Some(inner) = self.table.structure(entry.package, line.go_type) {
                        self.collect(&inner, fields);
                    }
                }
                _ => fields.push(self.field(entry.package, &line)),
            }
        }
    }

    fn field(&mut self, package: usize, line: &Line) -> Field {
        let node = self.node(package, line.go_type, line.attributes);
        let pointer = line.go_type.starts_with('*');
        // Go never takes a struct for empty; only `omitzero` leaves one out.
        let is_struct = || !pointer && self.is_struct(package, line.go_type);
        let omit_empty = line.flags.contains('z') || (line.flags.contains('o') && !is_struct());
        Field { name: line.name.into(), node, order: 0, omit_empty, pointer }
    }

    fn is_struct(&self, package: usize, go_type: &str) -> bool {
        self.own(package, go_type).is_some()
            || match self.table.meaning(package, go_type) {
                Some(Meaning::Struct(_)) => true,
                Some(Meaning::Alias(package, target)) => self.is_struct(package, target),
                None => false,
            }
    }

    fn node(&mut self, package: usize, go_type: &'static str, attributes: &'static str) -> NodeId {
        if let Some(id) = self.shared.get(&(package, go_type, attributes)) {
            return *id;
        }
        let id = self.make(package, go_type.trim_start_matches('*'), attributes);
        self.shared.insert((package, go_type, attributes), id);
        id
    }

    fn make(&mut self, package: usize, go_type: &'static str, attributes: &'static str) -> NodeId {
        let shape = match go_type {
            "string" => Shape::Scalar(Scalar::String),
            "bool" => Shape::Scalar(Scalar::Bool),
            "int32" => Shape::Scalar(Scalar::Int32),
            "int64" => Shape::Scalar(Scalar::Int64),
            "float64" => Shape::Scalar(Scalar::Double),
            "[]byte" => Shape::Scalar(Scalar::Bytes),
            "interface{}" => Shape::Any,
            _ => {
                if let Some(item) = go_type.strip_prefix("[]") {
                    Shape::List(self.node(package, item, ""))
                } else if let Some((_, value)) = go_type.strip_prefix("map[").and_then(|t| t.split_once(']'))
                {
                    Shape::Map(self.node(package, value, ""))
                } else {
                    return self.reference(package, go_type, attributes);
                }
            }
        };
        let id = self.add(shape);
        decorate(&mut self.types.nodes[id.0 as usize], attributes);
        id
    }

    fn reference(&mut self, package: usize, go_type: &'static str, attributes: &'static str) -> NodeId {
        let target = match (self.own(package, go_type), self.table.meaning(package, go_type)) {
            (Some(own), _) => own,
            (None, Some(Meaning::Struct(entry))) => Self::named(&entry),
            (None, Some(Meaning::Alias(package, target))) => return self.node(package, target, attributes),
            (None, None) => return self.add(Shape::Any),
        };
        if attributes.is_empty() {
            return target;
        }
        let copy = self.add(Shape::Any);
        self.copies.push((copy, target, attributes));
        copy
    }

    fn copy(&mut self) {
        for (copy, of, attributes) in std::mem::take(&mut self.copies) {
            let source = &self.types.nodes[of.0 as usize];
            let mut node = Node { shape: source.shape.clone(), atomic: source.atomic, ..Node::default() };
            decorate(&mut node, attributes);
            self.types.nodes[copy.0 as usize] = node;
        }
    }
}

fn decorate(node: &mut Node, attributes: &str) {
    match attribute(attributes, "list") {
        Some("set") => node.list_type = ListType::Set,
        Some(list) => {
            if let Some(keys) = list.strip_prefix("map:") {
                node.list_type = ListType::Map(keys.split(',').map(Into::into).collect());
            }
        }
        None => {}
    }
    if let Some(map) = attribute(attributes, "map") {
        node.atomic = map == "atomic";
    }
    for strategy in attribute(attributes, "patch").into_iter().flat_map(|s| s.split(',')) {
        node.patch.merge |= strategy == "merge";
        node.patch.replace |= strategy == "replace";
        node.patch.retain_keys |= strategy == "retainKeys";
    }
    node.patch.merge_key = attribute(attributes, "key").map(Into::into);
    node.default = attribute(attributes, "default").and_then(|json| serde_json::from_str(json).ok());
}

/// Kinds that every group version accepts, all of one type.
const EVERYWHERE: [&str; 7] = [
    "DeleteOptions",
    "CreateOptions",
    "UpdateOptions",
    "PatchOptions",
    "GetOptions",
    "ListOptions",
    "WatchEvent",
];

impl Types {
    /// The type of a kind. `DeleteOptions` and its like are known in every group.
    pub fn by_gvk(&self, gvk: &GroupVersionKind) -> Option<crate::Schema<'_>> {
        if let Some(id) = self.kinds.get(gvk) {
            return Some(self.at(*id));
        }
        if EVERYWHERE.contains(&gvk.kind.as_str()) {
            return self.named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{}", gvk.kind));
        }
        None
    }

    /// All kinds of a group version.
    pub fn kinds_of<'a>(&'a self, gv: &'a GroupVersion) -> impl Iterator<Item = &'a GroupVersionKind> {
        self.kinds.keys().filter(move |gvk| gvk.group == gv.group && gvk.version == gv.version)
    }
}

impl PatchStrategy {
    /// Nothing said: lists are replaced, structs merge.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
