//! OpenAPI documents against those of a real server, and those of custom resources.

use http::HeaderMap;
use kinds::Registry;
use object::{Value, json};
use openapi::{Document, Documents};
use std::sync::Arc;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/");

fn get(registry: Registry, path: &str, headers: &[(&'static str, &str)]) -> Document {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let headers: HeaderMap =
        headers.iter().map(|(k, v)| (k.parse().expect("a name"), v.parse().expect("a value"))).collect();
    Documents::new(Arc::new(registry)).get(path, &headers, query).expect("acceptable").expect("there")
}

fn body(document: &Document) -> Value {
    serde_json::from_slice(&document.body).expect("JSON")
}

fn header<'a>(document: &'a Document, name: &str) -> &'a str {
    document.headers.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v)
}

/// Leaves out descriptions; a property of that name is an object and stays.
fn undescribed(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| key != "description" || !value.is_string());
            map.values_mut().for_each(undescribed);
        }
        Value::Array(items) => items.iter_mut().for_each(undescribed),
        _ => {}
    }
}

#[test]
fn built_in_documents_match_a_real_server() {
    let Ok(files) = std::fs::read_dir(format!("{SHARED}kubernetes-1.36/openapi-v3-served")) else {
        eprintln!("SKIPPED: {SHARED} is missing");
        return;
    };
    let read = |path: &std::path::Path| -> Value {
        serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON")
    };
    let mut compared = 0;
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().trim_end_matches(".json").replace("__", "/");
        let mut ours = body(&get(Registry::builtin(), &format!("/openapi/v3/{name}"), &[]));
        undescribed(&mut ours);
        assert!(ours == read(&file.path()), "{name} differs");
        compared += 1;
    }
    assert!(compared > 40, "only {compared} documents");
    let mut ours = body(&get(Registry::builtin(), "/openapi/v2", &[]));
    undescribed(&mut ours);
    assert!(ours == read(format!("{SHARED}kubernetes-1.36/openapi-v2-served.json").as_ref()), "v2 differs");
}

#[test]
fn the_index_matches_a_real_server() {
    let Ok(text) = std::fs::read(format!("{SHARED}golden/cases/discovery/openapi.json")) else {
        eprintln!("SKIPPED: {SHARED} is missing");
        return;
    };
    let case: Value = serde_json::from_slice(&text).expect("JSON");
    let step =
        case["steps"].as_array().expect("steps").iter().find(|s| s["path"] == "/openapi/v3").expect("there");
    let ours = get(Registry::builtin(), "/openapi/v3", &[]);
    assert_eq!(std::str::from_utf8(&ours.body).expect("text"), step["expect"]["text"]);
}

#[test]
fn fields_are_described() {
    let document = body(&get(Registry::builtin(), "/openapi/v3/api/v1", &[]));
    let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"];
    assert!(
        spec["properties"]["containers"]["description"].as_str().is_some_and(|d| d.contains("containers"))
    );
    assert!(spec["properties"]["affinity"]["description"].is_string());
    let (mut described, mut all) = (0, 0);
    for schema in document["components"]["schemas"].as_object().expect("schemas").values() {
        for property in schema["properties"].as_object().into_iter().flatten() {
            all += 1;
            described += usize::from(property.1["description"].is_string());
        }
    }
    assert!(described * 10 > all * 8, "only {described} of {all} fields are described");
    eprintln!("{described} of {all} fields are described");
}

#[test]
fn documents_are_found_by_hash() {
    let first = get(Registry::builtin(), "/openapi/v3/apis/apps/v1", &[]);
    let etag = header(&first, "etag").to_owned();
    let hash = etag.trim_matches('"');
    let at = |hash: &str| get(Registry::builtin(), &format!("/openapi/v3/apis/apps/v1?hash={hash}"), &[]);
    assert!(header(&at(hash), "cache-control").contains("immutable"));
    let moved = at("OLD");
    assert_eq!((moved.code, header(&moved, "location").ends_with(hash)), (301, true));
    assert_eq!(get(Registry::builtin(), "/openapi/v3/apis/apps/v1", &[("if-none-match", &etag)]).code, 304);
    assert_eq!(get(Registry::builtin(), "/openapi/v3/apis/nope/v1", &[]).code, 404);
    assert_eq!(get(Registry::builtin(), "/openapi/v3/api/v1", &[("accept", "text/html")]).code, 406);
    assert_eq!(get(Registry::builtin(), "/openapi/v2", &[("accept", "text/html")]).code, 406);
}

#[test]
fn v2_can_be_had_as_protobuf() {
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let document = get(Registry::builtin(), "/openapi/v2", &[("accept", accept)]);
    assert_eq!(document.content_type, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    assert!(document.body.starts_with(b"\x0a\x032.0"));
}

#[test]
fn v2_is_kept_and_known_by_its_tag() {
    let documents = Documents::new(Arc::new(with_widgets()));
    let ask =
        |headers: &HeaderMap| documents.get("/openapi/v2", headers, "").expect("acceptable").expect("there");
    let mut headers = HeaderMap::new();
    let first = ask(&headers);
    assert_eq!(first, ask(&headers));
    headers.insert("if-none-match", header(&first, "etag").parse().expect("a value"));
    assert_eq!(ask(&headers).code, 304);
    let other = get(Registry::builtin(), "/openapi/v2", &[]);
    assert_ne!(header(&first, "etag"), header(&other, "etag"), "another registry's");
}

fn with_widgets() -> Registry {
    let definition = json!({"spec": {
        "group": "stable.example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "description": "A widget.", "properties": {
                "spec": {"type": "object", "properties": {"size": {"x-kubernetes-int-or-string": true}}}}}}}],
    }});
    let mut registry = Registry::builtin();
    for resource in kinds::custom::resources(&definition) {
        assert!(registry.insert(resource));
    }
    registry
}

#[test]
fn custom_resources_have_v3_documents() {
    let document = body(&get(with_widgets(), "/openapi/v3/apis/stable.example.com/v1", &[]));
    let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
    let root = "/apis/stable.example.com/v1/namespaces/{namespace}/widgets";
    assert_eq!(
        paths,
        [
            root,
            &format!("{root}/{{name}}"),
            &format!("{root}/{{name}}/status"),
            "/apis/stable.example.com/v1/widgets"
        ]
    );
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let short: Vec<&str> =
        schemas.keys().map(|n| n.trim_start_matches("io.k8s.apimachinery.pkg.apis.meta.v1.")).collect();
    assert_eq!(
        short,
        [
            "com.example.stable.v1.Widget",
            "com.example.stable.v1.WidgetList",
            "DeleteOptions",
            "FieldsV1",
            "ListMeta",
            "ManagedFieldsEntry",
            "ObjectMeta",
            "OwnerReference",
            "Patch",
            "Preconditions",
            "ShardInfo",
            "Status",
            "StatusCause",
            "StatusDetails",
            "Time",
        ]
    );
    let widget = &schemas["com.example.stable.v1.Widget"];
    assert_eq!(widget["description"], "A widget.");
    assert_eq!(widget["x-kubernetes-group-version-kind"][0]["kind"], "Widget");
    assert_eq!(widget["properties"]["kind"]["type"], "string");
    let list = &document["paths"][root]["get"];
    assert_eq!(list["operationId"], "listStableExampleComV1NamespacedWidget");
    assert_eq!(list["x-kubernetes-action"], "list");
    let index = body(&get(with_widgets(), "/openapi/v3", &[]));
    assert!(index["paths"]["apis/stable.example.com/v1"].is_object());
    assert!(index["paths"].get("apis/stable.example.com").is_none());
}

/// Every reference leads somewhere.
#[test]
fn references_resolve() {
    let v3 = body(&get(with_widgets(), "/openapi/v3/apis/stable.example.com/v1", &[]));
    let v2 = body(&get(with_widgets(), "/openapi/v2", &[]));
    assert!(v2["definitions"]["com.example.stable.v1.Widget"]["properties"]["spec"].is_object());
    for document in [v3, v2] {
        let mut left = vec![&document];
        while let Some(value) = left.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
                    }
                    left.extend(map.values());
                }
                Value::Array(items) => left.extend(items),
                _ => {}
            }
        }
    }
}

#[test]
fn a_changed_definition_changes_the_hashes() {
    let hash = |registry, path| header(&get(registry, path, &[]), "etag").to_owned();
    assert_ne!(hash(with_widgets(), "/openapi/v2"), hash(Registry::builtin(), "/openapi/v2"));
    let mut other = with_widgets();
    let mut resource =
        kinds::Resource::clone(other.get("stable.example.com", "v1", "widgets").expect("served"));
    resource.list_kind = "Widgets".into();
    other.insert(Arc::new(resource));
    let path = "/openapi/v3/apis/stable.example.com/v1";
    assert_ne!(hash(with_widgets(), path), hash(other, path));
}
