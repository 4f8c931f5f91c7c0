use super::*;
use client::discovery::Resource;

fn served(group: &str, version: &str, resource: &str, kind: &str) -> Resource {
    let gvr = GroupVersionResource::new(group, version, resource);
    Resource { gvr, kind: kind.into(), namespaced: true, verbs: vec![], preferred: true }
}

#[test]
fn rules_name_kinds() {
    let all = [
        served("apps", "v1", "deployments", "Deployment"),
        served("", "v1", "pods", "Pod"),
        served("batch", "v1", "jobs", "Job"),
    ];
    let found = |rules: Value| {
        let kinds = kinds::matched(&kinds::named(&rules), &all);
        kinds.iter().map(|k| format!("{} {}", shown(k), k.kind)).collect::<Vec<_>>().join(", ")
    };
    let rule = |group: &str, version: &str, resources: &[&str]| json!({"apiGroups": [group], "apiVersions": [version], "resources": resources});
    assert_eq!(
        found(json!([rule("", "v1", &["pod", "deployments", "pods/exec"])])),
        "/v1 Pod, apps/v1 Deployment"
    );
    assert_eq!(found(json!([rule("*", "v1", &["pods"]), rule("batch", "v1", &["jobs"])])), "batch/v1 Job");
    assert_eq!(found(json!([rule("apps", "v2", &["deployments"]), rule("apps", "v1", &["*"])])), "");
}

fn subject() -> Subject {
    let document = json!({"components": {"schemas": {
        "Thing": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "Thing"}],
            "properties": {"kind": {"type": "string"}, "apiVersion": {"type": "string"},
                "metadata": {"allOf": [{"$ref": "#/components/schemas/Meta"}], "default": {}},
                "spec": {"$ref": "#/components/schemas/Spec"}}},
        "Meta": {"type": "object", "properties": {"name": {"type": "string"}, "labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
        "Spec": {"type": "object", "properties": {"n": {"type": "integer"}, "port": {"format": "int-or-string"},
            "amount": {"oneOf": [{"type": "string"}, {"type": "number"}]},
            "inner": {"$ref": "#/components/schemas/Spec"}, "items": {"type": "array", "items": {"$ref": "#/components/schemas/Meta"}}}},
    }}});
    let gvk = GroupVersionKind::new("g", "v1", "Thing");
    let decl = schema::declared(&document, &gvk, 7).unwrap();
    Subject { kinds: vec![(gvk, decl)], params: None }
}

#[test]
fn expressions_are_judged_by_kind() {
    let expressions = [
        "object.spec.n > 'x'",
        "object.metadata.labels['a'] == 'b' && object.spec.port == 'x' && object.spec.n < 5",
        "object.spec.amount == 1",
        "object.spec.inner.n == 1",
        "object.spec.items.all(i, i.name == 1)",
        "authorizer.requestResource.check('get').allowed()",
        "variables.v > 'z' || variables.items[0].nope == 1",
        "object.spec == 1",
    ];
    let validations: Vec<_> = expressions.iter().map(|e| json!({"expression": e})).collect();
    let variables = json!([{"name": "v", "expression": "object.spec.n"}, {"name": "items", "expression": "object.spec.items"}]);
    let spec = json!({"validations": validations, "variables": variables});
    let warnings = subject().warnings(&spec);
    let first = |warning: &Value| {
        let text = warning["warning"].as_str().unwrap();
        assert!(text.ends_with("^\n"), "{text}");
        format!("{} {}", warning["fieldRef"].as_str().unwrap(), text.lines().next().unwrap())
    };
    let lines: Vec<_> = warnings.iter().map(first).collect();
    let line = |index: usize, place: &str, why: &str| {
        format!("spec.validations[{index}].expression g/v1, Kind=Thing: ERROR: <input>:1:{place}: {why}")
    };
    assert_eq!(
        lines,
        [
            line(0, "15", "found no matching overload for '_>_' applied to '(int, string)'"),
            line(2, "12", "undefined field 'amount'"),
            line(3, "18", "undefined field 'n'"),
            line(4, "33", "found no matching overload for '_==_' applied to '(string, int)'"),
            line(5, "11", "unexpected failed resolution of 'kubernetes.authorization.Authorizer'"),
            line(6, "13", "found no matching overload for '_>_' applied to '(int, string)'"),
            line(7, "13", "found no matching overload for '_==_' applied to '(Thing7.spec, int)'"),
        ]
    );
}

#[test]
fn what_was_judged_is_told() {
    let policy = json!({"metadata": {"name": "p", "generation": 3}});
    let Verb::Patch { patch: Patch::Apply { object, .. }, subresource, .. } = told(&policy, &[]).verb else {
        panic!()
    };
    assert_eq!(
        (subresource, &object["status"]),
        ("status", &json!({"observedGeneration": 3, "typeChecking": {}}))
    );
}
