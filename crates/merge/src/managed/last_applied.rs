//! `kubectl.kubernetes.io/last-applied-configuration`: objects that kubectl applied from the client's side move over to
//! server-side apply without conflicts, and their annotation is kept up to date.

use super::conflict::Conflicts;
use super::manager::FieldManager;
use crate::fields::FieldSet;
use crate::{go, typed};
use object::meta;
use serde_json::Value;

/// The only manager that this is done for.
pub(super) const MANAGER: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How many bytes all annotations of an object may have.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// The fields that the annotation names with the values they have: kubectl's, whoever is on record.
pub(super) fn allowed(manager: &FieldManager<'_>, live: &Value) -> Option<FieldSet> {
    let text = meta::annotation(live, ANNOTATION).filter(|text| !text.is_empty())?;
    let applied: Value = serde_json::from_str(text).ok()?;
    if applied["apiVersion"].as_str() != Some(&manager.kind.api_version()) {
        return None;
    }
    let ty = manager.ty();
    typed::validate(ty, live, false).ok()?;
    typed::validate(ty, &applied, false).ok()?;
    let changed = typed::compare(ty, &applied, live);
    let named = typed::to_set(ty, &applied);
    Some(named.difference(&changed.modified).difference(&changed.added).difference(&changed.removed))
}

/// The conflicts that are not allowed. Without an annotation that can be read, none is.
pub(super) fn without(conflicts: Conflicts, allowed: Option<&FieldSet>) -> Conflicts {
    let Some(allowed) = allowed else { return conflicts };
    let rest = conflicts.into_iter().map(|(key, set)| (key, set.difference(allowed)));
    rest.filter(|(_, set)| !set.is_empty()).collect()
}

/// Writes the applied configuration into the annotation, if there is one and it fits.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    if meta::annotation(object, ANNOTATION).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let mut text = String::new();
    go::json(&mut text, &config);
    text.push('\n');
    meta::set_annotation(object, ANNOTATION, &text);
    let size: usize = meta::annotations(object).map(|(key, value)| key.len() + value.len()).sum();
    if size > MAX_ANNOTATIONS
        && let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
}
