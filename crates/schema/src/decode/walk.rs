//! The walk along a JSON text (or value) and a schema at once.
//!
//! Errors follow Go's decoder: a value of the wrong JSON type is noted and skipped, the first such note is the result;
//! a type that decodes itself (quantity, time …) ends the walk at once.

use super::{Empty, Strictness, go_names, scalar, unions, zero};
use crate::{Field, Scalar, Schema, Shape};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt,
};

/// Go stops counting strict errors here.
const MAX_STRICT_ERRORS: usize = 100;
/// Nobody writes more empty lists and maps than these.
const MAX_EMPTIES: usize = 100;

/// One step of a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// A field of a struct.
    Field(&'a str),
    /// A key of a map.
    Key(&'a str),
    /// An item of a list.
    Index(usize),
}

/// Where the walk is: a list linked through the call stack.
#[derive(Debug)]
pub(super) struct Path<'a> {
    parent: Option<(&'a Path<'a>, Step<'a>)>,
}

impl<'a> Path<'a> {
    /// The document.
    pub fn root() -> Self {
        Self { parent: None }
    }

    fn then(&'a self, step: Step<'a>) -> Self {
        Self { parent: Some((self, step)) }
    }

    /// From the root to here.
    pub fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        let mut at = self;
        while let Some((parent, step)) = at.parent {
            steps.push(step);
            at = parent;
        }
        steps.reverse();
        steps
    }

    /// `spec.containers[0].name`, with `last` after it.
    fn with(&self, last: &str) -> String {
        let mut out = String::new();
        for step in self.steps() {
            match step {
                Step::Index(index) => out += &format!("[{index}]"),
                Step::Field(name) | Step::Key(name) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out += name;
                }
            }
        }
        if out.is_empty() { last.to_owned() } else { format!("{out}.{last}") }
    }

    /// `/spec/containers/0`.
    fn pointer(&self) -> String {
        let mut out = String::new();
        for step in self.steps() {
            out.push('/');
            match step {
                Step::Index(index) => out += &index.to_string(),
                Step::Field(name) | Step::Key(name) => out += &name.replace('~', "~0").replace('/', "~1"),
            }
        }
        out
    }
}

/// What the walk gathers besides the value.
pub(super) struct State<'s> {
    root: Option<Schema<'s>>,
    report: Cell<bool>,
    strict: RefCell<Vec<String>>,
    seen: RefCell<HashSet<String>>,
    empties: RefCell<Vec<Empty>>,
    saved: RefCell<Option<String>>,
    fatal: RefCell<Option<String>>,
}

impl<'s> State<'s> {
    /// A fresh state for a document of type `root`.
    pub fn new(root: Option<Schema<'s>>, strictness: Strictness) -> Self {
        Self {
            root,
            report: Cell::new(strictness != Strictness::Ignore),
            strict: RefCell::default(),
            seen: RefCell::default(),
            empties: RefCell::default(),
            saved: RefCell::default(),
            fatal: RefCell::default(),
        }
    }

    /// What ended the walk.
    pub fn fatal(&self) -> Option<String> {
        self.fatal.borrow_mut().take()
    }

    /// The first value of a wrong type.
    pub fn saved(&self) -> Option<String> {
        self.saved.borrow_mut().take()
    }

    /// Unknown and duplicate fields.
    pub fn take_strict(&self) -> Vec<String> {
        std::mem::take(&mut self.strict.borrow_mut())
    }

    /// The empty lists and maps that were left out.
    pub fn take_empties(&self) -> Vec<Empty> {
        std::mem::take(&mut self.empties.borrow_mut())
    }

    fn remember_empty(&self, parent: &Path<'_>, field: &Field, schema: Schema<'_>) {
        let list = match schema.node().shape {
            Shape::List(_) => true,
            Shape::Map(_) => false,
            _ => return,
        };
        let mut empties = self.empties.borrow_mut();
        if empties.len() < MAX_EMPTIES {
            empties.push(Empty { parent: parent.pointer(), field: field.name.to_string(), list });
        }
    }

    fn report(&self, what: &str, path: &Path<'_>, name: &str) {
        if !self.report.get() || self.strict.borrow().len() >= MAX_STRICT_ERRORS {
            return;
        }
        let message = format!("{what} field {}", object::error::quote(&path.with(name)));
        if self.seen.borrow_mut().insert(message.clone()) {
            self.strict.borrow_mut().push(message);
        }
    }

    /// Nothing inside a type that decodes itself is reported.
    pub fn unreported<T>(&self, walk: impl FnOnce() -> T) -> T {
        let before = self.report.replace(false);
        let result = walk();
        self.report.set(before);
        result
    }

    fn save(&self, message: impl FnOnce() -> String) {
        let mut saved = self.saved.borrow_mut();
        if saved.is_none() {
            *saved = Some(message());
        }
    }

    /// Ends the walk with Go's `message`.
    pub fn fail<E: serde::de::Error>(&self, message: String) -> E {
        let error = E::custom(&message);
        *self.fatal.borrow_mut() = Some(message);
        error
    }

    /// `json: cannot unmarshal <found> into Go …` for the value at `path`.
    pub fn type_error(&self, found: &str, path: &Path<'_>, into: Option<&str>) -> String {
        go_names::type_error(self.root, &path.steps(), found, into)
    }
}

/// The seed of one value: what it should be, and where it is.
#[derive(Clone, Copy)]
pub(super) struct At<'s, 'p> {
    /// Its schema; `None` keeps what is there.
    pub schema: Option<Schema<'s>>,
    /// Where it is.
    pub path: &'p Path<'p>,
    /// What is gathered.
    pub state: &'p State<'s>,
}

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if let Some(schema) = self.schema
            && let Shape::Any = schema.node().shape
        {
            // Go hands the text over to the type, which keeps it: nothing in it is checked.
            return match unions::of(schema) {
                Some(union) => {
                    let value = self.state.unreported(|| serde::Deserialize::deserialize(deserializer))?;
                    unions::decode(union, value, self)
                }
                None => serde::Deserialize::deserialize(deserializer),
            };
        }
        deserializer.deserialize_any(self)
    }
}

impl<'s> At<'s, '_> {
    fn scalar(&self) -> Option<Scalar> {
        match self.schema?.node().shape {
            Shape::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Notes a value of the wrong JSON type and passes over it.
    fn mismatch(&self, found: &str) -> Value {
        self.state.save(|| self.state.type_error(found, self.path, None));
        Value::Null
    }

    /// What a list or an object is to a scalar; `text` is how the JSON would start.
    fn composite<E: serde::de::Error>(&self, found: &str, text: &str) -> Result<Value, E> {
        match self.scalar() {
            Some(scalar) => match scalar::refused(scalar, found, text) {
                Some(scalar::Refused::Message(message)) => Err(self.state.fail(message)),
                Some(scalar::Refused::Into(go_type)) => {
                    Err(self.state.fail(self.state.type_error(found, self.path, Some(go_type))))
                }
                None => Ok(self.mismatch(found)),
            },
            None => Ok(self.mismatch(found)),
        }
    }

    fn take<E: serde::de::Error>(&self, found: &str, value: Value) -> Result<Value, E> {
        let Some(schema) = self.schema else { return Ok(value) };
        let Shape::Scalar(scalar) = schema.node().shape else { return Ok(self.mismatch(found)) };
        match scalar::canonical(scalar, value) {
            Ok(value) => Ok(value),
            Err(scalar::Wrong::Type(found)) => Ok(self.mismatch(&found)),
            Err(scalar::Wrong::Saved(message)) => {
                self.state.save(|| message);
                Ok(Value::Null)
            }
            Err(scalar::Wrong::Fatal(message)) => Err(self.state.fail(message)),
            Err(scalar::Wrong::FatalType(found, into)) => {
                Err(self.state.fail(self.state.type_error(&found, self.path, Some(into))))
            }
        }
    }

    fn object<'de, A: MapAccess<'de>>(
        &self,
        schema: Schema<'s>,
        fields: &'s [Field],
        mut access: A,
    ) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut seen = 0u128;
        while let Some(name) = access.next_key_seed(KeyOf(fields))? {
            let Key::Known(at) = name else {
                if let Key::Unknown(name) = name {
                    self.state.report("unknown", self.path, &name);
                }
                access.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &fields[at];
            if seen & (1 << (at % 128)) != 0 {
                self.state.report("duplicate", self.path, &field.name);
            }
            seen |= 1 << (at % 128);
            let inner = schema.types().resolve(field.node);
            let path = self.path.then(Step::Field(&field.name));
            let value = access.next_value_seed(At { schema: Some(inner), path: &path, state: self.state })?;
            let lost = !field.pointer && zero::is_lost(field, inner, &value);
            if lost && !value.is_null() {
                self.state.remember_empty(self.path, field, inner);
            }
            if lost || value.is_null() {
                map.remove(&*field.name);
            } else {
                map.insert(field.name.to_string(), value);
            }
        }
        zero::show_zeros(schema, &mut map);
        Ok(Value::Object(map))
    }

    fn map<'de, A: MapAccess<'de>>(
        &self,
        values: Option<Schema<'s>>,
        mut access: A,
    ) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                self.state.report("duplicate", self.path, &key);
            }
            let path = self.path.then(Step::Key(&key));
            let mut value = access.next_value_seed(At { schema: values, path: &path, state: self.state })?;
            if let (Value::Null, Some(schema)) = (&value, values) {
                // Stored as protobuf, a map's bytes are never absent.
                let bytes = matches!(schema.node().shape, Shape::Scalar(Scalar::Bytes));
                value = if bytes { "".into() } else { zero(schema) };
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// The name of a field, found among those known without copying it.
struct KeyOf<'f>(&'f [Field]);

enum Key {
    Known(usize),
    Unknown(String),
}

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(match self.0.binary_search_by(|field| (*field.name).cmp(name)) {
            Ok(at) => Key::Known(at),
            Err(_) => Key::Unknown(name.to_owned()),
        })
    }
}

impl<'de> Visitor<'de> for At<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.take("bool", Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.take("number", value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.take("number", value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.take("number", Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.take("string", Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.take("string", Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let items = match self.schema {
            None => None,
            Some(schema) => match schema.items() {
                Some(items) => Some(items),
                None => {
                    while access.next_element::<IgnoredAny>()?.is_some() {}
                    return self.composite("array", "[");
                }
            },
        };
        let mut list = Vec::new();
        loop {
            let path = self.path.then(Step::Index(list.len()));
            let Some(value) =
                access.next_element_seed(At { schema: items, path: &path, state: self.state })?
            else {
                break;
            };
            match (value, items) {
                (Value::Null, Some(items)) => list.push(zero(items)),
                (value, _) => list.push(value),
            }
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let Some(schema) = self.schema else { return self.map(None, access) };
        match &schema.node().shape {
            Shape::Object { fields, .. } => self.object(schema, fields, access),
            Shape::Map(values) => self.map(Some(schema.types().resolve(*values)), access),
            _ => {
                while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.composite("object", "{")
            }
        }
    }
}
