//! Finding the CEL rules of a schema with the values that they are about.

use super::At;
use super::constraints::{More, Rules, TypeSet};
use crate::{ListType, Schema, Shape};
use object::{Map, Path, Value, json};
use std::any::Any;
use std::sync::OnceLock;

/// A value with rules.
#[derive(Clone)]
pub struct Place<'a> {
    /// Where it is.
    pub path: Path,
    /// Its schema.
    pub schema: Schema<'a>,
    /// `x-kubernetes-validations`.
    pub rules: &'a Rules,
    /// The value.
    pub value: &'a Value,
    /// What it was, where old and new can be told to be the same place.
    pub old: Option<&'a Value>,
    nearest: Option<Nearest<'a>>,
}

/// A value and what it was, or those of the nearest place around it that can be told to be the same.
type Nearest<'a> = (At<'a>, &'a Value, &'a Value);

impl Place<'_> {
    /// Whether nothing changed here: what was wrong before is let pass then.
    pub fn is_unchanged(&self) -> bool {
        self.nearest.is_some_and(|(at, value, old)| same(at, value, old))
    }
}

/// Whether two values of a place are the same, which list maps are in any order.
pub(super) fn same(at: At<'_>, value: &Value, old: &Value) -> bool {
    match (value, old) {
        (Value::Object(new), Value::Object(old)) => {
            let is_same = |(key, value): (&String, &Value)| {
                old.get(key).is_some_and(|old| match at.field(key) {
                    Some(inner) => same(inner, value, old),
                    None => value == old,
                })
            };
            new.len() == old.len() && new.iter().all(is_same)
        }
        (Value::Array(new), Value::Array(items))
            if matches!(at.schema.node().list_type, ListType::Map(_)) =>
        {
            let is_same = |value: &Value| {
                let known = correlated(at, old, value);
                known.is_some_and(|known| at.items().map_or(value == known, |at| same(at, value, known)))
            };
            new.len() == items.len() && new.iter().all(is_same)
        }
        _ => value == old,
    }
}

/// Calls `found` for every value of `object` whose schema has rules, outermost first.
pub fn each_rule<'a>(
    schema: Schema<'a>,
    object: &'a Value,
    old: Option<&'a Value>,
    found: &mut dyn FnMut(Place<'a>),
) {
    if let Some(at) = At::new(schema) {
        let nearest = old.map(|old| (at, object, old));
        walk(at, Found { value: object, old, nearest, path: Path::root() }, found);
    }
}

struct Found<'a> {
    value: &'a Value,
    old: Option<&'a Value>,
    nearest: Option<Nearest<'a>>,
    path: Path,
}

impl<'a> Found<'a> {
    fn inner(&self, at: At<'a>, value: &'a Value, old: Option<&'a Value>, path: Path) -> Self {
        Self { value, old, nearest: old.map(|old| (at, value, old)).or(self.nearest), path }
    }

    fn report(&self, at: At<'a>, rules: &'a Rules, found: &mut dyn FnMut(Place<'a>)) {
        let Self { value, old, nearest, ref path } = *self;
        found(Place { path: path.clone(), schema: at.schema, rules, value, old, nearest });
    }
}

fn walk<'a>(at: At<'a>, here: Found<'a>, found: &mut dyn FnMut(Place<'a>)) {
    if here.value.is_null() {
        return;
    }
    let more = at.check().more();
    if let Some(rules) = more.and_then(|m| m.rules.as_ref()) {
        here.report(at, rules, found);
    }
    for inner in more.map_or(&[][..], |m| &m.all_of) {
        if let Some(rules) = at.other(*inner).check().more().and_then(|m| m.rules.as_ref()) {
            here.report(at, rules, found);
        }
    }
    match here.value {
        Value::Object(map) => {
            let is_map = matches!(at.schema.node().shape, Shape::Map(_));
            for (key, value) in map {
                if let Some(inner) = at.field(key) {
                    let path = if is_map { here.path.key(key) } else { here.path.field(key) };
                    walk(inner, here.inner(inner, value, here.old.and_then(|o| o.get(key)), path), found);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = at.items() else { return };
            for (index, value) in list.iter().enumerate() {
                let old = here.old.and_then(|o| correlated(at, o, value));
                walk(items, here.inner(items, value, old, here.path.index(index)), found);
            }
        }
        _ => {}
    }
}

/// Room for what whoever evaluates rules makes of the whole schema; `None` for built-in types.
pub fn whole(schema: Schema<'_>) -> Option<&OnceLock<Box<dyn Any + Send + Sync>>> {
    schema.types().custom.as_ref().map(|custom| &custom.whole)
}

/// What the schema says that expressions are typed and priced by, as an `openAPIV3Schema` again.
pub fn describe(schema: Schema<'_>) -> Value {
    At::new(schema).map_or(Value::Null, describe_at)
}

fn describe_at(at: At<'_>) -> Value {
    let (node, check) = (at.schema.node(), at.check());
    let mut out = Map::new();
    let mut set = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    match check.types {
        TypeSet(both) if both == TypeSet::INTEGER | TypeSet::STRING => {
            set("x-kubernetes-int-or-string", true.into());
        }
        TypeSet(0) => {}
        types => set("type", types.names().into()),
    }
    if check.embedded {
        set("x-kubernetes-embedded-resource", true.into());
    }
    if let Some(default) = &node.default {
        set("default", default.clone());
    }
    match &node.shape {
        Shape::Map(value) => set("additionalProperties", describe_at(at.other(*value))),
        Shape::List(item) => set("items", describe_at(at.other(*item))),
        Shape::Object { fields, .. } => {
            let own = |field: &&crate::Field| {
                !matches!(at.other(field.node).schema.node().shape, Shape::Builtin(_))
            };
            let describe = |f: &crate::Field| (f.name.to_string(), describe_at(at.other(f.node)));
            set("properties", fields.iter().filter(own).map(describe).collect::<Map<_, _>>().into());
        }
        _ => {}
    }
    match &node.list_type {
        ListType::Atomic => {}
        ListType::Set => set("x-kubernetes-list-type", "set".into()),
        ListType::Map(keys) => {
            set("x-kubernetes-list-type", "map".into());
            set("x-kubernetes-list-map-keys", json!(keys));
        }
    }
    if let Some(more) = check.more() {
        describe_limits(more, &mut set);
    }
    out.into()
}

fn describe_limits(more: &More, set: &mut dyn FnMut(&str, Value)) {
    let limits = [
        ("maxLength", more.max_length),
        ("maxItems", more.max_items),
        ("maxProperties", more.max_properties),
    ];
    for (name, limit) in limits {
        limit.into_iter().for_each(|limit| set(name, limit.into()));
    }
    if let Some(format) = &more.format {
        set("format", (**format).into());
    }
    if !more.choices.is_empty() {
        set("enum", more.choices.clone().into());
    }
    if !more.required.is_empty() {
        set("required", json!(more.required));
    }
}

/// The item of the `old` list that is the same as `item`: only list maps can tell.
pub(super) fn correlated<'a>(list: At<'_>, old: &'a Value, item: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = &list.schema.node().list_type else { return None };
    old.as_array()?.iter().find(|candidate| keys.iter().all(|key| candidate.get(&**key) == item.get(&**key)))
}
