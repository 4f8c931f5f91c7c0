//! Admission by the cluster's own policies and by other servers.

use crate::cluster::{CONFIG_MAPS, Cluster, config_map};
use api::{Destination, Outbound};
use base64::Engine;
use bytes::Bytes;
use futures::future::BoxFuture;
use object::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

/// Refuses what is named `bad`, labels the rest, and cannot be reached at `/down`.
struct Hook;

impl Outbound for Hook {
    fn post(&self, to: Destination, body: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        let request = &review["request"];
        let patch =
            json!([{"op": "add", "path": "/metadata/labels", "value": {"hooked": "yes"}}]).to_string();
        let response = match request["name"].as_str() {
            Some("bad") => {
                json!({"uid": request["uid"], "allowed": false, "status": {"code": 403, "message": "no"}})
            }
            _ if to.url.contains("/change") => json!({
                "uid": request["uid"], "allowed": true, "patchType": "JSONPatch", "warnings": ["changed"],
                "patch": base64::engine::general_purpose::STANDARD.encode(patch),
            }),
            _ => json!({"uid": request["uid"], "allowed": true}),
        };
        let answer =
            json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
        let down = to.url.contains("/down").then(|| "Post: connection refused".to_owned());
        Box::pin(async move { down.map_or_else(|| Ok(answer.to_string().into()), Err) })
    }
}

fn webhook(kind: &str, path: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": path.trim_start_matches('/')},
        "webhooks": [{
            "name": "hook.example.com", "clientConfig": {"url": format!("https://hook.example.com{path}")},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": policy,
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
            "matchConditions": [{"name": "free", "expression": "object.metadata.name != 'free'"}],
        }],
    })
}

#[tokio::test]
async fn webhooks_change_and_refuse() {
    let cluster = Cluster::new().await;
    cluster.api.set_outbound(Arc::new(Hook));
    let mutating = format!("{GROUP}/mutatingwebhookconfigurations");
    let validating = format!("{GROUP}/validatingwebhookconfigurations");
    cluster.create(&mutating, webhook("MutatingWebhookConfiguration", "/change", "Fail")).await;
    cluster.create(&validating, webhook("ValidatingWebhookConfiguration", "/judge", "Fail")).await;
    let changed = cluster.post(CONFIG_MAPS, config_map("a")).await;
    assert_eq!(changed.body["metadata"]["labels"]["hooked"], "yes", "{}", changed.body);
    assert_eq!(changed.warnings, ["299 - \"changed\""]);
    let free = cluster.create(CONFIG_MAPS, config_map("free")).await;
    assert!(free["metadata"]["labels"].is_null(), "{free}");
    let refused = cluster.post(CONFIG_MAPS, config_map("bad")).await;
    assert_eq!(refused.body["message"], "admission webhook \"hook.example.com\" denied the request: no");
    assert_eq!(refused.code, 403);
}

#[tokio::test]
async fn webhooks_that_fail_matter_by_their_policy() {
    let cluster = Cluster::new().await;
    cluster.api.set_outbound(Arc::new(Hook));
    let hooks = format!("{GROUP}/validatingwebhookconfigurations");
    cluster.create(&hooks, webhook("ValidatingWebhookConfiguration", "/down", "Fail")).await;
    let failed = cluster.post(CONFIG_MAPS, config_map("a")).await;
    assert_eq!((failed.code, failed.body["reason"].as_str()), (500, Some("InternalError")));
    let ignore = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]);
    let media = "application/json-patch+json";
    let path = format!("{hooks}/down");
    assert_eq!(cluster.send(http::Method::PATCH, &path, media, Some(ignore)).await.code, 200);
    cluster.create(CONFIG_MAPS, config_map("a")).await;
}

#[tokio::test]
async fn policies_refuse_with_parameters() {
    let cluster = Cluster::new().await;
    let constraints = json!({"resourceRules": [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]},
    ]});
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": constraints, "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "variables": [{"name": "size", "expression": "object.data.size()"}],
            "validations": [{"expression": "variables.size <= int(params.data.most)", "messageExpression": "'at most ' + params.data.most"}],
        },
    });
    let mut limit = config_map("limit");
    limit["data"] = json!({"most": "1"});
    cluster.create(CONFIG_MAPS, limit).await;
    cluster.create(&format!("{GROUP}/validatingadmissionpolicies"), policy).await;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"},
        "spec": {"policyName": "p", "validationActions": ["Deny"],
            "paramRef": {"name": "limit", "namespace": "default", "parameterNotFoundAction": "Deny"}},
    });
    cluster.create(&format!("{GROUP}/validatingadmissionpolicybindings"), binding).await;
    let mut large = config_map("large");
    large["data"] = json!({"a": "1", "b": "2"});
    let refused = cluster.post(CONFIG_MAPS, large).await;
    let message = "configmaps \"large\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: at most 1";
    assert_eq!((refused.code, refused.body["message"].as_str()), (422, Some(message)));
    cluster.create(CONFIG_MAPS, config_map("small")).await;
}

#[tokio::test]
async fn policies_change_objects() {
    let cluster = Cluster::new().await;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]},
            ]},
            "mutations": [{"patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: {'by': 'policy'}}}"}}],
        },
    });
    cluster.create(&format!("{GROUP}/mutatingadmissionpolicies"), policy).await;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "b"},
        "spec": {"policyName": "p"},
    });
    cluster.create(&format!("{GROUP}/mutatingadmissionpolicybindings"), binding).await;
    assert_eq!(cluster.create(CONFIG_MAPS, config_map("a")).await["metadata"]["labels"]["by"], "policy");
}

#[tokio::test]
async fn connections_are_judged() {
    let cluster = Cluster::new().await;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"]},
            ]},
            "validations": [{"expression": "object.command != ['sh'] && request.subResource == 'exec'", "message": "no shells"}],
        },
    });
    cluster.create(&format!("{GROUP}/validatingadmissionpolicies"), policy).await;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"},
        "spec": {"policyName": "p", "validationActions": ["Deny"]},
    });
    cluster.create(&format!("{GROUP}/validatingadmissionpolicybindings"), binding).await;
    let exec = "/api/v1/namespaces/default/pods/none/exec?command=";
    let refused = cluster.get(&format!("{exec}sh")).await;
    let message = "pods \"none\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no shells";
    assert_eq!(refused.body["message"], message);
    assert_eq!(
        cluster.get(&format!("{exec}date")).await.code,
        404,
        "admission comes before the pod is looked for"
    );
}
