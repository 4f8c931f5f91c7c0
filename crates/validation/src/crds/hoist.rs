//! What all versions of a definition share, moved to its spec.

use crate::node::{Node, same};
use serde_json::{Map, Value};

const SHARED: [&str; 4] = ["subresources", "schema", "additionalPrinterColumns", "selectableFields"];

/// A definition's versions, and what they share.
pub struct Hoisted {
    /// The shared fields.
    pub top: Value,
    /// The versions without the shared fields.
    pub versions: Vec<Value>,
}

impl Hoisted {
    /// Moves what every version has in the same words. The other form is never what a client sent, so nothing is lost.
    pub fn new(spec: &Node<'_>) -> Self {
        let mut versions = spec.raw("versions").as_array().cloned().unwrap_or_default();
        let mut top = Map::new();
        for field in SHARED {
            let Some(first) = versions.first().map(|v| v[field].clone()) else { break };
            if versions.iter().all(|v| same(&v[field], &first)) {
                versions.iter_mut().filter_map(Value::as_object_mut).for_each(|v| {
                    v.remove(field);
                });
                if !first.is_null() {
                    top.insert(field.to_owned(), first);
                }
            }
        }
        Self { top: top.into(), versions }
    }

    /// Whether a version has a status subresource.
    pub fn status_enabled(&self, version: &Value) -> bool {
        let per_version = self.versions.iter().any(|v| !v["subresources"].is_null());
        let holder = if per_version { version } else { &self.top };
        !holder["subresources"]["status"].is_null()
    }

    /// Whether any version has a status subresource.
    pub fn any_status(&self) -> bool {
        let has = |holder: &Value| !holder["subresources"]["status"].is_null();
        has(&self.top) || self.versions.iter().any(has)
    }
}
