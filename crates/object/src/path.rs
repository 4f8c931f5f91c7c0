//! The path of a field inside an object, as validation messages spell it: `spec.containers[0].name`.

use std::fmt;

/// A field path that grows by [`field`](Path::field), [`index`](Path::index) and [`key`](Path::key).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// The empty path: the object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of one or more fields already joined by dots.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The field `name` of what this path names.
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.into()) } else { self.with(&[".", name]) }
    }

    /// Item `index` of the list that this path names.
    pub fn index(&self, index: usize) -> Self {
        self.with(&["[", &index.to_string(), "]"])
    }

    /// The value under `key` of the map that this path names.
    pub fn key(&self, key: &str) -> Self {
        self.with(&["[", key, "]"])
    }

    /// Validation makes a path for every field it looks at, so it is made in one piece.
    fn with(&self, rest: &[&str]) -> Self {
        let length = rest.iter().map(|part| part.len()).sum::<usize>();
        let mut path = String::with_capacity(self.0.len() + length);
        path.push_str(&self.0);
        rest.iter().for_each(|part| path.push_str(part));
        Self(path)
    }

    /// The spelled path; empty at the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}
