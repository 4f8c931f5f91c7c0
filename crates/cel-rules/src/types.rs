//! CEL's types, and [`Decl`]: a type with what a schema says about the size and spelling of its values.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A type of CEL.
#[derive(Clone, Debug)]
pub enum Type {
    /// Anything; checked at run time.
    Dyn,
    /// What a wrong expression has.
    Error,
    /// `null`
    Null,
    /// `bool`
    Bool,
    /// 64-bit integer.
    Int,
    /// 64-bit unsigned integer.
    Uint,
    /// Floating point.
    Double,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.protobuf.Duration`
    Duration,
    /// `list(T)`
    List(Arc<Type>),
    /// `map(K, V)`
    Map(Arc<Type>, Arc<Type>),
    /// `optional_type(T)`
    Optional(Arc<Type>),
    /// The type of types.
    Type(Arc<Type>),
    /// An object with named fields.
    Struct(Arc<Object>),
    /// A library's own type, such as `net.IP`.
    Opaque(&'static str),
    /// A type variable.
    Param(u32),
}

impl Type {
    /// `list(items)`
    pub fn list(items: Type) -> Self {
        Self::List(Arc::new(items))
    }

    /// `map(keys, values)`
    pub fn map(keys: Type, values: Type) -> Self {
        Self::Map(Arc::new(keys), Arc::new(values))
    }

    /// `optional_type(inner)`
    pub fn optional(inner: Type) -> Self {
        Self::Optional(Arc::new(inner))
    }

    /// Neither known nor wrong.
    pub fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// Its name without those of its parts.
    pub fn name(&self) -> &str {
        match self {
            Self::List(_) => "list",
            Self::Map(..) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Struct(object) => &object.name,
            Self::Opaque(name) => name,
            Self::Dyn | Self::Error | Self::Param(_) => "dyn",
        }
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b))
            | (Self::Optional(a), Self::Optional(b))
            | (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Map(a, b), Self::Map(c, d)) => a == c && b == d,
            (Self::Struct(a), Self::Struct(b)) => Arc::ptr_eq(a, b) || a.name == b.name,
            (Self::Opaque(a), Self::Opaque(b)) => a == b,
            (Self::Param(a), Self::Param(b)) => a == b,
            (
                Self::List(_)
                | Self::Optional(_)
                | Self::Type(_)
                | Self::Map(..)
                | Self::Struct(_)
                | Self::Opaque(_)
                | Self::Param(_),
                _,
            ) => false,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "dyn",
            Self::Error => "!error!",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::List(item) => return write!(f, "list({item})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
            Self::Optional(inner) => return write!(f, "optional_type({inner})"),
            Self::Type(inner) => return write!(f, "type({inner})"),
            Self::Struct(object) => &object.name,
            Self::Opaque(name) => name,
            Self::Param(id) => return write!(f, "_var{id}"),
        })
    }
}

/// The fields of a struct type.
#[derive(Debug, Default)]
pub struct Object {
    /// What the type is called.
    pub name: String,
    /// Fields by the name that expressions use.
    pub fields: BTreeMap<Box<str>, Field>,
    /// Any field may be set and has any type (`Object` in mutations).
    pub open: bool,
}

/// A field of a struct type.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in JSON, which expressions may have to escape.
    pub json: Box<str>,
    /// What it holds.
    pub decl: Arc<Decl>,
}

/// A type with what a schema says about its values.
#[derive(Debug)]
pub struct Decl {
    /// The type that the checker sees.
    pub ty: Type,
    /// At most so many items, entries, characters or bytes; `None` when the type has no size.
    pub max_elements: Option<u64>,
    /// The least number of bytes a value takes in JSON.
    pub min_size: u64,
    /// How JSON is read.
    pub shape: Shape,
}

/// How the JSON of a declared value is read.
#[derive(Clone, Debug)]
pub enum Shape {
    /// By its own JSON type.
    Any,
    /// A scalar of the declared type.
    Scalar,
    /// A list, and how its items are told apart.
    List(Arc<Decl>, ListKind),
    /// A map with these values.
    Map(Arc<Decl>),
    /// An object with named fields.
    Object(Arc<Object>),
}

/// `x-kubernetes-list-type`: it decides what `==` and `+` mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Order matters.
    Atomic,
    /// Items are their own keys.
    Set,
    /// Items are told apart by these fields.
    Map(Vec<Box<str>>),
}

impl Decl {
    /// A value of any type.
    pub fn any() -> Arc<Self> {
        Arc::new(Self { ty: Type::Dyn, max_elements: None, min_size: 1, shape: Shape::Any })
    }

    /// A scalar without a bound.
    pub fn scalar(ty: Type) -> Arc<Self> {
        Arc::new(Self { ty, max_elements: None, min_size: 1, shape: Shape::Scalar })
    }

    /// A list of `items`.
    pub fn list(items: Arc<Decl>) -> Arc<Self> {
        let ty = Type::list(items.ty.clone());
        Arc::new(Self { ty, max_elements: None, min_size: 2, shape: Shape::List(items, ListKind::Atomic) })
    }

    /// A map from strings to `values`.
    pub fn map(values: Arc<Decl>) -> Arc<Self> {
        let ty = Type::map(Type::String, values.ty.clone());
        Arc::new(Self { ty, max_elements: None, min_size: 2, shape: Shape::Map(values) })
    }

    /// An object called `name` with these fields, spelled as in JSON.
    pub fn object<'f>(name: &str, fields: impl IntoIterator<Item = (&'f str, Arc<Decl>)>) -> Arc<Self> {
        let fields = fields.into_iter().map(|(name, decl)| (name.into(), Field { json: name.into(), decl }));
        let object = Arc::new(Object { name: name.to_owned(), fields: fields.collect(), open: false });
        Arc::new(Self {
            ty: Type::Struct(object.clone()),
            max_elements: None,
            min_size: 2,
            shape: Shape::Object(object),
        })
    }

    /// The declaration of a list's items, a map's values.
    pub fn element(&self) -> Option<&Arc<Decl>> {
        match &self.shape {
            Shape::List(inner, _) | Shape::Map(inner) => Some(inner),
            _ => None,
        }
    }

    /// The declaration of a field.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match &self.shape {
            Shape::Object(object) => object.fields.get(name),
            _ => None,
        }
    }
}
