//! Which message each built-in type is: its fields by tag.

use super::node_of;
use crate::{
    NodeId,
    facts::{self, Entry, Line, Meaning, Table},
};
use std::{collections::HashMap, sync::LazyLock};

static LAYOUTS: LazyLock<Layouts> = LazyLock::new(Layouts::build);

/// The messages of all built-in types.
pub(super) fn layouts() -> &'static Layouts {
    &LAYOUTS
}

/// What a field holds on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Bytes,
    Bool,
    Int,
    Double,
    Quantity,
    Time,
    MicroTime,
    Duration,
    IntOrString,
    /// JSON (or an envelope) as bytes: RawExtension, FieldsV1, JSON.
    Raw,
    /// A schema or a bool.
    OrBool,
    /// A schema or a list of schemas.
    OrArray,
    /// A schema or a list of names.
    OrStringArray,
    /// A message with the list inside (`Verbs`, `ExtraValue`).
    Texts,
    /// A message, by its index.
    Message(usize),
    /// A message whose fields stand among its holder's in JSON.
    Inline(usize),
    /// Repeated.
    List(Box<Kind>),
    /// From strings.
    Map(Box<Kind>),
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct FieldLayout {
    /// Its number.
    pub tag: u32,
    /// Its JSON name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Not written when absent.
    pub pointer: bool,
}

/// A message: its fields by tag.
pub(super) type Layout = Box<[FieldLayout]>;

/// All messages.
pub(super) struct Layouts {
    messages: Vec<Layout>,
    of_node: HashMap<NodeId, usize>,
    /// `JSONSchemaProps`
    pub schema_props: Option<usize>,
}

impl Layouts {
    /// The message of a type, if it has one.
    pub fn of(&self, node: NodeId) -> Option<usize> {
        self.of_node.get(&node).copied()
    }

    /// The message with an index.
    pub fn get(&self, at: usize) -> &Layout {
        &self.messages[at]
    }

    fn build() -> Self {
        let table = facts::table();
        let builder = Builder { table };
        let mut layouts = Self { messages: Vec::new(), of_node: HashMap::new(), schema_props: None };
        for (at, entry) in table.entries.iter().enumerate() {
            let fields = builder.fields(entry);
            let sent = !fields.is_empty() || entry.lines().next().is_none();
            let name = format!("{}.{}", table.packages[entry.package].prefix, entry.name);
            if let Some(node) = node_of(&name).filter(|_| sent) {
                layouts.of_node.insert(node, at);
            }
            if name == "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps" {
                layouts.schema_props = Some(at);
            }
            layouts.messages.push(fields.into());
        }
        layouts
    }
}

struct Builder {
    table: &'static Table,
}

impl Builder {
    fn fields(&self, entry: &Entry) -> Vec<FieldLayout> {
        let mut fields: Vec<_> = entry.lines().filter_map(|line| self.field(entry.package, &line)).collect();
        fields.sort_by_key(|f| f.tag);
        fields
    }

    fn field(&self, package: usize, line: &Line) -> Option<FieldLayout> {
        let tag = line.tag?;
        let pointer = line.go_type.starts_with('*');
        let kind = self.kind(package, line.go_type);
        let kind = match (line.name, kind) {
            ("+", Kind::Message(at)) => Kind::Inline(at),
            (_, kind) => kind,
        };
        Some(FieldLayout { tag, name: line.name, kind, pointer })
    }

    fn kind(&self, package: usize, go_type: &'static str) -> Kind {
        let go_type = go_type.trim_start_matches('*');
        match go_type {
            "string" => return Kind::String,
            "bool" => return Kind::Bool,
            "int32" | "int64" => return Kind::Int,
            "float64" => return Kind::Double,
            "[]byte" => return Kind::Bytes,
            _ => {}
        }
        if let Some(item) = go_type.strip_prefix("[]") {
            return Kind::List(Box::new(self.kind(package, item)));
        }
        if let Some((_, value)) = go_type.strip_prefix("map[").and_then(|t| t.split_once(']')) {
            return Kind::Map(Box::new(self.kind(package, value)));
        }
        match self.table.split(package, go_type) {
            ("resource", "Quantity") => return Kind::Quantity,
            ("meta.v1", "Time") => return Kind::Time,
            ("meta.v1", "MicroTime") => return Kind::MicroTime,
            ("meta.v1", "Duration") => return Kind::Duration,
            ("intstr", "IntOrString") => return Kind::IntOrString,
            ("runtime", "RawExtension") | ("meta.v1", "FieldsV1") | ("apiextensions.v1", "JSON") => {
                return Kind::Raw;
            }
            ("apiextensions.v1", "JSONSchemaPropsOrBool") => return Kind::OrBool,
            ("apiextensions.v1", "JSONSchemaPropsOrArray") => return Kind::OrArray,
            ("apiextensions.v1", "JSONSchemaPropsOrStringArray") => return Kind::OrStringArray,
            _ => {}
        }
        match self.table.meaning(package, go_type) {
            Some(Meaning::Struct(entry)) => Kind::Message(entry.index),
            Some(Meaning::Alias(package, target)) => {
                let name = go_type.rsplit('.').next().unwrap_or(go_type);
                if name == "Verbs" || name == "ExtraValue" { Kind::Texts } else { self.kind(package, target) }
            }
            None => Kind::Raw,
        }
    }
}
