//! Whether an object keeps the rules of its kind: built-in ones by the `validation` crate, custom ones by their schema.

use crate::pipeline::Write;
use object::{ApiError, FieldError, GroupKind, Path, Result, Value, meta};

/// Refuses a new object that breaks the rules of its kind, and gives the warnings it deserves.
pub(crate) async fn create(write: &Write<'_>, object: &Value) -> Result<()> {
    let resource = &write.target.resource;
    let kind = meta::gvk(object).unwrap_or_else(|| resource.gvk());
    let errors = if resource.custom {
        let mut errors = validation::validate_custom_metadata(object, resource.namespaced());
        custom(write, object, None, &mut errors);
        errors
    } else if resource.storage.group != resource.gvr.group {
        // Held to the rules of the group it was sent to.
        validation::validate_create(&resource.gvk(), &crate::conversion::shown(write.target, object.clone())?)
    } else {
        validation::validate_create(&kind, object)
    };
    refuse(write, object, errors)?;
    warn(write, object, None);
    Ok(())
}

/// The same for an object that takes the place of `old`.
pub(crate) async fn update(write: &Write<'_>, object: &Value, old: &Value) -> Result<()> {
    let resource = &write.target.resource;
    let kind = meta::gvk(object).unwrap_or_else(|| resource.gvk());
    let subresource = write.target.at.subresource.as_str();
    let errors = if resource.custom {
        let mut errors = validation::validate_custom_metadata_update(object, old, resource.namespaced());
        custom(write, object, Some(old), &mut errors);
        errors
    } else {
        match subresource {
            "status" => validation::validate_status_update(&kind, object, old),
            "ephemeralcontainers" => validation::validate_ephemeral_containers(object, old),
            "resize" => validation::validate_resize(object, old),
            "finalize" => validation::validate_namespace_finalize(object, old),
            "approval" => validation::validate_approval(object, old),
            "binding" => vec![],
            // Held to the rules of the group it was sent to.
            _ if resource.storage.group != resource.gvr.group => {
                let shown = |object: &Value| crate::conversion::shown(write.target, object.clone());
                validation::validate_update(&resource.gvk(), &shown(object)?, &shown(old)?)
            }
            _ => validation::validate_update(&kind, object, old),
        }
    };
    refuse(write, object, errors)?;
    if subresource.is_empty() {
        warn(write, object, Some(old));
    }
    Ok(())
}

/// What the schema of a custom resource and its subresources demand. An update of the status is judged by its status.
fn custom(write: &Write<'_>, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let resource = &write.target.resource;
    let schema = resource.schema.get();
    let of_status = write.target.at.subresource == "status";
    errors.extend(match of_status {
        true => schema::custom::validate_status(schema, object, old),
        false => schema::custom::validate_schema(schema, object, old),
    });
    if let Some(scale) = resource.definition.as_ref().and_then(|d| d.scale.as_ref()) {
        if !of_status {
            errors.extend(replicas_error(object, &scale.spec_replicas));
        }
        errors.extend(replicas_error(object, &scale.status_replicas));
        let selector = scale.label_selector.as_ref();
        errors.extend(selector.and_then(|pointer| not_of_type(object, pointer, "".into(), "string")));
    }
    errors.extend(schema::custom::validate_rest(schema, object, old));
    rules(write, object, old, errors);
}

/// What the scale subresource shows must be a number that can be shown.
fn replicas_error(object: &Value, pointer: &str) -> Option<FieldError> {
    let Some(replicas) = object.pointer(pointer).and_then(Value::as_i64) else {
        return not_of_type(object, pointer, 0.into(), "int64");
    };
    let detail = match replicas {
        ..0 => "should be a non-negative integer",
        0..=0x7fff_ffff => return None,
        _ => "should be less than or equal to 2147483647",
    };
    Some(FieldError::invalid(&Path::new(pointer.replace('/', ".")), &replicas.into(), detail))
}

/// A value of another type than Go's `wanted`, whose zero value is `zero`; there may be none.
fn not_of_type(object: &Value, pointer: &str, zero: Value, wanted: &str) -> Option<FieldError> {
    let (path, value) = (pointer.replace('/', "."), object.pointer(pointer)?);
    let found = match value {
        Value::String(_) if wanted == "string" => return None,
        Value::String(_) => "string",
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    let value = merge::go_map(value);
    let detail = format!("{path} accessor error: {value} is of the type {found}, expected {wanted}");
    Some(FieldError::invalid(&Path::new(path), &zero, &detail))
}

/// What the CEL rules of a custom resource say, unless the object is too broken to ask them.
fn rules(write: &Write<'_>, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let schema = write.target.resource.schema.get();
    if !schema::custom::blocks_rules(errors) {
        errors.extend(cel_rules::validate(schema, object, old, &mut |warning| write.call.warn(warning)));
    } else if cel_rules::has_rules(schema, object) {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        errors.push(FieldError::invalid(&Path::root(), &"null".into(), detail));
    }
}

fn warn(write: &Write<'_>, object: &Value, old: Option<&Value>) {
    let kind = meta::gvk(object).unwrap_or_else(|| write.target.resource.gvk());
    let found = match write.target.resource.custom {
        true => validation::custom_warnings(object, old),
        false => validation::warnings(&kind, object, old),
    };
    found.into_iter().for_each(|warning| write.call.warn(warning));
}

fn refuse(write: &Write<'_>, object: &Value, errors: Vec<FieldError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let resource = &write.target.resource;
    // Errors speak of the kind as it is kept: events are those of the core group.
    let kind = GroupKind { group: resource.storage.group.clone(), kind: resource.kind.clone() };
    Err(ApiError::Invalid { kind, name: meta::name(object).into(), errors })
}
