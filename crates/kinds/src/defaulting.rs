//! What Kubernetes writes into fields that are left out (its `SetDefaults_*`), as data.
//!
//! `facts/defaults.txt` says what each type gets, `facts/default-paths.txt` where those types occur inside others; so the
//! defaults of a container apply wherever a container occurs. What a constant cannot say is a function in `rules`, as are
//! the few things that Kubernetes does on the way between a version and its internal form. Outer types come first:
//! what they make is then filled in like what was sent. Defaulting twice gives the same as once. Not here: what needs a
//! clock, an allocator or other objects (admission, strategies), and custom resources, whose schema holds their defaults.

mod rules;

use object::{GroupVersionKind, Map, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Fills in the defaults of a built-in object of kind `gvk`; other kinds are left alone.
pub fn default(gvk: &GroupVersionKind, object: &mut Value) {
    let name = crate::type_name(gvk);
    if let Some(&at) = TABLE.names.get(name.trim_start_matches("io.k8s.")) {
        TABLE.apply(at, object);
    }
}

/// Computes fields of one object of a type.
type Rule = fn(&mut Map<String, Value>);

#[derive(Default)]
struct Type {
    steps: Vec<Step>,
    ways: Vec<Way>,
}

enum Step {
    /// The value of a field that is absent, or holds its zero value when `or_zero`.
    Constant {
        field: &'static str,
        or_zero: bool,
        value: Value,
    },
    Computed(Rule),
}

/// A field that leads to another type.
struct Way {
    field: &'static str,
    many: Many,
    to: usize,
}

enum Many {
    One,
    List,
    Map,
}

struct Table {
    names: HashMap<&'static str, usize>,
    types: Vec<Type>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    Table::parse(include_str!("../facts/defaults.txt"), include_str!("../facts/default-paths.txt"))
});

impl Table {
    fn parse(defaults: &'static str, paths: &'static str) -> Self {
        let mut table = Self { names: HashMap::new(), types: Vec::new() };
        let mut at = 0;
        for line in defaults.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some(field), Some(mark), Some(json)) => {
                    let value = serde_json::from_str(json).unwrap_or_default();
                    table.types[at].steps.push(Step::Constant { field, or_zero: mark == "=", value });
                }
                (Some(word), ..) => match word.strip_prefix('!') {
                    Some(rule) => table.types[at].steps.extend(rules::named(rule).map(Step::Computed)),
                    None => at = table.name(word),
                },
                _ => {}
            }
        }
        for line in paths.lines().filter(|l| !l.starts_with('#')) {
            let mut words = line.split(' ');
            let from = table.name(words.next().unwrap_or_default());
            for (field, to) in words.filter_map(|way| way.split_once('>')) {
                let to = table.name(to);
                let (field, many) = match (field.strip_suffix("[]"), field.strip_suffix("{}")) {
                    (Some(field), _) => (field, Many::List),
                    (_, Some(field)) => (field, Many::Map),
                    _ => (field, Many::One),
                };
                table.types[from].ways.push(Way { field, many, to });
            }
        }
        table
    }

    fn name(&mut self, name: &'static str) -> usize {
        let next = self.types.len();
        let at = *self.names.entry(name).or_insert(next);
        if at == next {
            self.types.push(Type::default());
        }
        at
    }

    /// Depth is bounded by that of the tables: no type in them contains itself.
    fn apply(&self, at: usize, value: &mut Value) {
        let Some(map) = value.as_object_mut() else { return };
        for step in &self.types[at].steps {
            match step {
                Step::Computed(rule) => rule(map),
                Step::Constant { field, or_zero, value } => {
                    let current = map.get(*field);
                    if is_absent(current) || (*or_zero && is_zero(current)) {
                        map.insert((*field).to_owned(), value.clone());
                    }
                }
            }
        }
        for way in &self.types[at].ways {
            let Some(child) = map.get_mut(way.field) else { continue };
            match way.many {
                Many::One => self.apply(way.to, child),
                Many::List => {
                    child.as_array_mut().into_iter().flatten().for_each(|item| self.apply(way.to, item))
                }
                Many::Map => {
                    child
                        .as_object_mut()
                        .into_iter()
                        .flatten()
                        .for_each(|(_, item)| self.apply(way.to, item));
                }
            }
        }
    }
}

/// Not there, or `null`.
fn is_absent(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

/// Absent, or the zero value of its Go type: `""`, `0`, `false`, `[]`, `{}`.
fn is_zero(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Bool(true)) => false,
    }
}

#[cfg(test)]
mod tests;
