//! The managedFields of the `scale` subresource: those of the parent that concern its replicas, in scale's terms.

use super::entries::{self, Managed, Owned};
use crate::fields::{FieldPath, FieldSet};
use serde_json::Value;

/// The version of `Scale` objects.
const SCALE_VERSION: &str = "autoscaling/v1";

fn replicas_in_scale() -> FieldPath {
    FieldPath::of(&["spec", "replicas"])
}

/// The entries of a Scale object. `replicas` gives the path of the replicas field in a version of the parent; entries of
/// versions without one are left out.
pub fn scale_to_subresource(
    parent: Option<&Value>,
    replicas: &dyn Fn(&str) -> Option<FieldPath>,
) -> Vec<Value> {
    let mut managed = entries::decode(parent).unwrap_or_default();
    managed.retain(|_, owned| replicas(&owned.api_version).is_some_and(|path| owned.set.has(&path.0)));
    for owned in managed.values_mut() {
        owned.set = FieldSet::of([&replicas_in_scale()]);
        owned.api_version = SCALE_VERSION.into();
    }
    entries::encode(&managed)
}

/// The parent's entries after a write to its Scale: who lost the replicas there loses them in the parent, who got them
/// gets them in the parent's version `api_version`. `known` tells which versions the parent still has.
///
/// As in Kubernetes, entries of updates never carry over from one to the other (their versions differ), so that the
/// replicas end up in an entry of their own without a time.
pub fn scale_to_parent(
    parent: Option<&Value>,
    scale: Option<&Value>,
    api_version: &str,
    known: &dyn Fn(&str) -> bool,
    replicas: &dyn Fn(&str) -> Option<FieldPath>,
) -> Vec<Value> {
    let mut scale = entries::decode(scale).unwrap_or_default();
    let mut out = Managed::new();
    for (key, mut owned) in entries::decode(parent).unwrap_or_default() {
        if !known(&owned.api_version) {
            continue;
        }
        if let Some(path) = replicas(&owned.api_version).filter(|path| owned.set.has(&path.0))
            && scale.remove(&key).is_none()
        {
            owned.set = owned.set.difference(&FieldSet::of([&path]));
        }
        if !owned.set.is_empty() {
            out.insert(key, owned);
        }
    }
    let Some(path) = replicas(api_version) else { return entries::encode(&out) };
    scale.retain(|_, owned| owned.set.has(&replicas_in_scale().0));
    for key in scale.into_keys() {
        out.insert(key, Owned { set: FieldSet::of([&path]), api_version: api_version.into(), time: None });
    }
    entries::encode(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_scaler_gets_the_replicas() {
        let replicas = |version: &str| (version == "apps/v1").then(replicas_in_scale);
        let known = |version: &str| version == "apps/v1";
        let parent = json!([{
            "manager": "golden", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:selector": {}}},
        }]);
        let scale = scale_to_subresource(Some(&parent), &replicas);
        assert_eq!(scale[0]["apiVersion"], "autoscaling/v1");
        assert_eq!(scale[0]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
        let written = json!([{
            "manager": "golden", "operation": "Update", "apiVersion": "autoscaling/v1", "time": "2026-01-02T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}, "subresource": "scale",
        }]);
        let after = scale_to_parent(Some(&parent), Some(&written), "apps/v1", &known, &replicas);
        assert_eq!(
            json!(after),
            json!([
                {
                    "manager": "golden", "operation": "Update", "apiVersion": "apps/v1",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}, "subresource": "scale",
                },
                {
                    "manager": "golden", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:selector": {}}},
                },
            ])
        );
    }
}
