//! A place in an object: its value and its path, and the errors one can find there.
//!
//! Everything reads leniently: an absent field is an empty text, 0, false or an empty list, as Go's zero values are.
//! Objects arrive decoded, so a value of the wrong type cannot occur; if it does it reads as absent.

use object::{FieldError, Path};
use serde_json::Value;

/// What is wrong with an object, in the order found.
pub type Errors = Vec<FieldError>;

static NULL: Value = Value::Null;

/// Kubernetes' words for a value below zero.
pub const NEGATIVE: &str = "must be greater than or equal to 0";
/// Kubernetes' words for a field that changed.
pub const IMMUTABLE: &str = "field is immutable";

/// A value inside an object and where it is.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The value; null when absent.
    pub value: &'a Value,
    /// Its path.
    pub path: Path,
}

impl<'a> Node<'a> {
    /// The whole object.
    pub fn root(object: &'a Value) -> Self {
        Self { value: object, path: Path::root() }
    }

    /// `value`, said to be at `path`.
    pub fn at(value: &'a Value, path: Path) -> Self {
        Self { value, path }
    }

    /// The field `name`.
    pub fn get(&self, name: &str) -> Self {
        Self { value: self.value.get(name).unwrap_or(&NULL), path: self.path.field(name) }
    }

    /// The value of the field `name`, without a path.
    pub fn raw(&self, name: &str) -> &'a Value {
        self.value.get(name).unwrap_or(&NULL)
    }

    /// The same value, said to be at `path`.
    pub fn moved(&self, path: Path) -> Self {
        Self { value: self.value, path }
    }

    /// The items of a list.
    pub fn items(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let path = self.path.clone();
        self.list().iter().enumerate().map(move |(i, value)| Node { value, path: path.index(i) })
    }

    /// The items of a list without paths.
    pub fn list(&self) -> &'a [Value] {
        self.value.as_array().map_or(&[], Vec::as_slice)
    }

    /// The entries of a map, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + use<'a> {
        let path = self.path.clone();
        let map = self.value.as_object();
        map.into_iter().flatten().map(move |(key, value)| (key.as_str(), Node { value, path: path.key(key) }))
    }

    /// The texts of a list.
    pub fn texts(&self) -> Vec<&'a str> {
        self.list().iter().filter_map(Value::as_str).collect()
    }

    /// The text here, empty if absent.
    pub fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or("")
    }

    /// The number here, 0 if absent.
    pub fn int(&self) -> i64 {
        self.value.as_i64().unwrap_or(0)
    }

    /// The number here, if any.
    pub fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// Whether `true` is here.
    pub fn is_true(&self) -> bool {
        self.value == &Value::Bool(true)
    }

    /// Whether anything is here.
    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Bytes of a text, items of a list, entries of a map.
    pub fn len(&self) -> usize {
        match self.value {
            Value::String(text) => text.len(),
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// Nothing here, or an empty text, list or map.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `Required value[: detail]`.
    pub fn required(&self, detail: &str) -> FieldError {
        FieldError::required(&self.path, detail)
    }

    /// `Invalid value: <what is here>: detail`; an absent text shows as `""`.
    pub fn invalid(&self, detail: &str) -> FieldError {
        FieldError::invalid(&self.path, self.value, detail)
    }

    /// `Invalid value: <text>: detail`, for a text that may be absent.
    pub fn invalid_text(&self, detail: &str) -> FieldError {
        FieldError::invalid(&self.path, &Value::from(self.text()), detail)
    }

    /// `Invalid value: <value>: detail`.
    pub fn invalid_as(&self, value: impl Into<Value>, detail: &str) -> FieldError {
        FieldError::invalid(&self.path, &value.into(), detail)
    }

    /// `Invalid value: <the Go struct `kind`>: detail`.
    pub fn invalid_struct(&self, kind: &str, detail: &str) -> FieldError {
        FieldError::invalid_shown(&self.path, &crate::go::compact(kind, self.value), detail)
    }

    /// `Unsupported value: <text>: supported values: …`.
    pub fn not_supported(&self, supported: &[&str]) -> FieldError {
        FieldError::not_supported(&self.path, &Value::from(self.text()), supported)
    }

    /// `Forbidden: detail`.
    pub fn forbidden(&self, detail: &str) -> FieldError {
        FieldError::forbidden(&self.path, detail)
    }

    /// `Duplicate value: <text>`.
    pub fn duplicate(&self) -> FieldError {
        FieldError::duplicate(&self.path, self.value)
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(&self, max: usize) -> FieldError {
        FieldError::too_long(&self.path, max)
    }
}

/// One error per message that `check` has on the text here.
pub fn check_text(e: &mut Errors, node: &Node<'_>, check: fn(&str) -> Vec<String>) {
    for message in check(node.text()) {
        e.push(node.invalid_text(&message));
    }
}

/// As [`check_text`], unless the text is empty.
pub fn check_text_if_set(e: &mut Errors, node: &Node<'_>, check: fn(&str) -> Vec<String>) {
    if !node.text().is_empty() {
        check_text(e, node, check);
    }
}

/// Required, and then as [`check_text`].
pub fn check_required_text(e: &mut Errors, node: &Node<'_>, check: fn(&str) -> Vec<String>) {
    if node.text().is_empty() {
        e.push(node.required(""));
    } else {
        check_text(e, node, check);
    }
}

/// Must not be below zero.
pub fn check_non_negative(e: &mut Errors, node: &Node<'_>) {
    if node.int() < 0 {
        e.push(node.invalid(NEGATIVE));
    }
}

/// Must be one of `supported`, if set at all.
pub fn check_supported(e: &mut Errors, node: &Node<'_>, supported: &[&str]) {
    if node.is_set() && !supported.contains(&node.text()) {
        e.push(node.not_supported(supported));
    }
}

/// Required, and then one of `supported`.
pub fn check_required_supported(e: &mut Errors, node: &Node<'_>, supported: &[&str]) {
    if node.text().is_empty() {
        e.push(node.required(""));
    } else if !supported.contains(&node.text()) {
        e.push(node.not_supported(supported));
    }
}

/// Must be what it was.
pub fn check_immutable(e: &mut Errors, new: &Node<'_>, old: &Node<'_>) {
    if !same(new.value, old.value) {
        e.push(new.invalid(IMMUTABLE));
    }
}

/// Must be what it was; shown as the Go struct `kind`.
pub fn check_immutable_struct(e: &mut Errors, new: &Node<'_>, old: &Node<'_>, kind: &str) {
    if !same(new.value, old.value) {
        e.push(new.invalid_struct(kind, IMMUTABLE));
    }
}

/// Equal as Kubernetes compares: an absent list, map or text equals an empty one.
pub fn same(a: &Value, b: &Value) -> bool {
    let empty = |v: &Value| match v {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(key, value)| same(value, y.get(key).unwrap_or(&NULL)))
                && y.iter().all(|(key, value)| x.contains_key(key) || same(&NULL, value))
        }
        _ => {
            a == b
                || matches!((a, b), (Value::Null, other) | (other, Value::Null) if other.is_array() && empty(other))
        }
    }
}
