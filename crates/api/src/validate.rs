//! Whether an object keeps the rules of its kind: built-in ones by the `validation` crate, custom ones by their schema.

use crate::pipeline::Write;
use object::{ApiError, FieldError, Result, Value, meta};

/// Refuses a new object that breaks the rules of its kind, and gives the warnings it deserves.
pub(crate) async fn create(write: &Write<'_>, object: &Value) -> Result<()> {
    let resource = &write.target.resource;
    let kind = meta::gvk(object).unwrap_or_else(|| resource.gvk());
    let errors = if resource.custom {
        let mut errors = validation::validate_custom_metadata(object, resource.namespaced());
        errors.extend(schema::custom::validate(resource.schema.get(), object, None));
        errors
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
        errors.extend(schema::custom::validate(resource.schema.get(), object, Some(old)));
        errors
    } else {
        match subresource {
            "status" => validation::validate_status_update(&kind, object, old),
            "ephemeralcontainers" => validation::validate_ephemeral_containers(object, old),
            "resize" => validation::validate_resize(object, old),
            "finalize" => validation::validate_namespace_finalize(object, old),
            "approval" => validation::validate_approval(object, old),
            "binding" => vec![],
            _ => validation::validate_update(&kind, object, old),
        }
    };
    refuse(write, object, errors)?;
    if subresource.is_empty() {
        warn(write, object, Some(old));
    }
    Ok(())
}

fn warn(write: &Write<'_>, object: &Value, old: Option<&Value>) {
    let kind = meta::gvk(object).unwrap_or_else(|| write.target.resource.gvk());
    for warning in validation::warnings(&kind, object, old) {
        write.call.warn(warning);
    }
}

fn refuse(write: &Write<'_>, object: &Value, errors: Vec<FieldError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let kind = write.target.resource.group_kind();
    Err(ApiError::Invalid { kind, name: meta::name(object).into(), errors })
}
