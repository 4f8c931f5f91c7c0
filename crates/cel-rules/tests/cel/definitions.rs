//! Definitions whose rules are refused, and well-known ones whose rules are not.

use object::{Path, Value, json};

fn check(spec: Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let errors = cel_rules::check_rules(&schema, &Path::new("schema"));
    errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect()
}

fn ruled(mut schema: Value, rule: Value) -> Value {
    schema["x-kubernetes-validations"] = json!([rule]);
    schema
}

const RULE: &str = "schema.properties[spec].x-kubernetes-validations[0].rule";

#[test]
fn wrong_rules_are_refused() {
    let object = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let found = check(ruled(object, json!({"rule": "self.b > 1"})));
    let shown = r#"{"Rule":"self.b \u003e 1","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}"#;
    assert_eq!(
        found,
        [format!(
            "{RULE}: Invalid value: {shown}: compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b > 1\n | ....^"
        )]
    );
    let found = check(ruled(json!({"type": "integer"}), json!({"rule": "self + 1"})));
    assert!(found[0].ends_with("cel expression must evaluate to a bool"), "{found:?}");
    let found =
        check(ruled(json!({"type": "integer"}), json!({"rule": "self > 1", "messageExpression": "1"})));
    assert!(found[0].ends_with("messageExpression must evaluate to a string"), "{found:?}");
    let items = json!({"type": "array", "items": ruled(json!({"type": "integer"}), json!({"rule": "self >= oldSelf"}))});
    assert!(check(items)[0].ends_with("within schema.properties[spec]"));
    let found =
        check(ruled(json!({"type": "integer"}), json!({"rule": "self > 1", "optionalOldSelf": true})));
    assert!(found[0].ends_with("true: may not be set if oldSelf is not used in rule"), "{found:?}");
}

#[test]
fn costs_are_estimated() {
    let strings = |limits: Value| {
        let mut list = json!({"type": "array", "items": {"type": "string"}});
        list.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        list
    };
    let rule = json!({"rule": "self.all(a, self.all(b, a == b))"});
    let found = check(ruled(strings(json!({})), rule.clone()));
    assert!(found[0].contains("estimated rule cost exceeds budget by factor of more than 100x"), "{found:?}");
    assert!(found[1].contains("contributed to estimated rule cost total"), "{found:?}");
    assert!(
        found[2].starts_with("schema: Forbidden: x-kubernetes-validations estimated rule cost total"),
        "{found:?}"
    );
    let mut short = strings(json!({"maxItems": 10}));
    short["items"]["maxLength"] = 64.into();
    assert_eq!(check(ruled(short, rule)), [""; 0]);
}

#[test]
fn rules_of_the_gateway_api_are_accepted() {
    let mut count = 0;
    crate::workloads::each_schema(&mut |schema| {
        let errors = cel_rules::check_rules(schema, &Path::new("schema"));
        assert_eq!(errors, [], "{errors:#?}");
        count += 1;
    });
    assert!(count == 0 || count > 5);
}
