//! Patches of all kinds, and the fields that managers own.

use crate::targets::line;
use merge::{FieldSet, json_patch, merge_patch, strategic_merge_patch};
use object::Value;
use schema::builtin;

/// A document, and on the next line a patch.
pub(crate) fn patch(data: &[u8]) {
    let (document, patch) = line(data);
    let (Ok(document), Ok(patch)) =
        (serde_json::from_slice::<Value>(document), serde_json::from_slice(patch))
    else {
        return;
    };
    if let Ok(patched) = json_patch(&document, &patch) {
        assert!(patched.to_string().len() < (64 << 20), "copies are bounded");
    }
    if let Ok(patched) = merge_patch(&document, &patch) {
        assert_eq!(merge_patch(&patched, &patch).ok().as_ref(), Some(&patched), "twice is once");
    }
    for name in ["io.k8s.api.core.v1.Pod", "io.k8s.api.core.v1.Service", "io.k8s.api.apps.v1.Deployment"] {
        let schema = builtin().named(name).unwrap_or_else(|| panic!("no type {name}"));
        let _ = strategic_merge_patch(schema, &document, &patch);
    }
}

/// Two sets of fields, one a line.
pub(crate) fn fields(data: &[u8]) {
    let (one, other) = line(data);
    let set = |text: &[u8]| {
        let value: Value = serde_json::from_slice(text).ok()?;
        let set = FieldSet::from_value(&value).ok()?;
        let again = FieldSet::from_value(&set.to_value()).expect("what was written is readable");
        assert_eq!(again, set, "{value}");
        assert_eq!(serde_json::from_str::<Value>(&set.to_json()).ok(), Some(set.to_value()));
        Some(set)
    };
    let (Some(one), Some(other)) = (set(one), set(other)) else { return };
    let (both, either) = (one.intersection(&other), one.union(&other));
    assert_eq!(either, other.union(&one));
    assert_eq!(both, other.intersection(&one));
    assert!(one.difference(&one).is_empty());
    assert_eq!(one.difference(&other).union(&both), one, "{either:?}");
    assert!(either.paths().iter().all(|path| one.has(&path.0) || other.has(&path.0)));
}
