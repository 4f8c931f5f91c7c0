//! Custom resources: the structural schema of a CustomResourceDefinition, compiled, and what is done with it.
//!
//! [`compile`] turns an `openAPIV3Schema` into [`Types`]: the same nodes as built-in types have, plus what each place
//! demands of its values. [`decode`] reads an object (metadata by its built-in type, the rest pruned and defaulted),
//! [`validate`] says what is wrong with it in Kubernetes' words. CEL rules are evaluated elsewhere: [`each_rule`] finds
//! them with the values they are about.
//!
//! A compiled schema is a value of its own, shared by whoever holds it; regular expressions compile on first use.

mod compile;
mod constraints;
mod decode;
mod default;
mod definition;
mod embedded;
mod field_path;
mod format;
mod lists;
mod number;
mod outcome;
mod prune;
mod regex;
mod rules;
mod shared;
mod structural;
mod validate;

pub use compile::{Compiled, compile};
pub(crate) use constraints::Custom;
pub use constraints::Rules;
pub use decode::{decode, decode_json};
pub use default::default;
pub use definition::check_definition;
pub use embedded::validate as validate_embedded;
pub use field_path::{Step, field_below, field_path};
pub use format::unrecognized_formats;
pub use lists::validate as validate_lists;
pub use prune::prune;
pub use regex::{go_regex, go_regex_error};
pub use rules::{Place, describe, each_rule, whole};
pub use validate::{validate_schema, validate_status};

use crate::{NodeId, Schema};
use object::{FieldError, Value};

/// All that a schema demands of `object` beside [`validate_schema`], CEL rules aside: of embedded objects, sets and lists with
/// keys. With the object's `old` value, what was wrong and did not change is let pass.
pub fn validate_rest(schema: Schema<'_>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = validate_embedded(schema, object);
    errors.extend(validate_lists(schema, object, old));
    errors
}

/// What CEL rules wait for: an error that keeps them from being checked.
pub fn blocks_rules(errors: &[FieldError]) -> bool {
    use object::FieldErrorKind as Kind;
    errors.iter().any(|e| {
        matches!(
            e.kind,
            Kind::NotSupported | Kind::Required | Kind::TooLong | Kind::TooMany | Kind::TypeInvalid
        )
    })
}

/// A place of a compiled schema, with its constraints.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    /// The place in the arena; never followed into built-in types.
    pub schema: Schema<'a>,
}

impl<'a> At<'a> {
    /// The root of a custom schema; `None` for a built-in one.
    pub fn new(schema: Schema<'a>) -> Option<Self> {
        schema.types().custom.as_ref()?;
        Some(Self { schema })
    }

    /// Another place of the same schema.
    pub fn other(self, id: NodeId) -> Self {
        Self { schema: self.schema.types().at(id) }
    }

    /// What is demanded here.
    pub fn check(self) -> &'a constraints::Check {
        static NOTHING: constraints::Check = constraints::Check::nothing();
        let custom = self.schema.types().custom.as_deref();
        custom.and_then(|c| c.checks.get(self.schema.id().0 as usize)).unwrap_or(&NOTHING)
    }

    /// The schema of a field that is listed, or of a map's values. `metadata` leads to its constraints, not its type.
    pub fn field(self, name: &str) -> Option<At<'a>> {
        if let Some(id) = self.check().more().and_then(|m| m.metadata).filter(|_| name == "metadata") {
            return Some(self.other(id));
        }
        match &self.schema.node().shape {
            crate::Shape::Object { fields, .. } => {
                let at = fields.binary_search_by(|f| (*f.name).cmp(name)).ok()?;
                Some(self.other(fields[at].node))
            }
            crate::Shape::Map(value) => Some(self.other(*value)),
            _ => None,
        }
    }

    /// The schema of a list's items.
    pub fn items(self) -> Option<At<'a>> {
        match self.schema.node().shape {
            crate::Shape::List(item) => Some(self.other(item)),
            _ => None,
        }
    }
}

/// apiVersion, kind and metadata are every object's own.
pub(crate) const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

#[cfg(test)]
mod tests;
