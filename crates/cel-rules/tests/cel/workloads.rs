//! The rules of well-known definitions: every one compiles. Skipped where the definitions are not at hand.

use cel_rules::{Environment, Program, declare};
use object::Value;

const DEFINITIONS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/workloads/gateway-api-standard.yaml");

#[test]
fn rules_of_the_gateway_api_compile() {
    let mut count = 0;
    let mut found = false;
    each_schema(&mut |schema| {
        found = true;
        walk(schema, true, &mut count);
    });
    if !found {
        return;
    }
    assert!(count > 100, "{count}");
}

/// Every schema of the definitions.
pub fn each_schema(each: &mut dyn FnMut(&Value)) {
    let Ok(text) = std::fs::read_to_string(DEFINITIONS) else {
        eprintln!("SKIPPED: {DEFINITIONS} is missing");
        return;
    };
    for document in text.split("\n---") {
        let Ok(object) = serde_saphyr::from_str::<Value>(document) else { continue };
        for version in object["spec"]["versions"].as_array().into_iter().flatten() {
            each(&version["schema"]["openAPIV3Schema"]);
        }
    }
}

fn walk(schema: &Value, root: bool, count: &mut usize) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let decl = declare(schema, root, "selfType").expect("a schema of a real definition");
        let environment = Environment::new().with("self", decl.clone()).with("oldSelf", decl);
        let text = rule["rule"].as_str().expect("a rule is text");
        if let Err(error) = Program::compile(text, &environment) {
            panic!("{text}\n{error}");
        }
        *count += 1;
    }
    for inner in schema["properties"].as_object().into_iter().flat_map(|p| p.values()) {
        walk(inner, false, count);
    }
    for name in ["items", "additionalProperties"] {
        if schema[name].is_object() {
            walk(&schema[name], false, count);
        }
    }
}
