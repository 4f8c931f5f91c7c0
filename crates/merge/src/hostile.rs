//! Nothing a client sends may bring a patch or a field manager down.

use crate::{
    FieldFilter, FieldManager, FieldSet, ManagerInfo, SingleVersion, ignore_timestamps, json_patch,
    merge_patch, scale_to_parent, scale_to_subresource, strategic_merge_patch, validate_managed_fields,
};
use object::{GroupVersionKind, Path};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Names that mean something to patches, to field managers or to a Deployment.
const KEYS: [&str; 24] = [
    "metadata",
    "spec",
    "status",
    "template",
    "containers",
    "ports",
    "env",
    "name",
    "key",
    "labels",
    "managedFields",
    "finalizers",
    "ownerReferences",
    "replicas",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "$setElementOrder/finalizers",
    "f:spec",
    "k:{\"name\":\"a\"}",
    "v:1",
    ".",
    "",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "", "a", "delete", "replace", "merge", "Apply", "Update", "FieldsV1", "v1", "é"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// Something that has the outer shape of a Deployment.
fn deployment() -> impl Strategy<Value = Value> {
    (any_json(), any_json(), any_json()).prop_map(|(metadata, spec, status)| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": {"spec": spec}}, "status": status})
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patches_end(document in deployment(), patch in any_json(), operations in prop::collection::vec(any_json(), 0..3)) {
        let schema = schema::builtin().by_gvk(&GroupVersionKind::new("apps", "v1", "Deployment")).unwrap();
        let _ = strategic_merge_patch(schema, &document, &patch);
        let _ = strategic_merge_patch(schema, &document, &json!({"metadata": patch, "spec": {"template": {"spec": patch}}}));
        let _ = merge_patch(&document, &patch);
        let _ = json_patch(&document, &patch);
        let _ = json_patch(&document, &operations.into());
    }

    #[test]
    fn field_management_ends(live in deployment(), new in deployment(), config in deployment(), any in any_json()) {
        let kind = GroupVersionKind::new("apps", "v1", "Deployment");
        for schema in [schema::builtin().by_gvk(&kind), None] {
            let versions = SingleVersion { api_version: "apps/v1", schema, filter: FieldFilter::exclude(&[&["status"]]) };
            let fields = FieldManager { kind: &kind, subresource: "", versions: &versions };
            let info = ManagerInfo { manager: "kubectl", time: "2026-01-01T00:00:00Z" };
            for live in [Some(&live), Some(&any), None] {
                for new in [&new, &any] {
                    let mut new = new.clone();
                    fields.update(live, &mut new, info);
                    ignore_timestamps(&live.cloned().unwrap_or_default(), &mut new);
                }
                for config in [&config, &any] {
                    let _ = fields.apply(live, config, info, true);
                    let _ = fields.apply(live, config, info, false);
                }
            }
        }
    }

    #[test]
    fn entries_are_read_or_refused(any in any_json()) {
        let _ = FieldSet::from_value(&any);
        let _ = validate_managed_fields(&any, &Path::new("metadata.managedFields"));
        let replicas = |_: &str| Some(crate::FieldPath::of(&["spec", "replicas"]));
        let scale = scale_to_subresource(Some(&any), &replicas);
        let _ = scale_to_parent(Some(&any), Some(&scale.into()), "apps/v1", &|_| true, &replicas);
    }
}
