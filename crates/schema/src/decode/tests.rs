use super::*;
use crate::builtin;
use serde_json::json;

fn schema(name: &str) -> Schema<'static> {
    builtin().named(&format!("io.k8s.api.{name}")).unwrap()
}

fn decoded(name: &str, value: Value) -> Value {
    decode(schema(name), value, Strictness::Ignore).unwrap().value
}

fn refused(name: &str, text: &str) -> String {
    decode_json(schema(name), text.as_bytes(), Strictness::Warn).unwrap_err().0
}

#[test]
fn shows_what_go_shows() {
    let pod = decoded(
        "core.v1.Pod",
        json!({"kind": "Pod", "metadata": {"name": "p", "labels": {}, "creationTimestamp": null},
        "spec": {"hostNetwork": false, "automountServiceAccountToken": false, "containers": [{"name": "c", "image": ""}]}}),
    );
    assert_eq!(
        pod,
        json!({"kind": "Pod", "metadata": {"name": "p"}, "status": {},
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "resources": {}}]}})
    );
    let role = decoded("rbac.v1.Role", json!({"metadata": {"name": "r"}}));
    assert_eq!(role, json!({"metadata": {"name": "r"}, "rules": null}));
    let role = decoded("rbac.v1.Role", json!({"metadata": {}, "rules": []}));
    assert_eq!(role, json!({"metadata": {}, "rules": null}), "stored as protobuf, an empty list is none");
    let deployment = decoded("apps.v1.Deployment", json!({"spec": {"replicas": 0}}));
    assert_eq!(
        deployment,
        json!({"metadata": {}, "status": {}, "spec": {"replicas": 0, "selector": null, "strategy": {},
            "template": {"metadata": {}, "spec": {"containers": null}}}})
    );
}

#[test]
fn brings_scalars_into_canonical_form() {
    let pod = decoded(
        "core.v1.PodSpec",
        json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]}),
    );
    assert_eq!(pod["containers"][0]["resources"]["limits"], json!({"cpu": "500m", "memory": "1Gi"}));
    let lease = decoded(
        "coordination.v1.Lease",
        json!({"metadata": {"creationTimestamp": "2020-01-01T01:00:00+01:00"},
        "spec": {"renewTime": "2020-01-01T01:00:00.123456+01:00"}}),
    );
    assert_eq!(lease["metadata"]["creationTimestamp"], "2020-01-01T00:00:00Z");
    assert_eq!(lease["spec"]["renewTime"], "2020-01-01T00:00:00.123456Z");
    let map = decoded("core.v1.ConfigMap", json!({"data": {"k": null}, "binaryData": {"b": "YQ==\n"}}));
    assert_eq!(map, json!({"metadata": {}, "data": {"k": ""}, "binaryData": {"b": "YQ=="}}));
}

#[test]
fn refuses_in_the_words_of_go() {
    for (name, text, message) in [
        (
            "core.v1.Pod",
            r#"{"spec":{"terminationGracePeriodSeconds":"3"}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            "core.v1.Pod",
            r#"{"spec":{"containers":{"name":"c"}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "core.v1.Pod",
            r#"{"spec":{"containers":[{"image":1,"name":2}]}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string",
        ),
        (
            "core.v1.ConfigMap",
            r#"{"data":{"k":1}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            "core.v1.ConfigMap",
            r#"{"metadata":{"name":7}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
        ),
        (
            "core.v1.ConfigMap",
            r#"{"data":"text"}"#,
            "json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string",
        ),
        ("core.v1.ConfigMap", r#"{"binaryData":{"b":"***"}}"#, "illegal base64 data at input byte 0"),
        ("core.v1.Secret", r#"{"data":{"b":"not base64!"}}"#, "illegal base64 data at input byte 3"),
        (
            "core.v1.Container",
            r#"{"resources":{"limits":"x"}}"#,
            "json: cannot unmarshal string into Go struct field ResourceRequirements.resources.limits of type v1.ResourceList",
        ),
        (
            "core.v1.Container",
            r#"{"resources":{"limits":{"cpu":"1x"}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "core.v1.Volume",
            r#"{"configMap":{"name":1}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMapVolumeSource.configMap.name of type string",
        ),
        (
            "core.v1.Probe",
            r#"{"httpGet":{"port":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field HTTPGetAction.httpGet.port of type int32",
        ),
        (
            "core.v1.Pod",
            r#"{"metadata":{"creationTimestamp":5}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        ("core.v1.Pod", "[1]", "json: cannot unmarshal array into Go value of type v1.Pod"),
        (
            "coordination.v1.Lease",
            r#"{"spec":{"renewTime":"today"}}"#,
            r#"parsing time "today" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "today" as "2006""#,
        ),
        ("core.v1.Pod", r#"{"spec":{"#, "unexpected end of JSON input"),
        ("core.v1.Pod", r#"{"spec":{}"#, "unexpected end of JSON input"),
        ("core.v1.Pod", r#"{"spec":x}"#, "invalid character 'x' looking for beginning of value"),
        ("core.v1.Pod", r#"{"spec":{} "a":1}"#, "invalid character '\"' after object key:value pair"),
        ("core.v1.Pod", r#"{} {}"#, "invalid character '{' after top-level value"),
    ] {
        assert_eq!(refused(name, text), message, "{text}");
    }
}

#[test]
fn reports_unknown_and_duplicate_fields_in_order() {
    let text = r#"{"spec":{"z":1,"containers":[{"name":"a","foo":1,"name":"b"}]},"foo":{"foo":1},"foo":2,"metadata":{"labels":{"a":"1","a":"2"}}}"#;
    let decoded = decode_json(schema("core.v1.Pod"), text.as_bytes(), Strictness::Warn).unwrap();
    assert_eq!(
        decoded.problems,
        [
            r#"unknown field "spec.z""#,
            r#"unknown field "spec.containers[0].foo""#,
            r#"duplicate field "spec.containers[0].name""#,
            r#"unknown field "foo""#,
            r#"duplicate field "metadata.labels.a""#,
        ]
    );
    assert_eq!(decoded.value["spec"]["containers"][0]["name"], "b");
    let quiet = decode_json(schema("core.v1.Pod"), text.as_bytes(), Strictness::Ignore).unwrap();
    assert!(quiet.problems.is_empty() && quiet.value == decoded.value);
    let custom =
        decode_untyped(br#"{"spec":{"known":"a","known":"b","l":[{"x":1,"x":2}]}}"#, Strictness::Warn)
            .unwrap();
    assert_eq!(custom.problems, [r#"duplicate field "spec.known""#, r#"duplicate field "spec.l[0].x""#]);
}

#[test]
fn takes_the_schemas_of_definitions() {
    let crd =
        builtin().named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap();
    let text = br#"{"type":"object","nope":1,"items":{"type":"string","nope":1},"additionalProperties":true,"default":{"a":null},"enum":[null,1],"maximum":3.0}"#;
    let decoded = decode_json(crd, text, Strictness::Warn).unwrap();
    assert_eq!(decoded.problems, [r#"unknown field "nope""#]);
    assert_eq!(
        decoded.value,
        json!({"type": "object", "items": {"type": "string"}, "additionalProperties": true, "default": {"a": null}, "enum": [null, 1], "maximum": 3})
    );
    assert_eq!(
        decode_json(crd, br#"{"additionalProperties":1}"#, Strictness::Warn).unwrap_err().0,
        "boolean or JSON schema expected"
    );
}
