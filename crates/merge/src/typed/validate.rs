//! Whether a value is of its type, in the words of structured-merge-diff.

use super::key::item_element;
use super::types::{Form, ListOf, MapType, ScalarType, Type};
use crate::fields::PathElement;
use crate::go;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// What is wrong with a value: path and message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypeErrors(pub(crate) Vec<(String, String)>);

impl fmt::Display for TypeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |(path, message): &(String, String)| {
            if path.is_empty() { message.clone() } else { format!("{path}: {message}") }
        };
        match self.0.as_slice() {
            [one] => f.write_str(&line(one)),
            many => {
                f.write_str("errors:")?;
                many.iter().try_for_each(|error| write!(f, "\n  {}", line(error)))
            }
        }
    }
}

/// Checks `value`. Sets and keyed lists may name an item twice only if `allow_duplicates`.
pub(crate) fn validate(ty: Type<'_>, value: &Value, allow_duplicates: bool) -> Result<(), TypeErrors> {
    let mut check = Check { allow_duplicates, errors: vec![], path: vec![] };
    check.value(ty, value);
    if check.errors.is_empty() { Ok(()) } else { Err(TypeErrors(check.errors)) }
}

struct Check<'v> {
    allow_duplicates: bool,
    errors: Vec<(String, String)>,
    path: Vec<Step<'v>>,
}

/// A step of the path, spelled only if something is wrong.
enum Step<'v> {
    Field(&'v str),
    Element(PathElement),
}

impl<'v> Check<'v> {
    fn error(&mut self, message: String) {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Step::Element(element) => path.push_str(&element.to_string()),
            }
        }
        self.errors.push((path, message));
    }

    fn value(&mut self, ty: Type<'_>, value: &'v Value) {
        if matches!(ty, Type::Untyped | Type::Deduced) {
            return; // Any value is.
        }
        match (ty.atom_for(Some(value)).form(), value) {
            (_, Value::Null) => {}
            (Form::Map(map), Value::Object(object)) => self.map(&map, object),
            (Form::List(list), Value::Array(items)) => self.list(&list, items),
            (Form::Map(_), other) => self.error(format!("expected map, got &{{{}}}", go::plain(other))),
            (Form::List(_), other) => self.error(format!("expected list, got &{{{}}}", go::plain(other))),
            (Form::Scalar(scalar), other) => {
                if let Some(message) = scalar_error(scalar, other) {
                    self.error(message);
                }
            }
        }
    }

    fn below(&mut self, step: Step<'v>, ty: Type<'_>, value: &'v Value) {
        self.path.push(step);
        self.value(ty, value);
        self.path.pop();
    }

    fn map(&mut self, map: &MapType<'_>, object: &'v Map<String, Value>) {
        for (key, value) in object {
            match map.child(key) {
                Some(ty) => self.below(Step::Field(key), ty, value),
                None => {
                    self.path.push(Step::Field(key));
                    self.error("field not declared in schema".into());
                    self.path.pop();
                    return;
                }
            }
        }
    }

    fn list(&mut self, list: &ListOf<'_>, items: &'v [Value]) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let element = if list.associative {
                match item_element(list, item) {
                    Ok(element) => element,
                    Err(message) => return self.error(format!("element {index}: {message}")),
                }
            } else {
                PathElement::Index(index as i64)
            };
            if list.associative && !self.allow_duplicates && !seen.insert(element.clone()) {
                self.error(format!("duplicate entries for key {element}"));
            }
            self.below(Step::Element(element), list.item, item);
        }
    }
}

fn scalar_error(scalar: ScalarType, value: &Value) -> Option<String> {
    match (scalar, value) {
        (ScalarType::Numeric, Value::Number(_))
        | (ScalarType::String, Value::String(_))
        | (ScalarType::Boolean, Value::Bool(_))
        | (ScalarType::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (ScalarType::Numeric, other) => {
            Some(format!("expected numeric (int or float), got {}", go::type_name(other)))
        }
        (ScalarType::String, other) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go::source(other)))
        }
        (ScalarType::Boolean, other) => Some(format!("expected boolean, got &{{{}}}", go::plain(other))),
        (ScalarType::Untyped, other) => Some(format!("expected any scalar, got &{{{}}}", go::plain(other))),
    }
}
