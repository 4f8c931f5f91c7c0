//! [`Type`]: a schema node as server-side apply sees it.

use schema::{ListType, Scalar, Schema, Shape};
use serde_json::Value;

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type<'a> {
    /// Given by a schema. `preserve`: an ancestor keeps unknown fields, and its descendants with it.
    Schema { schema: Schema<'a>, preserve: bool },
    /// Unknown: maps are granular, lists atomic.
    Deduced,
    /// Unknown and owned as a whole.
    Untyped,
}

/// The forms a value of a type may take. Schemas give one, unknown types all three.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Atom<'a> {
    pub(crate) map: Option<MapType<'a>>,
    pub(crate) scalar: Option<ScalarType>,
    pub(crate) list: Option<ListOf<'a>>,
}

/// The checks that single values undergo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Numeric,
    String,
    Boolean,
    /// Any single value.
    Untyped,
}

/// A map or struct.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapType<'a> {
    /// Where the named fields are, if any.
    schema: Option<Schema<'a>>,
    /// The type of other keys; `None` when there may be none.
    element: Option<Type<'a>>,
    preserve: bool,
    pub(crate) atomic: bool,
}

/// A list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOf<'a> {
    pub(crate) item: Type<'a>,
    pub(crate) associative: bool,
    /// The key fields of items; empty for sets.
    pub(crate) keys: &'a [Box<str>],
}

impl<'a> Type<'a> {
    /// The type that `schema` gives, or a deduced one.
    pub(crate) fn new(schema: Option<Schema<'a>>) -> Self {
        schema.map_or(Self::Deduced, |schema| Self::Schema { schema, preserve: false })
    }

    /// The forms this type allows.
    pub(crate) fn atom(self) -> Atom<'a> {
        let (schema, preserve) = match self {
            Self::Deduced => return unknown(Self::Deduced, false),
            Self::Untyped => return unknown(Self::Untyped, true),
            Self::Schema { schema, preserve } => (schema, preserve),
        };
        let below = |schema: Schema<'a>, preserve| Self::Schema { schema, preserve };
        let node = schema.node();
        match &node.shape {
            // The built-in types use it for RawExtension, which is owned as a whole.
            Shape::Any if node.atomic || is_builtin(schema) => unknown(Self::Untyped, true),
            Shape::Any => unknown(Self::Deduced, false),
            Shape::Builtin(id) => below(schema.types().resolve(*id), preserve).atom(),
            Shape::Object { fields, preserve_unknown, .. } => {
                let preserve = preserve || *preserve_unknown;
                let element = (preserve || fields.is_empty()).then_some(Self::Deduced);
                Atom::map(MapType { schema: Some(schema), element, preserve, atomic: node.atomic })
            }
            Shape::Map(value) => {
                let element = Some(below(schema.types().resolve(*value), preserve));
                Atom::map(MapType { schema: None, element, preserve, atomic: node.atomic })
            }
            Shape::List(item) => {
                let (associative, keys): (bool, &[Box<str>]) = match &node.list_type {
                    ListType::Atomic => (false, &[]),
                    ListType::Set => (true, &[]),
                    ListType::Map(keys) => (true, keys),
                };
                let item = below(schema.types().resolve(*item), preserve);
                Atom { list: Some(ListOf { item, associative, keys }), ..Atom::default() }
            }
            Shape::Scalar(scalar) => Atom { scalar: Some(scalar_type(*scalar)), ..Atom::default() },
        }
    }

    /// The forms this type allows, narrowed to the one `value` has. Absent and null values, and those of no allowed form,
    /// do not narrow.
    pub(crate) fn atom_for(self, value: Option<&Value>) -> Atom<'a> {
        let atom = self.atom();
        match value {
            Some(Value::Object(_)) if atom.map.is_some() => Atom { map: atom.map, ..Atom::default() },
            Some(Value::Array(_)) if atom.list.is_some() => Atom { list: atom.list, ..Atom::default() },
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if atom.scalar.is_some() => {
                Atom { scalar: atom.scalar, ..Atom::default() }
            }
            _ => atom,
        }
    }
}

impl<'a> Atom<'a> {
    fn map(map: MapType<'a>) -> Self {
        Self { map: Some(map), ..Self::default() }
    }

    /// Whether two narrowings of one type came out the same.
    pub(crate) fn same_forms(&self, other: &Self) -> bool {
        self.map.is_some() == other.map.is_some()
            && self.scalar.is_some() == other.scalar.is_some()
            && self.list.is_some() == other.list.is_some()
    }

    /// The form to treat a value as: maps come first, then scalars, then lists.
    pub(crate) fn form(self) -> Form<'a> {
        match (self.map, self.scalar, self.list) {
            (Some(map), _, _) => Form::Map(map),
            (None, Some(scalar), _) => Form::Scalar(scalar),
            (None, None, Some(list)) => Form::List(list),
            (None, None, None) => Form::Scalar(ScalarType::Untyped),
        }
    }
}

/// One of the forms of an [`Atom`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form<'a> {
    Map(MapType<'a>),
    Scalar(ScalarType),
    List(ListOf<'a>),
}

impl<'a> MapType<'a> {
    /// The type of a named field.
    pub(crate) fn field(&self, name: &str) -> Option<Type<'a>> {
        let schema = self.schema?.field(name)?;
        Some(Type::Schema { schema, preserve: self.preserve })
    }

    /// The type of what is under `key`: a named field's, or that of other keys.
    pub(crate) fn child(&self, key: &str) -> Option<Type<'a>> {
        self.field(key).or(self.element)
    }

    /// No named fields, and anything may be in it.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self.element, Some(Type::Deduced)) && self.schema.is_none_or(|s| s.fields().next().is_none())
    }
}

fn unknown<'a>(element: Type<'a>, atomic: bool) -> Atom<'a> {
    Atom {
        map: Some(MapType { schema: None, element: Some(element), preserve: true, atomic }),
        scalar: Some(ScalarType::Untyped),
        list: Some(ListOf { item: Type::Untyped, associative: false, keys: &[] }),
    }
}

fn scalar_type(scalar: Scalar) -> ScalarType {
    match scalar {
        Scalar::String | Scalar::Bytes => ScalarType::String,
        Scalar::Bool => ScalarType::Boolean,
        Scalar::Int32 | Scalar::Int64 | Scalar::Double => ScalarType::Numeric,
        Scalar::IntOrString | Scalar::Quantity | Scalar::Time | Scalar::MicroTime | Scalar::Duration => {
            ScalarType::Untyped
        }
    }
}

/// Whether a schema is one of the built-in types.
pub(crate) fn is_builtin(schema: Schema<'_>) -> bool {
    std::ptr::eq(schema.types(), schema::builtin())
}
