//! What kubelets may write.

use crate::cluster::{Cluster, PODS, pod};
use access::UserInfo;
use object::{Value, json};

async fn cluster() -> (Cluster, Cluster) {
    let cluster = Cluster::new().await;
    for name in ["n1", "n2"] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        cluster.create("/api/v1/nodes", node).await;
        let mut pod = pod(&format!("on-{name}"));
        pod["spec"]["nodeName"] = name.into();
        cluster.create(PODS, pod).await;
    }
    let node = cluster.asked_by(UserInfo::new("system:node:n1", &["system:nodes", "system:authenticated"]));
    (cluster, node)
}

fn message(body: &Value) -> &str {
    body["message"].as_str().unwrap_or("")
}

#[tokio::test]
async fn its_own_node_and_pods() {
    let (cluster, node) = cluster().await;
    let status = json!({"status": {"phase": "Running"}});
    assert_eq!(node.merge(&format!("{PODS}/on-n1/status"), status.clone()).await.code, 200);
    let refused = node.merge(&format!("{PODS}/on-n2/status"), status).await;
    assert_eq!(refused.code, 403, "{}", refused.body);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let refused = node.merge(&format!("{PODS}/on-n1/status"), labels).await;
    assert!(
        message(&refused.body).ends_with("node \"n1\" cannot update labels through pod status"),
        "{}",
        refused.body
    );
    let refused = node.post(PODS, pod("free")).await;
    assert!(message(&refused.body).contains("can only create mirror pods"), "{}", refused.body);

    let label = |key: &str| json!({"metadata": {"labels": {key: "x"}}});
    assert_eq!(node.merge("/api/v1/nodes/n1", label("mine")).await.code, 200);
    let refused = node.merge("/api/v1/nodes/n1", label("node-restriction.kubernetes.io/x")).await;
    assert!(
        message(&refused.body).ends_with("is not allowed to modify labels: node-restriction.kubernetes.io/x")
    );
    let taints = json!({"spec": {"taints": []}});
    let admin = json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    assert_eq!(cluster.merge("/api/v1/nodes/n1", admin).await.code, 200);
    let refused = node.merge("/api/v1/nodes/n1", taints).await;
    assert!(
        message(&refused.body).ends_with("node \"n1\" is not allowed to modify taints"),
        "{}",
        refused.body
    );
    assert_eq!(cluster.merge("/api/v1/nodes/n1", label("node-restriction.kubernetes.io/x")).await.code, 200);
}

#[tokio::test]
async fn tokens_of_its_own_pods() {
    let (cluster, node) = cluster().await;
    let uid = |pod: Value| pod["metadata"]["uid"].clone();
    let (own, other) = (
        uid(cluster.get(&format!("{PODS}/on-n1")).await.body),
        uid(cluster.get(&format!("{PODS}/on-n2")).await.body),
    );
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let ask = |name: &str, uid: &Value, audiences: Value| {
        let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid});
        json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"boundObjectRef": bound, "audiences": audiences},
        })
    };
    let nothing = json!([]);
    assert_eq!(node.post(path, ask("on-n1", &own, nothing.clone())).await.code, 201);
    for (request, code, why) in [
        (ask("on-n2", &other, nothing.clone()), 403, "bound to a pod scheduled on a different node"),
        (ask("on-n1", &other, nothing.clone()), 403, "does not match the UID in record"),
        (ask("on-n1", &json!(""), nothing.clone()), 403, "without a uid"),
        (ask("gone", &own, nothing), 404, "not found"),
        (ask("on-n1", &own, json!(["vault"])), 403, "not authorized to request tokens for this audience"),
        (ask("on-n1", &own, json!(["a", "b"])), 403, "may only request 0 or 1 audiences"),
    ] {
        let refused = node.post(path, request.clone()).await;
        assert_eq!(refused.code, code, "{request}: {}", refused.body);
        assert!(message(&refused.body).contains(why), "{}", refused.body);
    }
}
