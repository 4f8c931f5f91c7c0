//! What a validation found: errors without repetition, and how much matched (to choose among alternatives).

use object::{FieldError, FieldErrorKind, Path, Value};
use std::rc::Rc;

/// The result of validating one value.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What is wrong, each once.
    pub errors: Vec<FieldError>,
    /// How many checks ran.
    pub matches: usize,
}

impl Outcome {
    /// Nothing wrong.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Adds an error, unless it is there already.
    pub fn add(&mut self, error: FieldError) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Takes over all of another outcome.
    pub fn merge(&mut self, other: Outcome) {
        self.matches += other.matches;
        other.errors.into_iter().for_each(|error| self.add(error));
    }
}

/// Where the walk is: what the field is called, and what messages call it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where what is validated stands: `status` when only that is. Messages do not name it.
    base: Rc<str>,
    name: String,
}

impl Place {
    /// The root of what is validated.
    pub fn root(base: &str) -> Self {
        Self { base: base.into(), name: String::new() }
    }

    /// Is it the root?
    pub fn is_root(&self) -> bool {
        self.name.is_empty()
    }

    /// A field that the schema lists.
    pub fn field(&self, name: &str) -> Self {
        let name = if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) };
        Self { base: self.base.clone(), name }
    }

    /// A key of a map, and a required field: the dot is there even at the root.
    pub fn key(&self, name: &str) -> Self {
        Self { base: self.base.clone(), name: format!("{}.{name}", self.name) }
    }

    /// An item of a list.
    pub fn index(&self, index: usize) -> Self {
        Self { base: self.base.clone(), name: format!("{}[{index}]", self.name) }
    }

    /// As messages spell it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As field paths spell it.
    pub fn path(&self) -> Path {
        let base = Path::new(&*self.base);
        match self.name.strip_prefix('.').unwrap_or(&self.name) {
            "" => base,
            name => base.field(name),
        }
    }

    /// `Invalid value: <value>: <place> in body <demand>`
    pub fn invalid(&self, value: &Value, demand: &str) -> FieldError {
        FieldError::invalid(&self.path(), value, &format!("{} in body {demand}", self.name))
    }

    /// The same for a wrong type or format.
    pub fn wrong_type(&self, shown: &str, wanted: &str) -> FieldError {
        let detail =
            format!("{} in body must be of type {wanted}: {}", self.name, object::error::quote(shown));
        FieldError::type_invalid(&self.path(), &shown.into(), &detail)
    }

    /// An error that belongs to no field: `<nil>: Invalid value: "": <message>`.
    pub fn unplaced(&self, message: &str) -> FieldError {
        FieldError::invalid(&Path::new(&*self.base), &"".into(), message)
    }

    /// `Unsupported value: …`
    pub fn unsupported(&self, value: &Value, choices: &[Value]) -> FieldError {
        let spell = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let choices: Vec<_> = choices.iter().map(spell).collect();
        let choices: Vec<_> = choices.iter().map(String::as_str).collect();
        FieldError::not_supported(&self.path(), value, &choices)
    }

    /// `Too many: <actual>: must have at most <max> items`
    pub fn too_many(&self, actual: usize, max: i64) -> FieldError {
        let max = usize::try_from(max).unwrap_or(0);
        FieldError { kind: FieldErrorKind::TooMany, ..FieldError::too_many(&self.path(), actual, max) }
    }
}
