//! Rules of custom resources, on values of their schema.

use object::{Value, json};

fn errors(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
    let compiled = schema::custom::compile(schema);
    let mut warnings = Vec::new();
    let errors =
        cel_rules::validate(compiled.schema(), object, old, &mut |w| warnings.push(format!("warning: {w}")));
    errors.into_iter().map(|e| format!("{}: {}", e.path, e.message)).chain(warnings).collect()
}

fn with_spec(spec: Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

fn spec(schema: Value, value: Value) -> Vec<String> {
    errors(&with_spec(schema), &json!({"kind": "Widget", "spec": value}), None)
}

fn ruled(mut schema: Value, rule: &str) -> Value {
    schema["x-kubernetes-validations"] = json!([{"rule": rule}]);
    schema
}

#[test]
fn messages() {
    let schema = |rule: Value| {
        json!({"type": "object", "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}},
               "x-kubernetes-validations": [rule]})
    };
    let value = json!({"min": 3, "max": 1});
    let say = |rule: Value| spec(schema(rule), value.clone());
    assert_eq!(
        say(json!({"rule": "self.min <= self.max"})),
        ["spec: Invalid value: failed rule: self.min <= self.max"]
    );
    let rule = json!({"rule": "self.min <= self.max", "message": "min is too large"});
    assert_eq!(say(rule), ["spec: Invalid value: min is too large"]);
    let rule = json!({"rule": "self.min <= self.max", "messageExpression": "'min ' + string(self.min)", "fieldPath": ".min"});
    assert_eq!(say(rule), ["spec.min: Invalid value: min 3"]);
    let rule = json!({"rule": "self.min <= self.max", "reason": "FieldValueForbidden", "message": "no"});
    assert_eq!(say(rule), ["spec: Forbidden: no"]);
    let rule = json!({"rule": "self.min / 0 == 1"});
    assert_eq!(
        say(rule),
        ["spec: Invalid value: \"object\": division by zero evaluating rule: self.min / 0 == 1"]
    );
    assert_eq!(say(json!({"rule": "self.min < self.max || self.min > 0"})), [""; 0]);
    let scalar = ruled(json!({"type": "integer"}), "self > 3");
    assert_eq!(spec(scalar, json!(1)), ["spec: Invalid value: 1: failed rule: self > 3"]);
}

#[test]
fn types_follow_the_schema() {
    let cases = [
        (json!({"type": "number"}), json!(2), "self == 2.0 && type(self) == double"),
        (json!({"type": "integer"}), json!(2), "type(self) == int"),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("2024-01-02T03:04:05Z"),
            "self.getFullYear() == 2024",
        ),
        (json!({"type": "string", "format": "date"}), json!("2024-01-02"), "self.getDate() == 2"),
        (json!({"type": "string", "format": "duration"}), json!("90s"), "self > duration('1m')"),
        (json!({"type": "string", "format": "byte"}), json!("aGk="), "self == b'hi'"),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!("50%"),
            "type(self) == string && self.endsWith('%')",
        ),
        (json!({"x-kubernetes-int-or-string": true}), json!(5), "type(self) == int && self == 5"),
        (
            json!({"type": "object", "properties": {"namespace": {"type": "string"}, "a-b": {"type": "string"}, "x__y": {"type": "string"}}}),
            json!({"namespace": "n", "a-b": "c", "x__y": "z"}),
            "self.__namespace__ == 'n' && self.a__dash__b == 'c' && self.x__underscores__y == 'z'",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"a": 1, "b": 2}),
            "self.all(k, self[k] > 0) && self.a == 1 && size(self) == 2",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
            json!(["a", "b"]),
            "self == ['b', 'a'] && self + ['b', 'c'] == ['a', 'b', 'c']",
        ),
    ];
    for (schema, value, rule) in cases {
        assert_eq!(spec(ruled(schema, rule), value), [""; 0], "{rule}");
    }
}

#[test]
fn transitions_and_ratcheting() {
    let schema = with_spec(json!({"type": "object", "properties": {
        "fixed": ruled(json!({"type": "string"}), "self == oldSelf"),
        "small": ruled(json!({"type": "integer"}), "self < 3"),
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": ruled(json!({"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}), "self.n >= oldSelf.n")},
        "maybe": {"type": "string", "x-kubernetes-validations": [{"rule": "oldSelf.hasValue() || self == 'first'", "optionalOldSelf": true}]},
    }}));
    let object = |spec: Value| json!({"spec": spec});
    let old =
        object(json!({"fixed": "a", "small": 5, "items": [{"name": "x", "n": 3}, {"name": "y", "n": 1}]}));
    assert_eq!(errors(&schema, &old, None), ["spec.small: Invalid value: 5: failed rule: self < 3"]);
    let new = object(
        json!({"fixed": "b", "small": 5, "items": [{"name": "y", "n": 0}, {"name": "x", "n": 4}, {"name": "z", "n": 0}]}),
    );
    assert_eq!(
        errors(&schema, &new, Some(&old)),
        [
            "spec.fixed: Invalid value: \"b\": failed rule: self == oldSelf",
            "spec.items[0]: Invalid value: failed rule: self.n >= oldSelf.n",
            "warning: spec.small: Invalid value: 5: failed rule: self < 3",
        ]
    );
    let changed = object(json!({"small": 6}));
    assert_eq!(
        errors(&schema, &changed, Some(&old)),
        ["spec.small: Invalid value: 6: failed rule: self < 3"]
    );
    assert_eq!(errors(&schema, &object(json!({"maybe": "other"})), None).len(), 1);
    assert_eq!(errors(&schema, &object(json!({"maybe": "first"})), None), [""; 0]);
}

#[test]
fn the_root_knows_its_metadata() {
    let mut schema = with_spec(json!({"type": "object"}));
    schema["x-kubernetes-validations"] =
        json!([{"rule": "self.metadata.name.size() < 4 && self.kind == 'Widget'"}]);
    let object = json!({"kind": "Widget", "metadata": {"name": "long-name"}});
    assert_eq!(errors(&schema, &object, None).len(), 1);
    let object = json!({"kind": "Widget", "metadata": {"name": "abc", "labels": {"x": "y"}}});
    assert_eq!(errors(&schema, &object, None), [""; 0]);
}

#[test]
fn one_object_has_one_budget() {
    let items = json!({"type": "array", "items": ruled(json!({"type": "integer"}), "lists.range(300000).size() > 0")});
    let found = spec(items, json!(vec![1; 100]));
    assert_eq!(
        found,
        [
            "spec[16]: Invalid value: \"integer\": validation failed due to running out of cost budget, no further validation rules will be run"
        ]
    );
}
