//! Values while an expression runs. JSON is not copied: lists and maps of JSON are looked into when they are asked.

use crate::authorizer::Question;
use crate::error::{EvalError, Result};
use crate::functions::Extension;
use crate::types::{Decl, ListKind, Shape, Type};
use jiff::Timestamp;
use object::{Map as JsonMap, Value as Json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of CEL.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `uint`
    Uint(u64),
    /// `double`
    Double(f64),
    /// `string`
    String(Text<'a>),
    /// `bytes`
    Bytes(Arc<[u8]>),
    /// `google.protobuf.Timestamp`
    Timestamp(Timestamp),
    /// `google.protobuf.Duration`, in nanoseconds.
    Duration(i64),
    /// `list`
    List(List<'a>),
    /// `map`
    Map(Map<'a>),
    /// A JSON object of a declared type.
    Object(&'a JsonMap<String, Json>, Arc<Decl>),
    /// An object that the expression made.
    Struct(Arc<Struct<'a>>),
    /// A type.
    Type(Type),
    /// A value or none.
    Optional(Option<Arc<Value<'a>>>),
    /// A value of a library's type.
    Extension(Arc<Extension>),
    /// A question to the authorizer, half asked.
    Question(Arc<Question>),
}

/// Values of more parts than this are not looked through.
const MAX_PARTS: usize = 1_000_000;

/// Text, from the outside or made by the expression.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// In the object or the program.
    Borrowed(&'a str),
    /// Made.
    Shared(Arc<str>),
}

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// JSON and what its items are.
    Json(&'a [Json], Arc<Decl>),
    /// Made by the expression.
    Items(Arc<Vec<Value<'a>>>),
}

/// A map.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// JSON and what its values are.
    Json(&'a JsonMap<String, Json>, Arc<Decl>),
    /// Made by the expression.
    Entries(Arc<BTreeMap<Key, Value<'a>>>),
}

/// What a map can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `false` or `true`.
    Bool(bool),
    /// Also of unsigned numbers that fit.
    Int(i64),
    /// Larger than any [`Key::Int`].
    Uint(u64),
    /// Text.
    String(Box<str>),
}

/// An object that the expression made: `Object{…}`.
#[derive(Clone, Debug)]
pub struct Struct<'a> {
    /// The type's name.
    pub name: Box<str>,
    /// Fields that are set.
    pub fields: BTreeMap<Box<str>, Value<'a>>,
}

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Key {
    /// The key as a value.
    pub fn value<'a>(&self) -> Value<'a> {
        match self {
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(n) => Value::Int(*n),
            Self::Uint(n) => Value::Uint(*n),
            Self::String(text) => Value::text(&**text),
        }
    }
}

impl<'a> Value<'a> {
    /// Text that the expression made.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::String(Text::Shared(text.into()))
    }

    /// A list that the expression made.
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(List::Items(Arc::new(items)))
    }

    /// A map that the expression made.
    pub fn map(entries: BTreeMap<Key, Value<'a>>) -> Self {
        Self::Map(Map::Entries(Arc::new(entries)))
    }

    /// An optional with or without a value.
    pub fn optional(value: Option<Value<'a>>) -> Self {
        Self::Optional(value.map(Arc::new))
    }

    /// JSON as what `decl` says it is.
    pub fn from_json(json: &'a Json, decl: &Arc<Decl>) -> Result<Self> {
        match (&decl.shape, json) {
            (_, Json::Null) => Ok(Self::Null),
            (Shape::Any, _) => Ok(Self::untyped(json)),
            (Shape::Scalar, _) => scalar(json, &decl.ty),
            (Shape::List(..), Json::Array(items)) => Ok(Self::List(List::Json(items, decl.clone()))),
            (Shape::Map(_), Json::Object(map)) => Ok(Self::Map(Map::Json(map, decl.clone()))),
            (Shape::Object(_), Json::Object(map)) => Ok(Self::Object(map, decl.clone())),
            (shape, _) => {
                let (wanted, ty) = match shape {
                    Shape::List(..) => ("an array", "array"),
                    _ => ("a map", "object"),
                };
                let message =
                    format!("invalid data, expected {wanted} for the provided schema with type={ty}");
                Err(EvalError::new(message))
            }
        }
    }

    fn untyped(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(n) => Self::Int(n),
                None => Self::Double(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::String(Text::Borrowed(text)),
            Json::Array(items) => Self::List(List::Json(items, Decl::list(Decl::any()))),
            Json::Object(map) => Self::Map(Map::Json(map, Decl::map(Decl::any()))),
        }
    }

    /// The type that `type(value)` gives.
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Self::Object(_, decl) => decl.ty.clone(),
            Self::Struct(_) => Type::Dyn,
            Self::Type(_) => Type::Type(Arc::new(Type::Dyn)),
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Extension(extension) => Type::Opaque(extension.type_name()),
            Self::Question(question) => Type::Opaque(question.type_name()),
        }
    }

    /// Its type as cel-go's own code calls it.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "types.Null",
            Self::Bool(_) => "types.Bool",
            Self::Int(_) => "types.Int",
            Self::Uint(_) => "types.Uint",
            Self::Double(_) => "types.Double",
            Self::String(_) => "types.String",
            Self::Bytes(_) => "types.Bytes",
            Self::Timestamp(_) => "types.Timestamp",
            Self::Duration(_) => "types.Duration",
            _ => "*types.Optional",
        }
    }

    /// Whether lists, maps and objects that the expression made nest deeper than this, or are too many to tell.
    pub fn is_deeper_than(&self, limit: usize) -> bool {
        let mut left = MAX_PARTS;
        !self.fits(limit, &mut left)
    }

    fn fits(&self, depth: usize, left: &mut usize) -> bool {
        if depth == 0 || *left == 0 {
            return false;
        }
        *left -= 1;
        match self {
            Self::List(List::Items(items)) => items.iter().all(|item| item.fits(depth - 1, left)),
            Self::Map(Map::Entries(entries)) => entries.values().all(|value| value.fits(depth - 1, left)),
            Self::Struct(made) => made.fields.values().all(|value| value.fits(depth - 1, left)),
            Self::Optional(Some(inner)) => inner.fits(depth - 1, left),
            _ => true,
        }
    }

    /// What cost is counted by: characters, items, entries; 1 for the rest.
    pub fn size(&self) -> u64 {
        match self {
            Self::String(text) => text.chars().count() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::List(list) => list.len() as u64,
            Self::Map(map) => map.len() as u64,
            Self::Optional(Some(inner)) => inner.size(),
            Self::Extension(extension) => extension.size(),
            _ => 1,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Result<&str> {
        match self {
            Self::String(text) => Ok(text),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// The number of an int.
    pub fn as_int(&self) -> Result<i64> {
        match self {
            Self::Int(n) => Ok(*n),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// The list.
    pub fn as_list(&self) -> Result<&List<'a>> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// The truth of a bool.
    pub fn as_bool(&self) -> Result<bool> {
        match self {
            Self::Bool(b) => Ok(*b),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// The key that this value is in a map.
    pub fn as_key(&self) -> Option<Key> {
        Some(match self {
            Self::Bool(b) => Key::Bool(*b),
            Self::Int(n) => Key::Int(*n),
            Self::Uint(n) => i64::try_from(*n).map_or(Key::Uint(*n), Key::Int),
            Self::Double(n) if n.fract() == 0.0 && n.abs() < 9e18 => Key::Int(*n as i64),
            Self::String(text) => Key::String(text.as_str().into()),
            _ => return None,
        })
    }
}

fn scalar<'a>(json: &'a Json, ty: &Type) -> Result<Value<'a>> {
    let fail = |what: &str| Err(EvalError::new(format!("invalid data, expected {what}")));
    match (ty, json) {
        (Type::Bool, Json::Bool(b)) => Ok(Value::Bool(*b)),
        (Type::Int, Json::Number(n)) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Ok(Value::Int(n)),
            (None, Some(n)) if n.fract() == 0.0 && n.abs() < 9e18 => Ok(Value::Int(n as i64)),
            _ => fail("int"),
        },
        (Type::Double, Json::Number(n)) => Ok(Value::Double(n.as_f64().unwrap_or(f64::NAN))),
        (Type::String, Json::String(text)) => Ok(Value::String(Text::Borrowed(text))),
        (Type::Bytes, Json::String(text)) => crate::functions::decode_base64(text)
            .map_or_else(|| fail("byte formatted string"), |bytes| Ok(Value::Bytes(bytes.into()))),
        (Type::Timestamp, Json::String(text)) => timestamp(text)
            .map_or_else(|| fail("date or date-time formatted string"), |time| Ok(Value::Timestamp(time))),
        (Type::Duration, Json::String(text)) => match object::time::duration::parse(text) {
            Ok(nanoseconds) => Ok(Value::Duration(nanoseconds)),
            Err(_) => fail("duration formatted string"),
        },
        (Type::Dyn, _) => Ok(Value::untyped(json)),
        _ => fail(&ty.to_string()),
    }
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let date = text.len() == 10;
    let whole = if date { Cow::Owned(format!("{text}T00:00:00Z")) } else { Cow::Borrowed(text) };
    whole.parse().ok()
}

impl<'a> List<'a> {
    /// How many items.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.len(),
            Self::Items(items) => items.len(),
        }
    }

    /// Has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, if there are so many.
    pub fn get(&self, index: usize) -> Option<Result<Value<'a>>> {
        match self {
            Self::Json(items, decl) => {
                let element = decl.element()?;
                items.get(index).map(|json| Value::from_json(json, element))
            }
            Self::Items(items) => items.get(index).cloned().map(Ok),
        }
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>>> + '_ {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// All items, or the first that is wrong.
    pub fn to_vec(&self) -> Result<Vec<Value<'a>>> {
        match self {
            Self::Items(items) => Ok(items.to_vec()),
            Self::Json(..) => self.iter().collect(),
        }
    }

    /// How items are told apart.
    pub fn kind(&self) -> &ListKind {
        match self {
            Self::Json(_, decl) => match &decl.shape {
                Shape::List(_, kind) => kind,
                _ => &ListKind::Atomic,
            },
            Self::Items(_) => &ListKind::Atomic,
        }
    }
}

impl<'a> Map<'a> {
    /// How many entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(map, _) => map.len(),
            Self::Entries(map) => map.len(),
        }
    }

    /// Has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value under `key`.
    pub fn get(&self, key: &Value<'_>) -> Option<Result<Value<'a>>> {
        match (self, key) {
            (Self::Json(map, decl), Value::String(key)) => {
                let json = map.get(key.as_str())?;
                Some(Value::from_json(json, decl.element()?))
            }
            (Self::Json(..), _) => None,
            (Self::Entries(map), key) => map.get(&key.as_key()?).cloned().map(Ok),
        }
    }

    /// All keys.
    pub fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Self::Json(map, _) => map.keys().map(|k| Value::String(Text::Borrowed(k))).collect(),
            Self::Entries(map) => map.keys().map(Key::value).collect(),
        }
    }

    /// The map as one that the expression made.
    pub fn entries(&self) -> Result<Arc<BTreeMap<Key, Value<'a>>>> {
        match self {
            Self::Entries(map) => Ok(map.clone()),
            Self::Json(map, decl) => {
                let Some(element) = decl.element() else { return Err(EvalError::no_overload()) };
                let entry = |(key, json): (&'a String, &'a Json)| {
                    Ok((Key::String(key.as_str().into()), Value::from_json(json, element)?))
                };
                map.iter().map(entry).collect::<Result<_>>().map(Arc::new)
            }
        }
    }
}
