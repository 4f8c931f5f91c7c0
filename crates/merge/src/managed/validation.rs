//! What may be written into `metadata.managedFields`.

use super::name::validate_field_manager;
use object::{FieldError, Path};
use serde_json::{Value, json};

/// How many bytes a subresource's name may have.
const MAX_SUBRESOURCE_LENGTH: usize = 256;

/// What is wrong with the entries at `path`.
pub fn validate_managed_fields(entries: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, entry) in entries.as_array().into_iter().flatten().enumerate() {
        let path = path.index(index);
        let text = |field: &str| entry[field].as_str().unwrap_or("");
        match text("operation") {
            "Apply" | "Update" => {}
            "" => errors.push(FieldError::required(&path.field("operation"), "must not be empty")),
            other => {
                errors.push(FieldError::not_supported(
                    &path.field("operation"),
                    &json!(other),
                    &["Apply", "Update"],
                ));
            }
        }
        let fields_type = text("fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.push(FieldError::invalid(
                &path.field("fieldsType"),
                &json!(fields_type),
                "must be `FieldsV1`",
            ));
        }
        errors.extend(validate_field_manager(text("manager"), &path.field("manager")));
        if text("subresource").len() > MAX_SUBRESOURCE_LENGTH {
            errors.push(FieldError::too_long(&path.field("subresource"), MAX_SUBRESOURCE_LENGTH));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_wrong() {
        let entries = json!([
            {"operation": "Apply", "fieldsType": "FieldsV1", "manager": "m"},
            {"fieldsType": "FieldsV2", "manager": "a\tb"},
            {"operation": "Patch", "subresource": "s".repeat(257)},
        ]);
        let errors = validate_managed_fields(&entries, &Path::new("metadata.managedFields"));
        let shown: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
        assert_eq!(
            shown,
            [
                "metadata.managedFields[1].operation: Required value: must not be empty",
                "metadata.managedFields[1].fieldsType: Invalid value: \"FieldsV2\": must be `FieldsV1`",
                "metadata.managedFields[1].manager: Invalid value: \"a\\tb\": invalid character U+0009 (at position 1)",
                "metadata.managedFields[2].operation: Unsupported value: \"Patch\": supported values: \"Apply\", \"Update\"",
                "metadata.managedFields[2].subresource: Too long: may not be more than 256 bytes",
            ]
        );
    }
}
