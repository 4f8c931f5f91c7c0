//! CustomResourceDefinitions. The schemas in them are checked by [`schema::custom::check_definition`].

use crate::node::Errors;
use serde_json::Value;

/// A CustomResourceDefinition.
pub fn definition(_e: &mut Errors, _object: &Value) {}

/// An update of a CustomResourceDefinition.
pub fn definition_update(_e: &mut Errors, _new: &Value, _old: &Value) {}

/// An update of a CustomResourceDefinition's status.
pub fn definition_status(_e: &mut Errors, _new: &Value, _old: &Value) {}
