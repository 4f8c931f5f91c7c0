//! From an `openAPIV3Schema` to nodes and constraints.
//!
//! What the schema of a CustomResourceDefinition may look like is checked when the definition is created; here anything
//! is taken, and what does not fit is passed over.

use super::{
    constraints::{Check, Custom, Pattern, Rules, TypeSet},
    prune, shared,
};
use crate::{Field, ListType, Node, NodeId, PatchStrategy, Scalar, Schema, Shape, Types, builtin};
use object::{Map, Value};
use std::sync::Arc;

/// A compiled schema.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Its arena.
    pub types: Arc<Types>,
    /// The object itself.
    pub root: NodeId,
}

impl Compiled {
    /// The object's schema.
    pub fn schema(&self) -> Schema<'_> {
        self.types.at(self.root)
    }
}

/// Schemas nested deeper than this are taken for anything.
const MAX_DEPTH: usize = 128;

/// Compiles the schema of one version. `null` compiles to an object that keeps all its fields. Equal schemas compile
/// once: a compiled one is shared, across virtual clusters too, as long as anyone holds it.
pub fn compile(schema: &Value) -> Compiled {
    shared::get_or_compile(schema, || {
        let anything = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        build(if schema.is_null() { &anything } else { schema }, Place::Root)
    })
}

/// Compiles a part of a schema.
pub(super) fn compile_value(schema: &Value) -> Compiled {
    build(schema, Place::Inner)
}

fn build(schema: &Value, place: Place) -> Compiled {
    let mut compiler = Compiler { types: Types::default(), custom: Custom::default(), missing: None };
    let root = compiler.node(schema, place, 0);
    let Compiler { mut types, custom, .. } = compiler;
    types.custom = Some(Box::new(custom));
    types.nodes.shrink_to_fit();
    prune_defaults(&mut types);
    Compiled { types: Arc::new(types), root }
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Inner,
    /// In `allOf`, `anyOf`, `oneOf` or `not`: no structure, only demands.
    Value,
}

struct Compiler {
    types: Types,
    custom: Custom,
    /// The node of `additionalProperties: true`: any scalar, nothing with fields.
    missing: Option<NodeId>,
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema[name].as_str().unwrap_or("")
}

fn flag(schema: &Value, name: &str) -> bool {
    schema[name] == true
}

fn texts(value: &Value) -> Vec<Box<str>> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

impl Compiler {
    fn reserve(&mut self) -> NodeId {
        self.types.nodes.push(Node::default());
        self.custom.checks.push(Check::nothing());
        NodeId(self.types.nodes.len() as u32 - 1)
    }

    fn simple(&mut self, shape: Shape) -> NodeId {
        let id = self.reserve();
        self.types.nodes[id.0 as usize].shape = shape;
        id
    }

    fn missing(&mut self) -> NodeId {
        match self.missing {
            Some(id) => id,
            None => {
                let shape =
                    Shape::Object { fields: Vec::new(), preserve_unknown: false, embedded_resource: false };
                let id = self.simple(shape);
                self.types.nodes[id.0 as usize].nullable = true;
                self.missing = Some(id);
                id
            }
        }
    }

    fn node(&mut self, schema: &Value, place: Place, depth: usize) -> NodeId {
        let id = self.reserve();
        if depth > MAX_DEPTH {
            self.custom.checks[id.0 as usize].preserve = true;
            return id;
        }
        let mut check = self.demands(schema, place, depth);
        let shape = self.shape(schema, place, &mut check, depth);
        self.custom.checks[id.0 as usize] = check;
        self.types.nodes[id.0 as usize] = Node {
            shape,
            nullable: flag(schema, "nullable"),
            default: schema.get("default").filter(|d| !d.is_null()).cloned(),
            list_type: list_type(schema),
            atomic: text(schema, "x-kubernetes-map-type") == "atomic",
            patch: PatchStrategy::default(),
        };
        id
    }

    fn shape(&mut self, schema: &Value, place: Place, check: &mut Check, depth: usize) -> Shape {
        let preserve = check.preserve;
        if flag(schema, "x-kubernetes-int-or-string") {
            return Shape::Scalar(Scalar::IntOrString);
        }
        let is_object = check.embedded || place == Place::Root;
        if let Some(properties) = schema["properties"].as_object().filter(|_| !is_object) {
            let fields = self.fields(properties, depth);
            return Shape::Object { fields, preserve_unknown: preserve, embedded_resource: false };
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => return Shape::Map(self.missing()),
            Some(values @ Value::Object(_)) => return Shape::Map(self.node(values, inner(place), depth + 1)),
            _ => {}
        }
        match (text(schema, "type"), &schema["items"]) {
            (_, items @ Value::Object(_)) => Shape::List(self.node(items, inner(place), depth + 1)),
            ("array", _) if preserve => Shape::List(self.simple(Shape::Any)),
            ("array", _) => Shape::List(self.missing()),
            ("string", _) => Shape::Scalar(Scalar::String),
            ("boolean", _) => Shape::Scalar(Scalar::Bool),
            ("integer", _) => Shape::Scalar(Scalar::Int64),
            ("number", _) => Shape::Scalar(Scalar::Double),
            _ if is_object => self.object(schema, check, depth),
            ("object", _) => {
                Shape::Object { fields: Vec::new(), preserve_unknown: preserve, embedded_resource: false }
            }
            _ => Shape::Any,
        }
    }

    fn fields(&mut self, properties: &Map<String, Value>, depth: usize) -> Vec<Field> {
        let field = |(name, schema): (&String, &Value)| Field {
            name: name.as_str().into(),
            node: self.node(schema, Place::Inner, depth + 1),
            order: 0,
            omit_empty: true,
            pointer: true,
        };
        let mut fields: Vec<_> = properties.iter().map(field).collect();
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields
    }

    /// The custom resource itself, or one embedded in it: apiVersion, kind and metadata have their own types.
    fn object(&mut self, schema: &Value, check: &mut Check, depth: usize) -> Shape {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let mut fields = self.fields(properties, depth);
        if let Some(at) = fields.iter().position(|f| &*f.name == "metadata") {
            check.more_mut().metadata = Some(fields.remove(at).node);
        }
        let object_meta = builtin().names["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"];
        let metadata = self.simple(Shape::Builtin(object_meta));
        fields.push(Field {
            name: "metadata".into(),
            node: metadata,
            order: 0,
            omit_empty: true,
            pointer: true,
        });
        for name in ["apiVersion", "kind"] {
            if !properties.contains_key(name) {
                let node = self.simple(Shape::Scalar(Scalar::String));
                fields.push(Field { name: name.into(), node, order: 0, omit_empty: true, pointer: true });
            }
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Shape::Object { fields, preserve_unknown: check.preserve, embedded_resource: true }
    }

    fn demands(&mut self, schema: &Value, place: Place, depth: usize) -> Check {
        let mut check = Check::nothing();
        check.types = if flag(schema, "x-kubernetes-int-or-string") {
            TypeSet(TypeSet::INTEGER | TypeSet::STRING)
        } else {
            TypeSet::named(text(schema, "type"))
        };
        check.preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
        check.embedded = flag(schema, "x-kubernetes-embedded-resource") && place != Place::Value;
        check.closed = schema["additionalProperties"] == false;
        self.limits(schema, &mut check);
        self.alternatives(schema, &mut check, depth);
        check
    }

    fn limits(&mut self, schema: &Value, check: &mut Check) {
        let int = |name: &str| schema[name].as_i64();
        let number = |name: &str| schema[name].as_f64();
        let limited = [
            "format",
            "minimum",
            "maximum",
            "multipleOf",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "uniqueItems",
            "pattern",
            "enum",
            "required",
            "x-kubernetes-validations",
        ];
        if !limited.iter().any(|name| schema.get(name).is_some()) {
            return;
        }
        let types = check.types;
        let more = check.more_mut();
        more.format = super::format::known(text(schema, "format"), types).map(Into::into);
        more.minimum = number("minimum");
        more.maximum = number("maximum");
        more.exclusive_minimum = flag(schema, "exclusiveMinimum");
        more.exclusive_maximum = flag(schema, "exclusiveMaximum");
        more.multiple_of = number("multipleOf");
        more.min_length = int("minLength");
        more.max_length = int("maxLength");
        more.min_items = int("minItems");
        more.max_items = int("maxItems");
        more.min_properties = int("minProperties");
        more.max_properties = int("maxProperties");
        more.unique_items = flag(schema, "uniqueItems");
        more.pattern = Some(text(schema, "pattern")).filter(|p| !p.is_empty()).map(Pattern::new);
        more.choices = schema["enum"].as_array().cloned().unwrap_or_default();
        more.required = texts(&schema["required"]);
        let rules = schema["x-kubernetes-validations"].as_array().filter(|r| !r.is_empty());
        more.rules = rules.map(|list| Rules { list: list.clone().into(), compiled: Default::default() });
    }

    fn alternatives(&mut self, schema: &Value, check: &mut Check, depth: usize) {
        for name in ["allOf", "anyOf", "oneOf"] {
            let Some(list) = schema[name].as_array().filter(|l| !l.is_empty()) else { continue };
            let nodes = list.iter().map(|s| self.node(s, Place::Value, depth + 1)).collect();
            let more = check.more_mut();
            match name {
                "allOf" => more.all_of = nodes,
                "anyOf" => more.any_of = nodes,
                _ => more.one_of = nodes,
            }
        }
        if let Some(not) = schema.get("not").filter(|n| n.is_object()) {
            check.more_mut().not = Some(self.node(not, Place::Value, depth + 1));
        }
    }
}

fn inner(place: Place) -> Place {
    if place == Place::Value { Place::Value } else { Place::Inner }
}

fn list_type(schema: &Value) -> ListType {
    match text(schema, "x-kubernetes-list-type") {
        "set" => ListType::Set,
        "map" => ListType::Map(texts(&schema["x-kubernetes-list-map-keys"])),
        _ => ListType::Atomic,
    }
}

/// Defaults hold nothing that pruning would take away again.
fn prune_defaults(types: &mut Types) {
    for at in 0..types.nodes.len() {
        if let Some(mut value) = types.nodes[at].default.take() {
            let schema = types.at(NodeId(at as u32));
            prune::prune_inner(schema, &mut value);
            types.nodes[at].default = Some(value);
        }
    }
}
