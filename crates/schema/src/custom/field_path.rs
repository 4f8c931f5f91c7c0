//! Paths inside of a schema as rules name them: `.spec.items[0]`, `.labels['a.b']`.

use super::At;
use crate::{Schema, Shape};
use object::{Path, Value};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field or key.
    Name(String),
    /// An item of a list.
    Index(usize),
}

/// The steps of `path`, if it leads to a place that `schema` (an `openAPIV3Schema` or a part of one) describes.
pub fn field_path(schema: &Value, path: &str) -> Option<Vec<Step>> {
    let steps = parse(path)?;
    let mut at = schema;
    for step in &steps {
        at = match step {
            Step::Index(_) => at.get("items").filter(|s| s.is_object())?,
            Step::Name(name) => match at["properties"].get(name) {
                Some(property) => property,
                None => at.get("additionalProperties").filter(|s| s.is_object())?,
            },
        };
    }
    (!steps.is_empty()).then_some(steps)
}

/// The place that `path` leads to from `base`, where `schema` stands.
pub fn field_below(schema: Schema<'_>, base: &Path, path: &str) -> Option<Path> {
    let (mut at, mut place) = (At::new(schema), base.clone());
    for step in parse(path)? {
        let is_map = at.is_some_and(|at| matches!(at.schema.node().shape, Shape::Map(_)));
        (place, at) = match step {
            Step::Index(index) => (place.index(index), at.and_then(At::items)),
            Step::Name(name) if is_map => (place.key(&name), at.and_then(|at| at.field(&name))),
            Step::Name(name) => (place.field(&name), at.and_then(|at| at.field(&name))),
        };
    }
    Some(place)
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let first = name.chars().next()?;
            if !(first.is_ascii_alphabetic() || first == '_')
                || !name[..end].chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            {
                return None;
            }
            steps.push(Step::Name(name[..end].to_owned()));
            rest = &name[end..];
        } else if let Some(key) = rest.strip_prefix("['") {
            let (name, after) = quoted(key)?;
            steps.push(Step::Name(name));
            rest = after;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

/// Up to `']`, with `\'` and `\\` unescaped.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '\'' => return Some((name, text[at + 1..].strip_prefix(']')?)),
            c => name.push(c),
        }
    }
    None
}
