use super::*;
use crate::decode::Strictness;
use object::json;

fn compiled(spec: Value) -> Compiled {
    compile(&json!({"type": "object", "properties": {"spec": spec}}))
}

fn messages(spec: Value, value: Value, old: Option<Value>) -> Vec<String> {
    let compiled = compiled(spec);
    let wrap =
        |spec: Value| json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": spec});
    let old = old.map(wrap);
    let (schema, value, old) = (compiled.schema(), wrap(value), old.as_ref());
    let mut errors = validate_schema(schema, &value, old);
    errors.extend(validate_rest(schema, &value, old));
    errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect()
}

#[test]
fn prunes_and_defaults() {
    let compiled = compiled(json!({"type": "object", "properties": {
        "known": {"type": "string"},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"closed": {"type": "object", "properties": {"k": {"type": "string"}}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}},
        "nested": {"type": "object", "default": {"gone": 1}, "properties": {"inner": {"type": "string", "default": "in"}}},
        "nullable": {"type": "string", "nullable": true, "default": "filled"},
        "free": {"type": "object", "additionalProperties": true},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}
    }}));
    let object = json!({"apiVersion": "g/v1", "kind": "K", "extra": 1, "metadata": {"name": "n", "creationTimestamp": null, "nope": 1},
        "spec": {"known": null, "bad": 1, "open": {"any": {"x": 1}, "closed": {"k": "v", "gone": 1}}, "list": [{}, {"no": 1}],
            "nullable": null, "free": {"a": 1, "b": {"c": 1}},
            "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}, "zzz": 1}, "spec": {"x": 1}}}});
    let decoded = crate::decode::decode(compiled.schema(), object, Strictness::Warn).unwrap();
    assert_eq!(
        decoded.value,
        json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"},
            "spec": {"open": {"any": {"x": 1}, "closed": {"k": "v"}}, "list": [{"size": 1}, {"size": 1}], "nested": {"inner": "in"},
                "nullable": null, "free": {"a": 1, "b": {}},
                "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}, "spec": {}}}})
    );
    let unknown = |path: &str| format!("unknown field \"{path}\"");
    assert_eq!(
        decoded.problems,
        [
            "metadata.nope",
            "extra",
            "spec.bad",
            "spec.free.b.c",
            "spec.list[1].no",
            "spec.open.closed.gone",
            "spec.pod.spec.x",
            "spec.pod.metadata.zzz"
        ]
        .map(unknown)
    );
}

#[test]
fn lets_what_did_not_change_pass() {
    let spec = json!({"type": "object", "required": ["x"], "properties": {
        "a": {"type": "string", "maxLength": 2},
        "m": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "minimum": 5}}}},
        "l": {"type": "array", "items": {"type": "integer", "minimum": 5}},
        "x": {"type": "string"}}});
    let old = json!({"a": "long", "x": "", "m": [{"k": "one", "v": 1}, {"k": "two", "v": 2}], "l": [1]});
    let same =
        json!({"a": "long", "x": "changed", "m": [{"k": "two", "v": 2}, {"k": "three", "v": 3}], "l": [1]});
    assert_eq!(
        messages(spec.clone(), same, Some(old.clone())),
        ["spec.m[1].v: Invalid value: 3: spec.m[1].v in body should be greater than or equal to 5"]
    );
    let changed = json!({"a": "other", "x": "", "l": [1, 2]});
    assert_eq!(
        messages(spec, changed, Some(old)),
        [
            "spec.a: Too long: may not be more than 2 bytes",
            "spec.l[0]: Invalid value: 1: spec.l[0] in body should be greater than or equal to 5",
            "spec.l[1]: Invalid value: 2: spec.l[1] in body should be greater than or equal to 5"
        ]
    );
}

#[test]
fn finds_rules_with_old_values() {
    let compiled = compiled(
        json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 0"}], "properties": {
        "a": {"type": "integer"},
        "m": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [{"rule": "self != ''"}]}}}}),
    );
    let new = json!({"spec": {"a": 1, "m": {"k": "v"}}});
    let old = json!({"spec": {"a": 2, "m": {}}});
    let mut found = Vec::new();
    each_rule(compiled.schema(), &new, Some(&old), &mut |p| {
        found.push((p.path.to_string(), p.rules.list[0]["rule"].clone(), p.old.is_some()))
    });
    assert_eq!(
        found,
        [("spec".into(), json!("self.a > 0"), true), ("spec.m[k]".into(), json!("self != ''"), false)]
    );
}

#[test]
fn status_fields_go_by_their_own_names() {
    let compiled = compile(
        &json!({"type": "object", "properties": {"status": {"type": "object", "properties": {"n": {"type": "integer"}}}}}),
    );
    let errors = validate_status(compiled.schema(), &json!({"status": {"n": "x"}}), None);
    assert_eq!(
        (errors[0].path.as_str(), errors[0].message.as_str()),
        ("status.n", "Invalid value: \"string\": n in body must be of type integer: \"string\"")
    );
}

#[test]
fn hostile_schemas_do_no_harm() {
    let mut deep = json!({"type": "string"});
    for _ in 0..1000 {
        deep = json!({"type": "array", "items": deep});
    }
    let compiled = compiled(deep);
    assert!(compiled.types.nodes.len() < 200);
    for odd in [
        json!(1),
        json!({"properties": 5, "items": [1], "required": "x", "enum": {}}),
        json!({"type": "nope", "allOf": [3]}),
    ] {
        compile(&odd);
    }
}

#[test]
fn equal_schemas_are_compiled_once() {
    let spec = json!({"type": "object", "properties": {"only-here": {"type": "string"}}});
    let (one, two) = (compiled(spec.clone()), compiled(spec.clone()));
    assert!(std::sync::Arc::ptr_eq(&one.types, &two.types));
    let weak = std::sync::Arc::downgrade(&one.types);
    drop((one, two));
    assert!(weak.upgrade().is_none(), "nothing keeps what nobody holds");
    assert!(compiled(spec).schema().field("spec").unwrap().field("only-here").is_some());
}

#[test]
fn odd_formats_are_told() {
    let schema = json!({"properties": {"a": {"type": "string", "format": "nonsense"}, "b": {"type": "integer", "format": "int32"},
        "c": {"type": "array", "items": {"type": "integer", "format": "date"}}, "d": {"type": "string", "format": "date-time"}}});
    assert_eq!(unrecognized_formats(&schema), ["date", "nonsense"]);
}
