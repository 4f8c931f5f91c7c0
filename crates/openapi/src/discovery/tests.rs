use super::*;
use std::sync::Arc;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/");

fn get(path: &str, accept: &str) -> Result<Option<Document>> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", accept.parse().expect("a header"));
    Documents::new(Arc::new(kinds::Registry::builtin())).get(path, &headers, "")
}

fn body(document: &Document) -> Value {
    serde_json::from_slice(&document.body).expect("JSON")
}

#[test]
fn forms_are_negotiated() {
    let kind = |accept: &str| {
        get("/apis", accept).map(|d| d.expect("there").content_type).unwrap_or_else(|e| e.to_string())
    };
    assert_eq!(kind("application/json"), "application/json");
    assert_eq!(kind(AGGREGATED), AGGREGATED);
    assert_eq!(
        kind("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,*/*"),
        "application/json"
    );
    assert_eq!(
        kind("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer"),
        AGGREGATED
    );
    assert!(
        kind("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
            .starts_with("only the following")
    );
    let plain = get("/apis/apps", &format!("{AGGREGATED},application/json")).expect("fine").expect("there");
    assert_eq!(body(&plain)["kind"], "APIGroup");
    let protobuf = get("/api/v1", MEDIA[2]).expect("fine").expect("there");
    assert!(protobuf.body.starts_with(b"k8s\0"));
}

#[test]
fn unknown_groups_have_no_document() {
    for path in ["/apis/nope.example.com", "/apis/nope.example.com/v1", "/api/v2", "/apis//v1", "/apix"] {
        assert_eq!(get(path, "*/*"), Ok(None), "{path}");
    }
    assert_eq!(get("/apis/apps/v9", "*/*"), Err(ApiError::NoSuchPath));
}

#[test]
fn known_documents_are_not_sent_again() {
    let documents = Documents::new(Arc::new(kinds::Registry::builtin()));
    let mut headers = HeaderMap::new();
    headers.insert("accept", AGGREGATED.parse().expect("a header"));
    let first = documents.get("/apis", &headers, "").expect("fine").expect("there");
    let etag = &first.headers.iter().find(|(name, _)| *name == "etag").expect("has one").1;
    headers.insert("if-none-match", etag.parse().expect("a header"));
    let second = documents.get("/apis", &headers, "").expect("fine").expect("there");
    assert_eq!((second.code, second.body.len()), (304, 0));
}

#[test]
fn aggregated_discovery_matches_a_real_server() {
    let Ok(text) = std::fs::read(format!("{SHARED}kubernetes-1.36/aggregated-discovery.json")) else {
        eprintln!("SKIPPED: {SHARED} is missing");
        return;
    };
    let real: Value = serde_json::from_slice(&text).expect("JSON");
    for root in ["/api", "/apis"] {
        assert_eq!(body(&get(root, AGGREGATED).expect("fine").expect("there")), real[root]);
    }
}

/// Every discovery document in the transcripts.
#[test]
fn documents_match_transcripts() {
    let Ok(cases) = std::fs::read_dir(format!("{SHARED}golden/cases/discovery")) else {
        eprintln!("SKIPPED: {SHARED} is missing");
        return;
    };
    let mut compared = 0;
    for case in cases.flatten() {
        let case: Value =
            serde_json::from_slice(&std::fs::read(case.path()).expect("readable")).expect("JSON");
        for step in case["steps"].as_array().expect("steps") {
            let path = step["path"].as_str().unwrap_or("");
            let wanted = &step["expect"]["body"];
            let found = step["expect"]["code"] == 200
                && (path.starts_with("/api") || path == "/")
                && wanted.is_object();
            if !found || step["method"] != "GET" || step["bodyMode"] == "present" {
                continue;
            }
            let accept = step["headers"]["Accept"].as_str().unwrap_or("application/json");
            let mut ours = body(&get(path, accept).expect("fine").expect("there"));
            let mut wanted = wanted.clone();
            for side in [&mut ours, &mut wanted] {
                if let Some(address) = side.pointer_mut("/serverAddressByClientCIDRs/0/serverAddress") {
                    *address = Value::Null;
                }
            }
            assert_eq!(ours, wanted, "{path}");
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared} documents compared");
}
