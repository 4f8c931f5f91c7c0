//! Any schema of a definition makes documents; none makes a panic.

use http::HeaderMap;
use kinds::{Registry, custom};
use object::{Map, Value, json};
use openapi::Documents;
use proptest::prelude::*;
use std::sync::Arc;

const FIELDS: &[&str] = &[
    "type",
    "properties",
    "items",
    "additionalProperties",
    "required",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "nullable",
    "default",
    "description",
    "enum",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
    "x-kubernetes-embedded-resource",
    "metadata",
    "spec",
    "$ref",
    "format",
    "pattern",
    "maxLength",
    "minimum",
];
const TEXTS: &[&str] = &["object", "array", "string", "integer", "", "a", "spec"];

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(FIELDS), inner), 0..8).prop_map(|fields| {
                fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>().into()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_schema_is_published(schema in any_schema()) {
        let definition = json!({"spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "as", "singular": "a", "kind": "A", "listKind": "AList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        }});
        let mut registry = Registry::builtin();
        for resource in custom::resources(&definition) {
            registry.insert(resource);
        }
        let documents = Documents::new(Arc::new(registry));
        let mut headers = HeaderMap::new();
        for (path, accept) in [
            ("/openapi/v3/apis/example.com/v1", "*/*"),
            ("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"),
            ("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
        ] {
            headers.insert("accept", accept.parse().expect("a header"));
            prop_assert_eq!(documents.get(path, &headers, "").expect("fine").expect("there").code, 200);
        }
    }

    #[test]
    fn any_request_is_answered(path in "/(api|apis|openapi)[a-z0-9/.]{0,20}", accept in "[a-z/*;,=.0-9 -]{0,40}", query in "[a-z=&]{0,10}") {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().expect("a header"));
        let _ = Documents::new(Arc::new(Registry::builtin())).get(&path, &headers, &query);
    }
}
