//! What the schema says about merging a field.

use super::error::PatchError;
use schema::{Schema, Shape};

/// Where in the schema a map of the patch is.
#[derive(Clone, Copy)]
pub(super) enum Lookup<'a> {
    /// A type of the schema.
    Type(Schema<'a>),
    /// Below what the schema describes.
    Unknown,
}

/// How a field merges.
pub(super) struct FieldMeta<'a> {
    /// The schema of the field, or of a list's items.
    pub(super) schema: Lookup<'a>,
    /// Lists merge instead of being replaced.
    pub(super) merge: bool,
    /// Maps are replaced instead of being merged.
    pub(super) replace: bool,
    /// What tells items of a merged list apart.
    pub(super) merge_key: Option<&'a str>,
}

impl<'a> Lookup<'a> {
    /// How the map under `key` merges.
    pub(super) fn field(self, key: &str) -> Result<FieldMeta<'a>, PatchError> {
        let schema = self.child(key)?;
        let patch = &schema.node().patch;
        Ok(FieldMeta {
            schema: Self::Type(schema),
            merge: patch.merge,
            replace: patch.replace,
            merge_key: patch.merge_key.as_deref(),
        })
    }

    /// How the list under `key` merges.
    pub(super) fn list(self, key: &str) -> Result<FieldMeta<'a>, PatchError> {
        let meta = self.field(key)?;
        let Self::Type(schema) = meta.schema else { return Ok(meta) };
        match schema.node().shape {
            Shape::List(_) | Shape::Scalar(schema::Scalar::Bytes) => {}
            _ => {
                return Err(PatchError::Other(format!(
                    "expected slice or array type, but got: {}",
                    self.kind()
                )));
            }
        }
        Ok(FieldMeta { schema: schema.items().map_or(Self::Unknown, Self::Type), ..meta })
    }

    fn child(self, key: &str) -> Result<Schema<'a>, PatchError> {
        let Self::Type(schema) = self else { return Err(self.not_a_struct()) };
        match &schema.node().shape {
            Shape::Object { fields, .. } => {
                // Go's JSON takes field names in any case.
                let found = schema.field(key).or_else(|| {
                    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(key))?;
                    schema.field(&field.name)
                });
                found.ok_or_else(|| no_field(&self.name(), key))
            }
            Shape::Any => Err(no_field("RawExtension", key)),
            _ => Err(self.not_a_struct()),
        }
    }

    fn not_a_struct(self) -> PatchError {
        PatchError::Other(format!(
            "merging an object in json but data type is not struct, instead is: {}",
            self.kind()
        ))
    }

    /// Go's word for the kind of type.
    pub(super) fn kind(self) -> &'static str {
        let Self::Type(schema) = self else { return "interface" };
        match schema.node().shape {
            Shape::Object { .. } | Shape::Any | Shape::Builtin(_) => "struct",
            Shape::Map(_) => "map",
            Shape::List(_) => "slice",
            Shape::Scalar(_) => "string",
        }
    }

    /// The Go name of a struct: the last part of its OpenAPI name.
    fn name(self) -> String {
        let Self::Type(schema) = self else { return String::new() };
        let named = schema.types().names.iter().find(|(_, id)| **id == schema.id());
        named.map_or_else(String::new, |(name, _)| name.rsplit('.').next().unwrap_or(name).to_owned())
    }
}

fn no_field(name: &str, key: &str) -> PatchError {
    PatchError::Other(format!(
        "unable to find api field in struct {name} for the json field {}",
        object::error::quote(key)
    ))
}
