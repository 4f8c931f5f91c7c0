//! What the body of a PATCH asks for, and what it makes of an object. Nothing is stored here.

use crate::call::{Call, Target};
use crate::go_order::{self, Touched};
use crate::{codec, managed};
use object::{ApiError, Result, Value};

/// A parsed patch.
pub(crate) struct Patch {
    how: How,
    /// What strict decoding finds in the patch itself.
    pub problems: Vec<String>,
}

enum How {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply { config: Value, force: bool },
}

impl Patch {
    /// Reads the body of `call` by its media type.
    ///
    /// # Errors
    /// 415 for a media type that the kind has no patches of, `BadRequest` for a body that is none.
    pub fn parse(call: &Call, target: &Target) -> Result<Self> {
        let header = call.header("content-type").split(';').next().unwrap_or("").trim().to_owned();
        let custom = target.resource.custom;
        let (how, problems) = match header.as_str() {
            "application/json-patch+json" => {
                let (operations, mut problems) = codec::patch_json(call)?;
                problems.extend(unknown_fields(&operations));
                let problems = problems.iter().map(|problem| format!("json patch {problem}")).collect();
                (How::Json(operations), problems)
            }
            "application/merge-patch+json" => {
                let (patch, problems) = codec::patch_json(call)?;
                (How::Merge(patch), problems)
            }
            "application/strategic-merge-patch+json" if !custom => {
                let (patch, problems) = codec::patch_json(call)?;
                (How::Strategic(patch), problems)
            }
            "application/apply-patch+yaml" => {
                if call.query.get("fieldManager").is_empty() {
                    return Err(codec::invalid_patch_options("fieldManager", "is required for apply patch"));
                }
                let (config, repeated) = codec::apply_config(call)?;
                (How::Apply { config, force: call.query.flag("force") }, repeated)
            }
            _ => return Err(unsupported(custom)),
        };
        Ok(Self { how, problems })
    }

    /// The configuration of a server-side apply, if it is one.
    pub fn applied(&self) -> Option<&Value> {
        match &self.how {
            How::Apply { config, .. } => Some(config),
            _ => None,
        }
    }

    /// A new object made of nothing but the applied configuration; `None` for patches that need an object.
    pub fn create(&self, call: &Call, target: &Target) -> Option<Result<Value>> {
        let applied = managed::apply(call, target, None, self.applied()?, false);
        Some(applied.and_then(|object| codec::check_applied_keys(call, &self.problems).map(|()| object)))
    }

    /// `old` after the patch, decoded and defaulted anew.
    pub fn transform(&self, call: &Call, target: &Target, old: &Value) -> Result<Value> {
        let patched = match &self.how {
            How::Json(operations) => merge::json_patch(old, operations)?,
            How::Merge(patch) => merge::merge_patch(old, patch)?,
            How::Strategic(patch) => merge::strategic_merge_patch(codec::schema(target).get(), old, patch)?,
            How::Apply { config, force } => {
                let applied = managed::apply(call, target, Some(old), config, *force)?;
                codec::check_applied_keys(call, &self.problems)?;
                return codec::decode_applied(call, target, config, applied);
            }
        };
        codec::decode_patched(call, target, patched, self)
    }

    /// What messages quote: the patch where it is strategic, else the object that it made.
    pub fn quoted(&self, target: &Target, made: &Value) -> String {
        let schema = codec::schema(target);
        // Custom resources are maps to Go.
        let typed = !target.resource.custom || target.at.subresource == "scale";
        let schema = typed.then(|| schema.get());
        match &self.how {
            How::Json(operations) => go_order::to_string(schema, made, &Touched::by_operations(operations)),
            How::Strategic(patch) => merge::go_map(patch),
            How::Merge(patch) | How::Apply { config: patch, .. } => {
                go_order::to_string(schema, made, &Touched::by_merge(patch))
            }
        }
    }
}

/// What no operation of a JSON patch has.
fn unknown_fields(operations: &Value) -> Vec<String> {
    let operations = operations.as_array().into_iter().flatten().enumerate();
    let fields = operations.flat_map(|(i, operation)| {
        let keys = operation.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        keys.filter(|key| !matches!(*key, "op" | "path" | "from" | "value"))
            .map(move |key| format!("unknown field \"[{i}].{key}\""))
    });
    fields.collect()
}

fn unsupported(custom: bool) -> ApiError {
    if custom {
        return crate::negotiate::unknown_format(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        );
    }
    // Refused by the route, before any handler.
    ApiError::Status(Box::new(object::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "details": {},
        "message": "415: Unsupported Media Type", "reason": "UnsupportedMediaType", "code": 415,
    })))
}
