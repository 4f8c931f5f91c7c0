//! Whether an object keeps the rules of its kind: built-in ones by the `validation` crate, custom ones by their schema.

use crate::pipeline::Write;
use object::{ApiError, FieldError, Result, Value, meta};

pub(crate) async fn create(write: &Write<'_>, object: &Value) -> Result<()> {
    let resource = &write.target.resource;
    let kind = meta::gvk(object).unwrap_or_else(|| resource.gvk());
    let errors = if resource.custom {
        custom(write, object, None)
    } else {
        crate::pending::validation::validate_create(&kind, object)
    };
    for warning in crate::pending::validation::warnings(&kind, object, None) {
        write.call.warn(warning);
    }
    refuse(write, object, errors)
}

pub(crate) async fn update(write: &Write<'_>, object: &Value, old: &Value) -> Result<()> {
    let resource = &write.target.resource;
    let kind = meta::gvk(object).unwrap_or_else(|| resource.gvk());
    let status = write.target.at.subresource == "status";
    let errors = match (resource.custom, status) {
        (true, _) => custom(write, object, Some(old)),
        (false, true) => crate::pending::validation::validate_status_update(&kind, object, old),
        (false, false) => crate::pending::validation::validate_update(&kind, object, old),
    };
    if !status {
        for warning in crate::pending::validation::warnings(&kind, object, Some(old)) {
            write.call.warn(warning);
        }
    }
    refuse(write, object, errors)
}

fn custom(write: &Write<'_>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = match old {
        None => crate::pending::validation::metadata::create(object, write.target.resource.namespaced()),
        Some(old) => crate::pending::validation::metadata::update(object, old),
    };
    errors.extend(schema::custom::validate(write.target.resource.schema.get(), object, old));
    errors
}

fn refuse(write: &Write<'_>, object: &Value, errors: Vec<FieldError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let name = if meta::name(object).is_empty() { meta::generate_name(object) } else { meta::name(object) };
    Err(ApiError::Invalid { kind: write.target.resource.group_kind(), name: name.into(), errors })
}
