use super::*;
use crate::builtin;
use object::json;

fn schema(name: &str) -> Schema<'static> {
    builtin().named(&format!("io.k8s.{name}")).unwrap()
}

#[test]
fn writes_what_go_writes() {
    let bytes = encode_envelope(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}),
    )
    .unwrap();
    assert!(bytes.starts_with(b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12"));
    assert!(bytes.ends_with(b"\x1a\0\x22\0"));
    assert_eq!(
        decode_envelope(&bytes).unwrap(),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}})
    );
    // name, generateName, namespace, selfLink, uid, resourceVersion, generation and creationTimestamp are no pointers.
    let meta = encode(schema("apimachinery.pkg.apis.meta.v1.ObjectMeta"), &json!({"name": "a"})).unwrap();
    assert_eq!(meta, b"\x0a\x01a\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\0");
}

#[test]
fn goes_round() {
    let props = schema("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    for (schema, object) in [
        (
            schema("apimachinery.pkg.apis.meta.v1.DeleteOptions"),
            json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}),
        ),
        (
            schema("api.core.v1.Container"),
            json!({"name": "c", "resources": {"limits": {"cpu": "500m"}},
            "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": "web"}, "initialDelaySeconds": -1}}),
        ),
        (
            schema("api.core.v1.PodSecurityContext"),
            json!({"runAsUser": 0, "runAsNonRoot": false, "supplementalGroups": [1, -2]}),
        ),
        (schema("api.coordination.v1.LeaseSpec"), json!({"renewTime": "1969-12-31T23:59:58.500000Z"})),
        (schema("api.core.v1.Volume"), json!({"name": "v", "emptyDir": {}})),
        (schema("api.authentication.v1.UserInfo"), json!({"extra": {"k": ["a", "b"]}})),
        (
            props,
            json!({"items": {"type": "string"}, "additionalProperties": false, "default": {"a": [1, null]}, "enum": ["x", 1],
            "maximum": 1.5, "properties": {"p": {"additionalProperties": {"type": "integer"}, "x-kubernetes-preserve-unknown-fields": false}}}),
        ),
    ] {
        let bytes = encode(schema, &object).unwrap();
        assert_eq!(decode(schema, &bytes).unwrap(), object);
        assert_eq!(encode(schema, &decode(schema, &bytes).unwrap()).unwrap(), bytes);
    }
}

#[test]
fn frames_watches() {
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}, "spec": {}, "status": {}});
    let frame = watch_frame("ADDED", &object).unwrap();
    assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
    assert_eq!(decode_watch_event(&frame[4..]).unwrap(), ("ADDED".to_owned(), object));
    assert!(watch_frame("ADDED", &json!({"apiVersion": "example.com/v1", "kind": "Widget"})).is_err());
}

#[test]
fn lists_and_statuses_have_messages() {
    for object in [
        json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "5"},
            "items": [{"metadata": {"name": "p"}, "spec": {"containers": null}, "status": {}}]}),
        json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 404,
            "details": {"causes": [{"reason": "x"}], "retryAfterSeconds": 1}}),
    ] {
        assert_eq!(decode_envelope(&encode_envelope(&object).unwrap()).unwrap(), object);
    }
    let table = json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table", "columnDefinitions": [], "rows": []});
    assert_eq!(encode_envelope(&table).unwrap_err().0, "the type has no protobuf message");
}

#[test]
fn refuses_what_is_broken() {
    for bytes in [
        &b""[..],
        b"k8s\0\x0a",
        b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"k8s\0\x00",
        b"{}",
        b"k8s\0\x0f",
    ] {
        assert!(decode_envelope(bytes).is_err(), "{bytes:?}");
    }
    let pod = schema("api.core.v1.Pod");
    assert!(decode(pod, b"\x0a\x05ab").is_err());
    // A schema in a schema in a schema …
    let props = schema("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    let mut nested = Vec::new();
    for _ in 0..2000 {
        let mut outer = Vec::new();
        put_message(&mut outer, 28, |out| {
            out.extend_from_slice(&nested);
            Ok(())
        })
        .unwrap();
        nested = outer;
    }
    assert_eq!(decode(props, &nested).unwrap_err().0, "proto: message nested too deeply");
}
