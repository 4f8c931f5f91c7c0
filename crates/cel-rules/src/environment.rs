//! What an expression can refer to besides functions: its variables and the struct types it can make.

use crate::types::{Decl, Type};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Variables and types of an expression.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<Box<str>, Arc<Decl>>,
    structs: Vec<(Box<str>, Type)>,
    /// `Object.spec.…` may be made.
    mutations: bool,
}

impl Environment {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a variable.
    #[must_use]
    pub fn with(mut self, name: &str, decl: Arc<Decl>) -> Self {
        self.variables.insert(name.into(), decl);
        self
    }

    /// With the types `Object`, `Object.…` and `JSONPatch` of mutations.
    #[must_use]
    pub fn with_mutations(mut self) -> Self {
        self.mutations = true;
        let patch = Decl::object(
            "JSONPatch",
            [
                ("op", Decl::scalar(Type::String)),
                ("path", Decl::scalar(Type::String)),
                ("from", Decl::scalar(Type::String)),
                ("value", Decl::any()),
            ],
        );
        self.structs.push(("JSONPatch".into(), patch.ty.clone()));
        self
    }

    /// A variable's declaration.
    pub fn variable(&self, name: &str) -> Option<&Arc<Decl>> {
        self.variables.get(name)
    }

    /// The struct type of this name.
    pub fn struct_type(&self, name: &str) -> Option<Type> {
        if self.mutations && (name == "Object" || name.starts_with("Object.")) {
            return Some(open(name));
        }
        self.structs.iter().find(|(n, _)| **n == *name).map(|(_, ty)| ty.clone())
    }
}

/// An object type that takes any field.
fn open(name: &str) -> Type {
    Type::Struct(Arc::new(crate::types::Object { name: name.to_owned(), open: true, ..Default::default() }))
}
