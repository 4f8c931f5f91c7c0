//! What a server says to bodies that are not what they should be. Texts are those of a real one.

use crate::cluster::{CONFIG_MAPS, Cluster};
use api::Peer;
use client::Body;
use expect_test::{Expect, expect};
use http::{Method, Request};
use object::{Value, json};

async fn ask(cluster: &Cluster, method: Method, path: &str, media: &str, body: &[u8]) -> (u16, Value) {
    let user = access::UserInfo::new("admin", &["system:masters", "system:authenticated"]);
    let request = Request::builder().method(method).uri(path).header("content-type", media);
    let request = request.body(bytes::Bytes::copy_from_slice(body)).expect("a request");
    let answer = cluster.api.serve(request, Peer { user: Some(user), ..Peer::default() }).await;
    let code = answer.status().as_u16();
    match answer.into_body() {
        Body::Full(bytes) => (code, serde_json::from_slice(&bytes).expect("JSON")),
        Body::Stream(_) => panic!("{path} streams"),
    }
}

async fn check(cluster: &Cluster, request: (Method, &str, &str), body: &[u8], expected: Expect) {
    let (method, path, media) = request;
    let (code, answer) = ask(cluster, method, path, media, body).await;
    let mut text = answer["message"].as_str().unwrap_or("").to_owned();
    if text.len() > 260 {
        text.truncate(text.floor_char_boundary(260));
        text.push('…');
    }
    expected.assert_eq(&format!("{code} {text}"));
}

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn nested(depth: usize) -> Vec<u8> {
    let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"x","annotations":{open}1{close}}}}}"#
    )
    .into()
}

fn with_generation(number: &str) -> Vec<u8> {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"x","generation":{number}}}}}"#)
        .into()
}

#[tokio::test]
async fn json_that_is_none() {
    let cluster = Cluster::new().await;
    let create = || (Method::POST, CONFIG_MAPS, JSON);
    let at = &cluster;
    check(at, create(), b"", expect!["400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"]).await;
    check(at, create(), b"hello", expect!["400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'h' looking for beginning of value (68656c6c6f)"]).await;
    check(
        at,
        create(),
        b"null",
        expect![[
            r#"422 ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required"#
        ]],
    )
    .await;
    check(at, create(), &with_generation("NaN"), expect![[r#"400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'N' looking for beginning of value ({"apiVersion":"v1","kind":"Con ...)"#]]).await;
    check(at, create(), &nested(100), expect![[r#"400 ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal object into Go struct field ObjectMeta.metadata.annotations of type string"#]]).await;
    check(at, create(), &nested(10_001), expect![[r#"400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character '{' exceeded max depth ({"apiVersion":"v1","kind":"Con ...)"#]]).await;
    check(at, create(), &[b'['; 1_000_000], expect!["400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character '[' exceeded max depth (5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b ...)"]).await;
}

#[tokio::test]
async fn text_that_is_no_unicode_is_replaced() {
    let cluster = Cluster::new().await;
    let body = b"{\"metadata\":{\"name\":\"odd\"},\"data\":{\"a\":\"\xff\",\"b\":\"\\ud800\"}}";
    let (code, object) = ask(&cluster, Method::POST, CONFIG_MAPS, JSON, body).await;
    assert_eq!((code, &object["data"]), (201, &json!({"a": "\u{fffd}", "b": "\u{fffd}"})));
}

#[tokio::test]
async fn keys_that_come_twice() {
    let cluster = Cluster::new().await;
    let strict = format!("{CONFIG_MAPS}?fieldValidation=Strict");
    let twice = br#"{"metadata":{"name":"d"},"data":{"a":"1","a":"2"}}"#;
    check(&cluster, (Method::POST, &strict, JSON), twice, expect![[r#"400 ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.a""#]]).await;
    let twice = b"metadata: {name: d}\ndata: {a: '1'}\ndata: {a: '2'}\n";
    check(&cluster, (Method::POST, &strict, YAML), twice, expect![[r#"
        400 ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:
          line 3: key "data" already set in map"#]]).await;
    let (code, object) = ask(&cluster, Method::POST, CONFIG_MAPS, YAML, twice).await;
    assert_eq!((code, &object["data"]), (201, &json!({"a": "2"})), "the last one counts");
}

#[tokio::test]
async fn yaml_and_protobuf_that_are_none() {
    let cluster = Cluster::new().await;
    let at = &cluster;
    check(at, (Method::POST, CONFIG_MAPS, YAML), b"a: b: c\n", expect!["400 the object provided is unrecognized (must be of type ConfigMap): yaml: mapping values are not allowed in this context (613a20623a20630a)"]).await;
    check(at, (Method::POST, CONFIG_MAPS, YAML), &[b'['; 20_000], expect!["400 the object provided is unrecognized (must be of type ConfigMap): yaml: exceeded max depth of 10000 (5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b ...)"]).await;
    check(
        at,
        (Method::POST, CONFIG_MAPS, PROTOBUF),
        b"k8s\0",
        expect!["400 the object provided is unrecognized (must be of type ConfigMap): empty body (6b387300)"],
    )
    .await;
    check(at, (Method::POST, CONFIG_MAPS, PROTOBUF), b"k8s\0\x0a\xff\xff\xff\xff\x0f", expect!["400 the object provided is unrecognized (must be of type ConfigMap): unexpected EOF (6b3873000affffffff0f)"]).await;
    check(at, (Method::POST, CONFIG_MAPS, "text/plain"), b"{}", expect!["415 the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"]).await;
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    check(at, (Method::POST, CONFIG_MAPS, JSON), gzip, expect![[r#"400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character '\x1f' looking for beginning of value (1f8b0800000000000003)"#]]).await;
}

#[tokio::test]
async fn patches_that_grow() {
    let cluster = Cluster::new().await;
    cluster.create(CONFIG_MAPS, json!({"metadata": {"name": "p"}, "data": {"a": "x".repeat(1_000)}})).await;
    let path = format!("{CONFIG_MAPS}/p");
    let copies = vec![r#"{"op":"copy","from":"/data","path":"/data/b"}"#; 60].join(",");
    let (code, answer) =
        ask(&cluster, Method::PATCH, &path, "application/json-patch+json", format!("[{copies}]").as_bytes())
            .await;
    assert!(matches!(code, 400 | 413 | 422), "{code} {answer}");
    let many = vec![r#"{"op":"add","path":"/metadata/labels","value":{}}"#; 10_001].join(",");
    let (code, _) =
        ask(&cluster, Method::PATCH, &path, "application/json-patch+json", format!("[{many}]").as_bytes())
            .await;
    assert_eq!(code, 413);
    let apply = format!("{path}?fieldManager=m");
    check(
        &cluster,
        (Method::PATCH, &apply, "application/apply-patch+yaml"),
        b"a: b\nc:\n  d: [\n",
        expect!["400 error decoding YAML: error converting YAML to JSON: yaml: line 3: did not find expected node content"],
    )
    .await;
}

#[tokio::test]
async fn queries_that_mean_nothing() {
    let cluster = Cluster::new().await;
    let at = &cluster;
    for (query, expected) in [
        (
            "labelSelector=a%20in%20(",
            expect!["400 unable to parse requirement: found '', expected: ',', ')' or identifier"],
        ),
        (
            "labelSelector=%21%21a",
            expect!["400 unable to parse requirement: found '!', expected: identifier"],
        ),
        (
            "fieldSelector=foo%3Dbar",
            expect![[
                r#"400 "foo" is not a known field selector: only "metadata.name", "metadata.namespace""#
            ]],
        ),
        ("fieldSelector=foo", expect!["400 invalid selector: 'foo'; can't understand 'foo'"]),
        ("limit=abc", expect![[r#"400 strconv.ParseInt: parsing "abc": invalid syntax"#]]),
        ("limit=%zz", expect!["200 "]),
        (
            "continue=eyJ2Ijo",
            expect!["400 invalid continue token: continue key is not valid: unexpected end of JSON input"],
        ),
        (
            "resourceVersion=-1",
            expect![[
                r#"400 invalid resource version: resourceVersion: Invalid value: "-1": strconv.ParseUint: parsing "-1": invalid syntax"#
            ]],
        ),
    ] {
        check(at, (Method::GET, &format!("{CONFIG_MAPS}?{query}"), JSON), b"", expected).await;
    }
    let long = format!("{CONFIG_MAPS}?labelSelector=a%20in%20({})", vec!["x"; 20_000].join(","));
    assert_eq!(ask(at, Method::GET, &long, JSON, b"").await.0, 200);
}

fn definition(property: Value) -> Vec<u8> {
    json!({"metadata": {"name": "bombs.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "bombs", "kind": "Bomb"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"a": property}}}}]}})
    .to_string()
    .into()
}

#[tokio::test]
async fn rules_that_explode() {
    let cluster = Cluster::new().await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let began = std::time::Instant::now();
    for property in [
        json!({"type": "string", "pattern": "((((((a{1000}){1000}){1000}){1000})))"}),
        json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": [
            {"rule": "self.all(x, self.all(y, self.all(z, x+y+z != '')))"}]}),
        json!({"type": "string", "x-kubernetes-validations": [
            {"rule": "(".repeat(5_000) + "true" + &")".repeat(5_000)}]}),
        json!({"type": "string", "x-kubernetes-validations": [{"rule": vec!["true"; 20_000].join(" && ")}]}),
    ] {
        let (code, answer) = ask(&cluster, Method::POST, path, JSON, &definition(property)).await;
        assert_eq!((code, &answer["reason"]), (422, &"Invalid".into()), "{answer}");
    }
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}
