//! Nothing here panics, whatever it is given: objects of any shape, paths of any text.

use kinds::{Registry, builtin, convert, custom, defaulting, jsonpath::JsonPath, printing, scale, selectors};
use object::Value;
use proptest::prelude::*;

/// Fields that code looks at, so that odd values turn up where they matter.
const FIELDS: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "name",
    "annotations",
    "labels",
    "ownerReferences",
    "creationTimestamp",
    "template",
    "containers",
    "initContainers",
    "containerStatuses",
    "initContainerStatuses",
    "state",
    "lastState",
    "terminated",
    "waiting",
    "resources",
    "limits",
    "requests",
    "ports",
    "volumes",
    "image",
    "type",
    "conditions",
    "replicas",
    "selector",
    "matchLabels",
    "metrics",
    "currentMetrics",
    "resource",
    "pods",
    "object",
    "external",
    "target",
    "current",
    "behavior",
    "scaleUp",
    "policies",
    "versions",
    "names",
    "schema",
    "openAPIV3Schema",
    "properties",
    "items",
    "additionalPrinterColumns",
    "jsonPath",
    "subresources",
    "scale",
    "selectableFields",
    "rules",
    "webhooks",
    "subsets",
    "addresses",
    "limits",
    "max",
    "hard",
    "used",
    "stringData",
    "data",
    "involvedObject",
    "regarding",
    "series",
    "source",
    "roleRef",
    "subjects",
    "default",
    "securityContext",
    "hostNetwork",
    "strategy",
    "rollingUpdate",
    "autoscaling.alpha.kubernetes.io/metrics",
    "autoscaling.alpha.kubernetes.io/behavior",
    "nodeInfo",
    "taints",
    "egress",
];
const TEXTS: &[&str] = &[
    "",
    "x",
    "True",
    "Resource",
    "Pods",
    "cpu",
    "100m",
    "1n",
    "RollingUpdate",
    "2001-01-01T00:00:00Z",
    ".spec.x",
    "[{}]",
    "{\"ScaleUp\":[]}",
    "\u{0}é",
];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(FIELDS), inner), 0..8).prop_map(|fields| {
                fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<object::Map<_, _>>().into()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_object_is_borne(object in any_value(), other in any_value()) {
        for resource in builtin() {
            let mut defaulted = object.clone();
            defaulting::default(&resource.gvk(), &mut defaulted);
            let once = defaulted.clone();
            defaulting::default(&resource.gvk(), &mut defaulted);
            prop_assert_eq!(&once, &defaulted);
            printing::row(resource, &once, jiff::Timestamp::UNIX_EPOCH);
            for field in selectors::supported_fields(resource) {
                prop_assert!(selectors::value(resource, &once, &field).is_some());
            }
            let _ = scale::read(resource, &once);
            scale::write(resource, &mut defaulted, &other);
            let mut kinded = once;
            if let Some(map) = kinded.as_object_mut() {
                map.insert("kind".into(), resource.kind.clone().into());
            }
            let (shown, stored) = (resource.gvr.group_version(), &resource.storage_version);
            convert::convert(convert::convert(kinded, &shown, stored), stored, &shown);
        }
    }

    #[test]
    fn any_definition_is_borne(definition in any_value(), object in any_value()) {
        let mut registry = Registry::builtin();
        let wrapped = object::json!({"spec": {"group": "example.com", "versions": [{"served": true, "name": "v1"}, definition]}});
        for resource in custom::resources(&wrapped) {
            printing::columns(&resource);
            printing::row(&resource, &object, jiff::Timestamp::UNIX_EPOCH);
            let _ = scale::read(&resource, &object);
            registry.insert(resource);
        }
    }

    #[test]
    fn any_path_is_borne(path in r#"[.@$\[\]()?*:,'"\\=!<>a-c0-2 -]{0,40}"#, object in any_value()) {
        if let Ok(path) = JsonPath::parse(&path) {
            prop_assert!(path.find(&object).len() <= 1024);
        }
    }
}
