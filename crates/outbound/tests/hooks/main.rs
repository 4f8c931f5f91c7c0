//! Webhooks that answer over TLS, asked by an API server: the whole loop from a write to what becomes of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use object::{Value, json};
use world::{World, config_map};

/// A hook of the test's server at `path`.
fn hook(name: &str, path: &str) -> Value {
    json!({"name": format!("{name}.example.com"), "path": path, "sideEffects": "None", "timeoutSeconds": 5,
        "admissionReviewVersions": ["v1"],
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]})
}

fn with(mut hook: Value, more: Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        hook[key] = value.clone();
    }
    hook
}

#[tokio::test]
async fn changes_follow_one_another_and_are_seen_again() {
    let world = World::new().await;
    world.mutating("a", vec![with(hook("a", "/append/a"), json!({"reinvocationPolicy": "IfNeeded"}))]).await;
    world.mutating("b", vec![hook("b", "/append/b"), hook("c", "/append/c")]).await;
    world.validating("v", vec![hook("v", "/allow")]).await;
    let made = world.create(config_map("x", json!({"order": ""}))).await;
    // The first may look again at what came later, once; the others do not ask for it.
    assert_eq!((made.code, &made.body["data"]["order"]), (201, &json!("abca")));
    assert_eq!(world.asked("/allow"), 1);
}

#[tokio::test]
async fn selectors_and_conditions_decide_who_is_asked() {
    let world = World::new().await;
    let hooks = vec![
        with(hook("ns", "/warn/ns"), json!({"namespaceSelector": {"matchLabels": {"not": "there"}}})),
        with(hook("obj", "/warn/obj"), json!({"objectSelector": {"matchLabels": {"watched": "yes"}}})),
        with(
            hook("cond", "/warn/cond"),
            json!({"matchConditions": [{"name": "n", "expression": "object.metadata.name.startsWith('w')"}]}),
        ),
        with(
            hook("update", "/warn/update"),
            json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}]}),
        ),
    ];
    world.validating("v", hooks).await;
    assert_eq!(world.create(config_map("x", json!({}))).await.warnings, [""; 0]);
    let mut labelled = config_map("w", json!({}));
    labelled["metadata"]["labels"] = json!({"watched": "yes"});
    let mut warnings = world.create(labelled).await.warnings;
    warnings.sort();
    assert_eq!(warnings, ["299 - \"cond\"", "299 - \"obj\""]);
}

#[tokio::test]
async fn a_resource_is_matched_in_any_of_its_versions() {
    let world = World::new().await;
    let beta = json!({"rules": [{"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["horizontalpodautoscalers"]}]});
    let exact = with(hook("exact", "/warn/exact"), with(beta.clone(), json!({"matchPolicy": "Exact"})));
    world.validating("v", vec![exact, with(hook("any", "/warn/any"), beta)]).await;
    let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}});
    let made = world.post("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", object).await;
    assert_eq!((made.code, made.warnings), (201, vec!["299 - \"any\"".to_owned()]));
}

#[tokio::test]
async fn failures_matter_by_their_policy() {
    let world = World::new().await;
    for (path, why) in [
        (
            "/500",
            "failed to call webhook: an error on the server (\"boom\") has prevented the request from succeeding",
        ),
        ("/other-uid", "received invalid webhook response: expected response.uid=\"UID\", got \"other\""),
        (
            "/no-json",
            "failed to call webhook: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
        ),
        ("/append/x", "received invalid webhook response: validating webhook may not return response.patch"),
        ("/slow", "failed to call webhook: Post \"URL/slow?timeout=1s\": context deadline exceeded"),
    ] {
        let broken = with(hook("w", path), json!({"timeoutSeconds": 1}));
        world.validating("v", vec![broken.clone()]).await;
        let refused = world.create(config_map("x", json!({"order": ""}))).await;
        let expected = format!("Internal error occurred: failed calling webhook \"w.example.com\": {why}");
        assert_eq!((refused.code, world.plain(&refused.body["message"])), (500, expected));
        world.validating("v", vec![with(broken, json!({"failurePolicy": "Ignore"}))]).await;
        let name = path.trim_matches('/').replace('/', "-");
        assert_eq!(world.create(config_map(&name, json!({"order": ""}))).await.code, 201);
    }
}

#[tokio::test]
async fn dry_runs_ask_only_those_without_side_effects() {
    let world = World::new().await;
    world.validating("v", vec![with(hook("w", "/allow"), json!({"sideEffects": "NoneOnDryRun"}))]).await;
    let dry = "/api/v1/namespaces/default/configmaps?dryRun=All";
    assert_eq!(world.post(dry, config_map("x", json!({}))).await.code, 201);
    world.validating("v", vec![with(hook("w", "/refuse"), json!({"sideEffects": "None"}))]).await;
    let refused = world.post(dry, config_map("x", json!({}))).await;
    assert_eq!(
        (refused.code, refused.body["message"].as_str().unwrap()),
        (418, "admission webhook \"w.example.com\" denied the request: not today")
    );
}

#[tokio::test]
async fn services_of_the_cluster_answer_too() {
    let world = World::new().await;
    let service = json!({"clientConfig": {"service": {"namespace": "default", "name": "hooks", "port": 443, "path": "/warn"}}});
    let mut hook = with(hook("w", ""), service);
    hook["timeoutSeconds"] = json!(2);
    world.validating("v", vec![hook.clone()]).await;
    let refused = world.create(config_map("x", json!({}))).await;
    assert_eq!(
        refused.body["message"],
        "Internal error occurred: failed calling webhook \"w.example.com\": failed to call webhook: Post \"https://hooks.default.svc:443/warn?timeout=2s\": service \"hooks\" not found"
    );
}
