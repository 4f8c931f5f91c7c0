//! What an apply is told when others own what it wants to change.

use super::entries::ManagerKey;
use crate::fields::{FieldPath, FieldSet};
use object::error::quote;
use object::{ApiError, Cause};

/// The fields of one manager that an apply would change.
pub(crate) type Conflicts = Vec<(ManagerKey, FieldSet)>;

/// The 409 for these conflicts (at least one field).
pub(crate) fn conflict_error(conflicts: &Conflicts) -> ApiError {
    let mut all: Vec<(String, Vec<FieldPath>)> =
        conflicts.iter().map(|(key, set)| (show(key), set.paths())).collect();
    all.retain(|(_, paths)| !paths.is_empty());
    let count: usize = all.iter().map(|(_, paths)| paths.len()).sum();
    let causes = all.iter().flat_map(|(manager, paths)| {
        paths.iter().map(move |path| Cause {
            reason: "FieldManagerConflict".into(),
            message: format!("conflict with {manager}"),
            field: path.to_string(),
        })
    });
    let message = match all.as_slice() {
        [(manager, paths)] if paths.len() == 1 => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", paths[0])
        }
        many => {
            let mut lines = Vec::new();
            for (manager, paths) in many {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
        }
    };
    ApiError::ApplyConflict { message, causes: causes.collect() }
}

fn show(key: &ManagerKey) -> String {
    let mut out = quote(&key.manager);
    if !key.subresource.is_empty() {
        out += &format!(" with subresource {}", quote(&key.subresource));
    }
    if !key.applied {
        out += &format!(" using {}", key.api_version);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_managers_and_fields() {
        let kubectl = ManagerKey::new("kubectl", false, "v1", "");
        let scaler = ManagerKey::new("scaler", false, "apps/v1", "scale");
        let applier = ManagerKey::new("alice", true, "v1", "");
        let one: Conflicts = vec![(kubectl.clone(), FieldSet::of_names(&[&["spec", "replicas"]]))];
        assert_eq!(
            conflict_error(&one).message(),
            "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .spec.replicas"
        );
        let many: Conflicts =
            vec![(applier, FieldSet::of_names(&[&["a"]])), (scaler, FieldSet::of_names(&[&["b"], &["c"]]))];
        assert_eq!(
            conflict_error(&many).message(),
            "Apply failed with 3 conflicts: conflicts with \"alice\":\n- .a\n\
             conflicts with \"scaler\" with subresource \"scale\" using apps/v1:\n- .b\n- .c"
        );
    }
}
