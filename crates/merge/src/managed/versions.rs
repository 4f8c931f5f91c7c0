//! The versions of a kind, as far as field management needs them.

use crate::fields::FieldFilter;
use schema::Schema;
use serde_json::Value;

/// The versions of a kind: managers may have written in others than the request's.
pub trait Versions {
    /// Whether `api_version` is a version of the kind that is still known. Entries of other versions are dropped.
    fn is_known(&self, api_version: &str) -> bool;

    /// The schema of a known version; `None` if it has none (all types are deduced then).
    fn schema(&self, api_version: &str) -> Option<Schema<'_>>;

    /// What writes through the endpoint cannot change, by version.
    fn filter(&self, api_version: &str) -> &FieldFilter;

    /// `object`, of a known version, in another known version; `None` if that fails.
    fn convert(&self, object: &Value, api_version: &str) -> Option<Value>;
}

/// A kind with one version only.
#[derive(Clone, Debug)]
pub struct SingleVersion<'a> {
    /// The version.
    pub api_version: &'a str,
    /// Its schema, if any.
    pub schema: Option<Schema<'a>>,
    /// What the endpoint's writes cannot change.
    pub filter: FieldFilter,
}

impl Versions for SingleVersion<'_> {
    fn is_known(&self, api_version: &str) -> bool {
        api_version == self.api_version
    }

    fn schema(&self, _: &str) -> Option<Schema<'_>> {
        self.schema
    }

    fn filter(&self, _: &str) -> &FieldFilter {
        &self.filter
    }

    fn convert(&self, _: &Value, _: &str) -> Option<Value> {
        None
    }
}

/// A kind with several versions, told apart by `apiVersion` (also across groups: events).
pub struct SeveralVersions<'a> {
    /// Every known version with its schema, if any.
    pub known: Vec<(String, Option<Schema<'a>>)>,
    /// What the endpoint's writes cannot change; the same in all versions.
    pub filter: FieldFilter,
    /// An object in another known version; `None` if that fails.
    pub convert: &'a dyn Fn(&Value, &str) -> Option<Value>,
}

impl Versions for SeveralVersions<'_> {
    fn is_known(&self, api_version: &str) -> bool {
        self.known.iter().any(|(known, _)| known == api_version)
    }

    fn schema(&self, api_version: &str) -> Option<Schema<'_>> {
        self.known.iter().find(|(known, _)| known == api_version)?.1
    }

    fn filter(&self, _: &str) -> &FieldFilter {
        &self.filter
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        (self.convert)(object, api_version)
    }
}
